"""House rules that a machine can check: who may import what, how long things are, what is never called."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pursamere_viz

ROOT = Path(pursamere_viz.__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "pursamere_viz").rglob("*.py"))
APP = sorted((ROOT / "app").rglob("*.py"))
HOUSE = LIBRARY + APP
# From the ground up: a module imports its own floor and those below.
FLOORS = (
    ("geometry", "parameters", "progress", "threads"),
    ("densities", "data"),
    ("models",),
    ("purification",),
    ("attacks",),
    ("analysis",),
    ("defences",),
    ("labs", "evaluation"),
    ("cards",),
    ("figures",),
    ("notebook_widgets",),
    ("benchmark",),
    ("__init__", "cli"),
    ("__main__",),
)
FORBIDDEN = {"torch.load", "torch.save", "torch.set_default_dtype"}
# Names of the generators that all threads share, however they are reached.
SHARED = {
    *("default_generator", "default_generators", "fork_rng", "set_rng_state", "manual_seed_all", "seed_all"),
    *("RandomState", "get_rng_state"),
}
# What draws from torch's global generator unless it is given another one.
DRAWS = {
    *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson"),
    *("uniform_", "normal_", "bernoulli_", "exponential_", "random_", "cauchy_", "geometric_", "log_normal_"),
    *("rand_like", "randn_like", "randint_like"),
}
# A compiled network's dropout on a GPU draws from the GPU's own generator alone: seeded there, and set back.
GPU = {"pursamere_viz/models/training.py": {"default_generators", "generator.manual_seed"}}
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor_of(path: Path) -> int:
    part = path.relative_to(ROOT / "pursamere_viz").parts[0].removesuffix(".py")
    assert part in FLOOR, f"{part} is new: say in FLOORS where it belongs"
    return FLOOR[part]


def calls(path: Path) -> set[str]:
    """Every dotted name that a file calls."""
    return {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}


def test_the_house_was_found():
    assert len(LIBRARY) > 20
    assert {
        "geometry",
        "densities",
        "models",
        "purification",
        "attacks",
        "analysis",
        "labs",
        "figures",
    } <= FLOOR.keys()


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_arrows_go_down_only(path):
    level = floor_of(path)
    for module in imported(path):
        if module.startswith("pursamere_viz."):
            target = module.split(".")[1]
            where = FLOOR[target] if target in FLOOR else FLOOR["__init__"]
            assert where <= level, f"{name(path)} imports {module}, which is above it"


def test_no_import_goes_round_in_a_circle():
    """Between modules, not only between floors."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in LIBRARY
    }
    below = {
        module: {name if name in modules else name.rpartition(".")[0] for name in imported(path)} & modules.keys()
        for module, path in modules.items()
    }
    settled: set[str] = set()
    while True:
        free = {module for module, needs in below.items() if module not in settled and needs - {module} <= settled}
        if not free:
            break
        settled |= free
    assert modules.keys() - settled == set()


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_plotly_lives_in_figures_only(path):
    """Apart from FigureWidget, which the notebooks' widgets wrap around a figure that was made there."""
    uses = {module for module in imported(path) if module.split(".")[0] == "plotly"}
    if floor_of(path) == FLOOR["notebook_widgets"]:
        uses -= {"plotly.graph_objects.FigureWidget"}
    assert not uses or floor_of(path) == FLOOR["figures"]


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_only_widgets_need_ipywidgets(path):
    uses = {module.split(".")[0] for module in imported(path)} & {"ipywidgets", "anywidget"}
    assert not uses or floor_of(path) == FLOOR["notebook_widgets"]


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_the_library_knows_no_streamlit(path):
    assert not any(module.split(".")[0] == "streamlit" for module in imported(path))


def test_importing_everything_loads_no_streamlit():
    modules = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in LIBRARY]
    wanted = ", ".join(module for module in modules if not module.endswith("__main__"))
    program = (
        f"import sys, {wanted}; print(sorted({{m.split('.')[0] for m in sys.modules}} & {{'streamlit', 'matplotlib'}}))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.strip() == "[]"


def test_importing_the_library_loads_no_plotly():
    program = "import sys, pursamere_viz; print(sorted({'plotly', 'ipywidgets'} & sys.modules.keys()))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("path", HOUSE, ids=name)
def test_functions_are_short(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 45, f"{name(path)}: {node.name}"


def shared_randomness(source: ast.Module) -> set[str]:
    """What touches a generator that all threads share: seeds, states, and draws that name no generator."""
    found = set()
    for node in ast.walk(source):
        if isinstance(node, ast.Attribute | ast.Name | ast.alias):
            spelt = {ast.Attribute: "attr", ast.Name: "id", ast.alias: "name"}[type(node)]
            found |= {getattr(node, spelt)} & SHARED
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.name for alias in node.names} & {"random", "manual_seed", "seed", *DRAWS}
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called, of, own = ast.unparse(node.func), ast.unparse(node.func.value), {word.arg for word in node.keywords}
        if node.func.attr in ("manual_seed", "seed") and not of.startswith(("torch.Generator(", "Generator(")):
            found.add(called)
        if node.func.attr in DRAWS and (of == "torch" or called.endswith("_")) and "generator" not in own:
            found.add(called)
        if of in ("np.random", "numpy.random") and node.func.attr not in ("default_rng", "SeedSequence"):
            found.add(called)
    return found


@pytest.mark.parametrize("path", HOUSE, ids=name)
def test_no_shared_randomness_no_pickle(path):
    assert calls(path) & FORBIDDEN == set()
    assert shared_randomness(tree(path)) <= GPU.get(name(path), set())
    assert not any(module.split(".")[0] == "pickle" for module in imported(path))


@pytest.mark.parametrize(
    "line",
    [
        *("torch.manual_seed(0)", "torch.random.manual_seed(0)", "torch.default_generator.manual_seed(0)"),
        *("from torch import manual_seed", "from torch.random import fork_rng", "torch.seed()", "import random"),
        *("torch.randn(3)", "x.uniform_(0, 1)", "torch.rand_like(x)", "np.random.seed(0)", "np.random.rand(3)"),
    ],
)
def test_shared_randomness_is_found_in_every_spelling(line):
    assert shared_randomness(ast.parse(line))


def test_randomness_of_ones_own_is_none_of_it():
    own = "g = torch.Generator().manual_seed(1); torch.randn(3, generator=g); np.random.default_rng(1).normal(0, 1)"
    assert not shared_randomness(ast.parse(own))


@pytest.mark.parametrize("path", HOUSE, ids=name)
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_no_file_is_called_utils(path):
    assert not {"utils", "common", "helpers", "misc"} & {part.removesuffix(".py") for part in path.parts}


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_public_names_are_described(path):
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{name(path)}: {node.name}"


def test_everything_promised_is_there():
    assert len(set(pursamere_viz.__all__)) == len(pursamere_viz.__all__)
    for promised in pursamere_viz.__all__:
        assert hasattr(pursamere_viz, promised)
