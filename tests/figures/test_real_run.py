"""The figure of a real run shows that run's numbers."""

import json

import pytest
import torch

from pursamere_viz import Scenario, run
from pursamere_viz.figures import image_film, image_lab, surface, to_html


@pytest.fixture(scope="module")
def result():
    return run(Scenario(image=3, steps=4, eps=40 / 255))


def test_every_frame_carries_the_confidence_of_its_step(result) -> None:
    figure = image_lab(result, slider=False)
    assert [frame.name for frame in figure.frames] == [str(k) for k in range(5)]
    for k, frame in enumerate(figure.frames):
        share, index = result.metrics.probabilities[k, 0].max(-1)
        assert f"{result.class_names[int(index)]} · {100 * float(share):.0f}" in json.dumps(
            frame.to_plotly_json(), default=str, ensure_ascii=False
        )


def test_the_page_stands_alone_and_the_payload_is_small(result) -> None:
    film = image_film(result)
    assert len(json.dumps(film.as_data())) < 1_000_000
    page = to_html(film, title="A title", caption="A caption")
    assert "A title" in page and "A caption" in page and "mountPlayer" in page
    assert 'src="http' not in page


def test_the_surface_carries_the_path_a_hair_above_its_errors(result) -> None:
    drawn = [trace for trace in surface(result).data if trace.type == "scatter3d"]
    [heights] = [torch.tensor(trace.z) for trace in drawn if len(trace.z) == 5]
    lift = heights - result.trajectory.error[:, 0]
    spread = float(result.landscape.values.max() - result.landscape.values.min())
    assert 0 < float(lift.mean()) < 0.05 * spread and lift.tolist() == pytest.approx([float(lift[0])] * 5, abs=1e-4)
