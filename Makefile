# One word per job. `make demo` and `make test` install what they need by themselves, in either order.
PYTHON ?= /usr/bin/python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := .venv-bench/.ready
FLEET  := .venv-ansible/.ready
LOCK   := --universal --generate-hashes --no-annotate --no-header --no-emit-index-url --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-fast prove bench deb repo docs pictures lock clean

help:          ## lists these words
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## installs Debian packages that are missing and the locked virtual environment

$(READY): requirements/dev.txt pyproject.toml
	@tests/kit/install-packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY) ## the whole agent for a minute: a recording of a real Asterisk in, an embedded call API and Kafka out
	@$(BIN)/asterisk-connector demo

check: $(READY) ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check $(FLEET) ## every test, on real servers; needs root and the package registries
	@tests/kit/install-packages --all
	@tests/kit/run-lanes

test-fast: $(READY) ## the tests that need neither root nor network
	$(BIN)/pytest -m "not slow and not root and not prove"

prove: $(READY) ## the long forms: ten-minute outages, a million rows, hundreds of interleavings
	@tests/kit/install-packages --all
	$(BIN)/pytest -m prove --durations=15

bench: $(READY) $(PEERS) ## the figures of docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks

$(PEERS): requirements/bench.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

$(FLEET): requirements/ansible.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/ansible.txt
	@touch $@

deb:           ## the Debian packages, checked by lintian, in dist/; needs root and, the first time, the registries
	@tests/kit/install-packages --all
	packaging/build-deb bookworm
	packaging/build-deb trixie

repo: deb      ## the packages in a signed apt repository, dist/repository; REPO_KEY=… names the key of GnuPG's keyring
	packaging/make-repo dist/repository dist/*.deb

docs: $(READY) ## writes everything in docs/ that is made from code
	$(BIN)/asterisk-connector config example > docs/config.example.yaml
	$(BIN)/asterisk-connector config schema > docs/config.schema.json
	$(BIN)/asterisk-connector config reference > docs/configuration.md
	$(BIN)/python -m tests.kit.commands_page
	$(BIN)/python -m tests.kit.document_page
	$(BIN)/python -m tests.kit.status_page
	$(BIN)/python -m tests.kit.metrics_page
	$(BIN)/python -m tests.kit.journal_page
	$(BIN)/python -m tests.scenarios.score

pictures: $(READY) ## takes the pictures of docs/status-page.md anew, in three minutes; needs root
	@tests/kit/install-packages --all
	$(BIN)/python -m tests.kit.page_pictures

lock: $(READY) ## resolves requirements/*.txt anew, with hashes
	$(BIN)/uv pip compile $(LOCK) pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml requirements/build.in --extra dev -c requirements/runtime.txt -o requirements/dev.txt
	$(BIN)/uv pip compile $(LOCK) --group pyproject.toml:bench -o requirements/bench.txt
	$(BIN)/uv pip compile $(LOCK) --group pyproject.toml:ansible -o requirements/ansible.txt
	$(BIN)/uv pip compile $(LOCK) pyproject.toml --overrides requirements/package.in -o requirements/package.txt
	$(BIN)/uv pip compile $(LOCK) requirements/package-build.in -o requirements/package-build.txt

clean: ## removes what the other words made, downloads too
	rm -rf $(VENV) $(dir $(PEERS)) $(dir $(FLEET)) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
