"""The package: what a wheel holds works outside the checkout, and what is required is said once."""

import os
import re
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

import pursamere_viz
from pursamere_viz.benchmark.servers import HEALTH, wait_for_server

ROOT = Path(pursamere_viz.__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PROGRAM = """
import sys
from pathlib import Path
import torch
from pursamere_viz import load_defence, load_images
from pursamere_viz.labs.examples import examples
from pursamere_viz.models.checkpoints import ASSETS, app_folder
import pursamere_viz

here = Path(pursamere_viz.__file__).parent
x, y = load_images("digits")
right = (load_defence("digits")(x[:50]).argmax(-1) == y[:50]).float().mean()
print(here.parent == Path(sys.argv[1]), ASSETS == here / "assets", (app_folder() / "main.py").is_file())
print(len(examples()), (ASSETS / "digits.md").is_file(), (app_folder() / ".streamlit" / "config.toml").is_file())
print(float(right), pursamere_viz.__version__, (here / "py.typed").is_file())
"""

FIRST_PAGE = """
from pathlib import Path
from streamlit.testing.v1 import AppTest
from pursamere_viz.models.checkpoints import app_folder

app = AppTest.from_file(str(app_folder() / "main.py"), default_timeout=120).run()
headed = any(text.value.startswith("#") for text in app.markdown)
print(app_folder().is_relative_to(Path.cwd()), len(app.exception), len(app.error), headed)
"""


def requirements(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return {re.split(r"[=<>\[]", line)[0]: line for line in lines if line and not line.startswith(("#", "-"))}


def test_the_requirements_of_the_app_are_those_of_the_package():
    """The same bounds, torch aside, which is pinned for the app; the cluster's and the adapters' packages are not needed there."""
    extras = PROJECT["optional-dependencies"]
    wanted = [
        *PROJECT["dependencies"],
        *(line for name in ("figures", "app", "notebooks", "course", "dev") for line in extras[name]),
    ]
    package = {re.split(r"[=<>\[]", line)[0]: line for line in wanted if not line.startswith("pursamere_viz")}
    needed = requirements(ROOT / "requirements.txt")
    assert needed["torch"] == "torch==2.13.0" and package["torch"] == "torch>=2.6"
    same = package.keys() & needed.keys() - {"torch"}
    assert {name: package[name] for name in same} == {name: needed[name] for name in same}
    assert needed.keys() <= package.keys()
    # What the app's own requirements leave out comes with others that they name.
    assert package.keys() - needed.keys() == {"numpy", "scipy"}
    assert requirements(ROOT / "requirements-cluster.txt")["distributed"] == extras["cluster"][0]


def test_the_version_is_in_one_place():
    assert PROJECT["dynamic"] == ["version"] and "version" not in PROJECT
    assert f"version: {pursamere_viz.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_wheel_classifies_outside_the_checkout(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path / "made", ROOT], check=True, timeout=600)
    [wheel] = (tmp_path / "made").glob("*.whl")
    assert wheel.stat().st_size < 80e6
    installed = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", installed, wheel], check=True, timeout=600)
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(installed)], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    first, second, third = told.stdout.splitlines()
    assert first == "True True True"
    assert second == f"{len(list((ROOT / 'assets' / 'presets').glob('*.json')))} True True"
    right, version, typed = third.split()
    assert float(right) > 0.95 and version == pursamere_viz.__version__ and typed == "True"
    command = installed / "bin" / "pursamere"
    said = subprocess.run(
        [sys.executable, command, "--version"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )
    assert said.stdout.strip() == f"pursamere_viz {version}"
    answers(command, installed, tmp_path)


def answers(command: Path, installed: Path, folder: Path) -> None:
    """`pursamere app` starts from where the wheel was installed, and its first page is drawn there without a mistake."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": str(installed),
        "PURSAMERE_CACHE": "",
        "STREAMLIT_SERVER_HEADLESS": "true",
    }
    words = [sys.executable, str(command), "app", "--port", str(port)]
    process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_server(process, f"http://localhost:{port}/{HEALTH}")
        with urllib.request.urlopen(f"http://localhost:{port}/", timeout=30) as page:
            assert b"streamlit" in page.read().lower()
    finally:
        process.terminate()  # whoever ends the command ends the server
        process.wait(30)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://localhost:{port}/", timeout=30)
    drawn = subprocess.run(
        [sys.executable, "-c", FIRST_PAGE], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert drawn.stdout.strip().endswith("True 0 0 True"), drawn.stdout + drawn.stderr
