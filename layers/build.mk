# Shared by the layers' Makefiles, which `sam build` calls (BuildMethod: makefile).
# Wheels are fetched for the Lambda runtime, so no other Python, no compiler and no Docker is needed on the host.
#   LAMBDA_PYTHON    the runtime's Python version (Runtime parameter of template.yaml)
#   LAMBDA_PLATFORM  aarch64, x86_64, or host: whatever runs this (the embedded stack)
LAMBDA_PYTHON ?= 3.14
LAMBDA_PLATFORM ?= aarch64
ifeq ($(LAMBDA_PLATFORM),host)
WHEELS :=
else
WHEELS := --only-binary=:all: --implementation=cp --python-version=$(LAMBDA_PYTHON) \
  $(foreach glibc,2014 _2_17 _2_28 _2_34,--platform=manylinux$(glibc)_$(LAMBDA_PLATFORM))
endif

define install
	python3 -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes \
	  $(WHEELS) --requirement requirements.txt --target "$(ARTIFACTS_DIR)/python"
	find "$(ARTIFACTS_DIR)/python" -type d \( -name tests -o -name __pycache__ -o -name bin \) -prune -exec rm -rf {} +
endef
