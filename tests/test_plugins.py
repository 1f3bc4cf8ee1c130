"""Plug-ins: one file registers what is one's own, and it is then known everywhere."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from plugin_files import MINE, forgotten, write
from torch import nn

from pursamere_viz import DataSet, Scenario, explain_step, load_images, plugins, register, run
from pursamere_viz.cards import searches, write_card
from pursamere_viz.cards.plans import card_cells
from pursamere_viz.cli import main
from pursamere_viz.data.loading import labelled
from pursamere_viz.data.records import DATA_SETS
from pursamere_viz.defences.registry import make_defence
from pursamere_viz.evaluation import BenchConfig, BenchResults
from pursamere_viz.evaluation.config import fingerprint
from pursamere_viz.labs import image_story, kept_runs
from pursamere_viz.models import checkpoints
from pursamere_viz.models.of_data_sets import classifier_of, denoiser_of

COMMAND = ["evaluate", "mine", "--purifiers", "none", "shipped", "--attacks", "fgsm", "pgd-10:full", "--eps", ".1"]
COMMAND += ["--images", "16"]


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path):
    """Nothing stays registered, and the environment that a command sets is set back; each test works in its own folder."""
    monkeypatch.chdir(tmp_path)
    for name in (plugins.FILES, plugins.PARTS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with forgotten():
        yield


@pytest.fixture
def mine(tmp_path):
    path = write(tmp_path)
    plugins.load(path)
    return path


def sentence(capsys) -> str:
    [line] = capsys.readouterr().err.strip().splitlines()
    return line


def net(device):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))


def record(**changes) -> DataSet:
    parts = {
        "name": "other", "title": "Others", "channels": 1, "size": 8, "class_names": ("left", "right"),
        "classifiers": {"standard": net},
    }  # fmt: skip
    return DataSet(**(parts | changes))


def test_the_command_evaluates_what_a_file_registers(tmp_path, capsys):
    assert main([*COMMAND, "--plugin", str(write(tmp_path)), "--jobs", "1", "--out", "run.jsonl"]) == 0
    said = capsys.readouterr().out
    results = BenchResults.load(tmp_path / "run.jsonl")
    assert len(results.held) == 2 * 3 * 16 and results.fingerprint["config"]["data_set"] == "mine"
    assert "pgd-10:full" in said and "worst case" in said
    lines = (tmp_path / "run.jsonl").read_text().splitlines(True)
    (tmp_path / "run.jsonl").write_text("".join(lines[:40]) + lines[40][:20])  # as a kill leaves it
    assert main([*COMMAND, "--plugin", "mine.py", "--jobs", "1", "--out", "run.jsonl"]) == 0
    assert BenchResults.load(tmp_path / "run.jsonl").held == results.held


def test_it_appears_wherever_there_is_a_list(mine, capsys):
    for command in ("evaluate", "card", "search", "benchmark", "app"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "--plugin" in capsys.readouterr().out
    scenario = Scenario(data_set="mine")
    assert (scenario.image, scenario.eps, scenario.sigma, scenario.radius) == (0, 8 / 255, 0.25, 0.1)
    assert Scenario.from_mapping(scenario.to_mapping()) == (scenario, [])
    assert BenchConfig(data_set="mine", purifiers=("gentle",), attacks=("greying-3:full",), images=2)
    cells = list(card_cells("mine", 20))
    cells += [searches.tried(config, 1) for all_of in searches.settings("mine").values() for config in all_of]
    assert {cell.config.data_set for cell in cells} == {"mine"} and {cell.split for cell in cells} == {
        "test",
        "validation",
    }
    assert not any("dlr" in name for cell in cells for name in cell.attacks)  # which needs a third class


def test_the_image_lab_runs_it_and_keeps_it_for_these_networks_only(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("PURSAMERE_CACHE", str(tmp_path / "kept"))
    scenario = Scenario(data_set="mine", steps=2, resolution=9, attack_steps=3)
    result = run(scenario)
    assert result.missing == () and result.metrics.log_prob is not None and result.class_names == ("left", "right")
    assert explain_step(result, 0).denoised.shape == (8, 1, 8, 8)
    kept_runs.keep(result)
    assert kept_runs.find(scenario) is not None
    with forgotten():
        for register_ in (DATA_SETS, plugins._loaded):
            register_.pop("mine", None), register_.pop(mine, None)
        made = MINE.split("register_purifier(P")[0].replace("nn.Linear(128, 2)", "nn.Linear(128, 2, bias=False)")
        plugins.load(write(tmp_path, made, "other.py"))
        assert kept_runs.find(scenario) is None


def test_weights_enter_the_fingerprint(tmp_path):
    """Those of the tensors, of whatever holds them, and those of the file that makes them."""

    def weights(text):
        with forgotten():
            plugins.load(write(tmp_path, text))
            return fingerprint(BenchConfig(data_set="mine", purifiers=("none", "shipped"), images=4))["weights"]

    text = MINE.split("register_purifier(P")[0]
    first = weights(text)
    assert weights(text) == first and len(first["none"]) == 1 and len(first["shipped"]) == 2
    assert first["none"][0] == first["shipped"][0]
    other = weights(text + "# changed\n")
    assert other["none"] != first["none"] and other["shipped"][1] != first["shipped"][1]


def test_functions_of_purifiers_and_attacks_enter_the_fingerprint(tmp_path):
    """Of a shipped data set too, whose networks do not tell: results of another function are not mixed with the first's."""

    def weights(purifier, attack, text):
        with forgotten():
            plugins.load(write(tmp_path, text))
            return fingerprint(BenchConfig(purifiers=(purifier,), attacks=(attack,), images=4))["weights"][purifier]

    text = MINE[: MINE.index("register(DataSet")] + MINE[MINE.index("register_purifier(") :]
    shipped = make_defence("shipped", "digits")[1]
    assert weights("shipped", "fgsm", text) == shipped
    for pair in (("half_way", "fgsm"), ("gentle", "fgsm"), ("shipped", "greying")):
        found = weights(*pair, text)
        assert found[:2] == shipped and len(found) == 3 and weights(*pair, text) == found
        assert weights(*pair, text + "# changed\n") != found


@pytest.mark.parametrize("role", ["classifiers", "denoiser"])
def test_tensors_in_closures_and_attributes_tell_networks_apart(role):
    """The source is the same for both: what differs is a tensor that a function or an object holds."""

    def made(value, device):
        held = torch.tensor([value])
        if role == "denoiser":
            return lambda x_noisy, sigma: x_noisy * held
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
        network.register_buffer("held", held, persistent=False)
        return network

    found = []
    for value in (0.25, 0.25, 0.5):
        make = partial(made, value)
        with forgotten():
            register(record(**{role: make if role == "denoiser" else {"standard": make}}))
            found.append((denoiser_of("other") if role == "denoiser" else classifier_of("other", "standard")).sha256)
    assert found[0] == found[1] != found[2]


@pytest.mark.slow
def test_what_is_random_in_a_network_is_the_same_in_every_process(mine):
    program = (
        "import sys; from pursamere_viz import plugins; plugins.load(sys.argv[1]); "
        "from pursamere_viz.defences.registry import make_defence; print(make_defence('shipped', 'mine')[1])"
    )
    told = subprocess.run([sys.executable, "-c", program, str(mine)], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str(make_defence("shipped", "mine")[1])


def test_the_shipped_fingerprints_are_those_of_the_bundled_run():
    held = BenchResults.load(checkpoints.ASSETS / "bench" / "digits.jsonl")
    now = fingerprint(held.config)
    assert now["weights"] == held.fingerprint["weights"] and now["config"] == held.fingerprint["config"]


def test_without_a_denoiser_it_is_attacked_only():
    register(record(load=lambda split: (torch.full((4, 1, 8, 8), 0.5), torch.tensor([0, 1, 0, 1]))))
    assert BenchConfig(data_set="other", purifiers=("none", "jpeg"), images=4)
    with pytest.raises(ValueError, match=r"^Others has no denoiser, which shipped needs; these need none: none, jpeg"):
        BenchConfig(data_set="other", purifiers=("shipped",), images=4)
    result = run(Scenario(data_set="other", mode="full"))
    assert "trajectory" in result.missing and result.attacked_probabilities.shape == (1, 2)
    assert "nothing purifies it" in image_story.headline(result)
    assert "Others has no denoiser, so it is attacked only." in image_story.facts(result)
    assert image_story.sentences(result)[0].endswith("attacked only.")
    with pytest.raises(ValueError, match="has no denoiser"):
        make_defence("shipped", "other")


def test_without_labels_the_classifiers_answers_stand_in(mine):
    register(record(load=lambda split: (torch.linspace(0, 1, 6)[:, None, None, None].expand(6, 1, 8, 8), None)))
    x, y = load_images("other")
    with torch.no_grad():
        assert torch.equal(y, classifier_of("other", "standard").network(x).argmax(-1))
    assert not labelled("other") and labelled("mine") and labelled("digits")
    said = image_story.guessed_class(Scenario(data_set="other"))
    assert said == "an image without a label"


def test_without_images_there_are_uploads():
    register(record(denoiser=lambda device: lambda x_noisy, sigma: 0.5 * x_noisy))
    with pytest.raises(ValueError, match=r"^Others has no images of its own: upload one$"):
        run(Scenario(data_set="other"))
    packed = Scenario(data_set="other", pixels="A" * 86, steps=1, resolution=9, attack="none")
    assert run(packed).missing == ()
    with pytest.raises(ValueError, match="no images of its own"):
        BenchConfig(data_set="other", purifiers=("none",), images=4)


class Answers(nn.Module):
    """A classifier as some libraries have them: its logits are in an object."""

    def forward(self, x):
        return SimpleNamespace(logits=x.flatten(1)[:, :2])


class Once(torch.autograd.Function):
    """x -> x, differentiable once."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "digits"}, "there is a data set 'digits' already"),
        ({"name": "my images"}, "letters, digits and _ only"),
        ({"channels": 2}, "1 or 3 channels"),
        ({"class_names": "left"}, "needs class_names as a tuple of texts, got 'left'"),
        ({"classifiers": {}}, "needs classifiers by what they were trained on: standard"),
        ({"classifiers": {"vgg": net}}, "needs classifiers by what they were trained on"),
    ],
)
def test_a_record_that_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        register(record(**changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"load": lambda split: (torch.zeros(2, 1, 9, 9), None)}, r"must give images \(N, 1, 8, 8\) of floats"),
        (
            {"load": lambda split: (torch.full((2, 1, 8, 8), 255.0), None)},
            r"0 and 1, and those of test reach from 255 to 255",
        ),
        ({"load": lambda split: torch.zeros(2, 1, 8, 8)}, r"load of other \(test_plugins.py\) must give two things"),
        (
            {"load": lambda split: int("x")},
            r"test images of other \(test_plugins.py\) cannot be loaded: invalid literal",
        ),
        ({"load": lambda split: (torch.zeros(2, 1, 8, 8), torch.tensor([0, 2]))}, "one label from 0 to 1 an image"),
        ({"load": lambda split: torch.from_file("gone", size=1)}, "cannot be loaded: RuntimeError"),
        ({"classifiers": {"standard": lambda device: nn.Linear(8, 8)}}, r"shape \(1, 2\).*, got shape \(1, 1, 8, 8\)"),
        ({"classifiers": {"standard": lambda device: nn.Linear(3, 8)}}, "cannot be used: RuntimeError"),
        (
            {"classifiers": {"standard": lambda device: Answers()}},
            r"\(test_plugins.py\) must give .*, got SimpleNamespace",
        ),
        ({"denoiser": lambda device: lambda x_noisy: x_noisy}, "cannot be used: TypeError"),
        (
            {"denoiser": lambda device: lambda x, s: x / 0},
            r"denoiser of other \(test_plugins.py\) gives numbers that are not",
        ),
        ({"denoiser": lambda device: lambda x, s: x.detach()}, "has no derivative in its images: leave out no_grad"),
        ({"denoiser": lambda device: lambda x, s: Once.apply(x)}, "cannot be differentiated twice, as the search"),
        ({"defaults": {"sigmaa": 1}}, "name 'sigmaa', which is no setting"),
    ],
)
def test_a_part_that_does_not_fit_is_said_in_one_sentence(changes, said):
    parts = {
        "load": lambda split: (torch.zeros(2, 1, 8, 8), torch.tensor([0, 1])),
        "denoiser": lambda device: lambda x, s: x,
    }
    register(record(**(parts | changes)))
    with pytest.raises(ValueError, match=said) as refused:
        run(Scenario(data_set="other"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is not there, or is no Python file"),
        ("import nonsense_that_is_not", "cannot be loaded: ModuleNotFoundError"),
        ("x = (", "cannot be loaded: SyntaxError"),
        ("import sys; sys.exit('bye')", "cannot be loaded: SystemExit: bye (line 1)"),
        ("\n\n1 / 0", "ZeroDivisionError: division by zero (line 3)"),
        (MINE.replace('name="mine"', 'name="digits"'), "there is a data set 'digits' already"),
    ],
)
def test_a_file_that_cannot_be_loaded_ends_the_command_in_one_sentence(text, said, tmp_path, capsys):
    if text is not None:
        write(tmp_path, text)
    assert main([*COMMAND, "--plugin", "mine.py"]) == 2
    assert said in sentence(capsys)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            "lambda x, sigma: x if len(x) < 2 else x @ x[0, 0, :3]",
            r"plug-in .*mine.py failed: RuntimeError: .* \(line \d+\)",
        ),
        ("lambda x, sigma: (x - 0.2).log() if x.any() else x", "gives numbers that are not finite"),
    ],
)
def test_what_fails_only_while_it_is_used_ends_in_one_sentence_too(made, said, tmp_path, capsys):
    given = "TweedieDenoiser(EmpiricalDensity(x, y, bandwidth=0.1))"
    write(tmp_path, MINE.replace(given, made))
    assert main([*COMMAND, "--plugin", "mine.py", "--jobs", "1", "--out", "run.jsonl"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(said, last)
    with pytest.raises((ValueError, RuntimeError)) as failed:
        run(Scenario(data_set="mine", steps=2, resolution=9, attack_steps=2))
    assert re.search(said, plugins.blamed(failed.value) or str(failed.value))


# Who measures is not who is asked: a network that fails there only is found when the run is under way.
IN_A_WORKER = "__import__('multiprocessing').parent_process() is not None"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "fails", "said"),
    [
        (
            "    return TweedieDenoiser(EmpiricalDensity(x, y, bandwidth=0.1))",
            "    def denoise(x, sigma):\n        if {worker} and len(x) > 1:\n            raise Own('no luck')\n"
            "        return x / (1 + sigma**2)\n\n    return denoise",
            "mine.py failed: Own: no luck (line ",
        ),
        (
            "    return nn.Seq",
            "    if {worker}:\n        __import__('os')._exit(1)\n    return nn.Seq",
            "ended without a word",
        ),
    ],
)
def test_what_fails_in_a_worker_ends_in_one_sentence(given, fails, said, tmp_path, capsys):
    """Its class and where it was raised stay in the other process, and nothing but the sentence reaches the person."""
    assert MINE.count(given) == 1
    text = "class Own(Exception):\n    pass\n\n" + MINE.replace(given, fails.format(worker=IN_A_WORKER))
    write(tmp_path, text)
    assert main([*COMMAND, "--plugin", "mine.py", "--jobs", "2", "--batch", "4", "--out", "run.jsonl"]) == 2
    told = capsys.readouterr().err
    assert said in told.strip().splitlines()[-1] and "Traceback" not in told


@pytest.mark.slow
def test_the_environment_names_plugins_too(tmp_path):
    """In a process of its own: the library loads them when it is imported."""
    write(tmp_path)
    program = "import pursamere_viz as p; print(p.load_images('mine')[0].shape[0], *p.plugins.problems)"
    for named, told in (("mine.py", "40"), (f"gone.py{os.pathsep}mine.py", None)):
        answer = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {plugins.FILES: named}
        )
        assert answer.stdout.strip() == told if told else "unknown data set 'mine'" in answer.stderr
    command = [sys.executable, "-m", "pursamere_viz", "evaluate", "digits"]
    answer = subprocess.run(command, capture_output=True, text=True, env=os.environ | {plugins.FILES: "gone.py"})
    assert answer.returncode == 2 and answer.stderr.strip() == "plug-in gone.py is not there, or is no Python file"


@pytest.mark.slow
def test_an_installed_package_names_plugins_as_entry_points(tmp_path):
    write(tmp_path, name="somebodys.py")
    (tmp_path / "somebodys-1.dist-info").mkdir()
    (tmp_path / "somebodys-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1\n")
    (tmp_path / "somebodys-1.dist-info" / "entry_points.txt").write_text("[pursamere_viz.plugins]\nmine = somebodys\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    program = "import pursamere_viz as p; print(p.DataSet, p.load_images('mine')[0].shape[0])"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert answer.stdout.strip().endswith("40"), answer.stderr


def test_images_without_code_from_a_folder_and_from_a_file(tmp_path, capsys):
    x, y = load_images("digits", "test", slice(0, 6))
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        (tmp_path / "scans" / str(int(label))).mkdir(parents=True, exist_ok=True)
        pixels = image[0].mul(255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(tmp_path / "scans" / str(int(label)) / f"{number}.png")
    np.savez(tmp_path / "more.npz", x=x[:, 0].mul(255).round().to(torch.uint8).numpy(), y=y.numpy())
    arguments = ["evaluate", "digits", "--purifiers", "none", "--attacks", "fgsm", "--images", "6", "--jobs", "1"]
    for given, name in (("scans", "digits_scans"), ("more.npz", "digits_more")):
        assert main([*arguments, "--images", given, "--out", f"{name}.jsonl"]) == 0
        found = load_images(name)
        assert torch.allclose(found[0].sum(), x.sum(), atol=0.5) and found[1].sort().values.equal(y.sort().values)
        assert torch.equal(load_images(name, "validation")[0], load_images("digits", "validation")[0])
        held = BenchResults.load(tmp_path / f"{name}.jsonl")
        assert held.config.data_set == name and len(held.held) == 12
    capsys.readouterr()
    (tmp_path / "scans" / "kitten").mkdir()
    assert main(["evaluate", "digits", "--images", "more.npz", "--images", str(tmp_path / "scans" / "kitten")]) == 2
    assert "no picture" in sentence(capsys)
    with pytest.raises(SystemExit):
        main(["search", "mnist", "--images", "gone"])
    assert "there is no folder and no file 'gone'" in capsys.readouterr().err
    assert main(["evaluate", "letters", "--images", "more.npz"]) == 2
    assert "of which data set" in sentence(capsys)


def test_one_network_of_a_shipped_data_set_may_be_exchanged(tmp_path, capsys):
    text = "from torch import nn\n\ndef net(device):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    text += "\ndef half(device):\n    return lambda x_noisy, sigma: 0.5 * x_noisy\n"
    write(tmp_path, text, "parts.py")
    arguments = ["evaluate", "digits", "--attacks", "fgsm", "--images", "4", "--jobs", "1", "--out", "run.jsonl"]
    assert main([*arguments, "--classifier", "parts.py:net", "--denoiser", "parts.py:half"]) == 0
    held = BenchResults.load(tmp_path / "run.jsonl")
    shipped = make_defence("shipped", "digits")[1]
    assert held.config.data_set == "digits_parts_parts"
    assert not set(held.fingerprint["weights"]["shipped"]) & set(shipped)
    told = json.loads(os.environ[plugins.PARTS])
    assert told == [
        {"data_set": "digits", "classifier": f"{tmp_path}/parts.py:net", "denoiser": f"{tmp_path}/parts.py:half"}
    ]
    capsys.readouterr()
    assert main(["evaluate", "digits", "--classifier", "parts.py:nothing"]) == 2
    assert "names no function" in sentence(capsys)


def test_examples_of_its_own_are_offered(tmp_path):
    from pursamere_viz.labs.examples import examples

    held = {"title": "Mine", "look": "Look.", "shows": "It shows.", "scenario": {"data_set": "other"}, "facts": []}
    (tmp_path / "1.json").write_text(json.dumps(held))
    register(record(load=lambda split: (torch.zeros(2, 1, 8, 8), None), examples=tmp_path))
    assert examples()["Mine"].scenario == Scenario(data_set="other")


LESSON = """# On images of one's own
minutes: 5
learn:
- what the lesson is of

## An image of mine

It is bright on the left.

show: image_lab?data_set=mine&steps=2&resolution=9&attack_steps=2&b_method=tweedie
look: images
facts:
- true_class = left
"""


@pytest.mark.slow
def test_a_lesson_of_it_is_checked_and_written_into_the_course(tmp_path, capsys):
    from pursamere_viz.course import write_course
    from pursamere_viz.progress import finish

    path = tmp_path / "own.md"
    path.write_text(LESSON)
    assert main(["lessons", str(path)]) == 2
    assert "own.md, line 10: the state cannot be" in (said := sentence(capsys)) and "data_set must be one of" in said
    assert main(["lessons", str(path), "--plugin", str(write(tmp_path))]) == 0
    assert "1 facts, 0 of them not so" in capsys.readouterr().out
    first = finish(write_course(tmp_path / "out", [path]))
    assert "It is bright on the left." in (first.parent / "own.html").read_text()


@pytest.mark.slow
def test_a_card_and_a_search_are_written_where_one_works(mine, tmp_path, capsys):
    assert main(["search", "mine", "--jobs", "1"]) == 0
    assert main(["card", "mine", "--images", "4", "--jobs", "1"]) == 0
    card = (tmp_path / "mine.md").read_text()
    assert "## Accuracy under attack" in card and "## How the defaults were chosen" in card
    assert classifier_of("mine", "standard").sha256[:16] in card
    assert write_card("mine", 4).read_text() == card and not (checkpoints.ASSETS / "mine.md").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_numbers(mine, tmp_path):
    command = [sys.executable, "-m", "pursamere_viz", *COMMAND, "--plugin", str(mine), "--batch", "2"]
    subprocess.run([*command, "--out", "whole.jsonl", "--jobs", "1"], check=True, capture_output=True)
    process = subprocess.Popen([*command, "--out", "cut.jsonl", "--jobs", "2"], stderr=subprocess.DEVNULL)
    goal, cut = random.Random(1).randint(10, 60), tmp_path / "cut.jsonl"
    while process.poll() is None and not (cut.exists() and cut.read_bytes().count(b"\n") >= goal):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([*command, "--out", "cut.jsonl", "--jobs", "2"], check=True, capture_output=True)
    held, whole = BenchResults.load(cut), BenchResults.load(tmp_path / "whole.jsonl")
    assert held.held == whole.held and held.fingerprint == whole.fingerprint
