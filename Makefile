# `make run` runs the hub, `make test` its tests; both install what they need into .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-services screenshots lint format lock clean

run: .venv/run.installed
	@$(BIN)/python manage.py runhub

test: .venv/dev.installed
	$(BIN)/python -m pytest -n auto

test-services: .venv/dev.installed
	.ci/services $(BIN)/python -m pytest -n auto

screenshots: .venv/dev.installed
	.ci/browser
	$(BIN)/python -m tests.browser.screenshots

lint: .venv/dev.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache
	$(BIN)/djade --check --target-version 5.2 $$(git ls-files 'templates/*.html')
	$(BIN)/python manage.py makemigrations --check --dry-run

format: .venv/dev.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/djade --target-version 5.2 $$(git ls-files 'templates/*.html')

lock: .venv/dev.installed
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-header --generate-hashes requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-header --generate-hashes requirements-dev.in -o requirements-dev.txt

clean:
	rm -rf .venv build

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Channelhub needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/run.installed: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/dev.installed: requirements-dev.txt .venv/run.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
