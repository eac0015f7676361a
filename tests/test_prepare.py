"From a file to rows on disk: the same rows as one by one, the same bytes each time, everything accounted for."
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from ftlab.core import _byte_tokenizer, sha256
from ftlab.data import pieces
from ftlab.prepare import Preparer, _chunk, prepare_file
from ftlab.rules import KINDS
from ftlab.stream import in_order
from ftlab.tokens import IGNORE_INDEX, encode



def tokenizer(): return _byte_tokenizer()


# ---- files

def talks(n, seed=0):
    rng = random.Random(seed)
    words = "cron minute hour noon midnight weekday month every at on 12 30 * / , -".split()
    say = lambda: " ".join(rng.choices(words, k=rng.randint(2, 12)))
    return [{"messages": [{"role": r, "content": say()} for _ in range(rng.choice((1, 1, 2))) for r in ("user", "assistant")]}
            for _ in range(n)]


BAD = ['{"messages": [', '{"messages": [{"role": "user", "content": "hi"}]}', "[]", '{"text": 1}',
       json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<|im_end|>"}]}),
       json.dumps({"messages": [{"role": "user", "content": "a " * 900}, {"role": "assistant", "content": "b"}]})]


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    "5,000 good records and every 300th line a bad one: three chunks"
    records = talks(5000)
    lines = [json.dumps(r) for r in records]
    for i, at in enumerate(range(300, 5000, 300)): lines.insert(at, BAD[i % len(BAD)])
    path = tmp_path_factory.mktemp("messy") / "talks.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path, records, lines


def run(source, out, **how):
    return prepare_file(source, tokenizer(), out, **{"max_length": 512, "progress": False, "workers": 1, "rules": False} | how)


def hashes(folder): return {p.name: sha256(p) for p in sorted(Path(folder).iterdir())}


@pytest.mark.slow
@pytest.mark.parametrize("rules", [False, True])
def test_every_record_is_a_row_or_has_a_name(messy, tmp_path, rules):
    from datasets import load_from_disk
    path, records, lines = messy
    facts = run(path, tmp_path / "rows", rules=rules)
    rows = load_from_disk(str(tmp_path / "rows"))
    named = [json.loads(line) for line in (tmp_path / "rows/rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert facts["records"] == len(lines) == len(rows) + len(named) and facts["kept"] == len(rows) == len(records)
    assert sorted([*rows["line"], *(r["line"] for r in named)]) == list(range(1, len(lines) + 1))
    assert Counter(r["code"] for r in named) == facts["rejected"]
    assert {"too-long", "special-token-in-text"} <= set(facts["rejected"])
    assert all(r["file"] == str(path) and r["what"] and r["do"] == KINDS[r["code"]][1] for r in named)
    origin = {p.line: p.hash for p in pieces(path)}
    for row, record in zip(rows, records):
        assert {k: row[k] for k in ("input_ids", "labels")} == encode(record, tokenizer())
        assert json.loads(lines[row["line"] - 1]) == record and row["hash"] == origin[row["line"]]
    assert facts["tokens"] == sum(map(len, rows["input_ids"]))
    assert facts["taught"] == sum(l != IGNORE_INDEX for labels in rows["labels"] for l in labels)


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_the_same_bytes_with_any_number_of_workers(messy, tmp_path, packed):
    got = []
    for workers in (1, 2, 3):
        run(messy[0], tmp_path / f"{workers}", packed=packed, workers=workers)
        got.append(hashes(tmp_path / f"{workers}"))
    assert got[0] == got[1] == got[2]


@pytest.mark.slow
def test_packed_rows_hold_each_conversation_once(messy, tmp_path):
    from datasets import load_from_disk
    run(messy[0], tmp_path / "rows")
    facts = run(messy[0], tmp_path / "packed", packed=True)
    rows = {r["line"]: r for r in load_from_disk(str(tmp_path / "rows"))}
    packed = load_from_disk(str(tmp_path / "packed"))
    seen = []
    for row in packed:
        assert len(row["input_ids"]) == len(row["labels"]) == sum(row["seq_lengths"]) <= 512
        at = 0
        for line, digest, n in zip(row["line"], row["hash"], row["seq_lengths"]):
            one = rows[line]
            assert row["input_ids"][at:at + n] == one["input_ids"] and one["hash"] == digest
            assert row["labels"][at:at + n] == [IGNORE_INDEX, *one["labels"][1:]]
            seen.append(line)
            at += n
    assert sorted(seen) == sorted(rows) and facts["full"] == sum(map(len, packed["input_ids"])) / (512 * len(packed)) > .97


def test_any_source(messy, tmp_path):
    from datasets import Dataset, load_from_disk
    records = messy[1][:50]
    zipped = tmp_path / "talks.jsonl.gz"
    zipped.write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    want = [encode(r, tokenizer())["input_ids"] for r in records]
    for i, source in enumerate((zipped, records, Dataset.from_list(records), iter(records))):
        run(source, tmp_path / f"{i}", progress=True)
        assert list(load_from_disk(str(tmp_path / f"{i}"))["input_ids"]) == want


def test_refusals(messy, tmp_path):
    records = messy[1][:3]
    run(records, tmp_path / "there")
    with pytest.raises(FileExistsError, match="overwrite=True"): run(records, tmp_path / "there")
    before = hashes(tmp_path / "there")
    run(records, tmp_path / "there", overwrite=True)
    assert hashes(tmp_path / "there") == before
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="choose another name"): run(records, tmp_path / "mine", overwrite=True)
    with pytest.raises(ValueError, match="max_length"): run(records, tmp_path / "x", packed=True, max_length=None)
    with pytest.raises(ValueError, match="none of 2 records .*not-a-record"): run([{"a": 1}] * 2, tmp_path / "x")
    with pytest.raises(FileNotFoundError): run(tmp_path / "nothing.jsonl", tmp_path / "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "there"]


def test_what_stood_there_stays_until_the_new_is_complete(messy, tmp_path):
    run(messy[1][:3], tmp_path / "rows")
    before = hashes(tmp_path / "rows")

    def stops():
        yield from messy[1]
        raise RuntimeError("the network is gone")
    with pytest.raises(RuntimeError, match="the network"): run(stops(), tmp_path / "rows", overwrite=True, workers=2)
    assert hashes(tmp_path / "rows") == before and [p.name for p in tmp_path.iterdir()] == ["rows"]


def test_the_command(messy, tmp_path, capsys):
    from ftlab.cli import main
    out, how = tmp_path / "rows", ["--weights", "random", "--max-length", "512", "--packed", "--no-rules", "--workers", "1"]
    assert main(["data", "prepare", str(messy[0]), str(out), *how]) == 1      # some records are set aside
    said = capsys.readouterr().out
    facts = json.loads((out / "prepare.json").read_text(encoding="utf-8"))
    assert f"{facts['kept']:,} kept in {facts['rows']:,} rows" in said
    assert all(f"{n} rejected: {code}" in said for code, n in facts["rejected"].items()) and "rejected.jsonl" in said
    assert main(["data", "prepare", str(messy[0]), str(out), *how, "--json"]) == 2      # it is there already
    good = tmp_path / "good.jsonl"
    good.write_text("\n".join(map(json.dumps, messy[1][:9])), encoding="utf-8")
    capsys.readouterr()
    assert main(["data", "prepare", str(good), str(tmp_path / "fine"), "--weights", "random", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 9


# ---- workers

class Spy(Preparer):
    "Says whether a worker has torch, and which threads its tokenizer may use"
    def rows(self, pieces):
        kept, rejected, warned = super().rows(pieces)
        return kept, rejected, Counter({f"torch={'torch' in sys.modules}": 1, os.environ["TOKENIZERS_PARALLELISM"]: 1})


class Dies(Preparer):
    "As if the kernel had killed it for its memory"
    def rows(self, pieces): os._exit(9)


def cut(records, size=500):
    made = list(pieces(records))
    return (made[i:i + size] for i in range(0, len(made), size))


@pytest.mark.slow
def test_workers_need_no_torch(messy):
    counts = [c for _, _, c in in_order(partial(_chunk, Spy(tokenizer())), cut(messy[1]), 2)]
    assert len(counts) == 10 and all(c["warned torch=False"] == c["warned false"] == 1 for c in counts)


@pytest.mark.slow
def test_a_worker_that_dies_is_no_endless_wait(messy):
    from concurrent.futures.process import BrokenProcessPool
    with pytest.raises(BrokenProcessPool): list(in_order(partial(_chunk, Dies(tokenizer())), cut(messy[1]), 2))


@pytest.mark.slow
def test_few_chunks_are_under_way(messy):
    "The reader never runs far ahead of the writer, however slow that is"
    taken = 0

    def counted():
        nonlocal taken
        for chunk in cut(messy[1], 100):
            taken += 1
            yield chunk
    for done, _ in enumerate(in_order(partial(_chunk, Preparer(tokenizer())), counted(), 2), 1):
        assert taken - done <= 5
        time.sleep(.01)
    assert done == taken == 50


SCRIPT = """
import sys
from test_prepare import run
if __name__ == "__main__": run(sys.argv[1], sys.argv[2], workers=2)
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    "8,000 records, and the folder that an undisturbed run makes of them"
    folder = tmp_path_factory.mktemp("big")
    with (folder / "big.jsonl").open("w", encoding="utf-8") as f:
        for i in range(4): f.write("\n".join(map(json.dumps, talks(2000, i))) + "\n")
    run(folder / "big.jsonl", folder / "whole")
    return folder / "big.jsonl", hashes(folder / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("after", [1000, 2_500_000])
def test_killed_in_the_middle(big, tmp_path, after):
    "Nothing carries the name, no worker is left, and the next run gives the bytes of an undisturbed one"
    import psutil
    script = tmp_path / "run.py"
    script.write_text(SCRIPT, encoding="utf-8")
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    going = subprocess.Popen([sys.executable, script, big[0], tmp_path / "out"], env=os.environ | {"PYTHONPATH": path},
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = tmp_path / ".out.new/data-00000-of-00001.arrow"
    while going.poll() is None and not (part.exists() and part.stat().st_size > after): time.sleep(.01)
    children = psutil.Process(going.pid).children(recursive=True)
    assert going.poll() is None and children, "it was over before it could be killed"
    going.send_signal(signal.SIGKILL)
    going.wait()
    assert not (tmp_path / "out").exists() and (tmp_path / ".out.new").exists()
    assert not psutil.wait_procs(children, timeout=60)[1]
    run(big[0], tmp_path / "out")
    assert hashes(tmp_path / "out") == big[1] and not (tmp_path / ".out.new").exists()


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path):
    "A rehearsal with few conversations: rate and memory of each stage, TRL's among them"
    script, out = Path(__file__).resolve().parent.parent / "benchmarks/data.py", tmp_path / "data.json"
    done = subprocess.run([sys.executable, script, "--n", "300", "--only", "read", "duplicates", "prepare", "trl", "--out", out],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = json.loads(out.read_text(encoding="utf-8"))["runs"]
    assert {"read", "duplicates", "prepare", "trl"} == set(runs)
    for run in (r for many in runs.values() for r in many):
        assert run["records"] == 300 and 0 < run["peak_pss_gb"] <= run["peak_rss_gb"] and run["work_seconds"] > 0
    assert runs["prepare"][0]["kept"] + sum(runs["prepare"][0]["rejected"].values()) == 300
