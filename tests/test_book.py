"`make docs`: the book is made of the notebooks, and a link that leads nowhere stops it."
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def copy(tmp_path):
    "As much of a clone as the book needs; the lessons as committed, not executed"
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs", ignore=shutil.ignore_patterns("studies", ".ipynb_checkpoints"))
    for folder in ("docs", "scripts"): shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def make(copy): return subprocess.run([sys.executable, copy / "scripts/book.py"], capture_output=True, text=True)


@pytest.mark.slow
def test_the_book(copy):
    done = make(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    lessons = sorted(p.stem for p in copy.glob("nbs/*.ipynb"))
    assert f"{len(lessons)} pages, no warnings, every link resolves" in done.stdout
    assert all((copy / f"build/book/html/{name}.html").exists() for name in lessons)
    index = copy / "nbs/index.ipynb"
    index.write_text(index.read_text(encoding="utf-8").replace("../docs/results.png", "../docs/resolts.png"), encoding="utf-8")
    lost = make(copy)
    assert lost.returncode == 1 and "resolts.png" in lost.stdout + lost.stderr
