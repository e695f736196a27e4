# The two main commands: `make demo` runs the toolkit on tinytown, `make test` runs all checks and tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL ?= tinytown
RUN ?= runs/$(if $(filter tinytown,$(MODEL)),demo,$(MODEL))
DEMO_IMAGES ?= 16

.PHONY: demo results real-models test lint types notebooks train-tinytown docs paper dist clean

demo: $(VENV)/.installed
	$(BIN)/moesd-probe run $(RUN) --model $(MODEL) --n-images $(DEMO_IMAGES) --seed 7

results: $(VENV)/.installed  # hours; Ctrl-C and the same command resume
	$(BIN)/python benchmarks/results/results.py

real-models: $(VENV)/.installed  # minutes; measures what is there of the public data, names what is not
	$(BIN)/python benchmarks/real_models/real_models.py $(if $(MPNET),--mpnet $(MPNET)) $(if $(GEAR),--gear $(GEAR))

test: lint types
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -m slow --timeout 600

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-test
	$(BIN)/mypy

notebooks: $(VENV)/.installed-notebooks
	$(BIN)/jupyter lab analysis_notebooks

paper: $(VENV)/.installed
	$(BIN)/moesd-probe visualize $(RUN) --format pdf

train-tinytown: $(VENV)/.installed
	$(BIN)/python -m cli.tinytown --model $(MODEL)

docs: $(VENV)/.installed
	$(BIN)/python -m cli.reference > docs/cli.md

dist: $(VENV)/.installed-test
	$(BIN)/python -m build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "moesd-probe needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-%: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache runs
