"""What a search says, in text: the table of its last round, and whether the defaults are the best that was found."""

from pursamere_viz.cards import searches
from pursamere_viz.cards.markdown import budget_text, decision, percent, rounds_text, said, table
from pursamere_viz.cards.plans import plan_of
from pursamere_viz.cards.searches import OURS, TWEEDIE, Chosen, Tried
from pursamere_viz.data.records import data_set
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.defences.registry import denoiser_calls
from pursamere_viz.evaluation.cells import Journal

HEAD = [
    "sigma",
    "radius",
    "steps",
    "rho",
    "noise nodes",
    "classifier",
    "calls",
    "clean",
    "worst",
    "against the defaults",
]


def search_text(name: str) -> str:
    """The section of a card; empty where there was no search."""
    journal = Journal(searches.path(name))
    if not journal.held:
        return ""
    return f"## How the defaults were chosen\n\n{found_text(name, journal)}"


def found_text(name: str, journal: Journal) -> str:
    """What was searched, and what the last round says."""
    search, tried = searches.search_of(name), searches.settings(name)
    title, budget = data_set(name).title, budget_text(plan_of(name).main)
    rounds, lost = rounds_text(search.rungs, len(tried[OURS])), f"{100 * search.lost:g}"
    start = f"""Validation images of {title}, never the test split, {budget}, successive halving:
{rounds} (+: on what stands under those before it).
Settings that lose more than {lost} points of the classifier's accuracy without an attack, on {search.clean} images, leave before
the last of these rounds. {len(tried[TWEEDIE])} settings of Tweedie's step, once and repeated, with the classifier of the defaults
before, were halved alike; they are shown beside the shipped method and are never the default. Worst: no attack breaks the
image. Last column: images that stand with this setting alone, against with the defaults alone, with the p of a sign test
(McNemar), on images that also chose these settings, and not corrected for their number. Measured by
`python -m pursamere_viz search {name}`."""
    found = searches.chosen(name, journal)
    if found is None:
        return f"{start}\n\nThe search is not done yet."
    body = [_line(found, row) for row in found.rows]
    return f"""{start}

{table(HEAD, body)}

The classifier alone has {percent(found.bare)} without an attack. {_verdict(found)}"""


def _verdict(found: Chosen) -> str:
    ours, best = sum(row.kind == OURS for row in found.rows), found.best
    few = "" if found.default.may else " The defaults lose more than is allowed."
    if best is found.default:
        return (
            f"Of the {ours} settings of the shipped method in the last round none leaves more than the defaults.{few}"
        )
    start = (
        f"Of the {ours} settings of the shipped method in the last round one leaves {percent(best.worst)}, the defaults "
        f"{percent(found.default.worst)}."
    )
    if found.decided is None:
        return f"{start} Whether it is better is open: it was not measured on other images.{few}"
    verdict = decision(found.decided, "it is better", "it is worse")
    return f"{start} On other validation images, which chose neither: {said(found.decided)}, {verdict}.{few}"


def _line(found: Chosen, row: Tried) -> list[str]:
    default = row is found.default
    against = "" if default else said(found.against_default(row))
    cells = [*_described(row.config), f"{denoiser_calls(row.config)}", percent(row.clean), percent(row.worst), against]
    return [f"**{cell}**" if default and cell else cell for cell in cells]


def _described(config: DefenceConfig) -> list[str]:
    """Sigma, radius, steps, rho, noise nodes and classifier of a setting."""
    if config.method == "tweedie":
        place = ["", "one-step Tweedie", "", ""]
    elif config.method == "log_density" and config.radius >= 1:
        place = ["", f"Tweedie, {config.steps} times", "", ""]
    else:
        norm = "Linf" if config.norm == "linf" else "L2"
        steps = f"{config.steps} {config.step_rule} x {config.step_size:g}"
        place = [f"{norm} {config.radius:g}", steps, f"{config.rho:g}", f"{2 * config.pairs}"]
    return [f"{config.sigma:g}", *place, config.classifier]
