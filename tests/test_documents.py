"""Every code block of the README and the documentation: Python is run, commands are read by what reads them.

Run: all Python, but what needs a package that is not installed, which is compiled. Read by the command line's own parser:
`pursamere ...` and `python -m pursamere_viz ...`. Looked up: targets of `make`, extras of `pip install`, files that are named. The
lesson that is shown is checked in lessons/.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from markdown_it import MarkdownIt
from plugin_files import forgotten
from torch import nn

from pursamere_viz import plugins
from pursamere_viz.cli import command_parser, take_plugins

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "docs" / "bring_your_own.md"
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "assets" / "lessons" / "README.md"]
WRITTEN += sorted((ROOT / "docs").glob("*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COMMANDS = ("pip", "make", "pursamere", "python", "streamlit", "export", ".ci/run")
PLUG_IN = re.compile(r"register\(\s*DataSet\(")
OTHERS = ("foolbox", "torchattacks", "autoattack", "art", "diffusers")
LONG = "from pursamere_viz.figures import to_csv, to_gif, to_image"  # in the one block that takes long
# What the README's sketch of a plug-in leaves to the reader.
SKETCHED = """
import torch
from torch import nn

def load(split):
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0, 1])

def make_net(device):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))

def make_denoiser(device):
    return lambda x_noisy, sigma: x_noisy / (1 + sigma**2)

"""


@dataclass(frozen=True)
class Block:
    """A code block and where it stands."""

    path: Path
    line: int
    text: str

    @property
    def kind(self) -> str:
        """What it is: python, commands or a lesson."""
        first = self.text.split(maxsplit=1)[0]
        if first in COMMANDS:
            return "commands"
        return "lesson" if re.match(r"# .*\nminutes:", self.text) else "python"

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(kind: str | None = None) -> list[Block]:
    """All of a kind."""
    found = [
        Block(path, token.map[0] + 1, token.content)
        for path in WRITTEN
        for token in MarkdownIt().parse(path.read_text(encoding="utf-8"))
        if token.type in ("fence", "code_block")
    ]
    return [block for block in found if kind in (None, block.kind)]


def lines() -> Iterator[tuple[Block, str]]:
    """Every command, with the block that it stands in."""
    for block in blocks("commands"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                yield block, line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the documents take to be there: plug-ins, pictures and networks in the folder in which one works."""
    monkeypatch.chdir(tmp_path)
    for name in (plugins.FILES, plugins.PARTS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    [complete] = [block.text for block in blocks("python") if block.path == OWN and PLUG_IN.search(block.text)]
    (tmp_path / "mine.py").write_text(complete)
    (tmp_path / "net.py").write_text("from torch import nn\n\ndef make_classifier(device):\n    return nn.Flatten()\n")
    (tmp_path / "scans").mkdir()
    with forgotten():
        yield tmp_path


def test_the_blocks_are_found() -> None:
    count = {kind: len(blocks(kind)) for kind in ("python", "commands", "lesson")}
    assert count["python"] >= 10 and count["commands"] >= 8 and count["lesson"] == 1
    assert {str(block.path.name) for block in blocks()} >= {"README.md", "CONTRIBUTING.md", "bring_your_own.md"}


@pytest.mark.parametrize(("block", "line"), [pytest.param(*one, id=f"{one[0]} {one[1].split()[0]}") for one in lines()])
def test_a_command_is_one_that_there_is(block: Block, line: str, folder: Path) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "pursamere":
        read(words[1:])
    elif words[:3] == ["python", "-m", "pursamere_viz"]:
        read(words[3:])
    elif words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE)
    elif words[:2] == ["pip", "install"]:
        installs(words[2:])
    elif words[0] == "export":
        assert re.fullmatch(r"PURSAMERE_[A-Z]+=\S+", words[1])
    else:
        assert os.access(ROOT / words[-1], os.R_OK) and words[0] in ("streamlit", ".ci/run")


def read(words: list[str]) -> argparse.Namespace:
    """What the command line makes of the words; what it refuses ends the test."""
    chosen = command_parser().parse_args(take_plugins(words))
    assert callable(chosen.command)
    return chosen


def installs(words: list[str]) -> None:
    """The package itself with extras that there are, a requirements file, or a tool by its name."""
    for word in words[: words.index("&&")] if "&&" in words else words:
        if word.startswith("."):
            extras = word.partition("[")[2].rstrip("]").split(",") if "[" in word else []
            assert set(extras) <= PROJECT["optional-dependencies"].keys()
        else:
            assert word == "-r" or (ROOT / word).is_file() or re.fullmatch(r"[a-z-]+", word)


@pytest.mark.slow
def test_the_plug_in_of_the_page_is_measured_as_it_says(folder: Path, capsys) -> None:
    """The page's own command but for its images, of which fewer do, so that what it promises is what one gets."""
    from pursamere_viz.cli import main

    [said] = [line for block, line in lines() if block.path == OWN and line.startswith("pursamere evaluate mine")]
    assert main([*shlex.split(said)[1:], "--jobs", "1", "--out", "run.jsonl"]) == 0
    told = capsys.readouterr().out
    assert "worst case" in told and "tweedie" in told


def python_blocks() -> list[Block]:
    return [block for block in blocks("python") if LONG not in block.text]


@pytest.mark.parametrize("block", python_blocks(), ids=str)
def test_python_runs(block: Block, folder: Path) -> None:
    compiled = compile(block.text, str(block), "exec")
    for name in OTHERS:
        if re.search(rf"^(from|import) {name}\b", block.text, re.MULTILINE):
            pytest.importorskip(name, reason=f"compiled, not run: {name} is not installed")
    names = before(block)
    if block.path.name == "README.md" and PLUG_IN.search(block.text):
        exec(compile(SKETCHED, "sketched", "exec"), names)
    exec(compiled, names)
    after(block, names)


def before(block: Block) -> dict[str, object]:
    """The names that a block takes from the one before it, and the files that it reads."""
    names: dict[str, object] = {}
    if "my_classifier.pt" in block.text:
        torch.save(nn.Sequential(nn.Flatten(), nn.Linear(3 * 224 * 224, 2)), "my_classifier.pt")
    if "my_model" in block.text:
        diffusers = pytest.importorskip("diffusers")
        blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (8,)}
        unet = diffusers.UNet2DModel(
            sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=4, **blocks
        )
        unet.save_pretrained("my_model/unet")
        diffusers.DDPMScheduler().save_pretrained("my_model/scheduler")
    if re.search(r"\bdefence\b", block.text) and "load_defence(" not in block.text:
        [first] = [one for one in blocks_of(block.path) if "defence = load_defence(" in one]
        exec(compile(first, "before", "exec"), names)
    return names


def blocks_of(path: Path) -> list[str]:
    return [block.text for block in blocks("python") if block.path == path]


def after(block: Block, names: dict) -> None:
    """That what a block makes does what the page says of it."""
    device = torch.device("cpu")
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    if "my_classifier.pt" in block.text:
        assert names["make_classifier"](device)(x).shape == (2, 2)
    if "my_model" in block.text:
        assert names["make_denoiser"](device)(x, 0.25).shape == x.shape
    if "half_way" in block.text:
        from pursamere_viz.defences.registry import make_defence, traits

        assert traits("half_way", "digits").denoiser_calls == 1
        for name in ("gentle", "half_way"):
            assert make_defence(name, "digits")[0](x).shape == (2, 10)
    if "x_adv" in names:
        found, clean = torch.as_tensor(names["x_adv"]).detach(), names["x"]
        assert 0 < float((found - clean).abs().max()) <= 0.3 + 1e-6
        assert names["defence"](found).argmax(-1).ne(names["y"]).any()


@pytest.mark.slow
def test_the_readmes_program_runs(tmp_path) -> None:
    [block] = [block for block in blocks("python") if LONG in block.text]
    told = subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "slide.png").stat().st_size > 10_000 and (tmp_path / "film.gif").stat().st_size > 10_000


@pytest.fixture(scope="module")
def house():
    """The module that draws the house for the documentation."""
    spec = spec_from_file_location("house", ROOT / "docs" / "hooks" / "house.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_house_is_true(house) -> None:
    """Every room is drawn once, every arrow is an import and goes down, and by arrows one gets as far as by imports."""
    rows, direct, arrows = house.floors(), house.imports(), house.arrows()
    level = {room: floor for floor, row in enumerate(rows) for room in row}
    there = {path.stem for path in (ROOT / "pursamere_viz").glob("[!_.]*") if path.suffix == ".py" or path.is_dir()}
    assert level.keys() == there | {"__main__"} and sum(map(len, rows)) == len(level)
    assert all(level[room] <= level[other] for room, others in direct.items() for other in others)
    assert "geometry" in direct["attacks"] and "figures" not in direct["labs"]
    drawn = {room: {b for a, b in arrows if a == room} for room in level}
    for room in level:
        assert house._reached(drawn, room) == house._reached(direct, room) - set(rows[-1])
    picture = house.picture()
    assert len(arrows) == picture.count("marker-end") > 15
    assert sorted(re.findall(r">(\w+)</text>", picture)) == sorted(level)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "added", "said"),
    [
        ("docs/labs.md", "\n[nowhere](gone.md)\n", "gone.md"),
        (
            "pursamere_viz/adapters.py",
            "\n\ndef from_nothing() -> None:\n    pass\n",
            "no docstring: pursamere_viz.adapters.from_nothing",
        ),
    ],
)
def test_a_broken_link_or_a_missing_docstring_ends_the_building_of_the_site(path, added, said, tmp_path) -> None:
    """That it is built where neither is there, .ci/run shows."""
    pytest.importorskip("mkdocs", reason="needs: pip install 'pursamere_viz[docs]'")
    pytest.importorskip("mkdocstrings_handlers.python", reason="needs: pip install 'pursamere_viz[docs]'")
    for name in ("mkdocs.yml", "pyproject.toml", "README.md", "CONTRIBUTING.md", "docs", "pursamere_viz"):
        copy(ROOT / name, tmp_path)
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    (tmp_path / path).write_text((tmp_path / path).read_text(encoding="utf-8") + added, encoding="utf-8")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": paths, "NO_MKDOCS_2_WARNING": "1"}, timeout=300,
    )  # fmt: skip
    assert built.returncode != 0 and said in built.stdout + built.stderr


def copy(path: Path, folder: Path) -> None:
    """A file or a folder, into another folder."""
    if path.is_dir():
        shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(path, folder)
