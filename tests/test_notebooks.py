"""The notebooks run from top to bottom, and what they print is, in substance, what is committed."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    """The text that each code cell printed or returned; pictures and widgets have none that could be compared."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"]
            rich = [o.data for o in cell.outputs if o.output_type == "execute_result"]
            texts.append("".join(outputs + [data["text/plain"] for data in rich if set(data) == {"text/plain"}]))
    return texts


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


# jupyter_client and ipykernel remark on how they are run; the notebooks' own warnings stay errors inside the kernel's output.
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_fresh_run_prints_what_is_committed(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    committed = printed(notebook)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    for fresh, before in zip(printed(notebook), committed, strict=True):
        assert NUMBER.sub("#", fresh) == NUMBER.sub("#", before)
        numbers = [[float(text) for text in NUMBER.findall(out)] for out in (fresh, before)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.02)
    errors = [o.text for c in notebook.cells if c.cell_type == "code" for o in c.outputs if o.get("name") == "stderr"]
    assert not errors


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_prose_and_calls(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[-1].cell_type == "markdown"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert "def " not in cell.source and cell.outputs is not None
    assert any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    assert path.stat().st_size < 500_000
