"The library's words for any schedule, and spoiling that spoils nothing else."
import random

import pytest

from ftlab.cron import never, same
from ftlab.quality import leaked, library_words, repeated, unseen_words, wrong_answers


def field(rng, low, high):
    a, b = sorted((rng.randint(low, high), rng.randint(low, high)))
    few = ",".join(str(rng.randint(low, high)) for _ in range(rng.randint(1, 4)))
    return rng.choice(["*", "*", str(a), f"{a}-{b}", f"*/{rng.randint(1, 15)}", f"{a}-{b}/{rng.randint(1, 5)}", few])


@pytest.mark.slow
def test_two_schedules_in_the_same_words_are_the_same():
    rng, said = random.Random(5), {}
    for _ in range(20_000):
        expr = " ".join(field(rng, *ends) for ends in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6)))
        if never(expr): continue
        words = library_words(expr)
        assert words[0].isupper() and "  " not in words and not words.endswith(",")
        assert same(said.setdefault(words, expr), expr), words
    assert len(said) > 10_000


@pytest.mark.parametrize("expr", ["0 9 * * mon-fri", "0 9 * * 1-5", "00 09 * * 1,2,3,4,5", "0 9 * * fri,mon-thu"])
def test_spelling_does_not_matter(expr):
    assert library_words(expr) == "At 09:00 AM, Monday through Friday"


def test_every_hour_of_the_day():
    said = [library_words(f"0 {h} * * *") for h in range(24)]
    assert said[0] == "At 12:00 AM" and said[12] == "At 12:00 PM" and said[23] == "At 11:00 PM" and len({*said}) == 24


def chat(*turns): return {"messages": [{"role": r, "content": c} for r, c in turns]}


LONG = [chat(("system", "s"), ("user", f"q{i}"), ("assistant", "early"), ("user", "again"), ("assistant", f"a{i % 7}"))
        for i in range(100)]


@pytest.mark.parametrize("share", [0, .01, .2, .5, 1])
def test_only_the_last_answer_of_the_share_is_wrong(share):
    before = str(LONG)
    spoilt, places = wrong_answers(LONG, share, seed=3)
    assert str(LONG) == before and len(places) == len({*places}) == round(100 * share)
    assert [i for i in range(100) if spoilt[i] != LONG[i]] == places
    assert all(s["messages"][:-1] == r["messages"][:-1] for s, r in zip(spoilt, LONG))
    assert {s["messages"][-1]["content"] for s in spoilt} <= {r["messages"][-1]["content"] for r in LONG}


def test_other_seeds_spoil_others():
    assert wrong_answers(LONG, .2, 1)[1] != wrong_answers(LONG, .2, 2)[1]


@pytest.mark.parametrize("share", [-.1, 1.5, float("nan")])
def test_no_share(share):
    with pytest.raises(ValueError, match="is no share; use 0 to 1"): wrong_answers(LONG, share)


def test_as_many_as_came():
    assert len(repeated(LONG, 1)) == len(repeated(LONG, 33)) == len(leaked(LONG, LONG[:5])) == 100
    assert leaked(LONG, []) == LONG and repeated(LONG, 100) == LONG
    with pytest.raises(ValueError, match="unique=0"): repeated(LONG, 0)


def test_words_are_those_of_users_in_any_script():
    asked = [chat(("user", "Grüße, на двоих"), ("assistant", "never counted"))]
    assert unseen_words(asked, [chat(("user", "GRÜSSE grüße двоих 17 counted"))]) == .5   # grüsse, counted
