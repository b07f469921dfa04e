# ConfHub. `make up` and `make test` are all that a newcomer needs; `make help` lists the rest.

BIN := .venv/bin
NEEDED = import sys; sys.exit(sys.version_info < (3, 11))
# The first Python that is new enough; choose another with make … PYTHON=/path/to/python3
ifndef PYTHON
PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$name" -c '$(NEEDED)' 2>/dev/null && { echo "$$name"; break; }; done)
endif
INSTALL = $(PYTHON) -I confhub/cli/install.py
# npm of this machine where it is new enough, else the one in .venv (confhub/cli/install.py)
NPM = NO_COLOR=1 PATH="$$($(INSTALL) npm-path)" npm --prefix dashboard/frontend --silent
WORKERS ?= 2
TESTS ?= tests
PYTEST_ARGS ?=

export CONFHUB_LOCAL ?= true

.DEFAULT_GOAL := help
.PHONY: help python up doctor test lint format web bench lock compose-env clean \
	run-lint run-frontend-tests

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Settings of make up:   PORT=8000  DEMO=0 (no demo)  VERBOSE=1 (every log on the screen)"
	@echo "  Settings of make test: TESTS=tests/cli  WORKERS=2  CONFHUB_TEST_REQUIRE=docker,podman,haproxy,postgres,browser"

python:
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11 or newer on PATH ($$(python3 --version 2>&1 || true)). Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; fi
	@"$(PYTHON)" -c '$(NEEDED)' || { echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1); ConfHub needs Python 3.11 or newer. Name another: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }

up: python ## ConfHub with a demo on this machine's loopback; Ctrl-C stops it
	@$(INSTALL) up
	@exec $(BIN)/python manage.py up

doctor: python ## what is missing or odd on this machine, each with a way out
	@$(INSTALL) up
	@$(BIN)/python manage.py doctor

test: python ## all checks and all tests; pytest's summary comes last
	@$(INSTALL) test
	@$(MAKE) --no-print-directory run-lint run-frontend-tests
	@PATH="$$PATH:$(CURDIR)/$(BIN)" exec $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS) $(TESTS)

lint: python ## ruff, mypy, import-linter, migrations, djlint, biome, tsc
	@$(INSTALL) lint
	@$(MAKE) --no-print-directory run-lint

# What a check says is shown only where it fails: one is verbose when all is well, another mute when not.
quietly = @mkdir -p var && echo "· $(1)" && { $(2); } >var/lint.txt 2>&1 || { cat var/lint.txt; exit 1; }

run-lint:
	$(call quietly,ruff,$(BIN)/ruff check . && $(BIN)/ruff format --check .)
	$(call quietly,mypy,$(BIN)/python -m mypy)
	$(call quietly,import-linter,$(BIN)/lint-imports --no-cache)
	$(call quietly,migrations,$(BIN)/python manage.py makemigrations --check --dry-run)
	$(call quietly,djlint,$(BIN)/djlint --lint dashboard confhub/api/templates)
	$(call quietly,biome,$(NPM) run lint)
	$(call quietly,tsc,$(NPM) run types)

run-frontend-tests:
	@echo "· the front end's own tests" && $(NPM) test

format: python ## put everything into the house's form
	@$(INSTALL) lint
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .
	@$(NPM) run format

web: python ## build the front end
	@$(INSTALL) web

bench: python ## the benchmarks; results in benchmarks/results/
	@$(INSTALL) test
	@exec $(BIN)/python -m benchmarks

lock: python ## compile the lock files of Python anew from pyproject.toml
	@$(INSTALL) lock

compose-env: ## write .env for docker compose, with random secrets, where there is none
	@sh docs/operating/compose-env.sh

clean: ## remove what was built and installed; var/ with your data stays
	rm -rf .venv dashboard/frontend/node_modules dashboard/frontend/dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
