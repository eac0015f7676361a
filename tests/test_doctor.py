"The doctor over whole files: every kind by code and line, nothing lost, killed and rerun, clean data left alone."
import base64
import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from functools import partial

import clean
import planted
import pytest
from datasets import Dataset
from test_data import BAD as READ

from ftlab import stream
from ftlab.cli import main
from ftlab.data import READING, load, write_jsonl
from ftlab.doctor import Settings, doctor, fix, gate
from ftlab.rules import KINDS
from ftlab.stream import chunks, in_order


def one(q="q", a="a"): return {"prompt": q, "completion": a}
def chat(*turns): return {"messages": [{"role": r, "content": c} for r, c in turns]}
def raw(x): return x if isinstance(x, bytes) else json.dumps(x).encode()


BOM = b"\xef\xbb\xbf"


def lines(path, *rows):
    path.write_bytes(b"".join(raw(x) + b"\n" for x in rows))
    return path


HOURS = [one(f"every day at {h}", f"0 {h} * * *") for h in range(24)]       # a small sound set
LONG = " ".join(f"word{i}" for i in range(60))
TEXT = {code: [partial(f, random.Random(seed)) for seed in range(3) for f in (planted.SEEN[code] + planted.HELD[code])]
        for code in planted.SEEN}


# one way to say things: times in words, a shop's questions, and a second half that is all numbers
TIMES = [one(f"At {h:02}:{m:02}, on {d}", f"{m} {h} * * {i}") for h in range(24) for m in range(0, 60, 6)
         for i, d in enumerate(("Sunday", "Monday"))]
SHOP = [{"instruction": f"Which price has article {i}?", "output": f"${i % 89 + i / 997:.2f}"} for i in range(400)]

WHAT = "A list of sixty words, with a number behind each of them."
WHOLE = one("What is this? " + LONG, WHAT)


def near(n):
    words = LONG.split()
    words[n] = "other"
    return one("What is this? " + " ".join(words), WHAT)


# what only the whole set shows: the file's lines, and the line that is named
SET = {
    "exact-duplicate": [([*HOURS, HOURS[3]], 25), ([HOURS[0], *HOURS], 2),
                        ([*HOURS, chat(("user", "every day at 0"), ("assistant", "0 0 * * *"))], 25)],
    "near-duplicate": [([WHOLE, *HOURS, near(5)], 26), ([*HOURS, near(1), near(50)], 26),
                       ([*HOURS, one("Every  day at 3!", "0 3 * * *")], 25)],
    "conflicting-answers": [([*HOURS, one("every day at 3", "3 0 * * *")], 25),
                            ([HOURS[3], one("every day at 3", "x"), *HOURS[4:]], 2),
                            ([*HOURS, {"instruction": "every day at 5", "input": "", "output": "5"}], 25)],
    "label-imbalance": [([one(f"text {i} is {i * i}", "yes" if i % 20 else "no") for i in range(100)], 2),
                        ([one(f"text {i} is {i * i}", "spam" if i < 57 else "ham") for i in range(60)], 1),
                        ([one(f"text {i} is {i * i}", ("b", "c")[i // 3] if i < 6 else "A") for i in range(80)], 7)],
    "too-few-examples": [(HOURS[:1], 1), (HOURS[:5], 1), ([b"", *HOURS[:9]], 2)],
    "narrow-wording": [(TIMES, 241), (SHOP, 201), ([b"", *TIMES[:300]], 152)],
    "mixed-languages": [([*(one(f"Number {i}?", f"The number that you are looking for is {i}, and it is not the last one.")
                            for i in range(30)), one("Number 30?", text)], 31) for text in (
                                "Die gesuchte Zahl ist dreißig, und sie ist nicht die letzte von allen.",
                                "El número que buscas es el treinta, y no es el último de la lista.",
                                "Число, которое вы ищете, это тридцать, и оно не последнее.")],
    "mixed-formats": [([*HOURS, {"instruction": "every minute", "output": "* * * * *"}], 25),
                      ([HOURS[0], chat(("user", "every minute"), ("assistant", "* * * * *")), *HOURS[1:]], 2),
                      ([*HOURS, {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}], 25)],
    "extreme-length": [([*HOURS, one("write a book", " ".join(f"w{i}" for i in range(n)))], 25) for n in (2000, 4000, 9000)],
}
LEAKS = [([*HOURS, one("at noon", "0 12 * * *")], [one("at noon", "0 12 * * *")], 25),
         ([*HOURS], [one("Every day at 7 ", "0 7 * * *"), one("on sundays", "0 0 * * 0")], 8),
         ([*HOURS, near(5)], [WHOLE], 25)]
TALK = chat(("user", "u" * 99), ("assistant", "v"), ("user", "w" * 199), ("assistant", "x"))
TOKENS = {   # what a tokenizer says, with the byte tokenizer of random weights and at most 200 tokens
    "too-long": [one("a" * 300, "b"), one("x", "y" * 300), TALK],
    "answer-truncated": [one("a" * 300, "b"), one("x", "y" * 300), TALK],
    "nothing-supervised": [one("a" * 300, "b"), one("z" * 200, "b"), one("c" * 250, "d" * 9)],
}
TABLES = [b'prompt,completion\na,"b" c\n', b"prompt,completion\na\n", b'prompt;completion\na;b;c\n']   # line 2 is damaged-csv
BY_HAND = {"damaged-csv", "double-bos", "missing-eos", "unsafe-template"}    # templates, not records: in test_tokens.py


def found(report, level=None): return [(f.code, f.line) for f in report.findings if level in (None, f.level)]


def test_every_kind_has_three_files():
    assert len(KINDS) >= 35
    assert {*READ, *TEXT, *SET, *TOKENS, *BY_HAND, "train-test-leak"} == {*KINDS}
    assert all(len(x) >= 3 for table in (READ, TEXT, SET, TOKENS) for x in table.values()) and len(LEAKS) >= 3
    assert all(level in ("error", "warning") and do for level, do in KINDS.values())


def told(path, capsys, *options):
    "What the command says: (exit code, {(code, line)}, its JSON)"
    capsys.readouterr()
    code = main(["data", "doctor", str(path), "--json", "--workers", "1", *options])
    said = json.loads(capsys.readouterr().out)
    assert all(f["file"] == str(path) and f["what"] and f["do"] == KINDS[f["code"]][1] for f in said["findings"])
    assert said["total"] == said["records"] + said["rejected"]
    return code, {(f["code"], f["line"]) for f in said["findings"]}, said


@pytest.mark.parametrize("code", READ)
def test_unreadable_kinds_by_line(tmp_path, capsys, code):
    for bad in READ[code]:
        exits, seen, said = told(lines(tmp_path/"a.jsonl", *HOURS[:12], bad, *HOURS[12:]), capsys)
        assert exits == 1 and (code, 13) in seen, bad
        assert {c for c, line in seen if KINDS[c][0] == "error"} <= {code}, bad
        assert said["rejected"] == (KINDS[code][0] == "error")


@pytest.mark.parametrize("code", TEXT)
def test_kinds_of_text_by_line(tmp_path, capsys, code):
    "Precision and recall on thousands are in test_rules.py; here it is the line that counts"
    missed = 0
    for make in TEXT[code]:
        exits, seen, said = told(lines(tmp_path/"a.jsonl", *HOURS[:12], chat(*make()), *HOURS[12:]), capsys)
        assert exits == 1
        missed += (code, 13) not in seen
        assert {line for c, line in seen if c == code} <= {13}
    assert missed <= len(TEXT[code]) / 5 and len(TEXT[code]) - missed >= 3


@pytest.mark.parametrize("code", SET)
def test_kinds_of_the_whole_set_by_line(tmp_path, capsys, code):
    for rows, line in SET[code]:
        exits, seen, said = told(lines(tmp_path/"a.jsonl", *rows), capsys)
        assert exits == 1 and [x for x in seen if x[0] == code] == [(code, line)]
        assert said["rejected"] == 0


def test_damaged_tables_by_line(tmp_path, capsys):
    for table in TABLES:
        (tmp_path/"a.csv").write_bytes(table)
        assert ("damaged-csv", 2) in told(tmp_path/"a.csv", capsys)[1]


def test_leaks_by_line(tmp_path, capsys):
    for rows, test, line in LEAKS:
        lines(tmp_path/"test.jsonl", *test)
        exits, seen, said = told(lines(tmp_path/"a.jsonl", *rows), capsys, "--against", str(tmp_path/"test.jsonl"))
        assert [x for x in seen if x[0] == "train-test-leak"] == [("train-test-leak", line)] and said["rejected"] == 1


@pytest.mark.parametrize("code", TOKENS)
def test_kinds_of_tokens_by_line(tmp_path, capsys, code):
    for bad in TOKENS[code]:
        exits, seen, said = told(lines(tmp_path/"a.jsonl", *HOURS[:12], bad, *HOURS[12:]), capsys,
                                 "--model", "tiny", "--weights", "random", "--max-length", "200")
        assert exits == 1 and (code, 13) in seen and said["rejected"] == 1


def test_every_line_that_gives_the_test_away_goes(tmp_path):
    "What is left after --fix leaks no more"
    train = lines(tmp_path/"a.jsonl", *HOURS, HOURS[7], one("EVERY day at 7", "0 7 * * *"), near(3), near(4))
    test = lines(tmp_path/"test.jsonl", HOURS[7], near(5))
    fix(train, tmp_path/"out", against=test)
    assert not [f for f in doctor(tmp_path/"out/clean.jsonl", against=test).findings if f.code == "train-test-leak"]
    assert doctor(tmp_path/"out/clean.jsonl").total == 23


# ---- levels

def test_allow_and_drop(tmp_path):
    key = one("the key?", "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2)
    path = lines(tmp_path/"a.jsonl", *HOURS, key, HOURS[0], b"{")
    assert doctor(path).records == 25 and doctor(path).errors == 2
    assert doctor(path, allow=("secret",)).records == 26
    assert doctor(path, allow=("secret",), drop=("exact-duplicate",)).records == 25
    for wrong in ({"allow": ("bad-json",)}, {"allow": ("x",)}, {"drop": ("x",)}):
        with pytest.raises(ValueError, match="can't be allowed|no kind of finding"):
            doctor(path, **wrong)


def test_gate(tmp_path):
    key = one("the key?", "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2)
    path = lines(tmp_path/"a.jsonl", *HOURS, key, HOURS[0], b"{")
    with pytest.raises(ValueError, match=r"2 errors in the data, the first: .*a\.jsonl:25 secret: .*allow 'secret'"):
        gate(path)
    with pytest.raises(ValueError, match=r"1 error in the data, the first: .*:27 truncated-json"):
        gate(path, allow=["secret"])
    with pytest.raises(ValueError, match="no kind of finding is called 'secrets'"):
        gate(path, allow=["secrets"])
    got = gate(path, allow=["secret", "truncated-json"])
    assert len(got.records) == 26 and got.rejected == [(str(path), 27)] and got.total == 27
    was = load(path)
    assert (got.records, got.origins) == (was.records, was.origins)


# ---- any source, any number of workers

def test_any_source(tmp_path, monkeypatch):
    path = lines(tmp_path/"a.jsonl", *HOURS, one("x", "<|im_end|>"))
    want = found(doctor(path))
    assert want == [("special-token-in-text", 25)]
    packed = tmp_path/"b"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    Dataset.from_list(rows).to_parquet(tmp_path/"c.parquet")
    for source in (packed, rows, Dataset.from_list(rows), tmp_path/"c.parquet"):
        assert found(doctor(source)) == want
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(path.read_bytes()))))
    assert found(doctor("-")) == want
    done = subprocess.run([sys.executable, "-m", "ftlab.cli", "data", "doctor", "-", "--json"], input=path.read_bytes(),
                          capture_output=True)
    assert done.returncode == 1 and [f["line"] for f in json.loads(done.stdout)["findings"]] == [25]


def everything(path, n=2600):
    "A file with something of everything, in an order of its own"
    rng = random.Random(4)
    rows = [r for code in READ if code != "line-too-long" for r in READ[code]]
    rows += [chat(*make()) for makes in TEXT.values() for make in makes]
    rows += [x for files in SET.values() for x in files[0][0]]
    rows += [{"messages": r["messages"]} for r in clean.records(n - len(rows), 5)]
    rng.shuffle(rows)
    return lines(path, *rows)


@pytest.mark.slow
def test_workers_change_nothing(tmp_path):
    path = everything(tmp_path/"a.jsonl")
    one, two, three = (doctor(path, workers=w) for w in (1, 2, 3))
    assert one == two == three and len(one.counts) > 35
    assert one.total == sum(1 for line in path.read_bytes().split(b"\n") if line.strip())


def test_a_worker_keeps_few_chunks(tmp_path):
    taken = []
    def rows():
        for i in range(1000):
            taken.append(i)
            yield i
    got = in_order(abs, rows(), 2)
    next(got)
    assert len(taken) < 30
    assert [*got] == [*range(1, 1000)]
    assert [*in_order(abs, [], 2)] == [] and [*in_order(abs, [-1], 2)] == [1]
    assert [len(c) for c in chunks([type("P", (), {"raw": b"x" * 5_000_000})()] * 3)] == [1, 1, 1]


def test_spool_reads_what_was_written(tmp_path):
    spool, rng = stream.Spool(tmp_path), random.Random(1)
    words = [rng.randbytes(rng.choice((0, 1, 30, 40_000))) for _ in range(2000)]    # more than stays in memory
    for i, word in enumerate(words):
        spool.append(word)
        if i % 7 == 0:
            j = rng.randrange(i + 1)
            assert spool[j] == words[j]
    assert [spool[i] for i in range(len(spool))] == words


# ---- fix: nothing lost, nothing half-written

def parts(out): return {p.name: p.read_bytes() for p in sorted(out.iterdir())}


def check_parts(source, out):
    "in = clean + rejected, and the rejected are the original bytes"
    pieces = [line for line in source.read_bytes().removeprefix(BOM).split(b"\n") if line.strip()]
    clean_rows = (out/"clean.jsonl").read_bytes().splitlines()
    rejected = [json.loads(line) for line in (out/"rejected.jsonl").read_bytes().split(b"\n") if line]
    assert len(pieces) == len(clean_rows) + len(rejected)
    kept = [r["raw"].encode() if "raw" in r else base64.b64decode(r["raw_base64"]) for r in rejected]
    assert all(r["reasons"] and KINDS[x["code"]] for r in rejected for x in r["reasons"])
    report = json.loads((out/"report.json").read_text())
    assert (report["total"], report["records"], report["rejected"]) == (len(pieces), len(clean_rows), len(rejected))
    every = source.read_bytes().split(b"\n")
    assert all(k.strip() == every[r["line"] - 1].strip() for r, k in zip(rejected, kept))


@pytest.mark.slow
def test_fix(tmp_path):
    source = everything(tmp_path/"a.jsonl")
    report = fix(source, tmp_path/"out")
    check_parts(source, tmp_path/"out")
    assert report.errors and report.rejected > 100
    again = doctor(tmp_path/"out/clean.jsonl")
    assert not again.errors and again.total == report.records == again.records
    first = parts(tmp_path/"out")
    assert fix(source, tmp_path/"out", workers=1) == report and parts(tmp_path/"out") == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "out"]


def test_fix_refuses_and_cleans_up(tmp_path, monkeypatch):
    source = lines(tmp_path/"a.jsonl", *HOURS)
    (tmp_path/"mine").mkdir()
    (tmp_path/"mine/thesis.txt").write_text("x")
    (tmp_path/"file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(FileExistsError, match="holds other things"):
            fix(source, tmp_path/name)
    with pytest.raises(FileNotFoundError):
        fix(tmp_path/"no.jsonl", tmp_path/"out")
    monkeypatch.setattr("ftlab.doctor._write", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        fix(source, tmp_path/"out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "file", "mine"]


def test_a_failed_swap_keeps_the_old_result(tmp_path, monkeypatch):
    source = lines(tmp_path/"a.jsonl", *HOURS)
    fix(source, tmp_path/"out")
    first, dead = parts(tmp_path/"out"), tmp_path/".out.999999999.part"
    dead.mkdir()                        # what a killed run left
    fix(lines(source, *HOURS, b"{"), tmp_path/"out")
    assert parts(tmp_path/"out") != first and not dead.exists()
    fix(lines(source, *HOURS), tmp_path/"out")
    assert parts(tmp_path/"out") == first


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_20_moments(tmp_path):
    source = everything(tmp_path/"a.jsonl", 5000)
    script = f"from ftlab.doctor import fix; fix({str(source)!r}, {str(tmp_path/'out')!r})"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", script], check=True)
    took, want, rng, killed = time.monotonic() - began, parts(tmp_path/"out"), random.Random(3), 0
    shutil.rmtree(tmp_path/"out")
    for _ in range(80):
        child = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
        time.sleep(rng.uniform(0, took))
        if child.poll() is None:
            os.killpg(child.pid, 9)
            killed += 1
        child.wait()
        if (tmp_path/"out").exists(): assert parts(tmp_path/"out") == want      # whole, or not there
        if killed == 20: break
    assert killed == 20
    fix(source, tmp_path/"out")
    assert parts(tmp_path/"out") == want
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "out"]


# ---- clean data, and broken data

@pytest.mark.slow
@pytest.mark.parametrize("form", clean.FORMATS)
def test_clean_data_are_left_alone(tmp_path, form):
    n = clean.write(tmp_path/"a", clean.records(5000, 11), form)
    report = doctor(tmp_path/"a")
    assert report.total == n >= 3000 and not report.errors, report.counts
    assert len({f.line for f in report.findings}) < .01 * n, report.counts


def mutants(rng):
    seeds = [raw(x) for code in READ if code not in ("line-too-long", "nested-too-deep") for x in READ[code]]
    seeds = [x for x in seeds if len(x) < 400]
    seeds += [raw({"messages": r["messages"]}) for r in clean.records(300, 2)]
    seeds += [raw(chat(*make())) for makes in TEXT.values() for make in makes[:2]]
    bits = [b"null", b"\\u0000", b"\\ud800", b"\xff", BOM, b"[", b"]", b"{", b"}", b'"', b"\\", b"\r", b",", b"NaN", b"\0",
            b'"role": "user",', b"\xe2\x80\xa8", b"<s>", b"```", b"&nbsp;", b"4111 1111 1111 1111", b"@x.org",
            b"\xc3\x83\xc2\xa9"]
    while True:
        text = rng.choice(seeds).replace(b"\n", b" ")
        for _ in range(rng.randrange(1, 4)):
            i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
            text = rng.choice([text[:i] + text[j:], text[:i] + text[i:j] * 2 + text[j:], text[:j],
                               text[:i] + rng.choice(bits) + text[i:],
                               text[:i] + bytes([rng.randrange(256)]) + text[i + 1:]]).replace(b"\n", b" ")
        yield text


@pytest.mark.slow
def test_100_000_mutated_records(tmp_path):
    source, rng, seen = tmp_path/"a.jsonl", random.Random(9), Counter()
    records = mutants(rng)
    for _ in range(20):
        lines(source, *HOURS[:2], *(next(records) for _ in range(5000)))
        report = fix(source, tmp_path/"out")
        check_parts(source, tmp_path/"out")
        seen.update(report.counts)
        errors = {f.line for f in report.findings if f.level == "error"}
        assert len(errors) == report.rejected
    assert len(seen) > 35 and {*READING} - {*seen} <= {"line-too-long", "nested-too-deep", "damaged-csv"}


def test_settings_are_strict():
    strict = Settings(drop=("exact-duplicate",))
    assert [s.level("exact-duplicate") for s in (Settings(), strict)] == ["warning", "error"]
    with pytest.raises(TypeError):
        doctor([one()], alow=("secret",))


def test_unusable(tmp_path):
    assert doctor(lines(tmp_path/"a", b"{", b"\xff", b"no")).exit_code == 2
    assert doctor(lines(tmp_path/"a", {"text": "read, though of no use"})).exit_code == 1
    assert doctor(lines(tmp_path/"a", *HOURS)).exit_code == 0
    with pytest.raises(ValueError, match="is empty"):
        doctor(lines(tmp_path/"a"))
    with pytest.raises(ValueError, match="no usable record to compare with"):
        doctor(lines(tmp_path/"a", *HOURS), against=lines(tmp_path/"b", b"{"))


def test_stats_and_samples(tmp_path):
    rows = [*HOURS, chat(("system", "s"), ("user", "u" * 8), ("assistant", "a" * 7), ("user", "u"), ("assistant", "a" * 1000))]
    stats = doctor(lines(tmp_path/"a.jsonl", *rows)).stats
    assert stats["formats"] == {"prompt-completion": 24, "messages": 1}
    assert stats["roles"] == {"user": 26, "assistant": 26, "system": 1} and stats["turns"] == {2: 24, 5: 1}
    assert stats["answer_chars"] == [[8, 24], [512, 1]] and stats["prompt_chars"] == [[8, 24], [16, 1]]
    assert len(stats["samples"]) == 10 and [s["line"] for s in stats["samples"]][::9] == [1, 25]
    write_jsonl(tmp_path/"b.jsonl", rows[:3])
    assert len(doctor(tmp_path/"b.jsonl").stats["samples"]) == 3
