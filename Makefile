# One word per job. `make demo` and `make test` install what they need by themselves, in either order.
PYTHON ?= /usr/bin/python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup check test test-fast demo lock docs clean

help:          ## lists these words
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## installs Debian packages that are missing and the locked virtual environment

$(READY): requirements/dev.txt pyproject.toml
	@tests/kit/install-packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

check: $(READY) ## format, lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-fast: $(READY) ## the tests that need neither root nor network
	$(BIN)/pytest -m "not slow and not root and not prove"

lock: ## resolves requirements/*.txt anew, with hashes
	$(BIN)/uv pip compile --universal --generate-hashes --no-annotate --no-header --no-emit-index-url -q pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --universal --generate-hashes --no-annotate --no-header --no-emit-index-url -q pyproject.toml requirements/build.in --extra dev -c requirements/runtime.txt -o requirements/dev.txt

clean: ## removes what the other words made
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
