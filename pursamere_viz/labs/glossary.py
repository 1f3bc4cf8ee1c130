"""The glossary: what each quantity is, its formula, and what to look at; the one source of a chart's "?" and of the page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One word. The formula is LaTeX without dollar signs; empty where there is none."""

    title: str
    symbol: str  # as the charts write it, empty where there is none
    about: str
    formula: str = ""
    look: str = ""  # what to look at
    group: str = "Words"
    plain: str = ""  # the formula where there is no LaTeX


CHARTS, SETTINGS, WORDS = "What the charts show", "What can be set", "Words"

GLOSSARY: dict[str, Entry] = {
    "error": Entry(
        "Reconstruction error", "ERE",
        "How far a denoiser moves a point, on average over noise that is added first. Near typical images the denoiser puts "
        "the noise right and little is left.",
        r"\mathrm{ERE}(x) = \mathbb{E}\,\lVert D(x + \sigma n) - x \rVert^2, \quad n \sim \mathcal{N}(0, I)",
        "It should fall along the path. A low error alone does not say that the class is right.",
        CHARTS, "ERE(x) = E ‖D(x + σ n) − x‖², n drawn from N(0, I)",
    ),
    "sharpness": Entry(
        "Sharpness", "",
        "How much the error rises to the worst point within a small distance. A flat place has a low sharpness.",
        r"\mathrm{ERE}\Big(x + \rho \frac{g}{\lVert g \rVert}\Big) - \mathrm{ERE}(x), \quad g = \nabla \mathrm{ERE}(x)",
        "Compare a path with rho above 0 with one at rho 0: sharpness-aware steps should end flatter.",
        CHARTS, "ERE(x + ρ g / ‖g‖) − ERE(x), g the gradient of ERE",
    ),
    "curvature": Entry(
        "Curvature", "λ",
        "How strongly the error bends upwards in its steepest direction: the largest eigenvalue of its Hessian.",
        r"\lambda = \lambda_{\max}\big(\nabla^2 \mathrm{ERE}(x)\big)",
        "About 2 in every direction is the mark of one memorised image.",
        CHARTS, "λ = largest eigenvalue of the Hessian of ERE",
    ),
    "score": Entry(
        "Score, scaled", "σ‖s‖",
        "How steeply the log-density of the smoothed data rises here, in units of 1 / sigma. At a mode it is 0.",
        r"\sigma \lVert \nabla \log p_\sigma(x) \rVert",
        "It should become small: the point then lies near a mode or on a flat ridge.",
        CHARTS, "σ ‖∇ log p_σ(x)‖",
    ),
    "mode_distance": Entry(
        "Distance to the mode", "L2",
        "How far the point is from the mode of the smoothed density to which mean shift leads from it. Where mean shift does not "
        "come to rest there is no number.",
        r"\lVert x - m(x) \rVert_2, \quad m: \; x \leftarrow D(x) \text{ until it rests}",
        "It should fall too. It need not reach 0: the minimum of the error and the mode are not the same point in general.",
        CHARTS, "‖x − m(x)‖, m(x) where mean shift rests",
    ),
    "confidence": Entry(
        "Confidence", "",
        "How the classifier shares its certainty among the classes; the shares sum to 100 %.",
        r"\mathrm{softmax}(f(x))",
        "Look where the line of the true class crosses that of the wrong one.",
        CHARTS, "softmax of the classifier's answers",
    ),
    "slice": Entry(
        "Flat slice", "",
        "Images have hundreds of dimensions; the map shows a flat slice through the clean, the attacked and the purified image. "
        "The path runs partly outside it.",
        "",
        "The share of the path that the slice shows stands above the map. Below 50 % the contours say little about the path.",
        CHARTS,
    ),
    "log_prob": Entry(
        "Log-density", "log p", "The logarithm of the density of the data, known exactly in the plane.",
        r"\log p(x)", "It should rise along a path that ends at a mode.", CHARTS, "log p(x)",
    ),
    "eps": Entry(
        "Budget", "eps", "How much the attacker may change, in the norm that is chosen: 8/255 in Linf changes every pixel "
        "by at most 8 of 255 grey levels.", r"\lVert x_{adv} - x \rVert \le \varepsilon", "", SETTINGS,
    ),
    "sigma": Entry(
        "Noise level", "sigma", "How much noise the error averages over. More noise smooths the density more and merges its modes.",
        "", "", SETTINGS,
    ),
    "rho": Entry(
        "SAM radius", "rho", "Each step takes the gradient at the worst nearby point within this distance (SAM, sharpness-aware "
        "minimisation). At 0 the steps are plain.", r"z^+ = z + \rho \, g / \lVert g \rVert", "", SETTINGS,
    ),
    "radius": Entry(
        "Neighbourhood", "radius", "How far the purified image may be from the input.", "", "", SETTINGS,
    ),
    "blind": Entry(
        "Blind attack", "blind", "The attacker knows the classifier only, not that its input is purified.", "", "", SETTINGS,
    ),
    "bpda": Entry(
        "BPDA attack", "bpda", "The attacker knows the purifier, but pretends that it changes nothing when gradients are computed "
        "(backward pass differentiable approximation, BPDA).", "", "", SETTINGS,
    ),
    "full": Entry(
        "Full attack", "full", "The attacker knows everything and follows the exact gradient through every purification step.",
        "", "", SETTINGS,
    ),
    "purification": Entry(
        "Purification", "", "Moving an input, before it is classified, to a nearby point that is more typical of the data.",
    ),
    "denoiser": Entry(
        "Denoiser", "D", "A function that takes the noise out of a noisy image; here from the score, by Tweedie's formula.",
        r"D(y) = y + \sigma^2 \nabla \log p_\sigma(y)",
    ),
    "mode": Entry("Mode", "", "A point where the density is higher than everywhere around it: the most typical image of its kind."),
    "reached": Entry(
        "Reached", "", "In the Density lab a purifier has reached a mode if it ends closer to it than half the noise level.",
        r"\lVert x - m \rVert < \sigma / 2",
    ),
    "basin": Entry("Basin", "", "All starts from which a purifier ends at the same minimum."),
    "worst_case": Entry(
        "Worst case", "", "An image counts as right only if no attack of the run breaks it.",
    ),
    "default": Entry(
        "Default purifier", "shipped", "The purifier and its settings that come with the program for a data set.",
    ),
}  # fmt: skip


def groups() -> dict[str, list[str]]:
    """The entries' names under their headings, in their order."""
    return {
        heading: [name for name, entry in GLOSSARY.items() if entry.group == heading]
        for heading in (CHARTS, SETTINGS, WORDS)
    }


def described(name: str) -> str:
    """An entry as Markdown: definition, formula and what to look at."""
    entry = GLOSSARY[name]
    symbol = f" ({entry.symbol})" if entry.symbol else ""
    formula = f"\n\n$${entry.formula}$$" if entry.formula else ""
    look = f"\n\n*Look at this:* {entry.look}" if entry.look else ""
    return f"**{entry.title}**{symbol}. {entry.about}{formula}{look}"
