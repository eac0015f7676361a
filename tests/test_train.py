"Training: the same bytes however often it was stopped, and nothing lost to a full disk, a bad number or a second process."
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from ftlab.checkpoint import Stopped, checkpoints, step_of
from ftlab.core import load_model, sha256
from ftlab.recipe import Recipe
from ftlab.train import Diverged, finetune, load_tuned

ROOT = Path(__file__).parent.parent
KILLS = ROOT/"benchmarks/kills.py"


@pytest.fixture
def small(tmp_path):
    rows = [{"prompt": f"every {day} at {h}", "completion": f"0 {h} * * {d}"}
            for h in range(5) for d, day in enumerate(("sunday", "monday", "friday", "saturday"))]
    (tmp_path/"data.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return Recipe(model="tiny", weights="random", data=str(tmp_path/"data.jsonl"), r=2, per_device_train_batch_size=4,
                  max_length=256, learning_rate=3e-3, dtype="float32", save_steps=2, num_train_epochs=2)      # 10 steps


def stop_at(step, how=signal.SIGTERM):
    def report(line):
        if line["step"] == step and "loss" in line: signal.raise_signal(how)
    return report


def lines(run): return [json.loads(x) for x in (run/"metrics.jsonl").read_text().splitlines()]
def exact(run): return [[x.get(k) for k in ("step", "loss", "learning_rate", "grad_norm", "eval_loss")] for x in lines(run)]
def weights(run): return sha256(next(p for name in ("adapter", "model") for p in (run/name).glob("*.safetensors")))


def steps(run): return [*map(step_of, checkpoints(run/"checkpoints"))]


def optimizer(run):
    state = torch.load(checkpoints(run/"checkpoints")[-1]/"optimizer.pt", weights_only=True)["state"]
    return [t.numpy().tobytes() for _, s in sorted(state.items()) for _, t in sorted(s.items())]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [
    {}, {"lora_dropout": .2, "gradient_accumulation_steps": 2}, {"packing": False}, {"method": "full", "learning_rate": 1e-4},
    {"use_dora": True, "save_steps": 3}, {"eval_data": "data", "eval_steps": 3}, {"save_steps": 0},
    {"lr_scheduler_type": "cosine", "warmup_steps": 4, "max_steps": 7, "loraplus_lr_ratio": 8.}])
def test_stopped_and_gone_on_is_the_same(small, tmp_path, changes):
    if "eval_data" in changes: changes = changes | {"eval_data": small.data}
    recipe = dataclasses.replace(small, **changes)
    whole = finetune(recipe, tmp_path/"whole")
    for step in (1, 3):
        with pytest.raises(Stopped, match=f"stopped after step {step} of .*checkpoint-{step}"):
            finetune(recipe, tmp_path/"cut", report=stop_at(step))
        assert not (tmp_path/"cut").exists()
    seen = []
    cut = finetune(recipe, tmp_path/"cut", report=seen.append)
    assert seen[0]["step"] > 3 and exact(cut) == exact(whole) and weights(cut) == weights(whole)
    assert not recipe.save_steps or optimizer(cut) == optimizer(whole)
    assert not recipe.save_steps or steps(cut) == steps(whole)
    assert all(a["seconds"] <= b["seconds"] for a, b in zip(lines(cut), lines(cut)[1:]))
    assert not [*tmp_path.glob("*.part")] and not [*cut.rglob(".new")]


def test_ctrl_c_is_as_good_as_sigterm(small, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped, match="after step 4 of 10"): finetune(small, tmp_path/"r", report=stop_at(4, signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_early_stopping_goes_on_too(small, tmp_path):
    held = tmp_path/"held.jsonl"                  # what is learnt makes these answers less likely, after a while
    held.write_text(Path(small.data).read_text().replace("* *", "* 11"))
    recipe = dataclasses.replace(small, eval_data=str(held), eval_steps=2, early_stopping_patience=2, learning_rate=.02,
                                 num_train_epochs=20, save_total_limit=1)
    whole = finetune(recipe, tmp_path/"whole")
    looks = {x["step"]: x["eval_loss"] for x in lines(whole) if "eval_loss" in x}
    best = min(looks, key=looks.get)
    assert max(looks) == best + 4 < 100
    kept = load_file(whole/f"checkpoints/checkpoint-{best}/adapter_model.safetensors")
    assert all(torch.equal(v, kept[k]) for k, v in load_file(whole/"adapter/adapter_model.safetensors").items())
    with pytest.raises(Stopped): finetune(recipe, tmp_path/"cut", report=stop_at(best + 1))
    cut = finetune(recipe, tmp_path/"cut")
    assert exact(cut) == exact(whole) and weights(cut) == weights(whole)


@pytest.mark.slow
def test_loss_of_held_out_data_does_not_depend_on_the_batch(small, tmp_path):
    still = dataclasses.replace(small, eval_data=small.data, max_steps=1, learning_rate=1e-12)
    ways = {}, {"packing": False}, {"share_prefix": False}, {"per_device_train_batch_size": 7}
    runs = [finetune(dataclasses.replace(still, **how), tmp_path/str(i)) for i, how in enumerate(ways)]
    seen = [lines(run)[-1]["eval_loss"] for run in runs]
    assert max(seen) - min(seen) < 1e-5


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over(small, tmp_path):
    whole = finetune(small, tmp_path/"whole")
    with pytest.raises(Stopped): finetune(small, tmp_path/"cut", report=stop_at(6))
    newest = checkpoints(tmp_path/"cut.part/checkpoints")[-1]
    with open(newest/"optimizer.pt", "r+b") as f: f.seek(100); f.write(b"\0\0\0\0")
    seen = []
    with pytest.warns(UserWarning, match="checkpoint-6: optimizer.pt has changed"):
        finetune(small, tmp_path/"cut", report=seen.append)
    assert seen[0]["step"] == 5 and exact(tmp_path/"cut") == exact(whole) and weights(tmp_path/"cut") == weights(whole)


def test_other_data_is_told(small, tmp_path):
    with pytest.raises(Stopped): finetune(small, tmp_path/"r", report=stop_at(3))
    with open(small.data, "a") as f: f.write('{"prompt": "noon", "completion": "0 12 * * *"}\n')
    with pytest.raises(FileExistsError, match="another recipe.*sha256 of data was"): finetune(small, tmp_path/"r")
    assert checkpoints(tmp_path/"r.part/checkpoints")                        # nothing was touched
    assert lines(finetune(small, tmp_path/"r", overwrite=True))[0]["step"] == 1


def test_two_at_once_is_refused(small, tmp_path):
    with pytest.raises(Stopped): finetune(small, tmp_path/"r", report=stop_at(3))
    with FileLock(tmp_path/"r.part/lock"), pytest.raises(RuntimeError, match="another process"): finetune(small, tmp_path/"r")
    assert checkpoints(tmp_path/"r.part/checkpoints")
    finetune(small, tmp_path/"r")


def test_bad_data_leaves_nothing(small, tmp_path):
    (tmp_path/"bad.jsonl").write_text('{"prompt": "q"}\n')
    bad = dataclasses.replace(small, data=str(tmp_path/"bad.jsonl"))
    with pytest.raises(ValueError, match="bad.jsonl:1"): finetune(bad, tmp_path/"r")
    assert not (tmp_path/"r").exists() and not (tmp_path/"r.part").exists()


@pytest.mark.slow
def test_overwriting_keeps_the_old_run_until_the_new_one_is_whole(small, tmp_path):
    first = weights(finetune(small, tmp_path/"r"))
    other = dataclasses.replace(small, seed=7)
    with pytest.raises(FileExistsError): finetune(other, tmp_path/"r")
    with pytest.raises(Stopped): finetune(other, tmp_path/"r", overwrite=True, report=stop_at(3))
    assert weights(tmp_path/"r") == first
    assert weights(finetune(other, tmp_path/"r", overwrite=True)) != first


# ---- a bad number

@pytest.mark.slow
def test_a_loss_that_is_no_number(small, tmp_path, monkeypatch):
    from ftlab import engine
    real, calls = engine._summed, []

    def bad(model, batch):
        calls.append(1)
        return real(model, batch)*(float("nan") if len(calls) == 5 else 1)
    monkeypatch.setattr(engine, "_summed", bad)
    whole = dataclasses.replace(small, save_steps=3)
    with pytest.raises(Diverged, match=r"step 5: the loss is nan; the batch: .*data\.jsonl:\d+, .*checkpoint-4; lower"):
        finetune(whole, tmp_path/"r")
    monkeypatch.setattr(engine, "_summed", real)
    assert exact(finetune(whole, tmp_path/"r")) == exact(finetune(whole, tmp_path/"clean"))    # the good state was kept
    assert weights(tmp_path/"r") == weights(tmp_path/"clean")


def test_a_gradient_that_is_no_number(small, tmp_path, monkeypatch):
    from ftlab import engine
    real, calls = engine._summed, []

    def bad(model, batch):
        loss = real(model, batch)
        calls.append(1)
        if len(calls) == 3: loss.register_hook(lambda g: g*float("inf"))
        return loss
    monkeypatch.setattr(engine, "_summed", bad)
    with pytest.raises(Diverged, match=r"step 3: the gradient of .*lora_.* is not finite; the batch: .*data\.jsonl:"):
        finetune(small, tmp_path/"r")
    assert step_of(checkpoints(tmp_path/"r.part/checkpoints")[-1]) == 2


def test_worse_than_guessing(small, tmp_path):
    recipe = dataclasses.replace(small, method="full", learning_rate=3., num_train_epochs=10, warmup_steps=0.)
    with pytest.raises(Diverged, match="over ten steps the loss was .* blind guessing costs 5.77"): finetune(recipe, tmp_path/"r")


# ---- a full disk

@pytest.mark.slow
def test_a_full_disk_costs_a_checkpoint_and_no_more(small, tmp_path):
    whole = finetune(small, tmp_path/"whole")
    sizes = {p.name: p.stat().st_size for p in checkpoints(whole/"checkpoints")[-1].iterdir()}
    limit = (sizes["adapter_model.safetensors"] + sizes["optimizer.pt"])//2          # the adapter fits, the optimizer doesn't
    code = f"""
import resource, signal, sys
from ftlab.recipe import read_recipe
from ftlab.train import finetune
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def full(line):
    if line["step"] == 5: resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
finetune(read_recipe(sys.argv[1]), sys.argv[2], report=full)
"""
    done = subprocess.run([sys.executable, "-c", code, str(whole/"recipe.yaml"), str(tmp_path/"r")],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for step in (6, 8, 10): assert f"no checkpoint of step {step}: " in done.stderr
    assert steps(tmp_path/"r") == [2, 4]
    assert weights(tmp_path/"r") == weights(whole) and exact(tmp_path/"r") == exact(whole)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


# ---- methods

def test_full_fine_tuning(small, tmp_path):
    run = finetune(dataclasses.replace(small, method="full", learning_rate=1e-3), tmp_path/"r")
    assert lines(run)[-1]["loss"] < lines(run)[0]["loss"] and not (run/"adapter").exists()
    model, tokenizer = load_tuned(run)
    base, _ = load_model("tiny", "random")
    x = tokenizer("every day", return_tensors="pt").input_ids
    assert not torch.equal(model(x).logits, base(x).logits) and not model.training
    saved = load_file(run/"model/model.safetensors")
    assert all(torch.equal(p, saved[n]) for n, p in model.named_parameters() if n in saved)


def test_packing_off_learns_the_same(small, tmp_path):
    a, b = (finetune(dataclasses.replace(small, packing=p), tmp_path/str(p)) for p in (True, False))
    assert all(abs(x["loss"] - y["loss"]) < 1e-4 for x, y in zip(lines(a), lines(b)))


def test_rslora_and_dora_arrive(small, tmp_path):
    run = finetune(dataclasses.replace(small, use_rslora=True, use_dora=True, max_steps=1), tmp_path/"r")
    config = json.loads((run/"adapter/adapter_config.json").read_text())
    assert config["use_rslora"] and config["use_dora"]


# ---- killed

@pytest.mark.slow
def test_killed_at_every_moment():
    done = subprocess.run([sys.executable, str(KILLS)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("killed      whole") == 25 and done.stdout.endswith("25 of 25 killed, resumed and bit-equal\n")
