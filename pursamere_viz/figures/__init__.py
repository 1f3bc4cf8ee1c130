"""Result objects in, Plotly figures out: the only place that imports plotly, and it computes no science."""

from pursamere_viz.figures.density_lab import density_lab, picked_start
from pursamere_viz.figures.export import to_html, transport_source
from pursamere_viz.figures.gallery import gallery, picked
from pursamere_viz.figures.image_lab import image_lab
from pursamere_viz.figures.sigma_sweep import sigma_sweep_figure
from pursamere_viz.figures.surface import surface

__all__ = [
    "density_lab",
    "gallery",
    "image_lab",
    "picked",
    "picked_start",
    "sigma_sweep_figure",
    "surface",
    "to_html",
    "transport_source",
]
