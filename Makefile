# Every target works on a fresh clone with nothing installed but python3 (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check format bench clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)  ## simulated cohort -> fit -> sample -> report, in ./demo
	$(BIN)/synthehr demo demo --force

# Two processes of one thread each: two of two threads would get in one another's way. In the order
# of their names, since the file with the fewest tests takes longest.
test: $(STAMP)  ## every test but the slow ones; ARGS='-k encoder' narrows
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow' $(ARGS)

test-slow: $(STAMP)  ## the slow tests
	$(BIN)/python -m pytest -m slow $(ARGS)

check: $(STAMP)  ## lint, format, types, structure
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -q tests/test_structure.py

format: $(STAMP)  ## rewrite what ruff can rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## ours on the seven data sets, then the table (rivals: see benchmarks/NOTES.md)
	$(BIN)/python benchmarks/run.py quality
	$(BIN)/python benchmarks/run.py speed
	$(BIN)/python benchmarks/run.py table

clean:  ## forget the environment and what was built
	rm -rf $(VENV) build dist demo .pytest_cache .ruff_cache
