"Decisions as a table of situations with reasons; the cost model against sums done by hand."
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import combinations
from math import inf, isclose, nan

import pytest
from scipy.optimize import brentq

from ftlab.decide import (
    OPTIONS,
    SOURCES,
    Costs,
    Facts,
    break_even,
    cost,
    decide,
    full_hours,
    one_off,
    plot_costs,
    ready,
)

NO, YES = {"prompt_enough": False}, {"prompt_enough": True}
SITUATIONS = [  # name, facts, costs, first, a reason it gives, a fact that would change it
    ("a first idea", {}, {}, "prompt", "not tried yet", "knowledge_changes=True"),
    ("a prompt that works", YES, {}, "prompt", "good enough", None),
    ("shop stock", {"knowledge_changes": True}, {}, "rag", "updated and cited", "knowledge_changes=False"),
    ("shop stock, prompt failed", {"knowledge_changes": True, **NO, "examples": 900}, {}, "rag",
     "updated and cited", None),
    ("three prices in the prompt", {"knowledge_changes": True, **YES}, {}, "prompt", "good enough",
     "prompt_enough=False"),
    ("support in our tone, from our pages",
     {"knowledge_changes": True, "behaviour": True, **NO, "examples": 900}, {}, "rag",
     "updated and cited", "knowledge_changes=False"),
    ("schedules to cron, untried", {"behaviour": True, "examples": 4000}, {}, "prompt",
     "not tried yet", "prompt_enough=False"),
    ("schedules to cron", {"behaviour": True, **NO, "examples": 4000}, {}, "fine-tune",
     "what weights learn well", "prompt_enough=True"),
    ("schedules, ten examples", {"behaviour": True, **NO, "examples": 10}, {}, "fine-tune",
     "10 examples are too few", "prompt_enough"),
    ("hospital letters", {"behaviour": True, "private": True, "examples": 700}, {}, "fine-tune",
     "on your own machine", "private=False"),
    ("a busy classifier", {**YES, "examples": 700, "calls_per_month": 10**6}, {}, "fine-tune",
     "cheaper", "calls_per_month=1"),
    ("a busy classifier, nothing labelled", {**YES, "calls_per_month": 10**6}, {}, "prompt",
     "good enough", "examples=1000"),
    ("busy, but the GPU idles", {**YES, "examples": 700, "calls_per_month": 10**5},
     {"host_hours": 730}, "prompt", "good enough", "calls_per_month=1000000000"),
    ("no money for a run", {"behaviour": True, "examples": 700, "budget": 50}, {}, "prompt",
     "not tried yet", None),
    ("a new language, funded", {"base_lacks": True, "budget": 2e6}, {}, "full",
     "no existing model", "budget=0"),
    ("a new language, no funds", {"base_lacks": True, "examples": 5000}, {}, "fine-tune",
     "enough to start", "budget=10000000"),
    ("full training is cheap here: a small model, few tokens", {"base_lacks": True},
     {"full_params": 1e8, "full_tokens": 2e9, "full_engineer_hours": 10}, "full", "no existing model", None),
    ("a form field that completes while one types: the large model is too slow",
     {"behaviour": True, "examples": 900, "seconds": .6}, {}, "fine-tune", "what weights learn well", "seconds=None"),
    ("the same, but the provider answers in half a second",
     {"behaviour": True, "examples": 900, "seconds": .6}, {"large_seconds": .5}, "prompt", "not tried yet",
     "prompt_enough=False"),
    ("prices in a till, at once: slow beats wrong", {"knowledge_changes": True, "seconds": .6}, {}, "rag",
     "updated and cited", "knowledge_changes=False"),
    ("retrieval that searches too slowly, where a prompt would do",
     {**YES, "knowledge_changes": True, "seconds": 1.6}, {}, "prompt", "good enough", None),
    ("nothing is that fast", {"seconds": .01}, {}, "prompt", "not tried yet", None),
    ("a law firm with one 24 GB card: the prompt works, but only on a model that does not fit",
     {**YES, "private": True, "examples": 900, "gpu_gb": 24}, {}, "fine-tune", "on your own machine", "gpu_gb=640"),
    ("the same firm with eight 80 GB cards", {**YES, "private": True, "examples": 900, "gpu_gb": 640}, {}, "prompt",
     "good enough", "gpu_gb=24"),
    ("the same card, data that may leave: it can rent the rest", {**YES, "examples": 900, "gpu_gb": 24}, {}, "prompt",
     "good enough", "private=True"),
    ("a small card, and a smaller large model", {**YES, "private": True, "examples": 900, "gpu_gb": 24},
     {"large_gb": 20}, "prompt", "good enough", None),
    ("a bill that retrieval breaks, tone and facts both needed",
     {"knowledge_changes": True, "behaviour": True, **NO, "examples": 900, "calls_per_month": 500_000,
      "monthly": 500}, {}, "fine-tune", "cheaper", "behaviour=False"),
    ("the same bill with two short passages a call",
     {"knowledge_changes": True, **NO, "examples": 900, "calls_per_month": 100_000, "monthly": 300},
     {"retrieved_tokens": 50, "short_tokens": 50, "index_month": 0}, "rag", "updated and cited", None),
    ("a hobby: no money each month, few calls", {**YES, "calls_per_month": 100, "monthly": 1}, {}, "prompt",
     "good enough", None),
    ("a corpus that is dear to embed each month", {"knowledge_changes": True, **YES, "monthly": 300},
     {"corpus_tokens": 1e11, "changed_share": 1}, "prompt", "good enough", None),
]


@pytest.mark.parametrize("name,facts,costs,first,reason,flip", SITUATIONS, ids=lambda x: str(x)[:30])
def test_situations(name, facts, costs, first, reason, flip):
    f, c = Facts(**facts), Costs(**costs)
    d = decide(f, c)
    assert d.best == first and sorted(o.approach for o in d.ranked) == sorted(OPTIONS)
    assert any(reason in r for r in d.ranked[0].reasons) and all(o.reasons for o in d.ranked)
    assert [o.points for o in d.ranked] == sorted((o.points for o in d.ranked), reverse=True)
    assert flip is None or any(flip in k for k in d.changes), d.changes
    for change, winner in d.changes.items():        # each promise is kept
        fact, value = change.split("=")
        value = {"True": True, "False": False, "None": None}.get(value, value)
        other = replace(f, **{fact: int(value) if isinstance(value, str) else value})
        assert asdict(other) != asdict(f)
        assert winner != first and decide(other, c).best == winner


def test_enough_situations():
    assert len(SITUATIONS) >= 24 and len({s[0] for s in SITUATIONS}) == len(SITUATIONS)
    said = " ".join(r for s in SITUATIONS for o in decide(Facts(**s[1]), Costs(**s[2])).ranked for r in o.reasons)
    for text in ("an answer takes", "a month, more than", "a large model needs", "a small tuned model", "more than the budget"):
        assert text in said
    assert {s[3] for s in SITUATIONS} == set(OPTIONS)


def test_both_together_is_said():
    d = decide(Facts(knowledge_changes=True, behaviour=True, prompt_enough=False, examples=900))
    assert [o.approach for o in d.ranked[:2]] == ["rag", "fine-tune"] and "together" in str(d)
    assert not decide(Facts()).note


@pytest.mark.parametrize("facts,text", [
    ({"prompt_enough": True, "base_lacks": True}, "contradict each other"),
    ({"prompt_enough": False}, "nothing says what is missing"),
    ({"behaviour": "no"}, "behaviour='no' should be True or False"),
    ({"knowledge_changes": 1}, "knowledge_changes=1 should be True or False"),
    ({"prompt_enough": "maybe"}, "should be True or False"),
    ({"examples": -1}, "examples=-1 should be a number, 0 or more"),
    ({"examples": "500"}, "examples='500' should be a number"),
    ({"calls_per_month": 0}, "calls_per_month=0 should be a number, 1 or more"),
    ({"seconds": 0}, "seconds=0 should be a number, more than 0"),
    ({"seconds": -1.}, "seconds=-1.0 should be a number, more than 0"),
    ({"monthly": 0}, "monthly=0 should be a number, more than 0"),
    ({"monthly": "lots"}, "monthly='lots' should be a number"),
    ({"gpu_gb": -1}, "gpu_gb=-1 should be a number, 0 or more"), ({"gpu_gb": True}, "should be a number"),
    ({"behaviour": None}, "behaviour=None should be True or False"),
    ({"budget": nan}, "budget=nan should be a number"), ({"budget": True}, "should be a number"),
])
def test_contradictions_and_nonsense(facts, text):
    with pytest.raises(ValueError, match=text):
        Facts(**facts)


@pytest.mark.parametrize("name", [*asdict(Costs())])
@pytest.mark.parametrize("value", [-0.1, inf, nan, "1", None, True])
def test_costs_are_numbers(name, value):
    with pytest.raises(ValueError, match=f"{name}=.* should be a finite number"):
        Costs(**{name: value})


def test_by_hand():
    c = Costs(calls_per_month=1000, instruction_tokens=900, user_tokens=100, answer_tokens=10,
              large_in=1, large_out=5, small_in=.5, small_out=1, gpu_hour=3, training_hours=4,
              host_hours=100, engineer_hours=2, engineer_hour=54, months=6, short_tokens=200,
              retrieved_tokens=300, corpus_tokens=5e6, changed_share=.2, embed_in=.3, index_month=7,
              rag_hours=1, full_params=1e9, full_tokens=3e9, gpu_flops=1e14, utilisation=.5, full_gpus=10,
              full_engineer_hours=10)
    assert one_off(c) == 120 and one_off(c, "prompt") == 0
    assert isclose(cost("prompt", c)["month"], 1.05)                    # 1,000 × (1000 + 50) / 1e6
    assert isclose(cost("fine-tune", c)["month"], 20 + 300 + .06)
    assert isclose(break_even(c), 320 / .00099)
    assert isclose(one_off(c, "rag"), 54 + 1.5)                         # the corpus: 5 million at $.30
    assert isclose(cost("rag", c)["fixed"], 55.5 / 6 + 7 + .3)          # a fifth of it again each month
    assert isclose(cost("rag", c)["per_call"], (600 + 50 + 30) / 1e6)   # the question is embedded too
    assert isclose(full_hours(c), 18e18 / 5e13 / 3600)                  # 100 hours
    assert isclose(one_off(c, "full"), 300 + 540) and isclose(cost("full", c)["fixed"], 140 + 300)
    assert cost("full", c)["per_call"] == cost("fine-tune", c)["per_call"]
    assert [ready(c, a) for a in OPTIONS] == pytest.approx([.5, 1, 6, 10])
    with pytest.raises(ValueError, match="no cost model for 'agent'; use one of prompt, rag, fine-tune, full"):
        cost("agent", c)


def test_full_training_is_what_was_published():
    "Llama 2's paper, table 2: GPU hours on A100 80GB (312 TFLOP/s) for 2 trillion tokens"
    for params, hours in ((7e9, 184_320), (13e9, 368_640), (70e9, 1_720_320)):
        assert full_hours(Costs(full_params=params, gpu_flops=312e12)) == pytest.approx(hours, rel=.1)


def test_every_default_has_a_source():
    assert list(SOURCES) == list(asdict(Costs()))
    assert all(who and (when or who.startswith("example")) for who, when in SOURCES.values())


CHANGES = [{}, {"host_hours": 730}, {"large_in": .1}, {"months": 1}, {"instruction_tokens": 20_000},
           {"engineer_hours": 0, "training_hours": 0}, {"index_month": 0, "rag_hours": 1}, {"small_in": 1}]


@pytest.mark.parametrize("change", CHANGES)
def test_both_cost_the_same_at_the_break_even(change):
    c = Costs(**change)
    even = break_even(c)
    month = [cost(a, replace(c, calls_per_month=even))["month"] for a in ("prompt", "fine-tune")]
    assert isclose(*month, abs_tol=1e-9) and 0 <= even < inf
    more = [cost(a, replace(c, calls_per_month=even + 1))["month"] for a in ("prompt", "fine-tune")]
    assert more[1] < more[0]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("first,then", list(combinations(OPTIONS, 2)))
def test_break_even_by_a_root_finder(change, first, then):
    "brentq on the difference of the two bills; where it has no root, one of the two is always cheaper"
    c = Costs(**change)
    def gap(calls):
        at = replace(c, calls_per_month=calls)
        return cost(then, at)["month"] - cost(first, at)["month"]
    even = break_even(c, first, then)
    if gap(0) > 0 > gap(1e12): assert isclose(brentq(gap, 0, 1e12, xtol=1e-9, rtol=1e-14), even, rel_tol=1e-6)
    elif gap(1e12) >= 0: assert even == inf
    else: assert even == 0


@pytest.mark.parametrize("approach", OPTIONS)
def test_more_of_anything_never_costs_less(approach):
    "but for the months that work is spread over, and what makes training from nothing quicker"
    c = Costs(host_hours=1)
    for name, value in asdict(c).items():
        more = replace(c, **{name: min(1, value * 2) if name == "changed_share" else value * 2}) \
            if name != "utilisation" else replace(c, utilisation=.8)
        change = cost(approach, more)["month"] - cost(approach, c)["month"]
        cheaper = name == "months" or name in ("gpu_flops", "utilisation")
        assert change <= 0 if cheaper else change >= 0, name


@pytest.mark.parametrize("facts,hit", [
    ({"monthly": 4.51}, {"rag"}), ({"monthly": 4.49}, {"prompt", "rag"}), ({"monthly": .02}, set(OPTIONS)),
    ({"seconds": 1.7}, set()), ({"seconds": 1.6}, {"rag"}), ({"seconds": 1.5}, {"rag"}), ({"seconds": .5}, {"prompt", "rag"}),
    ({"seconds": .4}, set(OPTIONS)),
    ({"private": True, "gpu_gb": 140}, set()), ({"private": True, "gpu_gb": 139}, {"prompt", "rag"}),
    ({"private": True, "gpu_gb": 15}, set(OPTIONS)), ({"private": False, "gpu_gb": 0}, set())])
def test_limits_hit_those_that_break_them(facts, hit):
    "A bill is what a month costs to run, without what it cost to make; at 1,000 calls a prompt's is $4.50"
    loose = {k: v for k, v in facts.items() if k == "private"}
    with_it, without = ({o.approach: o.points for o in decide(Facts(**f)).ranked} for f in (facts, loose))
    assert {a for a in OPTIONS if with_it[a] < without[a]} == hit


@pytest.mark.parametrize("name", ["changed_share", "utilisation"])
def test_a_share_is_at_most_one(name):
    with pytest.raises(ValueError, match=f"{name}=1.01 should be a finite number, .*1 at most"): Costs(**{name: 1.01})
    Costs(**{name: 1})


def test_a_ranking_is_monotone():
    "An approach is never helped by a tighter limit, and examples never hurt fine-tuning"
    def points(**facts): return {o.approach: o.points for o in decide(Facts(private=True, **facts)).ranked}
    for name, loose_to_tight in (("seconds", (9, 1.6, 1, .1)), ("monthly", (1e5, 100, 1)), ("gpu_gb", (640, 24, 1)),
                                 ("budget", (1e6, 1e4, 1))):
        got = [points(**{name: value}) for value in loose_to_tight]
        for one, two in zip(got, got[1:]): assert all(two[a] <= one[a] for a in OPTIONS), name
        assert got[0] != got[-1]
    got = [points(examples=n)["fine-tune"] for n in (0, 49, 50, 499, 500, 10**6)]
    assert got == sorted(got) and got[0] < got[2] < got[-1]


def test_never_pays():
    assert break_even(Costs(instruction_tokens=0, large_in=.2, large_out=.2)) == inf
    assert decide(Facts(prompt_enough=True, examples=999, calls_per_month=10**8),
                  Costs(large_in=0, large_out=0)).best == "prompt"


def test_plot():
    plt = pytest.importorskip("matplotlib.pyplot")
    ax = plt.subplots()[1]
    assert plot_costs(Costs(), ax) is ax and len(ax.lines) == 4
    plt.close("all")


def test_light_import():
    code = "import sys, ftlab.decide; print(sorted({'torch', 'matplotlib'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
