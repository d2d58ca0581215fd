# Everything runs from here; `make help` lists the targets. Set-up happens by itself.
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
SAM_VENV := .venv-sam
BIN := $(CURDIR)/$(VENV)/bin
# sam is linked into .venv/bin, so one PATH entry reaches every tool the project installs.
export PATH := $(BIN):$(PATH)
export SAM_CLI_TELEMETRY := 0
export __SAM_CLI_APP_DIR := $(CURDIR)/.local/sam/app
# Behind a proxy with a certificate of its own, only the system knows whom to trust.
export UV_SYSTEM_CERTS ?= 1
# As local/own_folders.py: temporary files and compiled modules lie in the project's own folder, and stay compiled.
export TMPDIR := $(CURDIR)/.local/tmp
export PYTHONPYCACHEPREFIX := $(CURDIR)/.local/compiled
export PYTHONDONTWRITEBYTECODE :=
$(shell mkdir -p $(TMPDIR))
MODE ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup demo local validate test test-unit test-slow fuzz faults check bench pictures schemas sbom audit redrive clean lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.ready $(SAM_VENV)/.ready ## install the pinned tools into .venv and .venv-sam

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; point PYTHON at one: make PYTHON=python3.12 …")'
	@echo "==> installing the project's tools into $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "python's venv module is missing (on Debian: apt install python3-venv)"; exit 1; }
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip install --quiet --requirement requirements/dev.txt
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip install --quiet --no-deps --editable .
	@touch $@

$(SAM_VENV)/.ready: requirements/sam.txt $(VENV)/.ready
	@echo "==> installing the AWS SAM CLI into $(SAM_VENV)"
	@$(VENV)/bin/uv venv --quiet --clear --python $(VENV)/bin/python $(SAM_VENV)
	@VIRTUAL_ENV=$(CURDIR)/$(SAM_VENV) $(VENV)/bin/uv pip install --quiet --requirement requirements/sam.txt
	@ln -sf ../../$(SAM_VENV)/bin/sam $(VENV)/bin/sam
	@ln -sf ../../$(SAM_VENV)/bin/cfn-lint $(VENV)/bin/cfn-lint
	@touch $@

demo: setup ## play the reference incident (MODE=approve waits for your click in Slack, KEEP=1 keeps the stack up)
	@MODE=$(MODE) python -m local.demo

local: setup ## keep the embedded stack up; prints its URLs, Ctrl-C ends everything (MODE=approve by default)
	@MODE=$(if $(filter command line,$(origin MODE)),$(MODE),approve) exec python -m local.stack

PYTHON_CODE := layers/core/ip_remediator functions cli local scripts

check: setup ## every static check: format, lint, types, imports, template, state machines, security
	ruff format --check .
	ruff check .
	mypy $(PYTHON_CODE)
	lint-imports
	cfn-lint template.yaml $(wildcard onboarding/cluster.yaml onboarding/pagerduty.yaml onboarding/teams.yaml)
	AWS_DEFAULT_REGION=eu-west-1 sam validate --lint
	python scripts/lint_state_machines.py
	python scripts/check_complexity.py
	bandit --quiet --recursive --configfile pyproject.toml layers/core/ip_remediator functions cli

# Two workers, as many as a small machine has cores; a file stays on one, so that its servers start once. In the order
# of the folders the many small files of tests/unit come last, and neither worker waits long for the other: xdist's own
# order ends with the files of one test, which are the longest.
SPREAD := --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: setup ## every fast test, the integration tests on the embedded stack included
	pytest -m "not slow" $(SPREAD) $(PYTEST_FLAGS)

test-unit: setup ## the tests that need no server
	pytest tests/unit -m "not slow" --numprocesses 2 $(PYTEST_FLAGS)

test-slow: setup ## the rest: rollbacks in every set-up, second incidents, modes, the simulator, browser, the demo itself
	pytest -m slow $(SPREAD) $(PYTEST_FLAGS)
	pytest tests/unit -m "hypothesis and not slow" --hypothesis-profile thorough --numprocesses 2 $(PYTEST_FLAGS)

validate: setup ## walk the state machines on two implementations of the States Language and compare them
	pytest tests/contract/statemachine $(PYTEST_FLAGS)

fuzz: setup ## hostile inputs for everything that reads what others wrote (INPUTS=200000 for each source, SEED=…, SECONDS=900)
	@python -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

# An id of the table runs one case again; with WHOLE=1 on the whole stack. PAGE=1 writes docs/reliability.md. OTHERS=1
# has other people act before each step instead (CASE, SHARE, SEED, WORLDS, WORKERS).
faults: setup ## every single fault at every call of a remediation and its rollbacks (CASE=<id>, WHOLE=1, SHARE=0.1, SECONDS=3600, SEED=…, PAIRS=2000, WORLDS=new-cidr, WORKERS=2, WRITES=1, PAGE=1; OTHERS=1: acts of other people)
	@python -m tests.faults$(if $(OTHERS),.others) $(if $(CASE),--case $(CASE)) $(if $(WHOLE),--whole) \
	  $(if $(SHARE),--share $(SHARE)) \
	  $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(WORLDS),--worlds $(WORLDS)) \
	  $(if $(WORKERS),--workers $(WORKERS)) $(if $(WRITES),--writes) $(if $(PAGE),--page)

bench: setup ## measure heal time, API calls, cold starts, cost into benchmarks/RESULTS.md (QUICK=1: one round; START_UP=1: only start-up times)
	@python -m benchmarks $(if $(QUICK),--quick) $(if $(START_UP),--start-up)

pictures: setup ## take the pictures of docs/images from the real Slack page (needs Chromium)
	@python -m scripts.pictures

schemas: setup ## write the JSON Schemas of docs/schemas, docs/parameters.md and docs/tags.md from code and template
	@python -m scripts.schemas
	@python -m scripts.event_schema
	@python -m scripts.settings_pages

# aiohttp serves only kubernetes.aio, which the kube layer leaves out; pydantic comes with the core layer.
NOT_IN_KUBE_LAYER := aiohappyeyeballs aiohttp aiohttp-retry aiosignal annotated-types attrs frozenlist multidict \
  propcache pydantic pydantic-core typing-extensions typing-inspection yarl
COMPILE := $(VENV)/bin/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --custom-compile-command "make lock"

lock: $(VENV)/.ready ## resolve the pinned versions again (requirements/ and layers/*/requirements.txt)
	$(COMPILE) pyproject.toml --all-extras --universal --output-file requirements/dev.txt
	$(COMPILE) requirements/sam.in --universal --output-file requirements/sam.txt
	$(COMPILE) layers/core/requirements.in --constraints requirements/dev.txt --output-file layers/core/requirements.txt
	$(COMPILE) layers/kube/requirements.in --constraints requirements/dev.txt \
	  $(NOT_IN_KUBE_LAYER:%=--no-emit-package %) --output-file layers/kube/requirements.txt

sbom: setup ## list what is deployed, with licences and hashes: a table, and CycloneDX in .local/sbom.json
	@python -m scripts.sbom

PIP_AUDIT_VERSION := 2.9.0
audit: setup ## ask PyPI's advisory database about the pinned packages of both layers; needs the Internet
	@for layer in core kube; do uv tool run pip-audit==$(PIP_AUDIT_VERSION) --require-hashes --disable-pip \
	  --requirement layers/$$layer/requirements.txt || exit 1; done

redrive: setup ## give the dead letters of a stack back to its queue: make redrive STACK=eks-ip-remediator
	@python -m scripts.redrive "$(STACK)"

clean: ## remove everything that make created
	rm -rf $(VENV) $(SAM_VENV) .local .aws-sam .cache .hypothesis .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
