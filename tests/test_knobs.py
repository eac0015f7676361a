"A sweep goes on where it stopped, says what it can't run before it runs anything, and is judged at its best."
import json
import math
import statistics

import pytest

import ftlab.knobs as knobs
from ftlab.knobs import at_best, interval, sweep
from ftlab.recipe import Recipe
from ftlab.train import Diverged


@pytest.fixture
def recipe(tmp_path):
    "Data for a sweep; nothing is trained, for `learn` is what answers"
    for name in ("train", "held"): (tmp_path / f"{name}.jsonl").write_text(
        json.dumps({"messages": [{"role": "user", "content": name}, {"role": "assistant", "content": "Yes."}]}) + "\n")
    return Recipe(model="tiny", weights="random", data=str(tmp_path / "train.jsonl"), eval_data=str(tmp_path / "held.jsonl"))


@pytest.fixture
def learn(monkeypatch):
    "`finetune` as it leaves a run: a loss that is the learning rate; its calls, and what it raises at a rate"
    calls, raises = [], {}

    def finetune(recipe, run, overwrite):
        calls.append(recipe.learning_rate)
        if recipe.learning_rate in raises: raise raises[recipe.learning_rate]
        run.mkdir(parents=True)
        lines = [{"step": 1, "loss": 9.}, {"step": 1, "eval_loss": 8.}, {"step": 2, "eval_loss": recipe.learning_rate}]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (run / "manifest.json").write_text('{"trainable": 5, "dtype": "torch.float32", "seconds": 1.5}')
    monkeypatch.setattr(knobs, "finetune", finetune)
    return calls, raises


def rates(*values): return [{"learning_rate": v} for v in values]


def test_the_last_look_counts(recipe, learn, tmp_path):
    got = sweep(recipe, rates(.1, .2), tmp_path / "s")
    assert got == [{"learning_rate": v, "loss": v, "trainable": 5, "dtype": "torch.float32", "seconds": 1.5} for v in (.1, .2)]
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["points.json"]


def test_killed_and_called_again(recipe, learn, tmp_path):
    calls, raises = learn
    raises[.2] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt): sweep(recipe, rates(.1, .2, .3), tmp_path / "s")
    raises.clear()
    assert [p["loss"] for p in sweep(recipe, rates(.3, .2, .1), tmp_path / "s")] == [.3, .2, .1]
    assert calls == [.1, .2, .3, .2]                                         # .1 was done, .2 was not


@pytest.mark.parametrize("change", ["data", "held", "field"])
def test_another_point(recipe, learn, tmp_path, change):
    "Other bytes or another field is another point; the same bytes elsewhere are not"
    from dataclasses import replace
    sweep(recipe, rates(.1), tmp_path / "s")
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes((tmp_path / "train.jsonl").read_bytes())
    sweep(replace(recipe, data=str(moved)), rates(.1), tmp_path / "s")
    assert learn[0] == [.1]
    if change == "data": moved.write_text(moved.read_text().replace("Yes", "No"))
    if change == "held": (tmp_path / "held.jsonl").write_text(moved.read_text().replace("Yes", "No"))
    sweep(replace(recipe, data=str(moved), **({"r": 3} if change == "field" else {})), rates(.1), tmp_path / "s")
    assert learn[0] == [.1, .1]


def test_diverged_is_a_result(recipe, learn, tmp_path):
    calls, raises = learn
    raises[9.] = Diverged("step 3: the loss is nan")
    got = sweep(recipe, rates(9., .1), tmp_path / "s", (told := []).append)
    assert told == got and [p["loss"] for p in got] == [None, .1] and got[0]["why"] == "step 3: the loss is nan"
    assert sweep(recipe, rates(9.), tmp_path / "s")[0]["loss"] is None and calls == [9., .1]
    arms = at_best([p | {"arm": 1} for p in got], "arm")
    assert arms[1]["learning_rate"] == .1 and arms[1]["edge"]


def test_nothing_is_trained_before_all_is_known(recipe, learn, tmp_path):
    with pytest.raises(ValueError, match="r: 0 must be above 0"): sweep(recipe, [*rates(.1), {"r": 0}], tmp_path / "s")
    with pytest.raises(ValueError, match="unknown key 'rank'"): sweep(recipe, [*rates(.1), {"rank": 8}], tmp_path / "s")
    with pytest.raises(ValueError, match="has no eval_data"): sweep(recipe, [{"eval_data": ""}], tmp_path / "s")
    assert learn[0] == [] and not (tmp_path / "s").exists()


def test_interval_covers():
    "Of 2,000 means of three normal numbers, 95% lie within their interval of the truth"
    import random
    rng, inside = random.Random(0), 0
    for _ in range(2000):
        mean, half = interval([rng.gauss(5, 2) for _ in range(3)])
        inside += abs(mean - 5) <= half
    assert .935 < inside / 2000 < .965
    assert interval([1., math.inf]) == (math.inf, math.inf)


def test_each_arm_at_its_own_rate():
    rows = [{"arm": a, "learning_rate": v, "loss": abs(math.log10(v / best)) + seed / 10}
            for a, best in (("x", .1), ("y", .01)) for v in (.001, .01, .1, 1.) for seed in range(3)]
    got = at_best(rows, "arm")
    assert {a: b["learning_rate"] for a, b in got.items()} == {"x": .1, "y": .01} and not got["x"]["edge"]
    half = 4.3027 * statistics.stdev([0, .1, .2]) / 3**.5                    # t of Student's table at 2 degrees of freedom
    assert got["x"]["loss"] == pytest.approx(.1) and got["x"]["half"] == pytest.approx(half, rel=1e-4)
    assert at_best([r for r in rows if r["learning_rate"] < .1], "arm")["x"]["edge"]
