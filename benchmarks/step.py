"""Seconds of one training step of the worked task, switched one thing at a time, side by side in one run.

    python benchmarks/step.py            writes step.json beside this file
"""
import json
import statistics
import time
from pathlib import Path

from peft.tuners.lora import Linear

from ftlab import train
from ftlab.core import manifest, write_json
from ftlab.pack import collate, packed_loss, use_packing

ROUNDS, STEPS = 7, 6
VARIANTS = {"as shipped": {}, "peft's own LoRA layers": {"layer": Linear},
            "system prompt stored each time": {"share": False}}


def ready(limit):
    "The shipped recipe on the first examples, set up as `finetune` does: recipe, rows, model, optimizer"
    root = Path(__file__).resolve().parent.parent
    recipe = train.read_recipe("cron-smollm2-cpu", data=str(root / "data/cron/train.jsonl"), limit=limit)
    train.keep_pages()
    train.seed_everything(recipe.seed)
    base, tokenizer = train._base(recipe)
    rows, model = train.prepare(recipe, tokenizer), train._adapt(base, recipe)
    use_packing(model.get_base_model())
    return recipe, rows, model, train._optimizer(model.train(), recipe)


def step(model, optimizer, rows, **how):
    "Seconds of one step on these conversations; `how` goes to `collate`"
    start = time.perf_counter()
    batch = collate(rows, **how)
    (packed_loss(model, batch) / (batch["labels"] >= 0).sum()).backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - start


def main():
    recipe, rows, model, optimizer = ready(limit=2000)
    layers = [m for m in model.modules() if isinstance(m, Linear)]
    size, at, seconds = recipe.per_device_train_batch_size, 0, {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):
        for name, how in VARIANTS.items():
            for layer in layers:
                layer.__class__ = how.get("layer", train._Linear)
            for turn in range(STEPS):
                few, at = rows[at:at + size], (at + size) % (len(rows) - size)
                took = step(model, optimizer, few, share=how.get("share", True), fill=16)
                if turn:                     # the first of each turn warms up
                    seconds[name].append(took)
    median = {name: statistics.median(s) for name, s in seconds.items()}
    facts = manifest(recipe=recipe.__dict__ | {"data": "data/cron/train.jsonl"},
                     dtype=str(model.get_base_model().dtype), rounds=ROUNDS,
                     seconds={n: round(s, 3) for n, s in median.items()},
                     ratio={n: round(s / median["as shipped"], 2) for n, s in median.items()})
    write_json(Path(__file__).with_suffix(".json"), facts)
    print(json.dumps({k: facts[k] for k in ("dtype", "hardware", "seconds", "ratio")}, indent=1))


if __name__ == "__main__":
    main()
