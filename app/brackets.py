"""The bracket of each data set: what is proven within an L2 distance, what attacks leave, and what lies between."""

import math

import streamlit as st

import compute
from markup import chart, folded
from pursamere_viz import figures
from pursamere_viz.cards import brackets, proofs
from pursamere_viz.data.records import DATA_SETS

WORDS = {
    "title": "What is proven, and what attacks leave: the bracket",
    "about": "Randomness that hides a gradient is no robustness. Randomness that is averaged gives a proof: a classifier that "
    "votes over noisy, denoised copies of an image keeps its answer within an L2 radius, whoever attacks. The dotted line is what "
    "is proven. The full line of the same colour is what is left by attacks that average over the noise; it ends at the largest "
    "budget at which the vote was attacked. The truth lies between (bars: Wilson, 95 %). A vote costs many calls, so the attacks "
    "on it are weaker than those on the others: more may be left of it for that reason alone. The others have no proof: for the "
    "deterministic search it would take a bound on how far its result can move with its input.",
    "images": "Image by image",
    "known": "Proven: the L2 radius within which the vote stays right (None: it abstains, is wrong, or was not measured). Broken "
    "at: the smallest L2 budget, of those measured, at which an attack made it wrong. 0: wrong without an attack. Stands at: no "
    "attack broke it up to this budget, the largest measured of this classifier (the vote has fewer budgets). Empty: it was not "
    "attacked.",
    "again": "All of it is measured by",
    "proven": "Proven of this image: a vote over {votes} noisy, denoised copies of it stays right wherever an attacker moves it by "
    "less than {radius} (L2).",
    "unproven": "Nothing is proven of this image: a vote over {votes} noisy, denoised copies of it is wrong, or too close.",
    "broken": " The smallest L2 budget at which an attack won, of {budgets}: {each}.",
    "stands": "none",
}


def of_image(data_set: str, image: int) -> str:
    """What is proven of a test image, and the smallest budget at which an attack was seen to win; empty where nothing is known."""
    found = compute.brackets_of(data_set)
    vote = found[0].proven if found else None
    if vote is None or image >= len(vote.right):
        return ""
    votes, radius = proofs.table_votes(data_set)[0].votes, float(vote.radius[image])
    surely = bool(vote.right[image]) and radius > 0
    said = WORDS["proven" if surely else "unproven"].format(
        votes=votes, radius=f"{math.floor(1000 * radius) / 1000 if surely else 0:g}"
    )
    attacked = [one for one in found if one.attacked and image < len(one.attacked[0.0].robust)]
    if not attacked:
        return said
    common = sorted(set.intersection(*(set(one.attacked) for one in attacked)))
    budgets = ", ".join(f"{eps:g}" for eps in common if eps)
    each = "; ".join(f"{one.title} {_budget(one.broken_at(image, common))}" for one in attacked)
    return said + WORDS["broken"].format(budgets=budgets, each=each)


def _budget(eps: float | None) -> str:
    return WORDS["stands"] if eps is None else f"{eps:g}"


def section(data_set: str) -> None:
    """The figure, of the run's data set first, folded away until it is asked for; nothing where nothing was measured."""
    names = [name for name in DATA_SETS if proofs.proof_of(name) is not None and proofs.path(name).is_file()]
    folded(WORDS["title"], "unfold_more", names, data_set, bracket)


def bracket(data_set: str) -> None:
    """The figure and what is known of every image."""
    st.caption(WORDS["about"])
    found, proof = compute.brackets_of(data_set), proofs.proof_of(data_set)
    if proof is None or not found or found[0].proven is None:  # the weights are others
        st.info("Not measured with the weights that are here.", icon=":material/info:")
    else:
        wanted = proof.radii[1]  # or the nearest that was attacked
        spoken = min(proof.attacked, key=lambda eps: abs(eps - wanted), default=wanted)
        chart(figures.bracket_lines(found, spoken), "bracket")
        with st.popover(WORDS["images"], icon=":material/table:", width="stretch"):
            st.dataframe(brackets.by_image(found), hide_index=True)
            st.caption(WORDS["known"])
    st.caption(WORDS["again"])
    st.code(f"python -m pursamere_viz card {data_set}", language=None)
