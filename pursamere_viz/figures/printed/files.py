"""A film as files for slides and paper: PNG, SVG and PDF of a step, GIF and MP4 of all steps."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pursamere_viz.figures.player import Film
from pursamere_viz.figures.printed.sheet import Sheet

if TYPE_CHECKING:
    from pursamere_viz.labs.compare import Comparison
    from pursamere_viz.labs.density_run import DensityRun
    from pursamere_viz.labs.image_run import Run

SLIDE = (13.333, 7.5)  # inches: 16:9
FORMATS = ("png", "svg", "pdf")
SMALLEST, LARGEST, MOST = 1.5, 60.0, 50_000_000  # inches a side; px of a picture
REST = 4  # the last step of a moving picture stays as long as so many others


def film_of(shown: Film | Run | Comparison | DensityRun) -> Film:
    """A result as the film that its lab shows."""
    from pursamere_viz.figures.density_lab.film import density_film
    from pursamere_viz.figures.image_lab.comparison_film import comparison_film
    from pursamere_viz.figures.image_lab.film import image_film
    from pursamere_viz.labs.compare import Comparison
    from pursamere_viz.labs.density_run import DensityRun

    if isinstance(shown, Film):
        return shown
    if isinstance(shown, Comparison):
        return comparison_film(shown)
    return density_film(shown, _told(shown)) if isinstance(shown, DensityRun) else image_film(shown)


def _told(run: DensityRun) -> str:
    from pursamere_viz.densities.presets import PRESETS

    title = "An edited mixture" if run.scenario.mixture else PRESETS[run.scenario.preset].title
    return f"{title}, sigma {run.scenario.sigma:g}"


def to_image(
    shown: Film | Run | Comparison | DensityRun, format: str = "png", *, panel: str = "", step: int | None = None,
    size: tuple[float, float] = SLIDE, dpi: float = 150, heading: bool = True,
) -> bytes:  # fmt: skip
    """A run (or its film) at a step, the last unless given, as the bytes of a PNG, SVG or PDF.

    `panel` is one of panels_of(shown), empty for the whole figure; `size` is width and height in inches, with which the type
    grows; `dpi` is a PNG's px in an inch; `heading` writes headline and step above. ValueError for what is not there.
    """
    film = film_of(shown)
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
    sheet = Sheet(film, panel=panel, size=_checked(size, dpi), heading=heading)
    at = sheet.last if step is None else step
    if not 0 <= at <= sheet.last:
        raise ValueError(f"step must be from 0 to {sheet.last}, got {step}")
    sheet.show(at)
    about = {"Title": film.about} | ({"Date": None} if format == "svg" else {})
    about |= {"CreationDate": None} if format == "pdf" else {}
    held = io.BytesIO()
    sheet.figure.savefig(held, format=format, dpi=dpi, metadata=about)
    return held.getvalue()


def to_gif(
    shown: Film | Run | Comparison | DensityRun, *, panel: str = "", size: tuple[float, float] = SLIDE, dpi: float = 90,
    seconds: float = 0.6,
) -> bytes:  # fmt: skip
    """All steps as a GIF, one frame each of so many seconds; it starts over for ever. The rest as in `to_image`."""
    sheet = Sheet(film_of(shown), panel=panel, size=_checked(size, dpi), heading=True)
    frames = [Image.fromarray(pixels) for pixels in sheet.pictures(dpi)]
    # One palette for all: what does not change keeps its colours, and is stored once.
    some = [np.asarray(frame) for frame in (frames[0], frames[sheet.last // 2], frames[-1])]
    palette = Image.fromarray(np.concatenate(some)).quantize(255)
    colours = palette.getpalette() or []
    lightest = max(range(0, len(colours), 3), key=lambda first: sum(colours[first : first + 3]))
    palette.putpalette([*colours[:lightest], 255, 255, 255, *colours[lightest + 3 :]])  # paper is white
    indexed = []
    for frame in frames:
        near = np.array(frame.quantize(palette=palette, dither=Image.Dither.NONE))
        near[(np.asarray(frame) == 255).all(-1)] = lightest // 3  # which Pillow's search may miss by a little
        indexed.append(Image.fromarray(near))
        indexed[-1].putpalette(palette.getpalette() or [])
    lasts = [round(1000 * seconds)] * sheet.last + [round(REST * 1000 * seconds)]
    held = io.BytesIO()
    indexed[0].save(held, "GIF", save_all=True, append_images=indexed[1:], duration=lasts, loop=0)
    return held.getvalue()


def has_ffmpeg() -> bool:
    """Whether `to_mp4` finds the program that it needs."""
    return shutil.which("ffmpeg") is not None


def to_mp4(
    shown: Film | Run | Comparison | DensityRun, *, panel: str = "", size: tuple[float, float] = SLIDE, dpi: float = 120,
    seconds: float = 0.6,
) -> bytes:  # fmt: skip
    """All steps as an MP4, the last one for longer; the rest as in `to_gif`. ValueError where ffmpeg is not on the path."""
    if not has_ffmpeg():
        raise ValueError("an MP4 needs ffmpeg, which is not on the path: install it, or take the GIF")
    sheet = Sheet(film_of(shown), panel=panel, size=_checked(size, dpi), heading=True)
    frames = list(sheet.pictures(dpi))
    height, width = frames[0].shape[:2]
    frames += [frames[-1]] * (REST - 1)
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{1 / seconds:.6f}", "-i", "-"]
    # Players ask for an even width and height, and for these colours.
    made = [
        "-vf",
        "crop=trunc(iw/2)*2:trunc(ih/2)*2",
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        "-movflags",
        "+faststart",
    ]
    with tempfile.TemporaryDirectory() as folder:  # an MP4 is not written to a pipe
        path = Path(folder) / "film.mp4"
        called = ["ffmpeg", "-loglevel", "error", *given, *made, str(path)]
        done = subprocess.run(called, input=b"".join(frame.tobytes() for frame in frames), capture_output=True)
        if done.returncode:
            raise ValueError(f"ffmpeg made no MP4: {done.stderr.decode(errors='replace').strip() or done.returncode}")
        return path.read_bytes()


def panels_of(shown: Film | Run | Comparison | DensityRun) -> tuple[str, ...]:
    """The names of the panels that can be had alone."""
    return tuple(film_of(shown).panels)


def _checked(size: tuple[float, float], dpi: float) -> tuple[float, float]:
    width, height = size
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise ValueError(f"size must be {SMALLEST:g} to {LARGEST:g} inches a side, got {width:g} x {height:g}")
    if not 0 < width * height * dpi**2 <= MOST:
        raise ValueError(f"a picture has at most {MOST:,} px: lower the size or the dpi of {dpi:g}")
    return size
