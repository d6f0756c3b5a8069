PYTHON ?= python3
# Imports compiled once, not in every process.
unexport PYTHONDONTWRITEBYTECODE
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: setup demo test audit lint lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("HEML needs Python >= 3.11, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --no-deps --no-build-isolation -e .
	$(BIN)/python -c 'import torchvision; torchvision.ops.nms'
	touch $@

demo: setup
	$(BIN)/heml demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

# Known vulnerabilities of the lock's packages, where the service that knows them can be reached.
audit: setup
	bash .ci/audit $(BIN)

# Makes requirements.lock again from pyproject.toml: names, versions and hashes, no index address.
lock:
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate \
		--python-version 3.11 --extra dev --extra cluster --extra build pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .heml
	@echo 'removed $(VENV) and .heml, with all that was trained; make setup starts anew'
