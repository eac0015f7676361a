"""Write the catalogue: a fictional shop's products, their prices at two dates, and questions about them.

    python data/catalogue/make.py           write everything
    python data/catalogue/make.py --check   are the files in git what this script makes?

Twelve series of ten kinds: every name shares its words with twenty others, so that finding the right product is
work. Six prices in ten change between the dates; materials never do. The test asks in phrasings that train lacks.
"""
import argparse
import hashlib
import json
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEED = 42
BEFORE, AFTER = "2026-01-01", "2026-07-01"
SERIES = "Alden Brisa Corvo Dalen Esker Fenna Garrow Holma Ilmo Juvel Kestan Lumio".split()
KINDS = {   # kind: (lowest, highest) first price in dollars
    "desk lamp": (25, 90), "floor lamp": (60, 190), "wall clock": (15, 80), "side table": (50, 180),
    "bookshelf": (80, 250), "coat rack": (30, 120), "fruit bowl": (12, 60), "bar stool": (40, 160),
    "picture frame": (10, 45), "umbrella stand": (20, 75)}
MATERIALS = "oak ash steel brass bamboo glass stone plastic".split()
COLOURS = "black white green blue red grey yellow".split()
CHANGED = 0.6
ASK = {     # what is asked for: phrasings of train, phrasings that the test alone has
    "price": ([
        "How much is the {series} {kind}?", "What does the {series} {kind} cost?", "price of {series} {kind}",
        "Can you tell me the price of the {series} {kind}?", "What's the {series} {kind} going for?",
        "{series} {kind}: how much?", "I want to buy the {series} {kind}. What will I pay?",
        "What would a {series} {kind} set me back?", "Please give me the price of the {kind} called {series}.",
        "how much for the {kind} {series}", "Is the {series} {kind} expensive? What is its price?",
        "What is the price tag on the {series} {kind}?", "Cost of one {series} {kind}?",
        "What do I owe you for a {series} {kind}?", "For how much do you sell the {series} {kind}?",
        "The {kind} from the {series} series, what's the price?"], [
        "How many dollars do you want for the {series} {kind}?", "What do you charge for the {kind} in your {series} line?",
        "hi, need the {series} {kind}, what's it cost me", "My sister has the {series} {kind}. How much would I pay for one?",
        "Quote me the {kind} {series}, please.", "Looking at the {series} {kind} here, how much money is that?",
        "If I order a {series} {kind} now, what amount will be on the bill?", "{series} {kind} price pls"]),
    "material": ([
        "What is the {series} {kind} made of?", "Which material is the {series} {kind}?", "material of {series} {kind}",
        "Tell me what the {series} {kind} is made from.", "The {kind} called {series}, what material is it?",
        "What's the {series} {kind} built out of?", "{series} {kind}: what is it made of?",
        "Which material did you use for the {kind} from the {series} series?"], [
        "What stuff is the {series} {kind} in your shop?", "hi, the {kind} in the {series} line, made out of what?",
        "I'm allergic to some materials. What would I be touching with the {series} {kind}?",
        "{series} {kind} material pls"]),
}
TRAIN = {"price": 6, "material": 3}    # questions a product
TEST = {"price": 2, "material": 1}


def shuffled(rng, things):
    "A new order; only rng.random() is used, the one method that gives the same numbers on every Python."
    return sorted(things, key=lambda _: rng.random())


def between(rng, low, high): return low + int(rng.random() * (high - low + 1))


def product(rng, number, series, kind):
    first = between(rng, *KINDS[kind])
    then = first
    if rng.random() < CHANGED:
        while then == first: then = max(5, round(first * (0.7 + 0.7 * rng.random())))
    return {"id": number, "series": series, "kind": kind, "material": shuffled(rng, MATERIALS)[0],
            "colour": shuffled(rng, COLOURS)[0], "weight_kg": between(rng, 2, 90) / 10,
            "price": {BEFORE: first, AFTER: then}}


def answers(thing, asks):
    "The right answer at each date."
    if asks == "price": return {date: f"${dollars}" for date, dollars in thing["price"].items()}
    return {BEFORE: thing[asks], AFTER: thing[asks]}


def questions(rng, things, split):
    "Rows with the answer of the first date as the assistant's turn; those of the test know both dates."
    rows = []
    for thing in things:
        for asks, phrasings in ASK.items():
            for text in shuffled(rng, phrasings[split == "test"])[:(TRAIN, TEST)[split == "test"][asks]]:
                text = text.format(**thing)
                right = answers(thing, asks)
                rows.append({"messages": [{"role": "user", "content": text.lower() if rng.random() < .25 else text},
                                          {"role": "assistant", "content": right[BEFORE]}],
                             "product": thing["id"], "asks": asks, **({"answers": right} if split == "test" else {})})
    return shuffled(rng, rows)


def make(seed=SEED):
    "All files as {name: bytes}."
    rng = random.Random(f"{seed} products")
    things = [product(rng, i, series, kind) for i, (series, kind) in
              enumerate((s, k) for s in SERIES for k in KINDS)]
    parts = {"products.jsonl": things}
    for split in ("train", "test"):
        parts[f"{split}.jsonl"] = questions(random.Random(f"{seed} {split}"), things, split)
    return {name: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
            for name, rows in parts.items()}


def facts(data):
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "records": data.count(b"\n")}


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seed", type=int, default=SEED)
    ask.add_argument("--out", type=Path, default=HERE, help="where the files go")
    ask.add_argument("--check", action="store_true", help="compare with what is in git, write nothing")
    ask = ask.parse_args()
    files, manifest = make(ask.seed), HERE.parent / "manifest.json"
    about = {f"catalogue/{name}": facts(data) for name, data in files.items()}
    kept = json.loads(manifest.read_text())
    if ask.check:
        wrong = [name for name, data in files.items()
                 if not (HERE / name).is_file() or (HERE / name).read_bytes() != data
                 or kept["files"].get(f"catalogue/{name}") != about[f"catalogue/{name}"]]
        print("differs: " + ", ".join(wrong) if wrong else "as committed")
        sys.exit(bool(wrong))
    ask.out.mkdir(parents=True, exist_ok=True)
    for name, data in files.items(): (ask.out / name).write_bytes(data)
    if ask.out == HERE and ask.seed == SEED:
        kept["files"] = dict(sorted({**kept["files"], **about}.items()))
        manifest.write_text(json.dumps(kept, indent=1) + "\n")
    for name, fact in about.items(): print(name, fact["records"], "records", fact["bytes"], "bytes")


if __name__ == "__main__": main()
