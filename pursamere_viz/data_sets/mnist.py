"""MNIST: handwritten digits, 28x28 (Y. LeCun, C. Cortes, C. Burges)."""

from pursamere_viz.data.records import DataSet, OpenML
from pursamere_viz.data_sets.networks import FEW_CALLS, FEW_VOTES, LARGE, SIGMAS, duplicated, shipped
from pursamere_viz.data_sets.plan import CE_DLR, DOUBLED, Contest, Plan, Proof, Search, each, moves, repeated_tweedie
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
        # The score network, trained on for a while with copies of fifty images of a kind that data sets have: the same image
        # several times, with its right class. A thousand times is more than is usual, and shows where memorising begins.
        "duplicated_score": Recipe(
            "unet_score_network",
            IMAGES | {"widths": [48, 96]},
            TrainingConfig(steps=3000, checkpoint_every=200, **SIGMAS),
            start="score",
            copies=duplicated(1, 10, 100, 300, 1000),
            planted_eps=0,
        ),
    },
    defaults=LARGE | {"sigma": 0.4, "radius": 0.5, "step_size": 1.0},
    example={"image": 0, "resolution": 25, "eps": 77 / 255},
    plan=Plan(
        budgets=(("linf", 0.1), ("linf", 0.2), ("linf", 0.3), ("l2", 1.5)),
        main=("linf", 0.3),
        attacks=CE_DLR,
        rest=(*DOUBLED, "apgd_ce-160", "apgd_dlr-160"),  # doubling once was seen to find more
        images=50,
        fewer=10,
        first=10,
        proof=Proof(0.5, (0.25, 0.5, 0.75), (0.25, 0.5, 0.75, 1.0), attacked=(1.0,), **FEW_VOTES),
        contest=Contest(("linf", 0.3), **FEW_CALLS),
    ),
    search=Search(
        space=(
            each("sigma", 0.3, 0.4, 0.5, 0.65),
            each("radius", 0.2, 0.3, 0.4, 0.5),
            moves(1.0, 2.0),
            each("steps", 2, 4, 6, 10),
            each("pairs", 1, 2, 4),
            each("rho", 0.0, 0.5),
            each("classifier", "standard", "denoised"),
        ),
        first=(
            {
                "sigma": 0.4,
                "radius": 0.5,
                "steps": 6,
                "pairs": 2,
                "step_rule": "gradient",
                "step_size": 1.0,
                "rho": 0.0,
                "classifier": "standard",
            },
        ),
        tweedie=repeated_tweedie(0.3, 0.4, 0.5, 0.65),
    ),
)
