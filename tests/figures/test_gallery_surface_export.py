"""The contact sheet, the surface and the exported page."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from pursamere_viz.figures import Film, gallery, image_lab, surface, to_html


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
