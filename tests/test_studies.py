"The studies: stripped in git, a receipt beside each, and every one still runs, on a little data."
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STUDIES = sorted((ROOT / "nbs/studies").glob("*.ipynb"))
LESSONS = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "nbs").glob("[0-9]*.ipynb"))


@pytest.fixture(params=STUDIES, ids=lambda p: p.stem)
def study(request): return request.param


def cells(path): return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell): return "".join(cell["source"])


def test_form(study):
    nb = json.loads(study.read_text(encoding="utf-8"))
    code = [c for c in nb["cells"] if c["cell_type"] == "code"]
    assert source(nb["cells"][0]).startswith("# ")
    assert set(nb["metadata"]) == {"kernelspec"} and len(nb["cells"]) <= 70
    for c in code:
        assert c["outputs"] == [] and c["execution_count"] is None
        assert not source(c).startswith("#| export") and set(c["metadata"]) <= {"tags"}
        assert max(map(len, source(c).splitlines())) <= 110 and len(source(c).splitlines()) <= 45
    assert sum(bool(re.search(r"^\s*assert ", source(c), re.M)) for c in code) >= 3


def test_parameters(study):
    tagged = [c for c in cells(study) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1
    given = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(source(tagged[0])).body}
    assert given["small"] is False and given["out"] == f"studies/{study.stem}.json"


def test_its_receipt_is_kept_and_a_lesson_reads_it(study):
    path = study.with_suffix(".json")
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert {"time", "versions", "hardware", "commit"} <= facts.keys() and path.stat().st_size <= 60_000
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", path.read_text(encoding="utf-8"))
    assert f"studies/{path.name}" in LESSONS


@pytest.mark.slow
def test_it_runs_on_a_little(study, tmp_path):
    ran = subprocess.run([sys.executable, ROOT / "scripts/studies.py", study.stem, "small=True", f"out={tmp_path}/out.json"],
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    new, kept = (json.loads(p.read_text(encoding="utf-8")) for p in (tmp_path/"out.json", study.with_suffix(".json")))
    assert new.keys() == kept.keys()
