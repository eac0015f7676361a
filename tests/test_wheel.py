"The wheel: what it carries, what it asks for, and that it works away from the clone."
import ast
import email
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow
# The clone is installed as editable: its finder must not answer for the wheel's files.
AWAY = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'ditable' not in " \
       "getattr(f, '__name__', type(f).__name__)]\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    "Built from a copy, so that no build/ or egg-info is left in the clone"
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"): (source/name).write_bytes((ROOT/name).read_bytes())
    for path in (ROOT/"ftlab").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            (source/path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            (source/path.relative_to(ROOT)).write_bytes(path.read_bytes())
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                           "--no-index", "-w", out, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return next(out.glob("ftlab-*.whl"))


@pytest.fixture(scope="module")
def away(wheel, tmp_path_factory):
    "Run Python on the unpacked wheel in an empty folder"
    target, empty = tmp_path_factory.mktemp("target"), tmp_path_factory.mktemp("empty")
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
                           "--target", target, wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    def run(code, *args):
        check = f"import ftlab; assert ftlab.__file__.startswith({str(target)!r}), ftlab.__file__\n"
        done = subprocess.run([sys.executable, "-c", AWAY + check + code, *args], cwd=empty, text=True,
                              capture_output=True, env=os.environ | {"PYTHONPATH": str(target)})
        assert "Traceback" not in done.stderr, done.stderr
        return done
    run.target, run.folder = target, empty
    return run


def name(ask): return re.match(r"[\w.-]+", ask)[0].lower().replace("_", "-")


def read(wheel, file):
    "A file of the wheel's dist-info"
    z = zipfile.ZipFile(wheel)
    return z.read(next(n for n in z.namelist() if n.endswith(f".dist-info/{file}"))).decode()


def test_files(wheel):
    have = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT/"ftlab").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts: assert str(path.relative_to(ROOT)) in have
    for wanted in ("models/llama-2-7b.json", "recipes/cron-smollm2-cpu.yaml", "metrics/cron/cron.py",
                   "templates/course.html"): assert f"ftlab/assets/{wanted}" in have
    stray = {n for n in have if not n.startswith(("ftlab/", "ftlab-"))}
    assert not stray and not [n for n in have if n.endswith((".ipynb", ".pyc"))]
    assert any(n.endswith("licenses/LICENSE") for n in have)


def test_metadata(wheel):
    meta = email.message_from_string(read(wheel, "METADATA"))
    asks = meta.get_all("Requires-Dist")
    plain = {name(a) for a in asks if "extra ==" not in a}
    assert not plain & {"nbdev", "jupyterlab", "nbgrader", "papermill", "notebook", "ipykernel", "pytest",
                        "matplotlib", "starlette", "uvicorn", "datatrove"} and {"torch", "peft", "typer"} <= plain
    assert set(meta.get_all("Provides-Extra")) == {"scale", "serve", "course", "dev"}
    assert meta["Requires-Python"] == ">=3.11" and meta["Name"] == "ftlab"
    assert "ftlab = ftlab.cli:main" in read(wheel, "entry_points.txt")


def test_every_import_of_a_module_is_asked_for(wheel):
    "A package that ftlab imports comes with it, or with the extra that the command names"
    meta = email.message_from_string(read(wheel, "METADATA"))
    asked = {name(a) for a in meta.get_all("Requires-Dist") if 'extra == "dev"' not in a}
    comes_along = {"numpy", "filelock", "huggingface-hub", "tokenizers", "jinja2"}   # with torch, transformers
    of, missing = packages_distributions(), {}
    for path in (ROOT/"ftlab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {n.split(".")[0] for n in names} - sys.stdlib_module_names - {"ftlab"}:
                dists = {name(d) for d in of.get(top, [top])}
                if not dists & (asked | comes_along): missing.setdefault(top, []).append(path.name)
    assert not missing.keys() - {"IPython", "nbformat", "traitlets"}, missing   # those three come with jupyterlab


def test_command_away_from_the_clone(away):
    call = "from ftlab.cli import main; sys.exit(main(sys.argv[1:]))"
    done = away(call, "params", "llama-2-7b", "-r", "8", "--target", "q_proj,v_proj", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["trainable"] == 4194304
    (away.folder/"some.jsonl").write_text('{"prompt": "noon", "completion": "0 12 * * *"}\n{"prompt": ""}\n')
    done = away(call, "data", "doctor", "some.jsonl")
    assert done.returncode == 1 and "some.jsonl:2: completion is missing" in done.stdout
    done = away(call, "run")
    assert done.returncode == 2 and "clone" in done.stderr
    script = away.target/"bin/ftlab"
    assert script.exists() and "ftlab.cli" in script.read_text()


def test_library_away_from_the_clone(away):
    (away.folder/"one.jsonl").write_text('{"prompt": "noon", "completion": "0 12 * * *"}\n')
    done = away("""if True:
        from ftlab.train import finetune, read_recipe
        from ftlab.evaluate import score
        recipe = read_recipe("llama2-7b-alpaca-qlora")
        assert (recipe.method, recipe.target_modules) == ("qlora", "q_proj,v_proj")
        assert score(["0 12 * * *"], ["0 12 * * *"], "cron")["score"] == 1
        run = finetune(read_recipe("cron-smollm2-cpu", model="tiny", weights="random", dtype="float32", max_steps=1,
                                   data="one.jsonl", max_length=512), "run")
        print(sorted(p.name for p in run.iterdir()))
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("['adapter', 'checkpoints', 'manifest.json', 'metrics.jsonl', 'recipe.yaml']")
