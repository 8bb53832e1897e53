# make demo and make test work on a fresh machine with Python 3.11 or newer; each makes the environment that it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LIBRARIES := $(abspath $(VENV))/system-libraries
# Qt's system libraries, where the system's own are installed and do not load.
QT := LD_LIBRARY_PATH=$(LIBRARIES)$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}
# One torch thread a worker: two workers share two cores.
WORKERS ?= 2
PYTEST := $(QT) QT_QPA_PLATFORM=offscreen HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo app libraries test check quick unit proof bench story translations wheel clean

help: ## Say what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.installed ## Train, evaluate, export and verify on the sample images, without a display
	$(BIN)/peft-studio demo

app: libraries $(VENV)/.installed ## Open the window
	$(QT) $(BIN)/peft-studio app

libraries:
	@sh packaging/system_libraries.sh $(LIBRARIES)

test: libraries $(VENV)/.installed-test check unit ## Check the code and run every test

check: $(VENV)/.installed-test ## Lint, format, types, layers, language and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/python packaging/translations.py check
	$(BIN)/python packaging/check_language.py
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/test.yml

quick: libraries $(VENV)/.installed-test ## Run the unit tests without the slow ones
	$(PYTEST) --dist worksteal -m 'not slow' tests/unit tests/repository

unit: libraries $(VENV)/.installed-test ## Run the tests
	$(PYTEST) --dist worksteal --durations=30 $(TESTS)

# Whole rather than in the parts that make test has the time for.
proof: libraries $(VENV)/.installed-test ## Every method in every format on every family, and each export without this program
	FULL_MATRIX=1 $(PYTEST) --dist loadfile \
		tests/unit/export/test_matrix.py tests/unit/export/test_matrix_convolutions.py tests/unit/export/test_predict_scripts.py \
		tests/contract

bench: libraries $(VENV)/.installed-test ## Measure speed and memory against HF peft, as ratios
	$(QT) $(BIN)/python -m tests.benchmarks.run

# Drawn without a screen; the pictures go to artifacts/story, which is not committed.
story: libraries $(VENV)/.installed-test ## Drive the window through the whole job, with a picture of each page in each language and theme
	$(QT) PYTHONPATH=. OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 QT_QPA_PLATFORM=offscreen $(BIN)/python tests/e2e/story.py

translations: $(VENV)/.installed-test ## Update the catalogs with the texts of the code, and compile them
	$(BIN)/python packaging/translations.py update

wheel: $(VENV)/.installed-test ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean: ## Remove the environment and everything made
	rm -rf $(VENV) dist build demo artifacts

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "PEFT Studio needs Python 3.11 or newer.")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[test]'
	touch $@ $(VENV)/.installed
