"Decisions as a table of situations with reasons; the cost model against sums done by hand."
import subprocess
import sys
from dataclasses import asdict, replace
from math import inf, isclose, nan

import pytest

from ftlab.decide import OPTIONS, Costs, Facts, break_even, cost, decide, one_off, plot_costs

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
    ("full training is cheap here", {"base_lacks": True}, {"full_training": 900.0}, "full",
     "no existing model", None),
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
        assert winner != first and decide(other, c).best == winner


def test_enough_situations():
    assert len(SITUATIONS) >= 12 and {s[3] for s in SITUATIONS} == set(OPTIONS)


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
              host_hours=100, engineer_hours=2, engineer_hour=54, months=6)
    assert one_off(c) == 120
    assert isclose(cost("prompt", c)["month"], 1.05)                    # 1,000 × (1000 + 50) / 1e6
    assert isclose(cost("fine-tune", c)["month"], 20 + 300 + .06)
    assert isclose(break_even(c), 320 / .00099)
    with pytest.raises(ValueError, match="no cost model for 'full'"):
        cost("full", c)


@pytest.mark.parametrize("change", [
    {}, {"host_hours": 730}, {"large_in": .1}, {"months": 1}, {"instruction_tokens": 20_000},
    {"engineer_hours": 0, "training_hours": 0}])
def test_both_cost_the_same_at_the_break_even(change):
    c = Costs(**change)
    even = break_even(c)
    month = [cost(a, replace(c, calls_per_month=even))["month"] for a in ("prompt", "fine-tune")]
    assert isclose(*month, abs_tol=1e-9) and 0 <= even < inf
    more = [cost(a, replace(c, calls_per_month=even + 1))["month"] for a in ("prompt", "fine-tune")]
    assert more[1] < more[0]


def test_never_pays():
    assert break_even(Costs(instruction_tokens=0, large_in=.2, large_out=.2)) == inf
    assert decide(Facts(prompt_enough=True, examples=999, calls_per_month=10**8),
                  Costs(large_in=0, large_out=0)).best == "prompt"


def test_plot():
    plt = pytest.importorskip("matplotlib.pyplot")
    ax = plt.subplots()[1]
    assert plot_costs(Costs(), ax) is ax and len(ax.lines) == 3
    plt.close("all")


def test_light_import():
    code = "import sys, ftlab.decide; print(sorted({'torch', 'matplotlib'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
