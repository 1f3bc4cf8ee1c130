"""Result objects in, Plotly figures out: the only place that imports plotly, and it computes no science."""

from plotly.graph_objects import Figure

from pursamere_viz.figures.density_lab.editing import marks as density_marks
from pursamere_viz.figures.density_lab.figure import density_lab
from pursamere_viz.figures.density_lab.film import density_film
from pursamere_viz.figures.density_lab.inside import inside_film
from pursamere_viz.figures.density_lab.layers import logarithmic
from pursamere_viz.figures.density_lab.sigma_sweep import sigma_sweep_figure, sweep_film
from pursamere_viz.figures.evaluation.accuracy import accuracy_curves, effort_lines, radius_lines
from pursamere_viz.figures.evaluation.bars import mode_bars, randomness_bars
from pursamere_viz.figures.evaluation.brackets import bracket_lines, plane_bracket_lines
from pursamere_viz.figures.evaluation.checklist import checklist_html
from pursamere_viz.figures.evaluation.contest import contest_lines
from pursamere_viz.figures.evaluation.gradients import jacobian_lines, loss_curves, slice_lines
from pursamere_viz.figures.evaluation.memorised import capture_lines, cost_lines, count_lines, spectrum_lines
from pursamere_viz.figures.evaluation.sheet import bench_sheet, fates
from pursamere_viz.figures.evaluation.style import untitled
from pursamere_viz.figures.export import to_embedded, to_html
from pursamere_viz.figures.gallery import Sheet, gallery
from pursamere_viz.figures.image_lab.comparison import comparison_figure
from pursamere_viz.figures.image_lab.comparison_film import comparison_film
from pursamere_viz.figures.image_lab.figure import image_lab
from pursamere_viz.figures.image_lab.film import image_film
from pursamere_viz.figures.image_lab.inside import inside_html
from pursamere_viz.figures.image_lab.panels import picture_source
from pursamere_viz.figures.image_lab.surface import surface, surface_film
from pursamere_viz.figures.lesson_films import BACK, StepResult, step_curves, step_film
from pursamere_viz.figures.player import BLANK, Film, player_source, plotly_bundle
from pursamere_viz.figures.pointing import guessed, lit
from pursamere_viz.figures.printed.files import has_ffmpeg, panels_of, to_gif, to_image, to_mp4
from pursamere_viz.labs.step_table import to_csv

__all__ = [
    "BACK",
    "BLANK",
    "Figure",
    "Film",
    "Sheet",
    "StepResult",
    "accuracy_curves",
    "bench_sheet",
    "bracket_lines",
    "capture_lines",
    "checklist_html",
    "comparison_figure",
    "comparison_film",
    "contest_lines",
    "cost_lines",
    "count_lines",
    "density_film",
    "density_lab",
    "density_marks",
    "effort_lines",
    "fates",
    "gallery",
    "guessed",
    "has_ffmpeg",
    "image_film",
    "image_lab",
    "inside_film",
    "inside_html",
    "jacobian_lines",
    "lit",
    "logarithmic",
    "loss_curves",
    "mode_bars",
    "panels_of",
    "picture_source",
    "plane_bracket_lines",
    "player_source",
    "plotly_bundle",
    "radius_lines",
    "randomness_bars",
    "sigma_sweep_figure",
    "slice_lines",
    "spectrum_lines",
    "step_curves",
    "step_film",
    "surface",
    "surface_film",
    "sweep_film",
    "to_csv",
    "to_embedded",
    "to_gif",
    "to_html",
    "to_image",
    "to_mp4",
    "untitled",
]
