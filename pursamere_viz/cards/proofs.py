"""What a card proves: the vote of the denoised classifier under noise, beside the votes of classifiers without a denoiser."""

from dataclasses import replace
from pathlib import Path

from pursamere_viz.cards.plans import ROBUST, plan_of
from pursamere_viz.data_sets.plan import Proof
from pursamere_viz.defences.config import DefenceConfig
from pursamere_viz.evaluation.certified import Vote
from pursamere_viz.models.of_data_sets import card_folder, classifiers_there


def path(name: str) -> Path:
    """Where the counted votes are kept."""
    return card_folder(name) / f"{name}_certificates.jsonl"


def proof_of(name: str) -> Proof | None:
    """What is proven of a data set's classifiers; None where its plan says nothing."""
    return plan_of(name).proof


def table_votes(name: str) -> list[Vote]:
    """The rows of the table, on test images: the denoised vote, the same without a denoiser, and the robust classifier's."""
    proof = proof_of(name)
    if proof is None:
        return []
    denoised = _denoised(name, proof, proof.sigma)
    bare = replace(denoised, title="the same without the denoiser", bare=True)
    votes = [denoised, bare]
    if "robust" in classifiers_there(name):
        robust = replace(bare.config, classifier="robust")
        votes.append(replace(bare, title=f"{ROBUST} without the denoiser", config=robust))
    return votes


def tried_votes(name: str) -> list[Vote]:
    """What sigma was chosen from, on validation images."""
    proof = proof_of(name)
    if proof is None:
        return []
    return [
        replace(_denoised(name, proof, sigma), split="validation", images=proof.validation) for sigma in proof.tried
    ]


def _denoised(name: str, proof: Proof, sigma: float) -> Vote:
    config = replace(DefenceConfig(data_set=name), method="tweedie", sigma=sigma)
    return Vote("the denoised vote", config, proof.images, sigma, proof.votes)
