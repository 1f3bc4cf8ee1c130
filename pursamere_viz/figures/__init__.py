"""Result objects in, Plotly figures out: the only place that imports plotly, and it computes no science."""

from pursamere_viz.figures.export import to_html, transport_source
from pursamere_viz.figures.gallery import gallery, picked
from pursamere_viz.figures.image_lab import image_lab
from pursamere_viz.figures.surface import surface

__all__ = ["gallery", "image_lab", "picked", "surface", "to_html", "transport_source"]
