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

.DEFAULT_GOAL := help
.PHONY: help serve test lint format bench clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
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

bench: $(VENV)/.test  ## Requests per second and latency, beside bare Django and DRF views
	$(BIN)/python -m bench

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
