"""What is dragged in the Density lab: the browser's own maps against the library's, and the mixture in hand, in a real Chromium."""

from importlib.resources import files

import numpy as np
import pytest

from pursamere_viz import PRESETS, DensityScenario
from pursamere_viz.analysis.density_maps import cartesian
from pursamere_viz.analysis.landscapes import landscape
from pursamere_viz.densities.bayes import class_log_prob
from pursamere_viz.figures.density_lab.editing import noise_rule, rows
from pursamere_viz.labs.density_scenario import build_density

pytestmark = [pytest.mark.slow, pytest.mark.browser]

MAPS = """({ rows, sigma, rule, xs, ys }) => ({
    error: Array.from(errorMap(rows, sigma, rule, xs, ys)),
    classes: classLogProbs(rows, 0, xs, ys).map(values => Array.from(values)),
})"""


def test_the_browsers_maps_are_the_librarys(browser) -> None:
    page = browser.new_page()
    page.add_script_tag(content=(files("pursamere_viz.figures") / "mixture_map.js").read_text("utf-8"))
    for name, preset in PRESETS.items():
        for sigma, order in ((0.02, 5), (preset.sigma, 9), (3.0, 6)):
            scenario = DensityScenario(preset=name, sigma=sigma, order=order)
            parts = build_density(scenario)
            exact = landscape(parts.error, cartesian(parts.window), resolution=31)
            xs, ys = exact.a.tolist(), exact.b.tolist()
            asked = {"rows": rows(parts.density), "sigma": sigma, "rule": noise_rule(order), "xs": xs, "ys": ys}
            found = page.evaluate(MAPS, asked)
            assert np.allclose(found["error"], exact.values.flatten(), rtol=1e-5, atol=0), (name, sigma)
            known = class_log_prob(parts.density, cartesian(parts.window).points(exact.a, exact.b))
            assert np.allclose(found["classes"], known.T, rtol=1e-9, atol=1e-9), name
    page.close()
