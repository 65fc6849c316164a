# make demo and make test work from nothing but Python 3.11 or newer and make.
PYTHON ?= python3
# One worker a core. As many as one likes: make test WORKERS=4; WORKERS=0 is a single process.
WORKERS ?= auto
SPREAD = --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test crash-matrix format clean

demo: $(VENV)/installed
	@$(BIN)/python specs/demo.py

test: $(VENV)/installed
	@$(BIN)/python -m pytest $(SPREAD)

crash-matrix: $(VENV)/installed
	@KILL_AT=every $(BIN)/python -m pytest $(SPREAD) tests/test_crash_matrix.py tests/journeys/test_killed.py

format: $(VENV)/installed
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:
	rm -rf $(VENV)

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("make: this needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
