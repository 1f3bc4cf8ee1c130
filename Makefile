# `make app` is all it takes: the environment is built on the first call and rebuilt when what it needs has changed.
PYTHON ?= python3
# More arguments for the program that is started, for example: make app ARGS="--server.port 8502"
ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python -m
STAMP := $(VENV)/.installed
# A process a core, each with one thread: two processes with two threads each wait for one another. A file stays in one process.
PYTEST := OMP_NUM_THREADS=1 $(RUN) pytest -q -n auto --dist loadfile --no-loadscope-reorder

# JupyterLab refuses to start as root unless told; containers usually are root.
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: help app notebooks course docs lint test test-all clean

help:
	@echo "make app        open the explorer in a browser"
	@echo "make notebooks  open the notebooks in JupyterLab"
	@echo "make course     write the lessons into the folder course, as pages that need no server"
	@echo "make docs       write the documentation into the folder site; a broken link or a missing docstring fails"
	@echo "make test       lint, type check and every test that is quick"
	@echo "make test-all   the same with the slow tests"
	@echo "make lint       ruff, import-linter and mypy alone"
	@echo "make clean      remove the environment and the caches"

app: $(STAMP)
	$(RUN) streamlit run app/main.py $(ARGS)

notebooks: $(STAMP)
	$(RUN) jupyterlab notebooks $(ALLOW_ROOT) $(ARGS)

course: $(STAMP)
	$(RUN) pursamere_viz course course

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict $(ARGS)

$(VENV)/.docs: $(STAMP) pyproject.toml
	$(RUN) pip install --disable-pip-version-check --no-input --quiet -e ".[docs]"
	@touch $@

lint: $(STAMP)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(VENV)/bin/lint-imports
	$(RUN) mypy

test: lint
	$(PYTEST) -m "not slow" $(ARGS)

test-all: lint
	$(PYTEST) --durations=40 $(ARGS)

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache .mypy_cache *.egg-info

# The stamp is written last, so an interrupted installation is resumed by the next call.
# The environment is made anew only where it has no working pip (Debian leaves such a half when python3-venv is missing).
$(STAMP): requirements.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "$(PYTHON) was not found: install Python 3.11 or newer, or name one, as in: make app PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed and $(PYTHON) is older: name another, as in: make app PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  version=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "Python cannot create environments here: on Debian or Ubuntu run: sudo apt-get install python$$version-venv" >&2; exit 1; }
	@$(RUN) pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "Installing into $(VENV): minutes the first time, as PyTorch is large."
	$(RUN) pip install --disable-pip-version-check --no-input --quiet -r requirements.txt
	@touch $@
