"""A small run with made-up numbers in the shape of image_run.Run: what figures draw, without the library behind it."""

from types import SimpleNamespace

import torch


class Plane:
    """Orthonormal directions u and v (C,H,W) through an origin."""

    def __init__(self, origin: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> None:
        self.origin, self.u, self.v = origin, u, v

    def coordinates(self, x: torch.Tensor) -> torch.Tensor:
        away = (x - self.origin).flatten(1)
        return torch.stack([away @ self.u.flatten(), away @ self.v.flatten()], 1)


def directions(shape: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    basis = torch.linalg.qr(torch.randn(torch.Size(shape).numel(), 2, generator=generator))[0]
    return basis[:, 0].reshape(shape), basis[:, 1].reshape(shape)


def falling(steps: int, start: float, end: float) -> torch.Tensor:
    """(T+1,1) values from start to end, geometric."""
    share = torch.linspace(0, 1, steps + 1)[:, None]
    return start ** (1 - share) * end**share


def make_run(shape=(1, 8, 8), steps=6, eps=32 / 255, classes=10, grid=13, decades=1.0, seed=0) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(1, *shape, generator=generator)
    u, v = directions(shape, generator)
    attacked = (clean + eps * torch.randn(1, *shape, generator=generator).sign()).clamp(0, 1)
    walk = torch.linspace(0, 1, steps + 1).reshape(-1, 1, 1, 1)
    points = (attacked + 0.8 * walk * u + 0.2 * walk.square() * v).clamp(0, 1)
    plane = Plane(attacked[0], u, v)
    true, fooled = 3, 5
    logits = torch.randn(steps + 1, 1, classes, generator=generator)
    logits[:, 0, true] += torch.linspace(0, 8, steps + 1)
    logits[:, 0, fooled] += torch.linspace(8, 0, steps + 1)
    probabilities = logits.softmax(-1)
    a, b = torch.linspace(-0.5, 1.5, grid), torch.linspace(-0.8, 1.2, grid)
    bowl = (a[None, :] - 0.8) ** 2 + (b[:, None] - 0.2) ** 2
    values = 10 ** (decades * bowl / bowl.max() - 1)
    regions = torch.where(a[None, :] + 0.3 * b[:, None] > 0.4, float(true), float(fooled)).expand(grid, grid)
    error = falling(steps, 2.0, 0.1)
    difference = attacked - clean
    return SimpleNamespace(
        x=clean,
        y=torch.tensor([true]),
        class_names=tuple(str(label) for label in range(classes)),
        examples=SimpleNamespace(
            x_adv=attacked, linf=difference.abs().amax().reshape(1), l2=difference.norm().reshape(1)
        ),
        trajectory=SimpleNamespace(points=points[:, None], error=error, purified=points[-1:]),
        metrics=SimpleNamespace(
            error=error,
            sharpness=falling(steps, 0.4, 0.01),
            curvature=torch.linspace(2.0, -0.1, steps + 1)[:, None],
            score_norm=falling(steps, 3.0, 0.002),
            mode_distance=falling(steps, 1.5, 0.02),
            mode_settled=torch.ones(steps + 1, 1, dtype=torch.bool),
            probabilities=probabilities,
        ),
        clean_probabilities=torch.nn.functional.one_hot(torch.tensor([true]), classes) * 0.9 + 0.01,
        attacked_probabilities=probabilities[0],
        landscape=SimpleNamespace(values=values, a=a, b=b, plane=plane, explained=0.873),
        regions=SimpleNamespace(values=regions, a=a, b=b, plane=plane, explained=0.873),
    )


def make_film(**options):
    """The run's figure as a film."""
    from pursamere_viz.figures import Film, image_lab

    run = make_run(**options)
    steps = len(run.trajectory.points)
    said = [f"This is step {step}." for step in range(steps)]
    rows = [[str(step), f"{float(error):.3f}"] for step, error in enumerate(run.trajectory.error)]
    return Film(image_lab(run, slider=False), said, "A run.", (["step", "error"], rows))
