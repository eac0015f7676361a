"The catalogue: the same bytes from the same seed, answers that follow from the products, phrasings kept apart."
import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1] / "data" / "catalogue"
MAKE = [sys.executable, str(HERE / "make.py")]
FILES = ("products.jsonl", "train.jsonl", "test.jsonl")
BEFORE, AFTER = "2026-01-01", "2026-07-01"


def rows(name): return [json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines()]


def made(out, *more, **env):
    subprocess.run([*MAKE, "--out", str(out), *more], check=True, capture_output=True, env={"PATH": "", **env})
    return {name: (out / name).read_bytes() for name in FILES}


def test_same_bytes_whatever_the_hash_seed(tmp_path):
    kept = {name: (HERE / name).read_bytes() for name in FILES}
    for seed in "01": assert made(tmp_path / seed, PYTHONHASHSEED=seed) == kept
    other = made(tmp_path / "other", "--seed", "7")
    assert all(other[name] != kept[name] for name in FILES)


def test_manifest_and_card():
    facts = json.loads((HERE.parent / "manifest.json").read_text())["files"]
    card = (HERE / "CARD.md").read_text(encoding="utf-8")
    for name in FILES:
        data = (HERE / name).read_bytes()
        assert facts[f"catalogue/{name}"] == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data),
                                              "records": data.count(b"\n")}
        assert f"| `{name}` | {data.count(10):,} |" in card and len(data) < 250_000
    moved = sum(len({*p["price"].values()}) == 2 for p in rows("products.jsonl"))
    assert f"({moved} of 120 did)" in card and 60 <= moved <= 84 and "CC0" in card


def test_products():
    products = rows("products.jsonl")
    assert [p["id"] for p in products] == list(range(120))
    assert len({(p["series"], p["kind"]) for p in products}) == 120
    for p in products:
        assert set(p) == {"id", "series", "kind", "material", "colour", "weight_kg", "price"}
        assert list(p["price"]) == [BEFORE, AFTER] and all(type(n) is int and 5 <= n <= 400 for n in p["price"].values())


def test_questions_have_the_answers_of_the_products():
    products = rows("products.jsonl")
    for name in ("train.jsonl", "test.jsonl"):
        for row in rows(name):
            user, assistant = row["messages"]
            p = products[row["product"]]
            right = {d: f"${n}" if row["asks"] == "price" else p["material"] for d, n in p["price"].items()}
            assert (user["role"], assistant["role"]) == ("user", "assistant") and assistant["content"] == right[BEFORE]
            assert ("answers" in row) == (name == "test.jsonl") and row.get("answers", right) == right
            text = user["content"].lower()
            assert p["series"].lower() in text and p["kind"] in text and right[BEFORE] not in text
    assert Counter(Counter(r["product"] for r in rows("test.jsonl")).values()) == {3: 120}
    assert Counter(Counter(r["product"] for r in rows("train.jsonl")).values()) == {9: 120}


def test_the_test_is_asked_in_words_that_train_lacks():
    products = rows("products.jsonl")

    def phrasing(row):
        p = products[row["product"]]
        return row["messages"][0]["content"].lower().replace(p["series"].lower(), "S").replace(p["kind"], "K")
    train, test = ({phrasing(r) for r in rows(name)} for name in ("train.jsonl", "test.jsonl"))
    assert len(train) == 24 and len(test) == 12 and not train & test


@pytest.mark.parametrize("name", FILES)
def test_check_finds_a_changed_file(tmp_path, name):
    shutil.copytree(HERE, tmp_path / "catalogue", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE.parent / "manifest.json", tmp_path)
    check = [sys.executable, str(tmp_path / "catalogue/make.py"), "--check"]
    assert subprocess.run(check, capture_output=True, text=True).stdout == "as committed\n"
    path = tmp_path / "catalogue" / name
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == f"differs: {name}\n"
