# The habits of the project. `make demo` and `make test` are all a fresh machine needs: Python 3.11 or later, and the package registries.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NODE_TOOLS := tools/node/node_modules/.installed

SECONDS ?=
SOURCE ?= simulated
RECORDINGS ?=
# Groups of tests (a file, or a folder with one platform) that run at the same time; each worker has its own stores.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench bench-check soak soak-faults soak-relay proto docs lint types format buf generated chart clients clean

help: ## What there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED) ## Create .venv from the hashed lock

# uv itself comes from the lock, too: its block is cut out so that pip can check the hashes before anything else is installed.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed; this is %s. Say which with: make PYTHON=python3.12" % sys.version.split()[0])'
	@test -x $(BIN)/python || { echo "creating $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "installing the locked packages ..."
	@awk '/^[^ #]/ {on = /^uv==/} on' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	@touch $@

demo: $(INSTALLED) ## Run the whole platform: SECONDS=20, SOURCE=simulated|live, RECORDINGS=DIR
	@$(BIN)/alphapulse demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RECORDINGS),--recordings $(RECORDINGS),--source $(SOURCE))

# The tests start hundreds of processes: without compiled modules beside the sources each of them would compile what it imports.
test bench-check soak-faults: export PYTHONDONTWRITEBYTECODE =
test: $(INSTALLED) ## Run the tests on real stores
	$(BIN)/python -m pytest -n $(JOBS) --ignore=tests/benchmarks

check: lint types generated buf ## Lint, types, generated files, protos

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generated: $(INSTALLED)
	$(BIN)/python tools/generate_protos.py --check

proto: $(INSTALLED) ## Regenerate alphapulse/api from proto/
	$(BIN)/python tools/generate_protos.py

docs: $(INSTALLED) ## Regenerate the references of the docs, the chart's README, the names of calendars
	$(BIN)/python tools/generate_calendar_names.py
	$(BIN)/python tools/generate_docs.py

# Not `npm ci`: buf's packages for other systems are optional, and it refuses a lock without those a registry does not have.
$(NODE_TOOLS): tools/node/package-lock.json
	cd tools/node && npm install --silent --no-audit --no-fund && touch node_modules/.installed

buf: $(NODE_TOOLS) ## Lint the protos and hold them against the last commit of main
	tools/node/node_modules/.bin/buf lint
	tools/breaking.sh tools/node/node_modules/.bin/buf

bench: $(INSTALLED) ## Print the figures of benchmarks/, each with its floor; BENCH="name name" for some
	$(if $(BENCH),$(foreach name,$(BENCH),$(BIN)/alphapulse bench $(name) &&) true,$(BIN)/alphapulse bench --all)

bench-check: $(INSTALLED) ## Run every benchmark for a moment, to see that it works
	$(BIN)/python -m pytest -n $(JOBS) tests/benchmarks

soak: soak-faults soak-relay ## Play 1,000 seeds of the fault harness, then load a relay for ten minutes

soak-faults: $(INSTALLED) ## Play seeds of the fault harness alone; SEEDS=n for another number, FIRST=n to begin elsewhere
	FAULT_SEEDS=$(or $(SEEDS),1000) FAULT_FIRST=$(or $(FIRST),1) $(BIN)/python -m pytest -n0 tests/faults/test_seeds.py

soak-relay: $(INSTALLED) ## Load a relay for ten minutes: its memory may not grow
	$(BIN)/python benchmarks/soak_relay.py

chart: $(INSTALLED) ## Lint, render and validate the Helm chart and the compose file
	tools/check_chart.sh

clients: $(INSTALLED) ## Run the Node clients of examples/node against the services
	$(BIN)/python -m pytest tests/clients

clean: ## Remove what was built; the data of alphapulse up, in .alphapulse, is kept
	rm -rf $(VENV) tools/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .build
