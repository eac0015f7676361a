"The form of the lessons: small, clean, and every idea ends in an assertion."
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))
LIGHT = """core decide shapes rag rank memory rehearse fit pieces data cron text privacy rules duplicates stream whole
    doctor report template quality tokens pack prepare scale recipe checkpoint card processes box plan results course""".split()


def cells(path, kind="code"):
    nb = json.loads(path.read_text(encoding="utf-8"))
    return [c for c in nb["cells"] if c["cell_type"] == kind]


def source(cell): return "".join(cell["source"])


def exported(path): return [source(c) for c in cells(path) if source(c).startswith("#| export")]


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def nb(request): return request.param


def test_sizes(nb):
    all_cells = json.loads(nb.read_text(encoding="utf-8"))["cells"]
    assert len(all_cells) <= 70
    assert nb.stat().st_size <= 250_000
    lines = [len(source(c).splitlines()) for c in cells(nb)]
    assert max(lines) <= 45
    assert sorted(lines)[len(lines) // 2] <= 10
    long = [line for c in cells(nb) for line in source(c).splitlines() if len(line) > 110]
    assert not long


def test_a_quarter_of_the_cells_assert_something(nb):
    code = [source(c) for c in cells(nb)]
    asserting = [c for c in code if re.search(r"^\s*(assert |with raises)", c, re.M)]
    assert len(asserting) / len(code) >= .25
    for c in code:
        for node in ast.walk(ast.parse(re.sub(r"^[%!].*$", "", c, flags=re.M))):
            if isinstance(node, ast.Assert): assert not isinstance(node.test, ast.Constant), c


def test_no_assert_checks_input(nb):
    for c in exported(nb):
        tree = ast.parse(c)
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Assert)], c
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.type is None], c
        kinds = {type(n) in (ast.Import, ast.ImportFrom) for n in tree.body}
        assert len(kinds) == 1, f"imports and other code in one cell:\n{c}"


def test_clean_metadata(nb):
    doc = json.loads(nb.read_text(encoding="utf-8"))
    assert set(doc["metadata"]) == {"kernelspec"}
    for c in doc["cells"]:
        assert set(c["metadata"]) <= {"tags", "nbgrader"}
        assert c.get("execution_count") is None
    nbformat.validate(nbformat.from_dict(doc))


def test_nothing_of_the_machine(nb):
    text = nb.read_text(encoding="utf-8")
    assert not re.findall(r'(?:/home/|/root/|/Users/|/tmp/tmp|C:\\\\)[\w./-]+', text)


def test_each_lesson_has_its_parts(nb):
    code, text = cells(nb), "\n".join(source(c) for c in cells(nb, "markdown"))
    assert source(code[0]).startswith("#| default_exp ")
    assert re.search(r"^# ", text, re.M) and re.search(r"^> ", text, re.M)
    if nb.stem < "20":
        assert re.search(r"^## What goes wrong", text, re.M)
        assert "<details>" in text and re.search(r"^## Further reading", text, re.M)


def test_parameters_are_literals(nb):
    tagged = [c for c in cells(nb) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) <= 1
    for c in tagged:
        for node in ast.parse(source(c)).body:
            assert isinstance(node, ast.Assign)
            ast.literal_eval(node.value)


def test_imports_only_lower_rooms(nb):
    order = {source(cells(p)[0]).split()[-1]: p.stem.split("_")[0] for p in NOTEBOOKS}
    mine = nb.stem.split("_")[0]
    for c in cells(nb):
        for room in re.findall(r"^\s*from ftlab\.(\w+) import", source(c), re.M):
            assert order[room] < mine, f"{nb.stem} imports {room}"


def test_modules_are_small(nb):
    name = source(cells(nb)[0]).split()[-1]
    module = (ROOT / "ftlab" / f"{name}.py").read_text(encoding="utf-8")
    public = re.search(r"__all__ = \[(.*?)\]", module, re.S)
    assert len(re.findall(r"'", public.group(1))) // 2 <= 13 if public else True
    assert sum(len(c.splitlines()) for c in exported(nb)) <= 330


@pytest.mark.parametrize("module", ["", *LIGHT])
def test_light_import(module):
    "What the quick commands use must not pull in torch, nor the notebook tools"
    name = "ftlab" + (f".{module}" if module else "")
    heavy = "{m.split('.')[0] for m in sys.modules} & set('torch transformers datasets peft nbdev papermill'.split())"
    ran = subprocess.run([sys.executable, "-c", f"import sys, {name}; print(sorted({heavy}))"],
                         capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_generated_modules_equal_the_notebooks():
    ran = subprocess.run([sys.executable, ROOT / "scripts/drift.py"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
