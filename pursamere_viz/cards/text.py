"""Model cards: what the shipped networks and the defence are worth, measured, and written down as Markdown."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pursamere_viz.analysis.contact_sheets import contact_sheet
from pursamere_viz.analysis.denoising import denoising_psnr
from pursamere_viz.attacks.config import MODES
from pursamere_viz.cards import proofs
from pursamere_viz.cards.brackets import NORM, brackets
from pursamere_viz.cards.markdown import budget_text, decision, percent, said, table
from pursamere_viz.cards.plans import Row, attacked_cell, clean_cell, plan_of, results_path, robust_rows, rows
from pursamere_viz.cards.search_text import search_text
from pursamere_viz.data_sets.plan import REST, Budget
from pursamere_viz.defences.building import load_defence_of
from pursamere_viz.defences.config import CLASSIFIERS
from pursamere_viz.evaluation.accuracy import Paired, RobustAccuracy, paired
from pursamere_viz.evaluation.cells import Cell, Journal, Outcome, union
from pursamere_viz.evaluation.certified import SmoothedCell, proven, votes_journal
from pursamere_viz.models import checkpoints, generated, load_network
from pursamere_viz.models.of_data_sets import card_folder, classifier_of, classifiers_there, denoiser_of, is_shipped
from pursamere_viz.models.recipes import OPTIONAL, ROLES
from pursamere_viz.progress import finish


def write_card(name: str, images: int) -> Path:
    """Write assets/NAME.md from the measured cells, the networks' files and the notes."""
    notes = card_folder(name) / f"{name}_notes.md"
    parts = [
        f"# Model card: {name}",
        f"Written by `python -m pursamere_viz card {name} --images {images}`.",
        *((_networks(name), _denoising(name), _samples(name)) if is_shipped(name) else (_own_networks(name),)),
        _robustness(name, images),
        _proven(name),
        search_text(name),
        notes.read_text().strip() if notes.exists() else "",
    ]
    path = card_folder(name) / f"{name}.md"
    _replace(path, ("\n\n".join(part for part in parts if part) + "\n").encode())
    return path


def _replace(path: Path, content: bytes) -> None:
    """Put a whole file in the place of the old one, which stays where that fails."""
    made = path.with_suffix(".new")
    try:
        made.write_bytes(content)
        os.replace(made, path)
    finally:
        made.unlink(missing_ok=True)


def _networks(name: str) -> str:
    body = []
    for role in ROLES:
        path = checkpoints.weights_path(name, role)
        if role in OPTIONAL and not path.is_file():
            continue
        card = checkpoints.load_tensors(path, f"python -m pursamere_viz train {name}")[1]
        training, curve = card["training"], card.get("curve", [])
        shown = [f"{loss:.3g} ({step})" for step, loss in curve[:: max(len(curve) // 3, 1)]]
        body.append(
            [
                role.replace("_", " "),
                f"{card['architecture']} {card['options']}",
                f"{training['steps']} steps of {training['batch']}, seed {training['seed']}, {card['seconds']:.0f} s",
                ", ".join(shown) or "-",
                f"`{card['sha256'][:16]}`",
            ]
        )
    head = ["network", "architecture", "training", "validation loss (step)", "sha256"]
    return f"## Networks\n\nTrained by `python -m pursamere_viz train {name}`.\n\n{table(head, body)}"


def _own_networks(name: str) -> str:
    """The networks that a record's functions make."""
    found = {f"{role} classifier": classifier_of(name, role) for role in classifiers_there(name)}
    found["denoiser"] = denoiser_of(name)
    body = [[title, type(one.network).__name__, f"`{one.sha256[:16]}`"] for title, one in found.items()]
    return f"## Networks\n\n{table(['network', 'class', 'sha256 of its source and tensors'], body)}"


def _denoising(name: str) -> str:
    measured = finish(denoising_psnr(name, checkpoints.load_network(name, "score")))
    body = [
        [method, *(f"{float(value):.2f}" for value in row)]
        for method, row in zip(measured.methods, measured.psnr, strict=True)
    ]
    error = float(measured.standard_error.max())
    return f"""## Denoising

PSNR in dB on {measured.images} test images, clipped to [0, 1]; standard errors up to {error:.2f}. The filters are told sigma, their
settings are chosen for each sigma on validation images, and the linear one is the best there is for the mean and covariance
of training images.

{table(["sigma", *(f"{sigma:g}" for sigma in measured.sigmas)], body)}"""


def _samples(name: str) -> str:
    made = generated.ship(name)
    _replace(checkpoints.ASSETS / f"{name}_generated.png", contact_sheet(made.x, columns=20))
    return f"""## Samples

![{len(made.x)} generated images]({name}_generated.png)

{len(made.x)} of {made.drawn} images drawn from the score network by Heun's method for its ODE (Karras et al. 2022):
first those of which the classifier is sure, classes in turn. The app's gallery shows them where the data set is not on disk."""


def _robustness(name: str, images: int) -> str:
    plan, journal = plan_of(name), Journal(results_path(name))
    default, *others = rows(name)
    body = _block(journal, default, default.title, images)
    compared = set()
    for row in others:
        body += _block(journal, row, row.title, images)
        shape = (row.images, row.modes, row.budgets)
        if row.images < default.images and shape not in compared:
            compared.add(shape)
            body += _block(journal, default, f"{default.title}, the same images", images, like=row)
    return f"""## Accuracy under attack

Per cent of test images that are read correctly, in brackets the Wilson 95 % interval. The images are the first of the test
set, as many as the table says. **Worst**
counts an image as robust only if none of the attacks below it breaks it: {", ".join(plan.attacks)}
(kind-steps, x random starts), each on every image. At {budget_text(plan.main)} under the full attack what then stands was
attacked further, one attack after the other: {", ".join(plan.rest)};
those lines say what is left after each. Every number is an upper bound: a better attack may find more.
blind: the attacker knows the classifier only; bpda: the attack pretends that the purifier changes nothing when it computes
gradients; full: the exact gradient through every step. Without a purifier the three are one. The attacks compute in float32.

{table(["", "", *MODES], body)}

{_against(journal, default, others[0], images)}

{_robust(journal, robust_rows(name), images)}""".rstrip()


def _robust(journal: Journal, table: list[Row], images: int) -> str:
    """What the robust classifier is, and whether a purifier before it adds anything; empty where there is none."""
    if not table:
        return ""
    alone, *behind = table
    if not is_shipped(alone.config.data_set):
        return ""
    card = load_network(alone.config.data_set, CLASSIFIERS[alone.config.classifier]).card
    trained: dict[str, Any] = card["training"]  # type: ignore[index, assignment]
    gradients = trained["steps"] * trained["batch"] * (trained["attack_steps"] + 1) / 1e6
    recipe = (
        f"{trained['steps']} steps of {trained['batch']} images; in the first {trained['eps_warmup']} the budget grows"
    )
    step, budget = trained["attack_step_size"], budget_text(("linf", trained["eps"]))
    attack = f"PGD, {trained['attack_steps']} steps of {step:g} eps, random start, {budget}"
    compared = [
        f"{row.title}: {'; '.join(_worth(*found) for found in pairs)}."
        for row in behind
        if (pairs := _paired(journal, row, alone, images))
    ]
    listed = "\n".join(f"- {line}" for line in compared) or "Not measured yet."
    return f"""**The robust classifier** is trained on attacked images ({recipe}; {attack}): {gradients:.2g} million gradients
of one image. What its rows have over those of the other classifiers is this training's, not the purifier's. What a purifier
adds is the difference to the robust classifier alone, under the full attack (images right behind the purifier and wrong
alone, against the reverse; the same sign test):

{listed}"""


def _worth(budget: Budget, pair: Paired) -> str:
    """What a purifier adds at a budget."""
    return f"at {budget_text(budget)} {decision(pair, 'it helps', 'it hurts')}, {said(pair)}"


def _against(journal: Journal, one: Row, other: Row, images: int) -> str:
    """The sign test of McNemar between two rows at each budget under the full attack, on the images measured of both."""
    compared = [f"{budget_text(budget)}: {said(pair)}" for budget, pair in _paired(journal, one, other, images)]
    if not compared:
        return ""
    return (
        f"Images read correctly with {one.title} and wrongly with “{other.title}”, against the reverse, under the full attack: "
        f"{'; '.join(compared)}. p is of the two-sided sign test (McNemar), not corrected for the number of budgets."
    )


def _paired(journal: Journal, one: Row, other: Row, images: int) -> list[tuple[Budget, Paired]]:
    """Two rows at each budget that is measured of both under the full attack."""
    pairs = []
    for budget in plan_of(one.config.data_set).budgets:
        a, b = (
            journal.outcome(
                attacked_cell(row, budget, "full", images), load_defence_of(row.config, "cpu")[1], partial=True
            )
            for row in (one, other)
        )
        if a is not None and b is not None:
            count = min(len(a.clean), len(b.clean))
            pairs.append((budget, paired(a.first(count).worst, b.first(count).worst)))
    return pairs


def _block(journal: Journal, row: Row, title: str, images: int, like: Row | None = None) -> list[list[str]]:
    """The lines of one row of the table; of the first images, modes and budgets of another row if one is given."""
    plan, shape = plan_of(row.config.data_set), like or row
    weights = load_defence_of(row.config, "cpu")[1]
    clean = clean_cell(shape, images)
    found = journal.outcome(replace(clean, config=row.config, bare=row.bare), weights)
    lines = [
        [
            f"**{title}**",
            f"no attack, {clean.images} images",
            *_under(dict.fromkeys(shape.modes, percent(_worst(found)))),
        ]
    ]
    full = dict[Budget, Outcome | None]()
    for budget in shape.budgets or plan.budgets:
        count = min(shape.images_at(budget), images)
        cells = {mode: attacked_cell(row, budget, mode, count) for mode in shape.modes_at(budget)}
        outcomes = {mode: journal.outcome(cell, weights, partial=True) for mode, cell in cells.items()}
        worst = {mode: percent(_worst(outcome), count) for mode, outcome in outcomes.items()}
        lines.append(["", f"**{budget_text(budget)}, worst of all**, {count} images", *_under(worst)])
        lines += _attack_lines(cells, outcomes)
        full[budget] = outcomes.get("full")
    return lines + _union_lines(plan.main, full)


def _union_lines(main: Budget, full: dict[Budget, Outcome | None]) -> list[list[str]]:
    """What stands under the main budget and under one in another norm too, of the images that both were measured on."""
    lines, one = [], full.get(main)
    for budget, other in full.items():
        if budget[0] != main[0] and one is not None and other is not None:
            both = union(one, other)
            title = f"**{budget_text(main)} and {budget_text(budget)}, worst of both**, {len(both.robust)} images"
            lines.append(["", title, *_under({"full": percent(both)})])
    return lines


def _proven(name: str) -> str:
    """Certified accuracy against the L2 budget; empty where nothing was counted."""
    proof, journal = proofs.proof_of(name), votes_journal(proofs.path(name))
    if proof is None:
        return ""
    found = [(vote, proven(journal, vote, load_defence_of(vote.config, "cpu")[1])) for vote in proofs.table_votes(name)]
    body = [
        [f"{vote.title}, {len(held.right)} images", *(percent(held.within(eps)) for eps in (0.0, *proof.radii))]
        for vote, held in found
        if held is not None
    ]
    if not body:
        return ""
    vote = found[0][0]
    tried = [
        f"{one.sigma:g}: {100 * sum(held.within(eps).accuracy for eps in proof.radii) / len(proof.radii):.1f}"
        for one in proofs.tried_votes(name)
        if (held := proven(journal, one, load_defence_of(one.config, "cpu")[1])) is not None
    ]
    chosen = (
        f" Sigma was chosen on {proof.validation} validation images, by the mean over these radii ({', '.join(tried)})."
    )
    return f"""## What is proven

Every number above is an upper bound, which a better attack may lower. This one is a lower bound. A classifier that votes, over
{vote.votes} copies of an image with Gaussian noise of {vote.sigma:g}, each denoised in one step at that sigma,
answers the same wherever the image is moved by less than a radius in L2 (Cohen et al. 2019; denoised: Salman et al. 2020).
{vote.selection} other copies choose the class; the radius follows from the exact binomial bound of its share, and is too
large with probability {vote.alpha:g} at most, for each image. Where less than half is sure it abstains, which counts as
wrong. The proof is of this vote, at {vote.votes + vote.selection} calls an image: the deterministic search has
none.{chosen if tried else ""}

Per cent of the first test images that are surely read correctly, and stay so within an L2 radius:

{table(["", "the vote", *(f"L2 {eps:g}" for eps in proof.radii)], body)}

{_bracketed(name)}""".rstrip()


def _bracketed(name: str) -> str:
    """What attacks leave within the same distances, and what stands in both norms; empty where that was not planned or measured."""
    proof = proofs.proof_of(name)
    if proof is None:
        return ""
    found = [bracket for bracket in brackets(name) if any(eps in bracket.attacked for eps in proof.attacked)]
    if not found:
        return ""
    head = ["", "no attack", *(f"L2 {eps:g}" for eps in proof.attacked)]
    body = [
        [
            bracket.title,
            *("" if (held := bracket.attacked.get(eps)) is None else percent(held) for eps in (0.0, *proof.attacked)),
        ]
        for bracket in found
    ]
    last = ""
    if proof.union:
        last = " The last column counts what stands in both norms:"
        head.append(f"{budget_text(plan_of(name).main)} and {budget_text((NORM, proof.union))}")
        for row, bracket in zip(body, found, strict=True):
            row.append("" if bracket.union is None else percent(bracket.union))
    images = len(found[0].attacked[0.0].robust)
    return f"""What attacks that know everything leave of the first {images} test images within the same distances:
{_names(proof.attacks)}; of the vote, whose attacker averages over {SmoothedCell.draws} draws of the noise,
{_names(proof.vote_attacks)} (it stands where most of {proof.votes} fresh draws are right). The truth about
the vote lies between its two lines.{last}

{table(head, body)}"""


def _names(attacks: Sequence[str]) -> str:
    """Names of attacks that know everything, in short."""
    return ", ".join(
        f"then {name[1:]}" if name.startswith(REST) else name for name in (one.removesuffix(":full") for one in attacks)
    )


def _attack_lines(cells: dict[str, Cell], outcomes: dict[str, Outcome | None]) -> list[list[str]]:
    """Each attack's own line, and of those made on what stands what is left."""
    lines: dict[str, dict[str, str]] = {}
    for mode, outcome in outcomes.items():
        for name in cells[mode].attacks:
            # A later attack reports what stands after it; the mode is the column.
            shown = f"then {name.removeprefix(REST)}" if name.startswith(REST) else name.partition(":")[0]
            if outcome is not None:
                lines.setdefault(shown, {})[mode] = percent(outcome.under(name))
    return [["", shown, *_under(found)] for shown, found in lines.items()]


def _worst(outcome: Outcome | None) -> RobustAccuracy | None:
    return None if outcome is None else outcome.worst


def _under(found: dict[str, str]) -> list[str]:
    return [found.get(mode, "") for mode in MODES]
