"""Fashion-MNIST: pictures of clothes, 28x28 (Zalando SE, MIT licence)."""

from pursamere_viz.data.records import DataSet, OpenML
from pursamere_viz.data_sets.networks import FEW_CALLS, FEW_VOTES, LARGE, SIGMAS, shipped
from pursamere_viz.data_sets.plan import CE_DLR, DOUBLED, Contest, Plan, Proof, Search, each, moves, repeated_tweedie
from pursamere_viz.models.objectives import TrainingConfig
from pursamere_viz.models.recipes import Recipe

IMAGES = {"channels": 1, "mean": 0.286, "std": 0.353}  # of the training images

FASHION_MNIST = DataSet(
    name="fashion_mnist",
    title="Fashion-MNIST",
    channels=1,
    size=28,
    class_names=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    test_images=10_000,
    openml=OpenML("Fashion-MNIST", 60_000, (1000,) * 10, megabytes=40),
    **shipped("fashion_mnist"),
    recipes={
        "classifier": Recipe(
            "conv_classifier",
            IMAGES | {"classes": 10, "widths": [48, 96, 192], "dropout": 0.2},
            TrainingConfig(steps=6000, bf16=True, learning_rate=2e-3, weight_decay=5e-2, crop=2),
        ),
        "score": Recipe(
            "unet_score_network", IMAGES | {"widths": [48, 96]}, TrainingConfig(steps=6000, bf16=True, **SIGMAS)
        ),
        "robust_classifier": Recipe(
            "strided_classifier",
            IMAGES | {"size": 28, "classes": 10, "widths": [16, 32], "hidden": 100},
            TrainingConfig(
                steps=2000,
                learning_rate=2e-3,
                ema=0.99,
                weight_decay=1e-3,
                eps=0.1,
                eps_warmup=300,
                attack_steps=2,
                attack_step_size=0.7,
                checkpoint_every=200,
            ),
        ),
    },
    defaults=LARGE | {"sigma": 0.25, "radius": 0.25, "classifier": "purified"},
    example={"image": 0, "resolution": 25},
    plan=Plan(
        budgets=(("linf", 0.05), ("linf", 0.1), ("l2", 1.0)),
        main=("linf", 0.1),
        attacks=CE_DLR,
        rest=DOUBLED,
        images=40,
        fewer=10,
        first=5,
        contest=Contest(("linf", 0.1), **FEW_CALLS),
        proof=Proof(0.4, (0.15, 0.25, 0.4), (0.25, 0.5, 0.75), attacked=(0.5,), **FEW_VOTES),
    ),
    search=Search(
        space=(
            each("sigma", 0.15, 0.25, 0.35, 0.5),
            each("radius", 0.1, 0.15, 0.25, 0.4),
            moves(0.5, 1.0),
            each("steps", 2, 4, 6, 10),
            each("pairs", 1, 2, 4),
            each("rho", 0.0, 0.5),
            each("classifier", "standard", "denoised", "purified"),
        ),
        first=(
            {
                "sigma": 0.25,
                "radius": 0.25,
                "steps": 6,
                "pairs": 2,
                "step_rule": "gradient",
                "step_size": 0.5,
                "rho": 0.0,
                "classifier": "purified",
            },
        ),
        tweedie=repeated_tweedie(0.15, 0.25, 0.35, 0.5),
    ),
)
