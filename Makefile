.DEFAULT_GOAL := help
# Any Python from 3.11 on.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
NODE := tests/conformance/node
AXE := tests/reporting/node

.PHONY: help demo test test-slow lint format bench lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "make: Python 3.11 or newer is needed; name it with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Stripe's Node client. Where it cannot be installed its tests are skipped, or fail if CI is true.
$(NODE)/node_modules/.package-lock.json: $(NODE)/package.json $(NODE)/package-lock.json
	@cd $(NODE) && npm ci --loglevel=error || echo "make: no npm, so no tests with Stripe's Node client" >&2

# What checks the report's page for accessibility; as above.
$(AXE)/node_modules/.package-lock.json: $(AXE)/package.json $(AXE)/package-lock.json
	@cd $(AXE) && npm ci --loglevel=error || echo "make: no npm, so no accessibility tests" >&2

demo: $(VENV)/.installed ## The whole job on sample data, against a local Stripe
	$(BIN)/meterledger demo

test: $(VENV)/.installed $(NODE)/node_modules/.package-lock.json $(AXE)/node_modules/.package-lock.json ## Every test but the slow ones
	$(BIN)/python -m pytest -n 2 -q

test-slow: $(VENV)/.installed ## The longer runs: kill loops, large histories
	$(BIN)/python -m pytest -q -m slow

lint: $(VENV)/.installed ## Style, types, import rules, docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed ## Ratios against named peers, in one run
	$(BIN)/python benchmarks/run.py

lock: $(VENV)/.installed ## Pin and hash the versions for tests again
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --python-version 3.11 --universal --generate-hashes --no-header --no-emit-index-url \
		--no-emit-find-links --group dev pyproject.toml -o requirements/dev.txt --quiet

clean: ## Remove what was built
	rm -rf $(VENV) $(NODE)/node_modules $(AXE)/node_modules build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
