"Copies, near copies, contradictions and leaks: against the slow way, on planted pairs, and at size."
import json
import random
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clean
from ftlab.duplicates import (
    PRINT, Overlap, conflicts, exact_duplicates, fingerprints, jaccard, leaks, near_duplicates, shingles, words)

ROOT = Path(__file__).resolve().parent.parent
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def talk(question, answer, system=None):
    first = [{"role": "system", "content": system}] if system else []
    return first + [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def vocabulary(rng, n=5000):
    return ["".join(rng.choices(LETTERS, k=rng.randint(2, 9))) for _ in range(n)]


def whole(messages):
    return shingles([w for m in messages if m["role"] != "system" for w in words(m["content"])])


def near_of(conversations, **options):
    return near_duplicates(fingerprints(conversations), conversations.__getitem__, **options)


def leaks_of(train, test, grams=True):
    overlap = Overlap(test) if grams else None
    if grams: overlap.add(overlap.find(train))
    return leaks(fingerprints(train), fingerprints(test), train.__getitem__, test.__getitem__, overlap)


LONG = " ".join(vocabulary(random.Random(4), 90))


# ---- words, shingles

def test_words_forget_case_space_and_the_marks_of_phrases():
    same = ["Don’t go,  to \tParis!", "don't go to paris", "DON'T GO TO “PARIS”…", "Ｄon't go to Paris?"]
    assert {tuple(words(t)) for t in same} == {("don", "t", "go", "to", "paris")}


@pytest.mark.parametrize("a, b", [
    ("at 5 pm", "at 6 pm"), ("a + b", "a - b"), ("x < y", "x > y"), ("0 0 * * 1", "0 0 * * 1-5"), ("naïve", "naive"),
    ("3.5", "35"), ("cost: $5", "cost: €5"), ("f(x)", "f[x]"), ("毎日5時", "毎日6時"), ("good 👍", "good 👎"), ("a_b", "a b")])
def test_words_keep_what_means_something(a, b): assert words(a) != words(b)


@given(st.text())
def test_words_lose_nothing_but_space_and_marks(text):
    import unicodedata
    kept = "".join(words(text))
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    gone = Counter(folded) - Counter(kept)
    assert Counter(kept) - Counter(folded) == Counter()
    assert all(c.isspace() or c in ".,;:!?'\"’‘“”„«»…。、¿¡" for c in gone)


def test_ascii_is_read_like_all_text():
    text = "It's 5:30, {x} <= [y] & `z`; \"a_b\"?"
    assert words(text) + ["é"] == words(text + " é")


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 4))
def test_jaccard_by_hand(a, b, n):
    sets = [{" ".join(t[i:i + n]) for i in range(len(t) - n + 1)} for t in (a, b)]
    assert [shingles(a, n), shingles(b, n)] == sets
    union = sets[0] | sets[1]
    assert jaccard(*sets) == (len(sets[0] & sets[1]) / len(union) if union else 0)


# ---- fingerprints

ODD = [talk("", ""), talk("...", "!?"), talk("\ud800", "x"), talk("a", "b", "s"), talk("日本" * 40, "はい"),
       talk("q", "a") + talk("r", "b"), talk("x " * 2000, "y"), [{"role": "assistant", "content": "alone"}]]


def test_fingerprints_do_not_depend_on_how_the_work_is_cut():
    all_at_once = fingerprints(ODD)
    assert all_at_once.dtype == PRINT and PRINT.itemsize <= 300
    one_by_one = np.concatenate([fingerprints([c]) for c in ODD] + [fingerprints([])])
    assert (one_by_one == all_at_once).all()
    assert (fingerprints(ODD[::-1]) == all_at_once[::-1]).all()


def test_fingerprints_are_the_same_in_another_process():
    code = ("import json, sys; from ftlab.duplicates import fingerprints; "
            "sys.stdout.buffer.write(fingerprints(json.load(sys.stdin)).tobytes())")
    for seed in "1", "2":
        ran = subprocess.run([sys.executable, "-c", code], input=json.dumps(ODD).encode(), capture_output=True, check=True,
                             env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)})
        assert ran.stdout == fingerprints(ODD).tobytes()


def test_turns_cannot_be_mistaken_for_one_another():
    asks = [talk("a b", "c"), talk("a", "b c"), talk("a", "b") + talk("", "c"), talk("b", "c", "a"), talk("b", "c")]
    prints = fingerprints(asks)
    assert len(set(prints["whole"].tolist())) == len(set(prints["question"].tolist())) == 5
    assert prints["asked"][3] == prints["asked"][4] and prints["plain"][0] != prints["plain"][1]
    assert prints["plain"][3] != prints["plain"][4]      # short: what it means may stand in the system prompt
    assert len(set(fingerprints([talk(LONG, "a", "s"), talk(LONG, "a"), talk(LONG, "A", "t")])["plain"].tolist())) == 1


# ---- exact duplicates and conflicts

@given(st.lists(st.tuples(*[st.sampled_from("abc")] * 2, st.sampled_from(["", "s"])), max_size=30))
def test_duplicates_and_conflicts_the_slow_way(rows):
    prints, same, other = fingerprints([talk(q, a, s) for q, a, s in rows]), [], []
    seen, asked = {}, {}
    for i, (q, a, s) in enumerate(rows):
        if (q, a, s) in seen: same.append([i, seen[q, a, s]])
        elif (q, s) in asked: other.append([i, asked[q, s]])
        seen.setdefault((q, a, s), i), asked.setdefault((q, s), i)
    assert exact_duplicates(prints).tolist() == same and conflicts(prints).tolist() == other


def test_a_multi_turn_question_is_all_that_came_before():
    one, two = talk("q", "a") + talk("r", "b"), talk("q", "other") + talk("r", "c")
    assert not len(conflicts(fingerprints([one, two])))
    assert conflicts(fingerprints([one, talk("q", "a") + talk("r", "c")])).tolist() == [[1, 0]]


# ---- near duplicates

def spoiled(rng, text, vocab, target):
    out, before = list(text), shingles(text)
    while jaccard(before, shingles(out)) > target: out[rng.randrange(len(out))] = rng.choice(vocab)
    return out


def plant(rng, n, low, high):
    "n pairs of conversations with similarities from low to high, shuffled; the copies' partners and similarities"
    vocab, docs = vocabulary(rng), []
    for i in range(n):
        text = rng.choices(vocab, k=rng.randint(60, 200))
        docs += [(i, text), (i, spoiled(rng, text, vocab, rng.uniform(low, high)))]
    rng.shuffle(docs)
    talks = [talk(" ".join(t[:len(t) // 3]), " ".join(t[len(t) // 3:]), "Be brief. " * 50) for _, t in docs]
    first, truth = {}, {}
    for row, (i, _) in enumerate(docs):
        if i in first: truth[row] = first[i], jaccard(whole(talks[row]), whole(talks[first[i]]))
        first.setdefault(i, row)
    return talks, truth


def test_planted_pairs():
    talks, truth = plant(random.Random(1), 300, .7, .9)
    near, alike = near_of(talks)
    assert {(a, b): s for a, b, s in near.tolist()} == {(a, b): s for a, (b, s) in truth.items() if s >= .8}
    assert not len(alike) and min(s for _, s in truth.values()) < .75


@pytest.mark.slow
def test_thousands_of_planted_pairs():
    talks, truth = plant(random.Random(2), 6000, .77, .87)
    real = {row for row, (_, s) in truth.items() if s >= .8}
    found, prints = set(near_of(talks)[0]["later"].tolist()), fingerprints(talks)
    estimate = {row: (prints["sketch"][row] == prints["sketch"][first]).mean() for row, (first, _) in truth.items()}
    guess = {row for row, s in estimate.items() if s >= .8}
    assert 2000 < len(real) < 4000 and sum(.76 < s < .84 for _, s in truth.values()) > 4000
    assert len(found & real) / len(real) >= .99 and len(found & real) / len(found) >= .99
    assert len(guess & real) / len(guess) < .95     # the sketch alone would not do
    print(f"{len(real)} pairs at .8 or more, found {len(found & real)} and {len(found - real)} others; "
          f"sketches: {len(guess & real)} and {len(guess - real)}")


@pytest.mark.parametrize("small, large, threshold", [(40, 50, .8), (80, 100, .8), (243, 300, .81), (81, 90, .9)])
def test_exactly_at_the_threshold(small, large, threshold):
    "One text is the other and more, and no rounding may lose it"
    text = [f"w{i}" for i in range(large + 2)]
    pair = [talk(" ".join(t[:9]), " ".join(t[9:])) for t in (text, text[:small + 2])]
    assert near_of(pair, threshold=threshold)[0]["similarity"].tolist() == [small / large]
    assert not len(near_of(pair, threshold=threshold + .01)[0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_clusters_the_slow_way(seed):
    "Every record with an earlier one at .8 is told, once, with one that really is similar; and no other"
    rng = random.Random(seed)
    vocab, docs = vocabulary(rng, 400), []
    for _ in range(8):
        text = rng.choices(vocab, k=rng.randint(40, 80))
        docs += [text] + [spoiled(rng, text, vocab, rng.uniform(.6, 1)) for _ in range(rng.randrange(5))]
    rng.shuffle(docs)
    talks = [talk(" ".join(t[:20]), " ".join(t[20:])) for t in docs]
    sets = [whole(t) for t in talks]
    exact = set(exact_duplicates(fingerprints(talks))[:, 0].tolist())
    pairs = [(b, a) for a, b in combinations(range(len(docs)), 2)
             if jaccard(sets[a], sets[b]) >= .8 and not exact & {a, b}]
    near, alike = near_of(talks)
    told = near["later"].tolist() + alike["later"].tolist()
    assert len(told) == len(set(told)) and {b for b, _ in pairs} == set(told)
    assert all((b, a) in pairs and s == jaccard(sets[a], sets[b]) for b, a, s in near.tolist())


def test_exact_duplicates_are_not_told_again():
    text = " ".join(vocabulary(random.Random(3), 60))
    near, alike = near_of([talk(text, "yes"), talk(text, "yes"), talk(text + " indeed", "yes"), talk(text, "Yes!")])
    assert near["later"].tolist() == [2, 3] and near["first"].tolist() == [0, 0] and near["similarity"][1] == 1
    assert not len(alike)


def test_short_texts_are_copies_only_when_equal_in_words():
    near, _ = near_of([talk("every day at noon", "0 12 * * *"), talk("Every day, at noon!", "0 12 * * *"),
                       talk("every day at 5 pm", "0 17 * * *"), talk("every day at 6 pm", "0 18 * * *")])
    assert near.tolist() == [(1, 0, 1.)]


@pytest.mark.parametrize("one, two", [
    (talk(f"{LONG} 17 apples", "twice as many is 34"), talk(f"{LONG} 18 apples", "twice as many is 36")),   # numbers
    (talk(f"{LONG} for anna", "dear anna it is on its way"), talk(f"{LONG} for omar", "dear omar it is on its way")),
    (talk(f"{LONG} good", "positive"), talk(f"{LONG} bad", "negative")),                            # another label
    (talk("may I see her file", LONG), talk("open my neighbour's mail", LONG)),                     # one refusal for all
    (talk(LONG, "yes"), talk(LONG, "no")),                                                          # a contradiction
    (talk("run the big backup of all the machines every week on", "0 5 * * 1"),
     talk("run the big backup of all the machines every week on", "0 5 * * 2")),                    # short, another answer
    (talk("may I use the red door on the way to the market", " ".join(LONG.split()[:24])),
     talk("may I use the red door on the way to the station", " ".join(LONG.split()[:24]))),        # short, another word
    (talk(f"{LONG} how long", "I would say that it takes you 29 minutes on foot"),
     talk(f"{LONG} how long now", "I would say that it takes you 37 minutes on foot")),             # numbers in the answer
])
def test_alike_and_no_copies(one, two):
    assert jaccard(whole(one), whole(two)) >= .8
    near, alike = near_of([one, two])
    assert not len(near) and alike["later"].tolist() == [1]


@pytest.mark.parametrize("one, two", [
    (talk(f"{LONG} 17 apples", "fine"), talk(f"{LONG} 18 apples", "fine")),
    (talk("what is it", LONG), talk("what is it", LONG.replace(" ", " indeed ", 1))),
    (talk(LONG, "yes"), talk(f"please {LONG}", "yes", "another system prompt")),
    (talk("?", LONG), talk("...", LONG + " indeed")),
    (talk("how do I change my password", "open the settings and choose a new one"),
     talk("please how do I change my password?", "Open the settings, and choose a new one.")),
])
def test_copies(one, two): assert near_of([one, two])[0]["later"].tolist() == [1]


INSTRUCTION = " ".join(vocabulary(random.Random(11), 200))


def templated(rng, n):
    "Reviews under one long instruction: each is similar to all others, and has words of its own"
    vocab = vocabulary(rng)
    return [talk(f"{INSTRUCTION} Review: {' '.join(rng.choices(vocab, k=12))}", rng.choice(["good", "bad"])) for _ in range(n)]


def test_a_shared_instruction_makes_no_copies():
    talks = templated(random.Random(5), 400)
    twin = talk(talks[7][0]["content"].replace(" ", "  ", 3) + " really", talks[7][1]["content"])
    near, alike = near_of([*talks, twin])
    assert near["later"].tolist() == [400] and near["first"].tolist() == [7] and near["similarity"][0] > .9
    assert alike["later"].tolist() == [*range(1, 400)] and alike["similarity"].min() >= .8
    system = [talk(q["content"][len(INSTRUCTION):], a["content"], INSTRUCTION) for q, a in talks]
    assert not sum(map(len, near_of(system)))


@pytest.mark.slow
@pytest.mark.parametrize("n", [500, 2000])
def test_no_quadratic_work_when_all_are_alike(n):
    read = Counter()
    talks = templated(random.Random(12), n)
    def get(row):
        read[row] += 1
        return talks[row]
    near, alike = near_duplicates(fingerprints(talks), get)
    assert not len(near) and len(alike) == n - 1
    assert sum(read.values()) < 8 * n


def test_a_copy_is_found_behind_what_is_only_alike():
    copy = " ".join(w if i % 30 else "indeed" for i, w in enumerate(LONG.split()))
    talks = [talk(f"{LONG} 18 apples", "so twice is 36"), talk(f"{copy} 17 apples", "so twice is 34"),
             talk(f"{LONG} 17 apples", "so twice is 34")]
    assert jaccard(whole(talks[0]), whole(talks[2])) > jaccard(whole(talks[1]), whole(talks[2])) >= .8
    near, alike = near_of(talks)
    assert near[["later", "first"]].tolist() == [(2, 1)] and not len(alike)


def test_a_hundred_thousand_equal_records():
    prints = np.repeat(fingerprints([talk(LONG, "yes")]), 100_000)
    assert len(exact_duplicates(prints)) == 99_999 and not len(conflicts(prints))
    assert [len(x) for x in near_duplicates(prints, lambda row: talk(LONG, "yes"))] == [0, 0]


def test_nothing_to_compare():
    assert [len(x) for x in near_of([])] == [0, 0] and leaks_of([], [talk("a", "b")]) == leaks_of([talk("a", "b")], []) == []


@pytest.mark.parametrize("threshold", [.5, .79, 1.01])
def test_thresholds_the_bands_are_not_made_for(threshold):
    with pytest.raises(ValueError, match="laid out for .8 to 1"): near_of([talk("a", "b")], threshold=threshold)


@pytest.mark.parametrize("name", ["cron/dev", "cron/test", "cron/handwritten", "cron/dev_hand", "cron/train",
                                  "catalogue/train", "catalogue/test"])
def test_the_course_s_own_sets_are_clean(name):
    path = ROOT / f"data/{name}.jsonl"
    if not path.exists(): pytest.skip("data/cron/make.py --check writes it")
    talks = [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines()]
    prints = fingerprints(talks)
    warned = {*exact_duplicates(prints)[:, 0].tolist(), *near_of(talks)[0]["later"].tolist()}
    assert len(warned) < .01 * len(talks)


@pytest.mark.parametrize("n, seed", [(600, 1), (3000, 2)])
def test_clean_records_of_many_kinds(n, seed):
    "Templates with words filled in: hardly a copy among them, and a split of them leaks what is asked twice and no more"
    talks = [r["messages"] for r in clean.records(n, seed)]
    assert len(exact_duplicates(fingerprints(talks))) == 0 and len(near_of(talks)[0]) <= .002 * n
    found = leaks_of(talks[n // 5:], talks[:n // 5])
    assert sum(leak.how != "same question" for leak in found) <= .001 * n


# ---- leaks

QUESTION = " ".join(vocabulary(random.Random(6), 40))


@pytest.mark.parametrize("train, how", [
    (talk(QUESTION.upper() + "?", "b"), "same question"),
    (talk(QUESTION, "b", "another system prompt"), "same question"),
    (talk(QUESTION + " " + LONG, LONG), "shared n-grams"),
    (talk("repeat after me", LONG + " " + QUESTION), "shared n-grams"),
    (talk(QUESTION + " please", "a"), "near duplicate"),
    (talk(QUESTION[:len(QUESTION) // 2], "a"), None), (talk(LONG, "a"), None)])
def test_each_way_to_leak(train, how):
    found = leaks_of([talk("x", "y"), train, talk("z", "z")], [talk("v", "w"), talk(QUESTION, "a")])
    assert [(leak.test, leak.train, leak.how) for leak in found] == ([(1, 1, how)] if how else [])


def test_every_training_record_that_leaks_is_named():
    "so that what is left when they are taken out leaks no more"
    rng = random.Random(13)
    vocab = vocabulary(rng)
    test = [talk(" ".join(rng.choices(vocab, k=30)), " ".join(rng.choices(vocab, k=40))) for _ in range(12)]
    ways = [lambda q, a: talk(q.upper(), "other"), lambda q, a: talk(f"now {q}", a), lambda q, a: talk("so", f"{a} {q} {LONG}")]
    train = [way(*(m["content"] for m in t)) for t in test for way in ways * 2] + [talk("x", "y")] * 9
    for i, t in enumerate(train[:72]): t[-1]["content"] += f" {vocab[i]}"     # no two are the same
    order = rng.sample(range(len(train)), len(train))
    train, own = [train[i] for i in order], [i // 6 if i < 72 else None for i in order]
    found = leaks_of(train, test)
    assert {leak.train: leak.test for leak in found} == {row: t for row, t in enumerate(own) if t is not None}
    assert {leak.how for leak in found} == {"same question", "near duplicate", "shared n-grams"}
    gone = {leak.train for leak in found}
    assert leaks_of([t for row, t in enumerate(train) if row not in gone], test) == []


def test_what_clears_a_suspect():
    sold = "the shop sold {} boxes of green tea on monday and twice as many on the day after how many in all"
    assert not leaks_of([talk(sold.format(12), "36")], [talk(sold.format(15), "45")])
    assert leaks_of([talk(sold.format(12), "36")], [talk(sold.format(12), "36")])
    assert leaks_of([talk(sold.format(12) + " tell me", "36")], [talk(sold.format(12), "45")])
    assert not leaks_of([talk(f"{LONG} 12 boxes", "36")], [talk(f"{LONG} 15 boxes", "45")])
    assert leaks_of([talk(f"{LONG} 12 boxes and more", "36")], [talk(f"{LONG} 12 boxes", "45")])[0].how == "shared n-grams"
    documents = [talk("Summarise the document.", f"about {x}", f"The document: {x}") for x in ("tea", "coffee")]
    assert not leaks_of(documents[:1], documents[1:])
    assert leaks_of(documents[:1], [talk("summarise the document", "about tea")])


def test_the_same_document_is_found_among_many_under_one_question():
    documents = [talk("Summarise the document.", f"about {x}", f"The document: {x}") for x in LONG.split()[:12]]
    found = leaks_of([talk("Summarise the document.", "another summary", documents[9][0]["content"])], documents)
    assert [(leak.train, leak.test) for leak in found] == [(0, 9)]


def test_a_shared_instruction_is_no_leak():
    talks = templated(random.Random(7), 500)
    assert leaks_of(talks[:400], talks[400:]) == []
    found = leaks_of(talks[:400] + talks[450:451], talks[400:])
    assert [(leak.test, leak.train) for leak in found] == [(50, 400)]


@pytest.mark.parametrize("n", [10, 60])
def test_a_small_set_of_one_template(n):
    talks = templated(random.Random(10), n)
    assert not len(near_of(talks)[0]) and leaks_of(talks[:n * 2 // 3], talks[n * 2 // 3:]) == []
    twins = [*talks, talk(talks[0][0]["content"] + " really", talks[0][1]["content"])]
    assert near_of(twins)[0]["later"].tolist() == [n]


def test_planted_leaks_are_all_found():
    talks, truth = plant(random.Random(8), 200, .7, .95)
    test = [row for row in truth if truth[row][1] >= .85]
    train = [row for row in range(len(talks)) if row not in set(test)]
    found = leaks_of([talks[i] for i in train], [talks[i] for i in test], grams=False)
    same = {leak.test: train[leak.train] for leak in found}
    assert same == {k: truth[row][0] for k, row in enumerate(test)}


def test_hits_may_come_in_any_chunks_and_stay_few():
    rng = random.Random(9)
    vocab = vocabulary(rng, 300)
    test = [talk(" ".join(rng.choices(vocab, k=30)), "a") for _ in range(20)]
    train = [talk(rng.choice(test)[0]["content"] + " " + " ".join(rng.choices(vocab, k=9)), "b") for _ in range(120)]
    def shared(order, size):
        overlap = Overlap(test)
        for at in order: overlap.add(overlap.find(train[at:at + size], at))
        return overlap
    a, b = shared(range(0, 120, 120), 120), shared(range(110, -1, -10), 10)
    assert (a.seen == b.seen).all() and a.seen.max() > 10
    assert len(b.hits) <= 11 * len(b.seen)
    prints = fingerprints(train), fingerprints(test), train.__getitem__, test.__getitem__
    assert leaks(*prints, a) == leaks(*prints, b) and len(leaks(*prints, a)) > 5


def test_short_questions_leak_only_when_they_are_the_same():
    assert not leaks_of([talk("tell me the time in Rome and in Oslo", "a")], [talk("the time in Rome", "b")])
    assert leaks_of([talk("the time in rome?", "a")], [talk("The time in Rome", "b")])[0].how == "same question"
