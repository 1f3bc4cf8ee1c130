"""The contact sheet, the surface and the exported page."""

import base64
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from pursamere_viz.figures import Film, gallery, image_lab, plotly_bundle, surface, to_html
from pursamere_viz.figures.image_lab.surface import first_camera


def test_every_image_is_a_picture_with_its_own_pixels_and_words():
    images = torch.rand(23, 1, 8, 8)
    sheet = gallery(images, list(range(23)), columns=10, selected=4)
    assert (len(sheet.pictures), sheet.captions[7], sheet.spoken[7], sheet.current) == (23, "7", "image 7: 7", 4)
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet.pictures[7].partition(",")[2]))).convert("L"))
    assert drawn.shape == (128, 128)
    assert np.abs(drawn[8::16, 8::16] - 255 * images[7, 0].numpy()).max() < 1
    assert len(json.dumps(sheet.as_data())) < 1_000_000


@pytest.mark.parametrize(("count", "channels", "columns"), [(1, 1, 10), (7, 3, 3), (10, 3, 10)])
def test_sheets_of_other_sizes(count, channels, columns):
    sheet = gallery(torch.rand(count, channels, 32, 32), ["a"] * count, columns=columns)
    assert (len(sheet.pictures), sheet.columns, sheet.current) == (count, min(count, columns), None)


def test_gallery_refuses_what_does_not_fit():
    images = torch.rand(3, 1, 8, 8)
    with pytest.raises(ValueError, match="not 2"):
        gallery(images, [1, 2])
    with pytest.raises(ValueError, match="not 3"):
        gallery(images, [1, 2, 3], selected=3)


def test_headings_stand_over_their_columns_and_no_caption_below_the_images():
    names = [f"class {k}" for k in range(10)]
    images = torch.rand(60, 3, 32, 32, generator=torch.Generator().manual_seed(0))  # noise: the worst to compress
    sheet = gallery(images, names * 6, columns=10, headings=names, numbers=range(100, 160))
    assert (sheet.headings, sheet.captions, sheet.spoken[11]) == (names, [], "image 111: class 1")
    assert len(json.dumps(sheet.as_data())) < 1_000_000
    with pytest.raises(ValueError, match="not 2"):
        gallery(images, names * 6, headings=["a", "b"])


def test_surface_carries_the_path_just_above_its_error(make_run):
    run = make_run()
    figure = surface(run)
    sheet, walk, rest, here, ends = figure.data
    coarse = sheet.z[:: (len(sheet.z) - 1) // 12, :: (len(sheet.z) - 1) // 12]
    assert np.allclose(coarse, run.landscape.values.numpy(), rtol=1e-3)
    assert sheet.surfacecolor.min() == 0 and sheet.surfacecolor.max() == 1  # two classes
    path = run.landscape.plane.coordinates(run.trajectory.points[:, 0])
    assert np.allclose(np.array(walk.x), path[:, 0].numpy(), atol=1e-4)
    lifted = np.array(walk.z) - run.metrics.error[:, 0].numpy()
    span = float(run.landscape.values.max() - run.landscape.values.min())
    assert (lifted > 0).all()
    assert (lifted < 0.05 * span).all()
    assert ends.z[1] == pytest.approx(walk.z[-1], abs=1e-3) and list(here.z) == list(rest.z) == [walk.z[-1]]
    frame = figure.frames[2]
    walked, rest, ring = frame.data
    assert list(walked.z) == list(walk.z[:3]) and list(rest.x) == list(walk.x[2:]) and list(ring.x) == [walk.x[2]]
    json.loads(surface(make_run(decades=4.0, steps=0)).to_json())


def test_the_first_camera_sees_the_path_and_not_the_back_of_a_hill():
    a = torch.linspace(-1, 1, 41)
    hill = 2 * torch.exp(-((a[None, :] + 0.1) ** 2) * 12).expand(41, 41)  # a ridge along b, at a = -.1
    land = SimpleNamespace(a=a, b=a)
    path = torch.stack([torch.full((9,), 0.5), torch.linspace(-0.6, 0.6, 9), torch.full((9,), 0.1)], 1)
    eye = first_camera(land, hill, path, (1.2, 1.2, 0.8))["eye"]
    assert eye["x"] > abs(eye["y"]) and eye["z"] > 0  # from the path's own side, across it
    mirrored = first_camera(land, hill.flip(1), path * torch.tensor([-1.0, 1, 1]), (1.2, 1.2, 0.8))["eye"]
    assert mirrored["x"] < -abs(mirrored["y"])


def test_page_stands_alone_and_escapes_its_words(make_run):
    film = Film(image_lab(make_run(), slider=False), ["</script> said"] * 7, "About.")
    page = to_html(film, title="A <b> & C", caption="x < y {z}")
    assert "A &lt;b&gt; &amp; C" in page
    assert "x &lt; y {z}" in page
    assert 'src="http' not in page
    assert "<link" not in page
    assert "mountPlayer(document" in page and "</script> said" not in page
    assert page.count('class="transport"') == 1


def test_a_page_holds_the_part_of_plotly_that_draws_it(make_run):
    versions = {
        re.search(r"plotly\.js.* v([\d.]+)", plotly_bundle(solid).read_text("utf-8")[:200])[1]
        for solid in (True, False)
    }
    assert len(versions) == 1  # the major version of both; Plotly's package and its script count apart
    run = make_run()
    flat, solid = (Film(figure, ["said"], "about") for figure in (image_lab(run), surface(run)))
    assert (flat.solid, solid.solid) == (False, True)
    assert len(to_html(flat, title="A", caption="")) + 3e6 < len(to_html(solid, title="A", caption=""))
