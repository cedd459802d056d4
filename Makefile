# The two commands a reader needs: `make report` and `make test`. `make help` lists the rest.
# Needs make and Python 3.11, 3.12 or 3.13 only; everything else goes into .venv, from requirements.lock.

.POSIX:

# An interpreter of your choice: make report PYTHON=/path/to/python3.12
PYTHON =
# Further arguments for respine, pytest or uv: make report ARGS="--data DIR"
ARGS =

BIN = .venv/bin
# One thread a process, since chapters and tests already run side by side; no window, no random hashes.
RUN = env PYTHONHASHSEED=0 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 MPLBACKEND=agg

.PHONY: help install report test soak bench lint format refresh lock clean

help:
	@echo "make report    build the report: report/html/index.html and report/respine.pdf"
	@echo "make test      unit tests, and every chapter re-executed and compared with what it shows"
	@echo "make soak      the long fault-injection tests"
	@echo "make bench     timings beside their anchors, and coverage by simulation"
	@echo "make lint      ruff and mypy"
	@echo "make format    let ruff put the code in order"
	@echo "make refresh   re-execute the chapters and keep their new outputs"
	@echo "make lock      resolve requirements.lock again (ARGS=--upgrade for newer versions)"
	@echo "make install   only create .venv"
	@echo "make clean     remove .venv, caches and the built report"
	@echo "Variables:     PYTHON=/path/to/python3.12   ARGS=\"further arguments\""

report: install
	@$(RUN) $(BIN)/respine build $(ARGS)

NBVAL = --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg \
  --ignore-glob='tests/*.ipynb' --ignore-glob='*/.ipynb_checkpoints/*'

# Cells of a notebook share a kernel, so a file stays on one worker (loadscope). Kernels are forked as in a build.
test: install
	@$(RUN) JUPYTER_DEFAULT_PROVISIONER_NAME=respine-forked $(BIN)/python -m pytest tests chapters -n auto \
	  --maxprocesses 8 --dist loadscope $(NBVAL) -m "not soak" $(ARGS)

# The chapters here in ordinary kernels and as an older processor adds up: what they show must depend on neither.
OLD_PROCESSOR = OPENBLAS_CORETYPE=Prescott NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
soak: install
	@$(RUN) $(BIN)/python -m pytest tests -m soak $(ARGS)
	@$(RUN) $(OLD_PROCESSOR) $(BIN)/python -m pytest chapters -n auto --maxprocesses 8 --dist loadscope $(NBVAL) $(ARGS)

bench: install
	@$(RUN) $(BIN)/python -m benchmarks $(ARGS)

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

refresh: install
	@$(RUN) $(BIN)/respine refresh $(ARGS)

# The old lock is the starting point: a version changes only if it must, or with --upgrade.
lock: install
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -qq uv
	@$(BIN)/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock" \
	  --quiet --output-file requirements.lock $(ARGS)
	@echo "requirements.lock is resolved; environment.yml must name the same versions (make test says where not)"

clean:
	rm -rf .venv report .respine _build build respine.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Up to date by content: the stamps hold the checksum of what was installed, and where, since a .venv cannot be moved.
# A changed lock makes .venv anew, so that no leftover package hides a missing one.
PIP = $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps
CHECK = import ensurepip, os, sys, venv; sys.exit(1) if not (3, 11) <= sys.version_info < (3, 14) \
  else print(os.path.realpath(sys.executable))

install:
	@lock="$$(cksum < requirements.lock) $$PWD"; project="$$(cksum < pyproject.toml)"; \
	if [ "$$(cat .venv/.lock 2>&1)" = "$$lock" ] && [ "$$(cat .venv/.project 2>&1)" = "$$project" ] \
	  && $(BIN)/python -c '' 2>/dev/null; then exit 0; fi; \
	unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX; \
	if [ "$$(cat .venv/.lock 2>&1)" != "$$lock" ] || ! $(BIN)/python -c '' 2>/dev/null; then \
	  set -- "$(PYTHON)"; [ -n "$$1" ] || set -- python3 python3.13 python3.12 python3.11; \
	  python=; \
	  for name in "$$@"; do python="$$("$$name" -c '$(CHECK)' 2>/dev/null)" && break; done; \
	  if [ -z "$$python" ]; then \
	    echo "respine needs Python 3.11, 3.12 or 3.13 with its venv module; not found as: $$*" >&2; \
	    echo "Install one (Debian and Ubuntu: also python3-venv), or name one: make PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  set -e; \
	  echo "Creating .venv with $$("$$python" --version)"; \
	  "$$python" -m venv --clear .venv; \
	  echo "Installing the pinned packages: a few minutes, this once"; \
	  $(PIP) --no-compile --require-hashes -r requirements.lock; \
	  $(BIN)/python -m compileall -q -j 0 -x '/tests?/' .venv/lib >/dev/null || true; \
	  echo "$$lock" > .venv/.lock; \
	fi; \
	set -e; \
	$(PIP) --no-build-isolation -e .; \
	$(BIN)/python -m compileall -q respine >/dev/null || true; \
	echo "$$project" > .venv/.project
