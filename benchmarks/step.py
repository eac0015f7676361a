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
from ftlab.pack import packed_loss, use_packing

ROUNDS, STEPS = 7, 6
VARIANTS = {"as shipped": {}, "peft's own LoRA layers": {"layer": Linear},
            "system prompt stored each time": {"share": False}}


def main():
    root = Path(__file__).resolve().parent.parent
    recipe = train.read_recipe("cron-smollm2-cpu", data=str(root / "data/cron/train.jsonl"), limit=2000)
    train.keep_pages()
    base, tokenizer = train._base(recipe)
    rows, model = train.prepare(recipe, tokenizer), train._adapt(base, recipe)
    use_packing(model.get_base_model())
    optimizer = train._optimizer(model.train(), recipe)
    layers = [m for m in model.modules() if isinstance(m, Linear)]
    size, at, seconds = recipe.per_device_train_batch_size, 0, {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):
        for name, how in VARIANTS.items():
            for layer in layers:
                layer.__class__ = how.get("layer", train._Linear)
            for step in range(STEPS):
                few, at = rows[at:at + size], (at + size) % (len(rows) - size)
                start = time.perf_counter()
                batch = train._collate(few, how.get("share", True))
                batch.pop("shift_labels")
                (packed_loss(model, batch) / (batch["labels"] >= 0).sum()).backward()
                optimizer.step()
                optimizer.zero_grad()
                if step:                     # the first of each turn warms up
                    seconds[name].append(time.perf_counter() - start)
    median = {name: statistics.median(s) for name, s in seconds.items()}
    facts = manifest(recipe=recipe.__dict__ | {"data": "data/cron/train.jsonl"},
                     dtype=str(base.dtype), rounds=ROUNDS,
                     seconds={n: round(s, 3) for n, s in median.items()},
                     ratio={n: round(s / median["as shipped"], 2) for n, s in median.items()})
    write_json(Path(__file__).with_suffix(".json"), facts)
    print(json.dumps({k: facts[k] for k in ("dtype", "hardware", "seconds", "ratio")}, indent=1))


if __name__ == "__main__":
    main()
