# The verbs of this repository. `make` alone lists them.
# The first use of any verb makes .venv; afterwards .venv/bin/opentill is the command.

DATA ?= data
PORT ?= 8000
DB   ?= both
DOC  ?=
TIER ?= change
BAR  ?=
JOBS ?= 2
QUICK := $(wildcard $(addprefix tests/,unit usecases contract security property))

VENV   := .venv
PYTHON := $(VENV)/bin/python
# A pip that says nothing but its errors; every file it installs is named, with its hash, in a locked set.
PIP := $(PYTHON) -m pip -qq --disable-pip-version-check --no-input install --no-compile --no-warn-script-location --root-user-action=ignore
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --no-annotate $(if $(UPGRADE),--upgrade) pyproject.toml

# Two stamps: what running needs (also what is shipped), and what working on the code needs besides.
RUN := $(VENV)/installed-run
DEV := $(VENV)/installed-dev

.DEFAULT_GOAL := help
.PHONY: help run demo test check checklist fmt e2e fuzz bar bars limits venv lock clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUN) ## serve on 127.0.0.1:8000 with SQLite in ./data (DATA=dir PORT=n)
	@$(VENV)/bin/opentill serve --data $(DATA) --port $(PORT)

demo: $(RUN) ## take a sandbox payment and a PIX in temporary folders, showing every step
	@$(VENV)/bin/opentill demo

test: $(DEV) ## the quick tests, on SQLite and on PostgreSQL if one answers (JOBS=n)
	$(PYTHON) -m pytest -q -n $(JOBS) $(QUICK)

check: $(DEV) ## lint, format, types, and the floors of the architecture
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports --no-logo

checklist: $(DEV) ## print each acceptance line with the tests that prove it (DOC="merchant-api pix-api pix-rail webhooks")
	@$(PYTHON) -m tests.checklist $(DOC)

fmt: $(DEV) ## format the code and mend what the linter can mend
	$(PYTHON) -m ruff check --fix-only --quiet
	$(PYTHON) -m ruff format

e2e: $(DEV) ## start a server and use it over HTTP and in Chromium
	$(PYTHON) -m pytest -q tests/e2e

fuzz: $(DEV) ## send both APIs whatever their documents allow and forbid, five minutes on each database
	OPENTILL_BAR_SIZE=gate $(PYTHON) -m pytest -q --timeout=0 tests/fuzz

bar: $(DEV) ## measure one or several bars (BAR="P1 C3" DB=sqlite|postgres|both)
	@test -n "$(strip $(BAR))" || { echo 'Name a bar, for example: make bar BAR="P1 C3" DB=sqlite' >&2; exit 2; }
	$(PYTHON) -m bench bar $(BAR) --db $(DB)

bars: $(DEV) ## measure every bar of a tier (TIER=change|nightly|release DB=…)
	$(PYTHON) -m bench bars --tier $(TIER) --db $(DB)

limits: $(DEV) ## measure only the limits beside the bars (DB=…)
	$(PYTHON) -m bench limits --db $(DB)

venv: $(DEV) ## make .venv with everything the other verbs need

lock: ## choose dependencies anew from pyproject.toml (needs uv; UPGRADE=1 takes newer ones)
	$(LOCK) --group build --output-file requirements/run.txt
	$(LOCK) --group dev --constraints requirements/run.txt --output-file requirements/dev.txt

clean: ## remove .venv and caches; ./data stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build

# Any Python from 3.11 on will do; the oldest supported one is preferred, because that is what the checks assume.
$(PYTHON):
	@for python in python3.11 python3.12 python3.13 python3; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$($$python --version)"; exec $$python -m venv $(VENV); \
	  fi; \
	done; echo 'Python 3.11 or newer, with its venv module, is needed.' >&2; exit 1

$(RUN): requirements/run.txt pyproject.toml | $(PYTHON)
	@echo 'Installing what OpenTill needs to run'
	@$(PIP) --require-hashes --requirement requirements/run.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml | $(PYTHON)
	@echo 'Installing what working on OpenTill needs'
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(RUN) $@
