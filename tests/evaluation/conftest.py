"""What the bench's tests share: a run computed in this process, and outcomes made by hand."""

import pytest

from pursamere_viz.evaluation import BenchResults, bench
from pursamere_viz.evaluation.config import fingerprint, table_cells

LABEL = 1


@pytest.fixture(scope="session")
def compute():
    """compute(config, path, **how): the finished results of a run."""

    def run(config, path, **how):
        return [*bench(config, path, **how)][-1].results

    return run


@pytest.fixture
def handmade(tmp_path):
    """handmade(config, said, probes): results in which said(cell, image) was answered; None was not measured. Labels are 1."""

    def make(config, said, probes=()):
        outcomes = []
        for cell in table_cells(config):
            for image in range(config.images):
                answers = said(cell, image)
                if answers is not None:
                    named = dict(zip(("purifier", "attack", "eps"), cell, strict=True))
                    outcomes.append(named | {"image": image, "label": LABEL, "predictions": answers})
        return BenchResults(tmp_path / "made.jsonl", fingerprint(config), outcomes, list(probes))

    return make
