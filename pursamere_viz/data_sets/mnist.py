"""MNIST: handwritten digits, 28x28 (Y. LeCun, C. Cortes, C. Burges)."""

from pursamere_viz.data.records import DataSet, OpenML
from pursamere_viz.data_sets.networks import LARGE, SIGMAS, shipped
from pursamere_viz.data_sets.plan import CE_DLR, CHANGES, DOUBLED, Contest, Plan, Proof, Search
from pursamere_viz.models.objectives import TrainingConfig
from pursamere_viz.models.recipes import Recipe

IMAGES = {"channels": 1, "mean": 0.131, "std": 0.308}  # of the training images

MNIST = DataSet(
    name="mnist",
    title="MNIST",
    channels=1,
    size=28,
    class_names=tuple("0123456789"),
    test_images=10_000,
    openml=OpenML("mnist_784", 60_000, (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009), megabytes=15),
    **shipped("mnist"),
    ink=(20 / 28, 0.085),  # drawn with this pen, ten digits have a mean of .12, and so have the test images
    recipes={
        "classifier": Recipe(
            "conv_classifier",
            IMAGES | {"classes": 10},
            TrainingConfig(steps=3000, bf16=True, learning_rate=2e-3, rotation=0.1, shift=1.0, scale=0.06),
        ),
        "score": Recipe(
            "unet_score_network", IMAGES | {"widths": [48, 96]}, TrainingConfig(steps=4000, bf16=True, **SIGMAS)
        ),
        "robust_classifier": Recipe(
            "strided_classifier",
            IMAGES | {"size": 28, "classes": 10, "widths": [24, 48], "hidden": 128},
            TrainingConfig(
                steps=6000,
                learning_rate=2e-3,
                ema=0.99,
                weight_decay=1e-3,
                eps=0.31,
                eps_warmup=2500,
                attack_steps=4,
                attack_step_size=0.35,
                checkpoint_every=200,
            ),
        ),
    },
    defaults=LARGE | {"sigma": 0.4, "radius": 0.5, "step_size": 1.0},
    example={"image": 0, "resolution": 25, "eps": 77 / 255},
    plan=Plan(
        budgets=(("linf", 0.1), ("linf", 0.2), ("linf", 0.3)),
        main=("linf", 0.3),
        attacks=CE_DLR,
        rest=(*DOUBLED, "apgd_ce-160", "apgd_dlr-160"),  # doubling once was seen to find more
        images=50,
        fewer=10,
        first=10,
        proof=Proof(0.5, (0.25, 0.5, 0.75), (0.25, 0.5, 0.75, 1.0), votes=500, images=40, validation=15),
        contest=Contest(("linf", 0.3), 200, piece=10),
    ),
    search=Search(
        tuple(
            {**change, "classifier": "denoised"}
            for change in ({}, *CHANGES[:2], *CHANGES[3:], {"sigma": 0.3}, {"step_size": 0.5, "radius": 0.35})
        ),
        attacked=48,
    ),
)
