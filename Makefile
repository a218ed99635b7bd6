# Every target sets up .venv first, and again when the dependencies or their pins change.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DOCS := $(VENV)/.installed-docs
PIP_INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

# Two test processes share the cores; one thread each keeps them from fighting, and sums come out the same everywhere.
TEST_ENV := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest
WORKERS ?= 2
# A file's tests run in one process, so that the runs that they share are made once; files go out in order, since the
# few whose tests are slow would otherwise come last.
DIST := --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint types docs figures bench bench-ot coverage clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(INSTALLED) ## create .venv and install everything that development needs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; got $$($(PYTHON) --version 2>&1); run make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable ".[dev,hf]"
	@touch $@

$(INSTALLED_DOCS): $(INSTALLED)
	$(PIP_INSTALL) --editable ".[docs]"
	@touch $@

demo: $(INSTALLED) ## distil the embedded digits and evaluate the result
	$(BIN)/wmdd distill digits

test: lint types ## lint, types, imports, tests, coverage
	$(PYTEST) --numprocesses $(WORKERS) $(DIST) --cov --cov-report=term

test-slow: $(INSTALLED) ## the tests that take minutes
	$(PYTEST) -m slow --numprocesses $(WORKERS) $(DIST) --timeout 1800

lint: $(INSTALLED) ## style, formatting and the import order
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(INSTALLED) ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(INSTALLED_DOCS) ## build the pages into docs/_build/html; every warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

figures: $(INSTALLED) ## draw the tables of the pages from the files under benchmarks/results
	$(BIN)/python -m benchmarks.figures

bench: $(INSTALLED) ## one table: stages against their floors, workers, memory by classes, bytes of labels (more than 15 minutes)
	$(BIN)/python -m benchmarks.table $(BENCH)

bench-ot: $(INSTALLED) ## time barycenters against POT, and a synthetic ImageNet-1K of them (some minutes)
	$(BIN)/python benchmarks/transport.py

coverage: $(INSTALLED) ## tests with a line-by-line report in htmlcov/
	$(PYTEST) --numprocesses $(WORKERS) $(DIST) --cov --cov-report=term --cov-report=html

clean: ## remove caches and reports; .venv and runs stay
	rm -rf build dist docs/_build htmlcov .coverage .coverage.* coverage.xml
	rm -rf .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks examples docs -type d -name __pycache__ -prune -exec rm -rf {} +
