# Everything is installed into .venv and everything that runs keeps its files in var/.
SHELL := /bin/sh
PORT ?= 9090
BACKEND ?=
VENV ?= .venv
BIN := $(VENV)/bin
# The first of these that is a Python this project runs on.
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.13; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo "$$python" && break; done)
BACKEND_REQUIREMENTS := $(wildcard backends/$(or $(BACKEND),text_classifier)/requirements.txt)

# Label Studio has an environment of its own: its packages and the server's do not go together.
E2E := $(VENV)/e2e
E2E_OLD := $(VENV)/e2e-old
E2E_OLD_PYTHON ?= $(shell for python in python3.11 python3.10 python3.9 python3.8 python3; do \
	"$$python" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)
E2E_SERVER := $(VENV)/.serve $(VENV)/.backend-default
E2E_PYTEST = E2E_SERVER_PYTHON=$(abspath $(BIN))/python $(E2E)/bin/python -m pytest -q -c tests/e2e/pytest.ini tests/e2e

.DEFAULT_GOAL := help
.PHONY: help serve test lint format bench bench-events e2e e2e-old wire clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  PORT=9090 BACKEND=text_classifier choose where and what `make serve` serves'

serve: $(VENV)/.serve $(VENV)/.backend-$(or $(BACKEND),default)  ## Run the server and a worker; set everything up at the first run
	@exec $(BIN)/python manage.py runserver $(PORT) $(if $(BACKEND),--backend $(BACKEND))

test: lint  ## Lint, types, import contract, migrations, and the tests with coverage
	$(BIN)/python -m pytest --cov --cov-report=term --cov-report=html

lint: $(VENV)/.test  ## The checks that need no database
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/.test  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test  ## Requests per second and latency, beside bare Django and DRF views (needs a C compiler)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r deploy/requirements.txt
	$(BIN)/python -m bench

bench-events: $(VENV)/.test  ## Webhooks acknowledged per second while fits run, and the time until all are trained on
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r deploy/requirements.txt
	$(BIN)/python -m bench.events

e2e: $(E2E_SERVER) $(E2E)/.installed  ## The whole journey against a real Label Studio, with pictures in artifacts/
	$(E2E_PYTEST)

e2e-old: $(E2E_SERVER) $(E2E)/.installed $(E2E_OLD)/.installed  ## The same against Label Studio 1.9
	E2E_OLD_LABEL_STUDIO=$(abspath $(E2E_OLD))/bin/label-studio $(E2E_PYTEST)

wire: $(E2E)/.installed  ## Record anew in tests/wire/ what Label Studio sends, and say which fields changed
	$(E2E)/bin/python -m tests.e2e.record

clean:  ## Remove what was installed and what the tests left; the data in var/ stays
	rm -rf $(VENV) htmlcov .coverage* .mypy_cache .ruff_cache .pytest_cache artifacts

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "This needs Python 3.11, 3.12 or 3.13; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: requirements.txt | $(VENV)/bin/python
	@echo "Installing the server (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.backend-%: $(BACKEND_REQUIREMENTS) | $(VENV)/.serve
	@$(foreach file,$(BACKEND_REQUIREMENTS),echo "Installing $(file)" && $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(file) &&) touch $@

$(VENV)/.test: requirements.txt requirements-dev.txt $(wildcard backends/*/requirements.txt) | $(VENV)/bin/python
	@echo "Installing the server and what its tests need (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(E2E)/.installed: requirements-e2e.txt | $(VENV)/bin/python
	@echo "Installing Label Studio (1 GB, one to three minutes, once)"
	@test -x $(E2E)/bin/python || $(PYTHON) -m venv $(E2E)
	@rm -rf $(E2E)/empty-label-studio
	@$(E2E)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-e2e.txt
	@touch $@

$(E2E_OLD)/.installed: tests/e2e/requirements-old.txt | $(VENV)/bin/python
	@test -n "$(E2E_OLD_PYTHON)" || { echo "Label Studio 1.9 needs Python 3.8 to 3.11; install one, or name it: make e2e-old E2E_OLD_PYTHON=/path/to/python3.10" >&2; exit 1; }
	@echo "Installing Label Studio 1.9 with $$($(E2E_OLD_PYTHON) --version)"
	@test -x $(E2E_OLD)/bin/python || $(E2E_OLD_PYTHON) -m venv $(E2E_OLD)
	@rm -rf $(E2E_OLD)/empty-label-studio
	@$(E2E_OLD)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/e2e/requirements-old.txt
	@touch $@
