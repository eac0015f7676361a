"""Comparison beyond the lesson: parity, symmetry, judges that cheat."""
import json
import math

import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import binomtest

from ftlab.compare import by_reference, compare, say, sign_test
from ftlab.evaluate import wilson

rule = lambda i, x, y: (x == "r") - (y == "r")
answers = st.lists(st.tuples(st.sampled_from("rw"), st.sampled_from("rw")), min_size=1, max_size=40)


@given(st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_sign_test_equals_scipy(wins, losses):
    theirs = binomtest(wins, wins + losses).pvalue if wins + losses else 1
    assert sign_test(wins, losses) == pytest.approx(theirs, rel=1e-9)


def test_sign_test_of_many_pairs():
    assert sign_test(3000, 2000) == pytest.approx(binomtest(3000, 5000).pvalue, rel=1e-6)
    assert sign_test(0, 2000) >= 0 and sign_test(50_000, 50_000) == 1


@given(answers)
@settings(max_examples=60, deadline=None)
def test_swapping_the_models_mirrors_the_result(pairs):
    a, b = map(list, zip(*pairs))
    ab, ba = compare(a, b, rule), compare(b, a, rule)
    assert (ab["wins"], ab["ties"], ab["losses"], ab["p"]) == (ba["losses"], ba["ties"], ba["wins"], ba["p"])
    assert ab["wins"] + ab["ties"] + ab["losses"] == ab["n"] == len(a)
    assert ab["half"]["score"] == pytest.approx(1 - ba["half"]["score"])
    assert ab["low"] == pytest.approx(1 - ba["high"], abs=1e-12)
    if ab["wins"] + ab["losses"]: assert (ab["low"], ab["high"]) == wilson(ab["wins"], ab["wins"] + ab["losses"])
    assert json.loads(json.dumps(ab)) == ab and say(ab)


@pytest.mark.parametrize("judge, side", [(lambda i, x, y: 1, "first"), (lambda i, x, y: -1, "second")])
def test_a_judge_of_places_has_no_say(judge, side):
    got = compare(["r", "w", "w"], ["w", "r", "r"], judge)
    assert got["flipped"][side] == 3 and got["ties"] == 3 and got["p"] == 1 and "do not trust" in say(got)


def test_half_of_the_pairs_flip():
    judge = lambda i, x, y: 1 if i % 2 else rule(i, x, y)
    got = compare(["w"] * 10, ["r"] * 10, judge)
    assert (got["wins"], got["ties"], got["flipped"]) == (5, 5, {"first": 5, "second": 0})


def test_by_reference_uses_meaning():
    judge = by_reference(["0 9 * * mon-fri"])
    assert judge(0, "0 9 * * 1,2,3,4,5", "0 9 * * 1-4") == 1
    assert judge(0, " 0 9 * * 1-5\n", "0 9 * * MON-FRI") == 0
    with pytest.raises(ValueError, match="is no schedule"): by_reference(["nonsense"])(0, "a", "b")


@pytest.mark.parametrize("a, b, text", [([], [], "at least one"), (["a"], [], "1 answers against 0")])
def test_refuses(a, b, text):
    with pytest.raises(ValueError, match=text): compare(a, b, rule)


def test_words():
    better = say(compare(["w"] * 30, ["r"] * 30, rule), "base", "tuned")
    assert better.startswith("tuned is better than base: tuned wins 30, loses 0 and ties 0 of 30, 100.0%")
    assert math.isclose(wilson(30, 30)[0], .886, abs_tol=.001) and "88.6% to 100.0%" in better
