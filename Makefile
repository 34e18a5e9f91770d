# Everything a person or CI types. `make repro` and `make test` need Python 3.11 to 3.13, git and make.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := src

.PHONY: repro test lint format deps schema preset lock noop speed architectures readme web peers peers-accuracy microwakeword openwakeword

repro: .venv/installed  ## run the pipeline: model, metrics, plots
	python tools/params_schema.py
	dvc repro

test: .venv/installed  ## run the tests; those of the page in web/ need Node.js, npm and Chromium too, or skip
	@if command -v npm >/dev/null; then $(MAKE) --quiet web || echo "no onnxruntime-web: the page's tests skip"; fi
	python -m pytest --numprocesses=logical --dist=loadfile --no-loadscope-reorder

lint: .venv/installed
	ruff check . && ruff format --check . && mypy && mypy --explicit-package-bases stages tools && python tools/stage_deps.py

format: .venv/installed
	ruff check --fix . && ruff format .

deps: .venv/installed  ## let dvc.yaml name the code that each stage imports
	python tools/stage_deps.py --write

schema: .venv/installed  ## regenerate params.schema.json
	python tools/params_schema.py --write

preset: .venv/installed  ## lay presets/NAME.yaml over params.yaml
	python tools/preset.py $(NAME)

results-%: .venv/installed  ## figures and cost of a preset (or of `default`) in a fresh clone
	python -m benchmarks.run_preset $*

noop: .venv/installed  ## what `dvc repro` costs when there is nothing to do
	python -m benchmarks.noop

speed: .venv/installed  ## how fast the parts are
	python -m benchmarks.speed

architectures: .venv/installed  ## what each architecture costs: docs/architectures.md
	python -m benchmarks.architectures

readme: .venv/installed  ## the README's tables and picture, from metrics and benchmarks
	python -m tools.readme

peers: .venv/installed .cache/peers/installed  ## what listening costs, beside other engines
	python -m benchmarks.peers

peers-accuracy: .venv/installed .cache/peers/installed  ## misses and false alarms on the test streams, beside other engines
	python -m benchmarks.peers_accuracy

# openwakeword needs tflite-runtime, which has no package for a newer Python.
.cache/peers/installed: requirements/peers.txt .venv/installed
	test -x .cache/peers/bin/python || python3.11 -m venv .cache/peers
	.venv/bin/uv pip sync --quiet --python .cache/peers/bin/python --require-hashes --compile-bytecode requirements/peers.txt
	@touch $@

microwakeword: .venv/installed  ## the same phrase as a model for microWakeWord and ESPHome; docs/interchange.md
	OMP_WAIT_POLICY=PASSIVE python -m tools.microwakeword

openwakeword: .venv/installed .cache/peers/installed  ## the same phrase as a model for openWakeWord
	python -m tools.openwakeword

web: web/vendor/installed  ## put onnxruntime-web beside the page in web/; needs Node.js and npm

web/vendor/installed: web/package-lock.json
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	mkdir -p web/vendor
	cd web/node_modules/onnxruntime-web && cp dist/ort.wasm.bundle.min.mjs dist/ort-wasm-simd-threaded.wasm ../../vendor
	@touch $@

lock: .venv/installed  ## pin the newest packages that pyproject.toml allows
	uv pip compile pyproject.toml --extra train --extra mic --extra serve --extra interchange --extra dev --universal \
		--python-version 3.11 --generate-hashes --upgrade --quiet -o requirements/lock.txt
	uv pip compile requirements/peers.in --python-version 3.11 --generate-hashes --upgrade --quiet -o requirements/peers.txt

.venv/installed: requirements/lock.txt requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 found; install one or set PYTHON=..."; exit 1; }
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	.venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode requirements/lock.txt
	@touch $@
