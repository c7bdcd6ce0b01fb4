# Two commands for newcomers: `make quickstart` and `make test`. Each sets up what it needs and reuses what is there.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
OUT ?= out/quickstart
# Test processes side by side; each takes about 1 GB. WORKERS=0 runs them in one, for a debugger.
WORKERS ?= 2

# OpenMP with more threads than free cores is several times slower than one thread.
export OMP_NUM_THREADS := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: help quickstart test test-fast check lint types layers setup clean
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP)  ## make .venv with everything that development needs

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "omnireward needs Python 3.11 or newer; this is %d.%d. Try: make PYTHON=python3.12" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all,dev]'
	@touch $@

quickstart: setup  ## train, judge and report on nine tasks, offline (minutes on a laptop)
	$(BIN)/omnireward quickstart --out $(OUT)

test: setup  ## the whole test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-fast: setup  ## the suite without its slow tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

check: lint types layers test  ## lint, types, layers and tests: what CI runs

clean:  ## remove caches and output, keep .venv
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis out
