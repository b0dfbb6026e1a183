# convatlas needs Python 3.11 or newer and make; everything else is installed into $(VENV) when it is first needed.
# Another interpreter: make demo PYTHON=/path/to/python3.12        Another place: make test VENV=/tmp/venv

PYTHON ?= python3
ifeq ($(origin PYTHON),file)
CANDIDATES := $(PYTHON) python3.13 python3.12 python3.11 python
else
CANDIDATES := "$(PYTHON)"
endif
VENV ?= .venv
JOBS ?= 2

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

# Tests run in $(JOBS) processes of one thread each: two torch thread pools on the same cores only wait for each other.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-browser check format docs bench bench-full clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.installed-all ## Train LeNet-5 on handwritten digits, write a report, name unseen digits and a photograph
	rm -rf demo
	$(BIN)/convatlas train digits --model lenet5_modern --out demo/run
	$(BIN)/convatlas data samples digits --out demo/digits --count 10 --split test
	$(BIN)/convatlas predict demo/run demo/digits
	$(BIN)/convatlas predict docs/pictures/chelsea.jpg
	@echo "The report: demo/run/report.html"

test: $(VENV)/.installed-dev ## Run the quick tests (a few minutes)
	$(PYTEST) -m "not every_variant"

test-all: $(VENV)/.installed-dev ## Run every test: each variant of each network, each command of the README
	$(PYTEST)

test-browser: $(VENV)/.installed-dev ## Open the site in headless Chromium or Chrome, which has to be there
	$(PYTEST) -m browser tests/browser

check: $(VENV)/.installed-dev ## Lint, format, types, import contracts, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python docs/generate.py --check

format: $(VENV)/.installed-dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev ## Write the generated pages and tables anew
	$(BIN)/python docs/generate.py

bench: $(VENV)/.installed-dev ## Measure what the performance promise names (20 minutes); results go to benchmarks/
	$(BIN)/python -m benchmarks

bench-full: $(VENV)/.installed-dev ## The same at length, and all other measurements (hours)
	$(BIN)/python -m benchmarks --full

clean: ## Remove the environment, caches and what the demo wrote
	rm -rf $(VENV) demo dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

# --- The environment. A stamp is older than pyproject.toml or constraints.txt when they have changed: then install again.

# $(call install,EXTRA): once more after a pause when the network hiccups. Compiled now, so that the first start is quick.
install = $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[$(1)]' || \
	{ echo "The installation failed; trying once more."; sleep 5; \
	  $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[$(1)]'; }

$(VENV)/.installed-all: pyproject.toml constraints.txt | $(VENV)/.created
	$(call install,all)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/.created
	$(call install,dev)
	@touch $@ $(VENV)/.installed-all

$(VENV)/.created:
	@python=; \
	for candidate in $(CANDIDATES); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "convatlas needs Python 3.11 or newer; $(PYTHON) answers: $$("$(PYTHON)" --version 2>&1 | head -n 1)" >&2; \
	  echo "Install it (https://www.python.org/downloads), or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "$$python cannot make environments: its venv or ensurepip module is missing." >&2; \
	  echo "On Debian and Ubuntu: apt install python3-venv. Elsewhere: install Python with pip included." >&2; \
	  exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv || \
	{ echo "The installation of uv failed; trying once more."; sleep 5; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv; }
	@touch $@
