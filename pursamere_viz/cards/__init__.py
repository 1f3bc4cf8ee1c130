"""Model cards: what is measured for them, what was searched before, and the text."""

from pursamere_viz.cards.markdown import budget_text
from pursamere_viz.cards.plans import results_path
from pursamere_viz.cards.text import write_card

__all__ = ["budget_text", "results_path", "write_card"]
