"""House rules that neither ruff nor import-linter can check: hidden draws of randomness, and what an import loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pursamere_viz

ROOT = Path(pursamere_viz.__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "pursamere_viz").rglob("*.py"))
HOUSE = LIBRARY + sorted((ROOT / "app").rglob("*.py"))
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


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_house_was_found():
    assert len(LIBRARY) > 20 and len(HOUSE) > len(LIBRARY)


@pytest.mark.slow
def test_importing_everything_loads_no_streamlit():
    modules = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in LIBRARY]
    wanted = ", ".join(module for module in modules if not module.endswith("__main__"))
    program = (
        f"import sys, {wanted}; print(sorted({{m.split('.')[0] for m in sys.modules}} & {{'streamlit', 'matplotlib'}}))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.slow
def test_importing_the_library_loads_little_and_using_it_no_more_than_is_used():
    """Torch alone at first; the digits bring scikit-learn, a table pandas, a figure Plotly."""
    large = "{'plotly', 'ipywidgets', 'pandas', 'sklearn', 'scipy', 'matplotlib', 'joblib', 'diskcache'}"
    program = (
        f"import sys, pursamere_viz; first = sorted({large} & sys.modules.keys()); pursamere_viz.load_defence('digits'); "
        f"print(first, sorted({large} & sys.modules.keys() - {{'scipy'}}), 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert answer.stdout.strip() == "[] [] True"


def test_every_promised_name_is_brought_from_where_the_type_checker_finds_it():
    assert set(pursamere_viz._ORIGINS) == set(pursamere_viz.__all__)
    assert pursamere_viz.evaluate is pursamere_viz.landscape and "Scenario" in dir(pursamere_viz)
    assert "One of" in pursamere_viz.Scenario.__doc__ and "attack_steps" in pursamere_viz.Scenario.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pursamere_viz.nothing  # noqa: B018


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


def test_no_shared_randomness():
    found = {str(path.relative_to(ROOT)): shared_randomness(tree(path)) for path in HOUSE}
    assert {name: names for name, names in found.items() if names} == GPU


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


def test_everything_promised_is_there():
    assert len(set(pursamere_viz.__all__)) == len(pursamere_viz.__all__)
    for promised in pursamere_viz.__all__:
        assert hasattr(pursamere_viz, promised)
