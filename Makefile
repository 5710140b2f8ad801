# The same commands for people and for continuous integration.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: install demo test check golden clean

install: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $(READY)

demo: $(READY)
	$(BIN)/limbeck demo

test: $(READY)
	$(BIN)/pytest -n auto --maxprocesses 8

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Writes the golden losses anew: only for a change that is meant to change numbers, and says so in CHANGELOG.md.
golden: $(READY)
	LIMBECK_GOLDEN=write $(BIN)/pytest tests/recipes

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
