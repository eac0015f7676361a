"""The schedule data: reproducible, its splits apart, its answers right in form, its frozen set frozen."""
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from difflib import get_close_matches
from pathlib import Path

import pytest

from ftlab.cron import never, parse, same

HERE = Path(__file__).resolve().parents[1] / "data" / "cron"
MAKE = [sys.executable, str(HERE / "make.py")]
KINDS = {"times", "weekdays", "ranges", "intervals", "months", "days", "combinations", "colloquial"}
ITEM = re.compile(r"\*(/\d+)?|\d+(-\d+(/\d+)?)?")


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def text_of(row):
    return next(m["content"] for m in row["messages"] if m["role"] == "user")


def answer_of(row):
    return next(m["content"] for m in row["messages"] if m["role"] == "assistant")


def plain(text):
    return re.sub(r"\s+", " ", text.lower()).strip(" .!?,")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "Everything as make.py writes it, in a folder of its own."
    out = tmp_path_factory.mktemp("made")
    subprocess.run([*MAKE, "--out", str(out)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def splits(made):
    return {name: rows_of(made / f"{name}.jsonl") for name in ("train", "dev", "test")}


@pytest.mark.slow
def test_same_bytes_whatever_the_hash_seed(tmp_path):
    for seed in "01":
        subprocess.run([*MAKE, "--train", "300", "--out", str(tmp_path / seed)], check=True,
                       capture_output=True, env={"PYTHONHASHSEED": seed, "PATH": ""})
    for name in ("train.jsonl", "dev.jsonl", "test.jsonl"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()


@pytest.mark.slow
def test_a_shorter_train_is_a_prefix(tmp_path, made):
    subprocess.run([*MAKE, "--train", "300", "--out", str(tmp_path)], check=True, capture_output=True)
    assert (made / "train.jsonl").read_bytes().startswith((tmp_path / "train.jsonl").read_bytes())


def test_another_seed_gives_other_texts(tmp_path, splits):
    subprocess.run([*MAKE, "--train", "300", "--seed", "7", "--out", str(tmp_path)], check=True,
                   capture_output=True)
    assert rows_of(tmp_path / "train.jsonl") != splits["train"][:300]


def test_git_and_manifest_hold_what_is_made(made):
    facts = json.loads((HERE.parent / "manifest.json").read_text())["files"]
    for name in ("train", "dev", "test"):
        data = (made / f"{name}.jsonl").read_bytes()
        fact = facts[f"cron/{name}.jsonl"]
        assert hashlib.sha256(data).hexdigest() == fact["sha256"]
        assert (len(data), len(data.splitlines())) == (fact["bytes"], fact["records"])
    for name in ("dev", "test"):
        assert (HERE / f"{name}.jsonl").read_bytes() == (made / f"{name}.jsonl").read_bytes()
        assert (HERE / f"{name}.jsonl").stat().st_size < 250_000


def test_sizes_and_shape(splits):
    assert (len(splits["dev"]), len(splits["test"])) == (200, 400)
    for rows in splits.values():
        assert {r["kind"] for r in rows} == KINDS
        for row in rows:
            assert set(row) == {"messages", "kind", "family"} and row["family"]
            assert [m["role"] for m in row["messages"]] == ["user", "assistant"]
            assert 2 <= len(text_of(row).split()) <= 25 and not set(text_of(row)) & set("{}|\n")
    for n in Counter(r["kind"] for r in splits["train"]).values():
        assert n >= len(splits["train"]) * 0.08


def test_no_text_twice(splits):
    texts = [plain(text_of(r)) for rows in splits.values() for r in rows]
    assert len(texts) == len(set(texts))


def test_no_split_holds_a_text_written_by_hand_for_another(splits):
    aside = {plain(text_of(r)) for name in ("handwritten", "dev_hand") for r in rows_of(HERE / f"{name}.jsonl")}
    assert len(aside) > 300
    assert not aside & {plain(text_of(r)) for rows in splits.values() for r in rows}


def test_typed_is_a_third_of_train_and_of_any_beginning_of_it(splits):
    typed = [row["family"] == "typed" for row in splits["train"]]
    lines = (HERE / "typed.tsv").read_text(encoding="utf-8").splitlines()
    assert len(lines) - 20 < sum(typed) <= len(lines)      # but for the few that another split holds
    assert 0.28 < sum(typed[:2000]) / 2000 < 0.38


def test_test_families_are_held_out(splits):
    of = {name: [set(r["family"].split()) for r in rows] for name, rows in splits.items()}
    known = set().union(*of["train"], *of["dev"])
    only = set().union(*of["test"]) - known
    assert len(only) >= 40
    assert all(families & only for families in of["test"])


def test_every_answer_fires_in_the_one_style(splits):
    for row in [r for rows in splits.values() for r in rows]:
        answer = answer_of(row)
        assert not never(answer), answer
        for spec in answer.split(" "):
            items = spec.split(",")
            assert all(ITEM.fullmatch(i) for i in items), answer
            first = [int(re.match(r"\d+", i)[0]) for i in items if i[0] != "*"]
            assert len(first) in (0, len(items)) and first == sorted(set(first)), answer
            assert len(items) == 1 or "/" not in spec and "*" not in spec, answer
            values = [int(i) for i in items if i.isdigit()]
            assert not {v + 1 for v in values} & set(values) & {v - 1 for v in values}, answer
            assert all(int(i.split("-")[1]) - int(i.split("-")[0]) > 1
                       for i in items if re.fullmatch(r"\d+-\d+", i)), answer
        assert "7" not in answer.split()[4], answer


def test_answers_cover_the_clock_and_the_calendar(splits):
    crons = [parse(answer_of(r)) for r in splits["train"]]
    for name, values in (("minute", range(60)), ("hour", range(24)), ("dom", range(1, 32)),
                         ("month", range(1, 13)), ("dow", range(7))):
        seen = Counter(next(iter(getattr(c, name))) for c in crons if len(getattr(c, name)) == 1)
        assert not set(values) - set(seen), name
    assert sum(c.either for c in crons) >= len(crons) * 0.01


DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september",
          "october", "november", "december"]
TURNS = re.compile(r"except|\bbut\b|skip|\bno\b|\bnot\b|never|minus|\bbar\b|\boff\b|save|besides|apart|"
                   r"aside|exclud|without|unless|other than|any day|week|\bto\b|-|thr|till?\b|until|\bsun\b|"
                   r"\bmon\b|\btue|\bwed|\bthu|\bfri|\bsat|\.\.|>|–|/|school|work|business|office|q\d|quarter")


def slips(text):
    "Does a word look like a misspelt day, month, part of the day or a word like except?"
    names = [*DAYS, *MONTHS, "morning", "afternoon", "evening", "night", "except", "without",
             "excluding", "apart", "through", "until", "weekday", "weekend"]
    return any(get_close_matches(w.rstrip("s"), names, 1, 0.7) for w in re.findall("[a-z]{4,}", text)
               if w.rstrip("s") not in names and w not in ("sept", "second", "seventh", "sunset"))


def test_a_second_reader_agrees(splits):
    "Where a text names one weekday, one month or one full clock time, the answer has just that."
    read = Counter()
    for row in [r for rows in splits.values() for r in rows]:
        text, (minute, hour, _, month, dow) = text_of(row).lower(), answer_of(row).split()
        if slips(text):
            continue
        named = [d for d in range(7) if DAYS[d] in text]
        if len(named) == 1 and not TURNS.search(text.replace(DAYS[named[0]], "")):
            assert dow == str(named[0]), (text, answer_of(row))
            read["dow"] += 1
        named = [m for m in range(1, 13) if m != 5 and re.search(rf"\b{MONTHS[m - 1]}\b", text)]
        if len(named) == 1 and not TURNS.search(text) and not re.search(
                "|".join(rf"\b{m[:3]}" for m in MONTHS), text.replace(MONTHS[named[0] - 1], "")):
            assert month == str(named[0]), (text, answer_of(row))
            read["month"] += 1
        times = re.findall(r"(?<![\d:])(\d?\d):(\d\d)(?![\d:])\s*([ap](?:\.?m)?\b)?", text)
        if len(times) == 1 and minute.isdigit() and hour.isdigit():
            h, m, half = times[0]
            clear = half or int(h) > 12              # 5:30 may be one of an evening
            h = int(h) % 12 + 12 * (half[0] == "p") if half else int(h)
            if clear:
                assert (hour, minute) == (str(h), str(int(m))), (text, answer_of(row))
                read["time"] += 1
    assert min(read["dow"], read["month"], read["time"]) >= 150, read


def test_handwritten_is_frozen_and_balanced():
    path = HERE / "handwritten.jsonl"
    frozen = json.loads((HERE.parent / "manifest.json").read_text())["files"]["cron/handwritten.jsonl"]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == frozen["sha256"]
    assert digest == "e544d5ce7b53a349f3310757b85b8e2a9f732c9149641db2ca871a41c26e3ce7"
    rows = rows_of(path)
    counts = Counter(r["kind"] for r in rows)
    assert set(counts) == KINDS and min(counts.values()) >= 20
    for i, row in enumerate(rows):
        assert not never(answer_of(row)), f"record {i}"
        assert same(answer_of(row), row["check"]), f"record {i}: answer and check differ"


def test_handwritten_texts_are_not_in_train(splits):
    def key(row):
        return re.sub(r"\W+", " ", text_of(row).lower()).strip()
    train = {key(r) for r in splits["train"]} | {key(r) for r in splits["dev"]}
    shared = sum(key(r) in train for r in rows_of(HERE / "handwritten.jsonl"))
    assert shared <= 11, f"{shared} handwritten texts are also generated ones"


@pytest.mark.slow
def test_check_finds_a_changed_file(tmp_path):
    "--check says no when dev.jsonl, the manifest or the frozen set are not what they were."
    copy = tmp_path / "data"
    shutil.copytree(HERE, copy / "cron", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE.parent / "manifest.json", copy)
    check = [sys.executable, str(copy / "cron" / "make.py"), "--check"]
    dev = copy / "cron" / "dev.jsonl"
    dev.write_text(dev.read_text().replace("every", "evry", 1))
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "dev.jsonl" in done.stdout
