"""Write the schedule data: train.jsonl (not in git), dev.jsonl, test.jsonl and the manifest.

    python data/cron/make.py                 write everything
    python data/cron/make.py --check         are the files in git what this script makes? if so, write train.jsonl
    python data/cron/make.py --show 60       print examples, write nothing

Training mixes two sources: typed.tsv, phrased by hand, and a grammar: grammar.py (engine),
say_clock.py, say_interval.py, say_day.py, say_month.py (parts), say_all.py (whole requests). The
grammar's answer comes from the meaning, sampled first; ftlab.cron only checks it. The families of
`held` are used by the test split alone, and every test example uses at least one of them.
"""
import argparse
import hashlib
import json
import os
import random
import re
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from grammar import FAMILIES, Talk  # noqa: E402
from say_all import example  # noqa: E402

from ftlab.cron import never, parse  # noqa: E402
from ftlab.duplicates import shingles, words  # noqa: E402

SEED, TRAIN, DEV, TEST = 42, 11000, 200, 400
HELD_SHARE = 0.15
TYPED_SHARE = 0.33    # of the training examples, while they last
HARD = {"clock.quarter", "clock.to", "clock.half_hour_after", "clock12.c_to", "same_hour.oclock_and_half"}
FROZEN = "e544d5ce7b53a349f3310757b85b8e2a9f732c9149641db2ca871a41c26e3ce7"   # handwritten.jsonl
LAST = dict(zip(range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)))


def held(seed=SEED):
    "The families only the test split may use: drawn by seed from each group, never a core one."
    rng, out = random.Random(f"{seed} held"), set()
    for group in sorted(FAMILIES):
        free = sorted(f"{group}.{name}" for name, (weight, core, _) in FAMILIES[group].items()
                      if not core and weight < 2)
        for name in free:
            if rng.random() < HELD_SHARE:
                out.add(name)
    return frozenset(out)


def good(text, answer):
    "Is this a request of 2 to 25 words, and does each day it names exist?"
    if not 2 <= len(text.split()) <= 25 or len(text) > 160 or "{" in text:
        return False
    cron = parse(answer)
    impossible = cron.dom_restricted and max(cron.dom) > max(LAST[m] for m in cron.month)
    return not impossible and not never(answer)


def ordinary(talk, text, answer):
    """Most schedules that people type are short and ask for one thing: long texts, long lists and odd
    minutes stay, but as the exceptions they are. A model of this size learns the rest better for it."""
    minute, hour, dom, *days = answer.split()
    numbers, names, words = f"{minute}{hour}{dom}".count(","), "".join(days).count(","), len(text.split())
    keep = .05 if words > 15 else .25 if words > 11 else 1
    keep *= .1 if numbers > 2 else .3 if numbers == 2 else 1
    keep *= .3 if names > 2 else .7 if names == 2 else 1
    keep *= .35 if minute.isdigit() and int(minute) % 5 else 1
    keep *= .4 if text.isupper() else 1
    return talk.chance(keep)


def key(text):
    "Two texts with the same key count as one: case, spaces and punctuation at the ends are ignored."
    return re.sub(r"\s+", " ", text.lower()).strip(" .!?,")


def text_key(row):
    return key(row["messages"][0]["content"])


def split(name, seed, banned, wanted, seen, often=frozenset()):
    """Examples as records without end, none of whose texts is in `seen`, to which they are added; each uses one
    of the families `wanted`, if any, and those in `often` occur more often than people use them."""
    talk = Talk(random.Random(f"{seed} {name}"), banned, wanted | often)
    while True:
        kind, text, answer = example(talk)
        used = sorted(set(talk.used))
        if wanted and not wanted & set(used) or not good(text, answer) or key(text) in seen:
            continue
        if not ordinary(talk, text, answer):
            continue
        seen.add(key(text))
        yield record(kind, text, answer, " ".join(used))


def record(kind, text, answer, family):
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": answer}],
            "kind": kind, "family": family}


def typed(seen):
    "The schedules typed by hand for training, none of whose texts is in `seen`, to which they are added."
    lines = (HERE / "typed.tsv").read_text(encoding="utf-8").splitlines()
    rows = [record(*line.split("\t"), "typed") for line in lines]
    rows = [row for row in rows if text_key(row) not in seen]
    seen.update(map(text_key, rows))
    return rows


def mixed(by_hand, generated, seed):
    "Rows without end, a share of them by hand while they last: a shorter train is a prefix of a longer one."
    rng, by_hand = random.Random(f"{seed} mixed"), iter(by_hand)
    while True:
        yield (rng.random() < TYPED_SHARE and next(by_hand, None)) or next(generated)


def make(train=TRAIN, seed=SEED):
    "All splits as {file name: bytes}."
    only, seen = held(seed), set()
    for name in ("handwritten.jsonl", "dev_hand.jsonl"):      # no other split may hold one of their texts
        seen.update(map(text_key, read((HERE / name).read_bytes())))
    rows = {"test.jsonl": list(islice(split("test", seed, frozenset(), only, seen), TEST)),
            "dev.jsonl": list(islice(split("dev", seed, only, frozenset(), seen), DEV))}
    by_hand = typed(seen)
    rows["train.jsonl"] = islice(mixed(by_hand, split("train", seed, only, frozenset(), seen, HARD), seed), train)
    return {name: "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in part).encode()
            for name, part in rows.items()}


def read(data):
    return [json.loads(line) for line in data.decode().splitlines()]


def facts(data):
    rows = read(data)
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "records": len(rows),
            "kinds": dict(sorted(Counter(r["kind"] for r in rows).items()))}


def grams(rows, n=5):
    "All word n-grams of the users' texts."
    texts = (next(m["content"] for m in row["messages"] if m["role"] == "user") for row in rows)
    return set().union(*(shingles(words(text), n) for text in texts))


def overlap(rows, train):
    "Share of the 5-grams of `rows` that occur in `train`."
    mine = grams(rows)
    return len(mine & grams(train)) / len(mine)


def card(files, about, frozen):
    "The card with its table of counts, families held out and overlap brought up to date."
    kinds = sorted(about["cron/train.jsonl"]["kinds"])
    lines = ["| split | records | " + " | ".join(kinds) + " |", "|---|---:|" + "---:|" * len(kinds)]
    for name in ("train", "dev", "test", "dev_hand", "handwritten"):
        fact = about[f"cron/{name}.jsonl"]
        lines.append(f"| {name} | {fact['records']:,} | " + " | ".join(
            str(fact["kinds"].get(k, 0)) for k in kinds) + " |")
    train, only = read(files["train.jsonl"]), held()
    used = {f for r in read(files["test.jsonl"]) for f in r["family"].split()}
    total = sum(map(len, FAMILIES.values()))
    shares = [f"{overlap(read(data), train):.1%}" for data in (files["test.jsonl"], frozen)]
    summary = (f"Families: {total} registered, {len(only)} held out for the test split, "
               f"of which it uses {len(only & used)}:")
    by_hand = sum(row["family"] == "typed" for row in train)
    lines += ["", f"Of the training examples {by_hand:,} are from `typed.tsv`.", "", summary, ""]
    lines += [ ", ".join(f"`{f}`" for f in sorted(only)), "",
              f"Word 5-grams that occur in train: test {shares[0]}, handwritten {shares[1]}."]
    text = (HERE / "CARD.md").read_text()
    head, rest = text.split("<!-- counts: written by make.py -->\n")
    return (head + "<!-- counts: written by make.py -->\n" + "\n".join(lines) + "\n<!-- end -->\n"
            + rest.split("<!-- end -->\n")[1]).encode()


def write(path, data):
    "Beside, then rename: a reader never sees half a file."
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(data)
    os.replace(beside, path)


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--train", type=int, default=TRAIN, help="how many training examples")
    ask.add_argument("--seed", type=int, default=SEED)
    ask.add_argument("--out", type=Path, default=HERE, help="where the files go")
    ask.add_argument("--check", action="store_true", help="compare with what is in git; where it agrees, write train.jsonl")
    ask.add_argument("--show", type=int, default=0, help="print this many training examples")
    ask = ask.parse_args()
    if ask.show:
        talk = Talk(random.Random(f"{ask.seed} show"), held(ask.seed))
        for _ in range(ask.show):
            kind, text, answer = example(talk)
            print(f"{kind:13} {answer:28} {text}")
        return
    files = make(ask.train, ask.seed)
    frozen = (HERE / "handwritten.jsonl").read_bytes()
    if hashlib.sha256(frozen).hexdigest() != FROZEN:
        sys.exit("handwritten.jsonl is not the frozen one: restore it from git")
    by_hand = {"handwritten.jsonl": frozen, "dev_hand.jsonl": (HERE / "dev_hand.jsonl").read_bytes()}
    about = {f"cron/{name}": facts(data) for name, data in sorted({**files, **by_hand}.items())}
    manifest = HERE.parent / "manifest.json"
    if ask.check:
        if (ask.train, ask.seed) != (TRAIN, SEED):
            sys.exit("--check is for the default --train and --seed")
        kept = json.loads(manifest.read_text())["files"]
        wrong = [name for name in about if kept.get(name) != about[name]]
        if (HERE / "CARD.md").read_bytes() != card(files, about, frozen):
            wrong.append("CARD.md")
        wrong += [n for n in ("dev.jsonl", "test.jsonl") if (HERE / n).read_bytes() != files[n]]
        print("differs: " + ", ".join(sorted(set(wrong))) if wrong else "as committed")
        if wrong:
            sys.exit(1)
        write(HERE / "train.jsonl", files["train.jsonl"])
        return
    ask.out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write(ask.out / name, data)
    if ask.out == HERE and (ask.train, ask.seed) == (TRAIN, SEED):
        old = json.loads(manifest.read_text())["files"] if manifest.exists() else {}
        others = {n: fact for n, fact in old.items() if not n.startswith("cron/")}
        text = json.dumps({"files": dict(sorted({**others, **about}.items()))}, indent=1)
        write(manifest, text.encode() + b"\n")
        write(HERE / "CARD.md", card(files, about, frozen))
    for name, fact in about.items():
        print(name, fact["records"], "records", fact["bytes"], "bytes", fact["kinds"])
    for name, data in (("handwritten", frozen), ("test", files["test.jsonl"])):
        print(f"5-grams of {name} that occur in train: "
              f"{overlap(read(data), read(files['train.jsonl'])):.1%}")


if __name__ == "__main__":
    main()
