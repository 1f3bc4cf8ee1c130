"""CIFAR-10: colour pictures of animals and vehicles, 32x32 (A. Krizhevsky, 2009)."""

from pursamere_viz.data.records import DataSet, OpenML
from pursamere_viz.data_sets.networks import FEW_VOTES, LARGE, SIGMAS, shipped
from pursamere_viz.data_sets.plan import CE_DLR, DOUBLED, Plan, Proof, Search, each, moves, repeated_tweedie
from pursamere_viz.models.objectives import TrainingConfig
from pursamere_viz.models.recipes import Recipe

IMAGES = {"channels": 3, "mean": 0.475, "std": 0.252}  # of the training images

CIFAR10 = DataSet(
    name="cifar10",
    title="CIFAR-10",
    channels=3,
    size=32,
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    test_images=10_000,
    openml=OpenML("CIFAR_10", 50_000, (1000,) * 10, megabytes=210),
    **shipped("cifar10"),
    recipes={
        "classifier": Recipe(
            "conv_classifier",
            IMAGES | {"classes": 10, "widths": [64, 256, 256], "dropout": 0.1},
            TrainingConfig(
                steps=3500, bf16=True, learning_rate=2e-3, weight_decay=5e-2, warmup=400, ema=0.995, crop=4, flip=True
            ),
        ),
        "score": Recipe(
            "unet_score_network",
            IMAGES | {"widths": [64, 128]},
            TrainingConfig(steps=4500, bf16=True, flip=True, **SIGMAS),
        ),
    },
    denoised_up_to=0.25,
    defaults=LARGE | {"sigma": 0.1, "radius": 0.07, "classifier": "purified"},
    other_rho=0.5,
    trained_behind={"sigma": 0.15, "radius": 0.1},  # before the search settled on a milder purifier
    example={"image": 11, "resolution": 25, "eps": 8 / 255},
    plan=Plan(
        budgets=(("linf", 4 / 255), ("linf", 8 / 255), ("l2", 0.5)),
        main=("linf", 8 / 255),
        attacks=CE_DLR,
        rest=DOUBLED,
        images=30,
        fewer=20,
        first=5,
        proof=Proof(0.25, (0.06, 0.12, 0.25), (0.1, 0.25, 0.5), attacked=(0.25,), **FEW_VOTES),
    ),
    search=Search(
        space=(
            each("sigma", 0.06, 0.1, 0.15, 0.25),
            each("radius", 0.03, 0.05, 0.07, 0.1),
            moves(0.3, 0.6),
            each("steps", 2, 4, 6),
            each("pairs", 1, 2, 4),
            each("rho", 0.0, 0.5),
            each("classifier", "standard", "denoised", "purified"),
        ),
        first=(
            {
                "sigma": 0.1,
                "radius": 0.07,
                "steps": 6,
                "pairs": 2,
                "step_rule": "gradient",
                "step_size": 0.5,
                "rho": 0.0,
                "classifier": "purified",
            },
        ),
        tweedie=repeated_tweedie(0.06, 0.1, 0.15, 0.25),
        most_calls=32,
    ),
)
