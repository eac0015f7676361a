"A run run again: bit-equal where nothing changed, and where something did, what and from which step on."
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import ftlab.reproduce as room
from ftlab.core import load_model, write_json
from ftlab.recipe import Recipe
from ftlab.reproduce import changes, reproduce, verdict
from ftlab.train import finetune

ROOT = Path(__file__).resolve().parent.parent
SMALL = Recipe(model="tiny", weights="random", data="data/train.jsonl", eval_data="data/dev.jsonl", r=4, max_length=512,
               per_device_train_batch_size=4, learning_rate=3e-3, eval_steps=2, save_steps=2)


def begun(folder):
    "Data in a folder of its own"
    rows = [{"prompt": f"at {h}:{m:02}", "completion": f"{m} {h} * * *"} for h in range(12) for m in (0, 30)]
    (folder/"data").mkdir(parents=True)
    for name, some in (("train", rows[:16]), ("dev", rows[16:])):
        (folder/f"data/{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in some))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "A finished run, made from inside its folder, with paths as one types them"
    home, before = begun(tmp_path_factory.mktemp("made")), Path.cwd()
    os.chdir(home)
    try: finetune(SMALL, "runs/small")
    finally: os.chdir(before)
    return home


@pytest.fixture
def run(made, tmp_path):
    "A copy of it, data and all, somewhere else"
    shutil.copytree(made, tmp_path/"moved")
    return tmp_path/"moved/runs/small"


@pytest.fixture
def untrained(monkeypatch):
    "Nothing may be trained"
    def never(*args, **kwargs): raise AssertionError("it was trained")
    monkeypatch.setattr(room, "finetune", never)


def edit(run, old, new):
    text = (run/"recipe.yaml").read_text()
    assert old in text
    (run/"recipe.yaml").write_text(text.replace(old, new))


def noted(run, **facts):
    write_json(run/"manifest.json", json.loads((run/"manifest.json").read_text()) | facts)


def test_equal_from_anywhere_although_it_was_moved(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = []
    got = reproduce(run, told=told.append)
    assert told == [[]] and got["equal"] and got["changes"] == [] and got["first"] is None
    assert got["lines"] == 6 and got["weights"] == {"equal": True, "tensors": 28}        # 4 steps, 2 looks
    assert verdict(got) == "bit-equal: 28 tensors and 6 lines of metrics"


def test_nothing_is_left_behind(run, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path/"t"))
    (tmp_path/"t").mkdir()
    before = sorted(p.relative_to(run) for p in run.rglob("*"))
    reproduce(run)
    assert list((tmp_path/"t").iterdir()) == [] and sorted(p.relative_to(run) for p in run.rglob("*")) == before


def test_the_second_run_can_stay_and_be_run_again(run, tmp_path):
    kept = tmp_path/"kept"
    assert reproduce(run, keep=kept)["equal"] and reproduce(kept)["equal"]
    with pytest.raises(FileExistsError, match="already there"): reproduce(run, keep=kept)


@pytest.mark.parametrize("name", ["train", "dev"])
def test_other_data_is_said_before_anything_is_trained(run, untrained, name):
    file = run.parent.parent/f"data/{name}.jsonl"
    file.write_text(file.read_text().replace("at 0:00", "at 00:00").replace("at 8:00", "at 08:00"))
    with pytest.raises(ValueError, match=f"{name}.jsonl, changed since .* SHA-256 was"): reproduce(run)


def test_data_that_are_gone(run, untrained, tmp_path, monkeypatch):
    (run.parent.parent/"data/train.jsonl").unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="neither at ../../data/train.jsonl from .* nor here"): reproduce(run)


def test_data_found_where_the_command_is_typed(run, made, tmp_path, monkeypatch):
    shutil.move(run, tmp_path/"alone")                  # without its data
    monkeypatch.chdir(made)
    assert changes(tmp_path/"alone") == []


def test_another_base_is_said_before_anything_is_trained(made, tmp_path, untrained, monkeypatch):
    home = begun(tmp_path/"home")
    model, tokenizer = load_model("tiny", "random")
    model.save_pretrained(home/"base")
    tokenizer.save_pretrained(home/"base")
    monkeypatch.chdir(home)
    finetune(replace(SMALL, model="base", weights="real", max_steps=1), "runs/based")
    monkeypatch.chdir(tmp_path)
    assert changes(home/"runs/based") == []
    with torch.no_grad(): model.model.norm.weight[0] += 1e-3
    model.save_pretrained(home/"base")
    with pytest.raises(ValueError, match="model, .*base, changed since"): reproduce(home/"runs/based")


def test_a_seed_edited_later(run):
    edit(run, "seed: 42", "seed: 43")
    told = []
    got = reproduce(run, told=told.extend)
    assert [c[0] for c in told] == ["recipe"] and not got["equal"] and not got["weights"]["equal"]
    assert got["first"]["step"] == 1 and got["weights"]["differ"] > 0 and got["weights"]["largest"] > 0
    assert "the first to differ is step 1, where loss was" in verdict(got) and "since then: recipe was" in verdict(got)


def test_the_first_step_that_differs_is_named(run):
    edit(run, "max_grad_norm: 1.0", "max_grad_norm: 0.9")
    got = reproduce(run)
    then, now = got["first"]["then"], got["first"]["now"]       # the first step is cut too, which shows from then on
    assert not got["equal"] and then["step"] == now["step"] > 1 and then != now
    assert f"the first to differ is step {then['step']}, where" in verdict(got)


@pytest.mark.slow
def test_metrics_that_were_touched(run):
    lines = [json.loads(l) for l in (run/"metrics.jsonl").read_text().splitlines()]
    lines[4]["grad_norm"] += 1e-12
    (run/"metrics.jsonl").write_text("".join(json.dumps(l) + "\n" for l in lines))
    got = reproduce(run)
    assert not got["equal"] and got["weights"]["equal"] and got["first"]["step"] == lines[4]["step"]
    assert "grad_norm was" in verdict(got) and "loss was" not in verdict(got) and "all 28 tensors are equal" in verdict(got)
    (run/"metrics.jsonl").write_text("".join(json.dumps(l) + "\n" for l in [*lines[:4], lines[5]]))
    assert reproduce(run)["first"]["step"] == lines[4]["step"]
    (run/"metrics.jsonl").write_text("".join(json.dumps(l) + "\n" for l in lines[:4]))        # the end is gone
    got = reproduce(run)
    assert not got["equal"] and got["first"]["then"] is None and got["first"]["step"] == lines[4]["step"]
    assert f"only the second run has step {lines[4]['step']}" in verdict(got)


def test_an_adapter_that_is_another_one(run):
    file = run/"adapter/adapter_model.safetensors"
    tensors = load_file(file)
    name = sorted(tensors)[5]
    tensors[name][0, 0] += .25
    save_file(tensors, file, {"format": "pt"})
    told = []
    got = reproduce(run, told=told.extend)
    assert [c[0] for c in told] == ["adapter/"] and not got["equal"] and got["first"] is None
    assert got["weights"]["differ"] == 1 and got["weights"]["in"] == name and abs(got["weights"]["largest"] - .25) < 1e-6
    assert "1 of 28 tensors differ, by up to 0.25" in verdict(got) and "metrics: all 6 lines" in verdict(got)


@pytest.mark.parametrize("harm, words", [
    (lambda f: f.write_bytes(f.read_bytes()[:-64]), "can't be read"), (lambda f: f.unlink(), "no weights in adapter/"),
    (lambda f: save_file({"x": torch.ones(1)}, f), "another name, shape or type")])
def test_an_adapter_that_is_damaged(run, harm, words):
    harm(run/"adapter/adapter_model.safetensors")
    got = reproduce(run)
    assert not got["equal"] and words in got["weights"]["why"]
    assert words in verdict(got) and "since then: adapter/ was" in verdict(got)
    json.dumps(got, allow_nan=False)


def test_a_nan_is_no_nan_in_json(run):
    file = run/"adapter/adapter_model.safetensors"
    tensors = load_file(file)
    tensors[sorted(tensors)[0]][0, 0] = float("nan")
    save_file(tensors, file, {"format": "pt"})
    got = reproduce(run)
    assert not got["equal"] and got["weights"]["differ"] == 1
    json.loads(json.dumps(got))


@pytest.mark.slow
def test_other_threads_are_named_and_the_bits_decide(run):
    code = ("import json, sys; from ftlab.reproduce import reproduce, verdict; "
            "got = reproduce(sys.argv[1]); print(json.dumps(got)); print(verdict(got), file=sys.stderr)")
    threads = torch.get_num_threads()
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, cwd=run,
                          env=os.environ | {"OMP_NUM_THREADS": str(threads + 1), "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["changes"] == [["hardware threads", threads, threads + 1]]
    assert f"hardware threads was {threads} and is {threads + 1}" in done.stderr
    assert got["equal"] == (got["first"] is None and got["weights"]["equal"])      # equal or not, and said which


def test_what_differs_between_then_and_now(run):
    made = json.loads((run/"manifest.json").read_text())
    noted(run, python="3.0", versions=made["versions"] | {"torch": "1.0", "gone": "2"}, commit="0"*40, code="1"*64,
          hardware=made["hardware"] | {"cpu": "abacus"})
    found = {what: (then, now) for what, then, now in changes(run)}
    assert found == {"python": ("3.0", made["python"]), "versions torch": ("1.0", made["versions"]["torch"]),
                     "versions gone": ("2", None), "commit": ("0"*40, made["commit"]), "code": ("1"*64, made["code"]),
                     "hardware cpu": ("abacus", made["hardware"]["cpu"])}


def test_the_dtype_of_then_is_taken_not_measured_again(run, monkeypatch):
    made = json.loads((run/"manifest.json").read_text())
    other = torch.float32 if made["dtype"] == "torch.bfloat16" else torch.bfloat16
    monkeypatch.setattr("ftlab.engine.pick_dtype", lambda device: other)
    assert reproduce(run)["equal"]


@pytest.mark.slow
def test_a_run_that_was_stopped_and_went_on(tmp_path, monkeypatch):
    import signal

    from ftlab.checkpoint import Stopped
    monkeypatch.chdir(begun(tmp_path/"home"))
    stop = lambda line: signal.raise_signal(signal.SIGTERM) if line["step"] == 2 and "loss" in line else None
    with pytest.raises(Stopped): finetune(SMALL, "runs/r", report=stop)
    finetune(SMALL, "runs/r")
    assert reproduce("runs/r")["equal"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"method": "full", "learning_rate": 1e-4}, {"lora_dropout": .2, "packing": False},
                                 {"early_stopping_patience": 1, "learning_rate": .1, "num_train_epochs": 5.}])
def test_other_ways_to_train(tmp_path, how, monkeypatch):
    monkeypatch.chdir(begun(tmp_path/"home"))
    got = reproduce(finetune(replace(SMALL, **how), "runs/r"))
    assert got["equal"] and got["changes"] == [], verdict(got)


def test_a_run_of_an_older_ftlab(run, monkeypatch):
    made = json.loads((run/"manifest.json").read_text())
    for k in ("base", "code", "places", "licences", "eval_data", "recipe"): made.pop(k)
    write_json(run/"manifest.json", made)
    monkeypatch.chdir(run.parent.parent)
    got = reproduce(run)
    assert got["equal"] and [c[0] for c in got["changes"]] == ["code", "recipe"] and "not written down" in verdict(got)


def test_what_is_no_run(tmp_path, run):
    with pytest.raises(FileNotFoundError, match="no finished run: it has no recipe.yaml"): reproduce(tmp_path)
    (run/"manifest.json").write_text("{")
    with pytest.raises(ValueError, match="manifest.json is damaged"): reproduce(run)
