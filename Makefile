# What a person and the CI call. Needs GNU make and Python 3.11 or newer; everything else goes into .venv.

VENV ?= .venv
BIN := $(VENV)/bin
# What is installed: for serving, training and the demo; and besides what tests, checks and pages need.
LIGHT := $(VENV)/.installed-light
STAMP := $(VENV)/.installed
# `make install-cpu` leaves it, and every later install does without what only a GPU uses.
CPU := $(VENV)/.cpu
# After a demo and before a first training of your own, `make serve` serves what the demo has trained.
ARTIFACTS ?= $(firstword $(wildcard artifacts demo/artifacts) artifacts)
# Options of benchmarks.suite: --quick, --only PART ..., --artifact FOLDER, --peers-python PYTHON.
BENCH ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-cpu install-dev demo test test-long check docs lock figures serve dist bench study chaos image findings clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' $(MAKEFILE_LIST)

install: $(LIGHT)  ## environment for serving and training, in .venv

install-cpu: $(BIN)/python  ## the same without CUDA, for machines without a GPU
	@touch $(CPU)
	@$(MAKE) --no-print-directory $(LIGHT)

install-dev: $(STAMP)  ## environment for tests, checks and pages besides

demo: $(LIGHT)  ## train on photographs of bricks, serve, judge, and write demo/answer.png
	$(BIN)/python -m examples.demo

test: $(STAMP)  ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-long: $(STAMP)  ## the tests that take minutes, and that `make test` leaves out
	$(BIN)/python -m pytest -m long

check: $(STAMP)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2

docs: $(STAMP)  ## the documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict  # with --quiet it would not see the warnings

lock: $(STAMP)  ## write constraints.txt: the versions that are installed here, and were tested
	$(BIN)/python -m tools.lock constraints.txt

figures: $(STAMP)  ## draw docs/images/imports.svg anew: which part imports which
	$(BIN)/python -m tools.import_figure docs/images/imports.svg

serve: $(LIGHT)  ## serve ARTIFACTS (artifacts, else demo/artifacts) on http://127.0.0.1:8000
	$(BIN)/python -m service --artifacts $(ARTIFACTS)

bench: $(STAMP)  ## all benchmarks, an hour on two cores; writes docs/benchmarks.md (BENCH=--quick for some minutes)
	$(BIN)/python -m benchmarks.suite $(BENCH)

# quick, main, ablations ...: the plans in studies/. The measuring data and Fashion-MNIST must be where the plan says.
STUDY ?= main
study: $(STAMP)  ## the figures of docs/results.md, in reports/studies; STUDY=quick for a first look
	$(BIN)/python -m trainer study studies/$(STUDY).toml --out reports/studies/$(STUDY)

# As root the full disk is a real one, a tmpfs that is mounted for it; else files that may not grow.
CHAOS ?= 0:200
chaos: $(STAMP)  ## 200 schedules of kills, full disks, lost folders, strange clients ...; CHAOS=SEED for one
	$(BIN)/python -m tests.chaos --seeds $(CHAOS) --out reports/chaos.json

image: $(BIN)/python  ## build the image for CPUs and try it, with docker or (as root on Debian) buildah
	$(BIN)/python -m docker.trial

findings:  ## run what outside libraries were found to do, each in a fresh environment; needs a package registry
	@failed=0; for each in findings/*.sh; do echo "== $$each"; bash "$$each" || failed=1; done; exit $$failed

dist: $(LIGHT)  ## a wheel for other machines, in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove what the demo, the tests and the tools have written; artifacts/ and .venv stay
	rm -rf demo build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml once what it lists is installed. The one for developers covers the light one.
$(LIGHT): pyproject.toml constraints.txt | $(BIN)/python
	$(call install,demo)
	@touch $@

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(call install,dev)
	@touch $(LIGHT) $@

define install
@if [ -e $(CPU) ]; then \
	echo '$(BIN)/python -m docker.image.install_cpu $(BIN)/python $(1)'; \
	$(BIN)/python -m docker.image.install_cpu $(BIN)/python $(1) \
		&& $(BIN)/python -m pip install --quiet --no-deps --editable .; \
else \
	echo "$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$(1)]'"; \
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(1)]'; \
fi
endef

# A name on the PATH may be a shim of a version that is not there, so each candidate is asked for its version.
$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "$$python -m venv $(VENV)"; exec "$$python" -m venv $(VENV); \
		fi; \
	done; \
	echo 'no Python 3.11 or newer with venv was found; name one: make PYTHON=/path/to/python3.11' >&2; exit 1
