"""The contact sheet, the surface and the exported page."""

import json

import numpy as np
import pytest
import torch

from pursamere_viz.figures import Film, gallery, image_lab, picked, surface, to_html


def test_every_image_has_a_target_with_its_index():
    figure = gallery(torch.rand(23, 1, 8, 8), list(range(23)), columns=10, selected=4)
    (targets,) = [trace for trace in figure.data if trace.customdata is not None]
    assert list(targets.customdata) == list(range(23))
    assert len(figure.layout.images) == 23
    for index, image in enumerate(figure.layout.images):
        assert image.x < targets.x[index] < image.x + image.sizex
        assert image.y < targets.y[index] < image.y + image.sizey
    frame = figure.layout.shapes[0]
    assert frame.x0 < targets.x[4] < frame.x1
    assert frame.y0 < targets.y[4] < frame.y1
    assert len(figure.to_json()) < 1_000_000


@pytest.mark.parametrize(("count", "channels", "columns"), [(1, 1, 10), (7, 3, 3), (10, 3, 10)])
def test_sheets_of_other_sizes(count, channels, columns):
    figure = gallery(torch.rand(count, channels, 32, 32), ["a"] * count, columns=columns)
    assert len(figure.layout.images) == count
    assert not figure.layout.shapes


def test_gallery_refuses_what_does_not_fit():
    images = torch.rand(3, 1, 8, 8)
    with pytest.raises(ValueError, match="not 2"):
        gallery(images, [1, 2])
    with pytest.raises(ValueError, match="not 3"):
        gallery(images, [1, 2, 3], selected=3)


def test_headings_stand_over_their_columns_and_no_caption_between_the_rows():
    names = [f"class {k}" for k in range(10)]
    images = torch.rand(60, 3, 32, 32, generator=torch.Generator().manual_seed(0))  # noise: the worst to compress
    figure = gallery(images, names * 6, columns=10, headings=names, numbers=range(100, 160))
    assert [note.x for note in figure.layout.annotations] == list(range(10))
    assert all(note.y < figure.layout.images[0].y + 0.1 for note in figure.layout.annotations)
    (targets,) = figure.data
    assert targets.text[11] == "image 111: class 1"
    assert targets.y[10] - targets.y[0] == 1
    assert len(figure.to_json()) < 1_000_000
    with pytest.raises(ValueError, match="not 2"):
        gallery(images, names * 6, headings=["a", "b"])


@pytest.mark.parametrize(
    ("event", "index"),
    [
        ({"selection": {"points": [{"customdata": 7, "curve_number": 1}]}}, 7),
        ({"selection": {"points": [{"customdata": [0]}]}}, 0),
        ({"selection": {"points": [{"customdata": {"0": 5}}]}}, 5),
        ({"selection": {"points": [{"x": 1}, {"customdata": 2}]}}, 2),
        ({"selection": {"points": []}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_picked(event, index):
    assert picked(event) == index


def test_surface_carries_the_path_just_above_its_error(make_run):
    run = make_run()
    sheet, walk, ends = surface(run).data
    assert np.allclose(np.array(sheet.z), run.landscape.values.numpy(), rtol=1e-3)
    path = run.landscape.plane.coordinates(run.trajectory.points[:, 0])
    assert np.allclose(np.array(walk.x), path[:, 0].numpy(), atol=1e-4)
    lifted = np.array(walk.z) - run.metrics.error[:, 0].numpy()
    span = float(run.landscape.values.max() - run.landscape.values.min())
    assert (lifted > 0).all()
    assert (lifted < 0.05 * span).all()
    assert ends.z[1] == pytest.approx(walk.z[-1], abs=1e-3)
    json.loads(surface(make_run(decades=4.0, steps=0)).to_json())


def test_page_stands_alone_and_escapes_its_words(make_run):
    film = Film(image_lab(make_run(), slider=False), ["</script> said"] * 7, "About.")
    page = to_html(film, title="A <b> & C", caption="x < y {z}")
    assert "A &lt;b&gt; &amp; C" in page
    assert "x &lt; y {z}" in page
    assert 'src="http' not in page
    assert "<link" not in page
    assert "mountPlayer(document" in page and "</script> said" not in page
    assert page.count('class="transport"') == 1
