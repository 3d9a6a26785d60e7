# Every task is one word. `make demo` and `make test` do all their own set-up.
PYTHON ?= python3
SECONDS ?= 300
# Tests mostly wait for servers: three at once keep two cores busy.
AT_ONCE ?= 3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test lint bench judges fuzz web lock clean

help:
	@echo "make demo    try it: mails itself a case, shows the letters and the page"
	@echo "make test    everything that must hold, with real servers and a real browser"
	@echo "make lint    ruff, mypy, tsc"
	@echo "make bench   the speed and memory table (ONLY=name for one row)"
	@echo "make judges  the long runs: kill -9 at random moments; Observatory, Lighthouse, axe on the pages"
	@echo "make fuzz    the parsers against a kept corpus (SECONDS=300)"
	@echo "make web     rebuild the viewer's bundle (needs Node)"
	@echo "make lock    pin the versions of all packages anew"

demo: $(VENV)/.installed
	$(BIN)/scanpost demo

test: $(VENV)/.installed-dev
	@deploy/packages.sh test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(AT_ONCE) --dist worksteal $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd viewer/web && npm ci --ignore-scripts --no-audit --no-fund && npm run check

bench: $(VENV)/.installed-dev
	@deploy/packages.sh test
	$(BIN)/python -m tests.bench $(ONLY)

judges: $(VENV)/.installed-dev
	@deploy/packages.sh test
	SCANPOST_LONG_RUNS=1 $(BIN)/python -m pytest tests/judges tests/journeys/test_rough_review.py \
		tests/journeys/test_large_text.py tests/journeys/test_versions.py tests/journeys/test_versions_page.py \
		tests/test_viewer_languages.py -s

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz $(SECONDS)

web:
	cd viewer/web && npm ci --ignore-scripts --no-audit --no-fund && npm run check && npm run build

lock: $(VENV)/.installed-dev
	$(BIN)/pip-compile -q --upgrade --generate-hashes --strip-extras --no-header \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		-o requirements.txt pyproject.toml
	$(BIN)/pip-compile -q --upgrade --generate-hashes --strip-extras --no-header --allow-unsafe --extra dev \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		-o requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV) build demo-data viewer/web/node_modules

$(VENV)/bin/python:
	@deploy/packages.sh demo
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing scanpost into $(VENV)"
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing scanpost and its test tools into $(VENV)"
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	touch $@ $(VENV)/.installed
