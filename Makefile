# `make run` runs the hub, `make stack` the services of production, `make test` the tests. Each installs its
# requirements into .venv first.

PYTHON ?= python3
BIN := .venv/bin
FUZZ_SECONDS ?= 3600
# Some machines set it. Each program would compile every module again, which takes a third of its start.
unexport PYTHONDONTWRITEBYTECODE
# Tests spend a third of their time waiting for servers and clients.
WORKERS ?= $(shell echo $$(( $$(nproc) * 2 )))
# The lock files are complete, so pip resolves nothing, and releases after the lock don't change the installation.
# Modules are compiled at their first import, because most are never imported.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes \
	--only-binary :all:
PIP_CHECK := found=$$($(BIN)/python -m pip --disable-pip-version-check check) || { echo "$$found"; exit 1; }
# Tests that start servers, clients or browsers, wait, walk every route, try many generated cases, or build indexes of
# several channels.
SLOW_TESTS := tests/browser tests/clients tests/deploy tests/differential tests/docs tests/fuzz tests/imports \
	tests/labels tests/patches tests/promotion tests/specs tests/storage tests/transfer tests/upstreams \
	tests/verification tests/virtual $(wildcard tests/*/test_*live.py) \
	$(addprefix tests/access/test_,acts.py hidden_channels.py matrix.py revision.py) \
	tests/authentication/test_path_key_routes.py tests/archive/test_costs.py tests/downloads/test_addresses.py \
	$(addprefix tests/hub/test_,database.py library_internals.py long_numbers.py migrations.py private_files.py) \
	$(addprefix tests/hub/test_,sentry.py settings.py shutdown.py) \
	$(addprefix tests/index/test_,any_sequence.py client_caches.py held_waits.py memory.py) \
	$(addprefix tests/packages/test_,answers_bounded.py version_matrix.py visible_pages.py) \
	tests/rate_limits/test_route_limits.py tests/rest/test_schemathesis.py tests/retention/test_histories.py \
	tests/search/test_search.py tests/site/test_well_known.py tests/status/test_metrics.py \
	tests/trusted/test_issuer_keys.py $(addprefix tests/uploads/test_,request_body.py unread_bodies.py) \
	tests/webhooks/test_deliveries.py
# Rooms that judge what strangers send, and the share of their lines that their tests must run.
JUDGES := publishing/archive/*,publishing/id_tokens/*,publishing/index/repodata.py,publishing/strict_json.py,channels_app/access/*
JUDGES_TESTS := tests/archive tests/specs tests/id_tokens tests/index/test_builds.py tests/index/test_repodata.py \
	tests/access tests/authentication
COVERAGE_MIN := 98
# Rooms whose cases differ in what requests say, not in what the database does: the services run one case of each test.
ONE_CASE := accounts administration attestations authentication channels deploy doctor downloads imports keys notices \
	people quotas rate_limits rest site trusted uploads upstreams
# Single tests of files that the services do run.
COVERED_TESTS := tests/trusted/test_issuer_keys.py::test_ten_thousand_unknown_key_ids_cause_one_fetch_a_minute \
	$(addprefix tests/browser/test_journey.py::test_journey_,works_by_keyboard_alone works_without_javascript)
COVERED_BY_TEST := tests/archive tests/differential tests/docs tests/fuzz tests/id_tokens tests/specs tests/storage \
	$(addprefix tests/access/test_,acts.py hidden_channels.py matrix.py) tests/authentication/test_path_key_routes.py \
	tests/downloads/test_addresses.py tests/patches/test_agreement.py tests/promotion/test_store_traffic_live.py \
	tests/uploads/test_unread_bodies.py tests/virtual/test_squatting.py \
	tests/hub/test_long_numbers.py tests/hub/test_settings.py tests/rest/test_schemathesis.py tests/ui \
	tests/site/test_well_known.py tests/webhooks/test_docs.py \
	tests/retention/test_histories.py tests/upstreams/test_stores.py tests/verification/test_verification.py \
	$(addprefix tests/hub/test_,content_types.py fetching.py library_internals.py middleware.py plain_text.py) \
	$(addprefix tests/hub/test_,private_files.py redaction.py sentry.py) \
	$(addprefix tests/index/test_,client_caches.py memory.py repodata.py) \
	$(addprefix tests/packages/test_,answers_bounded.py licences.py metadata.py version_matrix.py visible_pages.py) \
	$(addprefix tests/deploy/test_,deployment.py installing.py issued_secrets.py nginx_log.py) \
	$(filter-out %/test_journey.py,$(wildcard tests/browser/test_*.py)) \
	$(addprefix tests/clients/test_,anaconda.py artifactory.py attestations.py conda_build_packages.py notices.py) \
	$(addprefix tests/clients/test_,oauth.py patches.py quetz.py runhub.py) tests/upstreams/test_clients.py \
	$(addprefix tests/clients/test_,slips.py store.py strangers_bodies.py trusted_publishing.py)

.PHONY: help run stack test test-fast test-services coverage fuzz accel-and-others redirect-and-stream screenshots lint format lock clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

run: .venv/run.installed ## Run the hub: SQLite, a folder, no other server.
	@$(BIN)/python manage.py runhub

stack: .venv/dev.installed ## Run what production has: PostgreSQL, Redis, nginx, an S3 server.
	.ci/need nginx nginx
	.ci/need redis-server redis-server
	.ci/need initdb postgresql
	@$(BIN)/python -m deploy.stack

test: .venv/dev.installed ## Run all tests on SQLite and a folder.
	$(BIN)/python -m pytest -n $(WORKERS)

test-fast: .venv/dev.installed ## Run one case of each quick test.
	$(BIN)/python -m pytest -q -n auto --first-cases tests $(SLOW_TESTS:%=--ignore=%)

coverage: .venv/dev.installed ## Measure the coverage of the modules that judge what strangers send.
	$(BIN)/python -m coverage run --include='$(JUDGES)' -m pytest -q $(JUDGES_TESTS)
	$(BIN)/python -m coverage report --skip-covered --fail-under=$(COVERAGE_MIN)

# Not written in a recipe: `make -n` runs each line that holds it.
ITSELF = $(MAKE) --no-print-directory

test-services: .venv/dev.installed ## Run the tests on PostgreSQL, Redis, nginx and SeaweedFS.
	@TEST_DELIVERY=accel .ci/services $(ITSELF) accel-and-others

# The suite, and beside it reads with the other two deliveries. It skips COVERED_BY_TEST and COVERED_TESTS, which neither
# database nor queue can change, and all but one case of a test in ONE_CASE.
accel-and-others:
	@$(ITSELF) --output-sync=target redirect-and-stream & others=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) $(COVERED_BY_TEST:%=--ignore=%) $(COVERED_TESTS:%=--deselect %) \
		$(ONE_CASE:%=--first-cases tests/%); \
	accel=$$?; wait $$others && exit $$accel

# What `make test` reads through the hub from a folder is read here from a bucket, by fewer tests.
redirect-and-stream:
	TEST_DELIVERY=redirect $(BIN)/python -m pytest tests/clients/test_reading.py tests/clients/test_rattler.py
	TEST_DELIVERY=stream $(BIN)/python -m pytest tests/clients/test_reading.py

# Runs new fuzz cases for an hour, besides the few thousand of `make test`. Failing cases are kept in build/fuzz.
fuzz: .venv/dev.installed ## Try new hostile archives for an hour.
	nice $(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS)

screenshots: .venv/dev.installed ## Take screenshots of the pages.
	.ci/browser
	$(BIN)/python -m tests.browser.screenshots

lint: .venv/dev.installed ## Check format, types, imports, templates and migrations.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache
	@# Its findings are on stdout. Its stderr only counts the lines with a `nosec` comment.
	$(BIN)/bandit --quiet --recursive hub channels_app publishing 2>/dev/null
	$(BIN)/djade --check --target-version 5.2 $$(git ls-files 'templates/*.html')
	$(BIN)/python manage.py makemigrations --check --dry-run

format: .venv/dev.installed ## Format code and templates.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/djade --target-version 5.2 $$(git ls-files 'templates/*.html')

lock: .venv/dev.installed ## Lock the requirements anew.
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-header --generate-hashes requirements.in -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-header --generate-hashes requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --no-emit-index-url --no-header --generate-hashes tests/clients/anaconda-client.in -o tests/clients/anaconda-client.txt

clean: ## Remove .venv and build.
	rm -rf .venv build

# An incomplete virtual environment is removed, so that the next run starts from scratch.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Channelhub needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/run.installed: requirements.txt | .venv/bin/python
	@echo "Installing the hub's requirements into .venv. This takes up to a minute."
	@$(PIP_INSTALL) -r requirements.txt
	@$(PIP_CHECK)
	@touch $@

.venv/dev.installed: requirements-dev.txt .venv/run.installed
	@echo "Installing the requirements of the tests into .venv."
	@$(PIP_INSTALL) -r requirements-dev.txt
	@$(PIP_CHECK)
	@touch $@
