# Two commands do everything: `make serve` and `make test`. What they need is installed where it is missing.

.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
INI := development.ini
ARGS :=
INSTALL :=
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(VENV)/.serve ## Make the environment in .venv and install Tweeter into it

.PHONY: migrate
migrate: install ## Bring the database of development.ini up to date
	$(BIN)/alembic -c $(INI) upgrade head

.PHONY: demo
demo: migrate ## Add sample users and tweets
	$(BIN)/tweeter demo $(INI)

.PHONY: serve
serve: demo ## Run the site on http://localhost:6543 (all of the above included)
	exec $(BIN)/pserve $(INI)

.PHONY: debug
debug: demo ## Run the site with the Pyramid debug toolbar, which more than doubles the time of a page
	exec $(BIN)/pserve $(INI) pyramid.includes=pyramid_debugtoolbar

.PHONY: services
services: install ## Run private Redis and memcached until Ctrl-C; INSTALL=yes installs what is missing
	@exec .ci/services $(BIN)/tweeter $(INI) $(INSTALL)

.PHONY: test
test: $(VENV)/.test servers ## Run all tests against real servers; make test ARGS="-k outbox"
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

# What the next two run unless ARGS says otherwise: no browsers, benchmarks, packages, clusters, histories and outages.
MOST := --ignore=tests/browser -m "not slow"

.PHONY: coverage
coverage: $(VENV)/.test servers ## Run most tests and show which lines they run; HTML in htmlcov/
	$(BIN)/coverage erase
	status=0; $(BIN)/coverage run -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(or $(ARGS),$(MOST)) || status=$$?; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage html --quiet && $(BIN)/coverage report && exit $$status

.PHONY: test-matrix
test-matrix: servers ## Run most tests on each Python and SQLAlchemy; make test-matrix ARGS=tests/unit
	@.ci/matrix $(or $(ARGS),$(MOST))

.PHONY: lint
lint: $(VENV)/.test ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy tweeter tests docs

.PHONY: docs
docs: install ## Write docs/reference from the code
	$(BIN)/python docs/generate.py

.PHONY: dist
dist: $(VENV)/.test ## Build the source distribution and the wheel in dist/
	$(BIN)/python -m build

.PHONY: clean
clean: ## Remove all that was made, but for databases
	rm -rf $(VENV) build dist *.egg-info .coverage* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find tweeter tests alembic -name __pycache__ -prune -exec rm -rf {} +

.PHONY: servers
servers:
	@.ci/servers

# Each stamp marks one installed set of packages; a changed setup.py installs them again.

$(VENV)/.made:
	python=$$(.ci/python) && "$$python" -m venv $(VENV)
	touch $@

$(VENV)/.serve: $(VENV)/.made setup.py
	$(PIP) install --editable '.[dev]'
	touch $@

$(VENV)/.test: $(VENV)/.made setup.py
	$(PIP) install --editable '.[testing,lint,dev]'
	touch $(VENV)/.serve $@
