"""What filling rows up to round sizes does to a long run: memory and seconds a step, each in a process of its own,
both at once, one thread each.

    python benchmarks/fill.py            writes fill.json beside this file
"""
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

STEPS, EVERY, SIZE = 200, 40, 5


def run(fill):
    "Train with rows filled up to multiples of `fill`; a line of JSON on each EVERY steps"
    import psutil

    from ftlab import train
    from ftlab.pack import collate, packed_loss, use_packing
    root = Path(__file__).resolve().parent.parent
    recipe = train.read_recipe("cron-smollm2-cpu", data=str(root / "data/cron/train.jsonl"), limit=STEPS * SIZE)
    train.keep_pages()
    train.seed_everything(recipe.seed)
    base, tokenizer = train._base(recipe)
    rows, model = train.prepare(recipe, tokenizer), train._adapt(base, recipe)
    use_packing(model.get_base_model())
    optimizer, seconds = train._optimizer(model.train(), recipe), []
    for step in range(STEPS):
        start = time.perf_counter()
        batch = collate(rows[step * SIZE:(step + 1) * SIZE], fill=fill)
        (packed_loss(model, batch) / (batch["labels"] >= 0).sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
        if step % EVERY == EVERY - 1:
            print(json.dumps({"step": step + 1, "seconds": round(statistics.mean(seconds[-EVERY:]), 3),
                              "gb": round(psutil.Process().memory_info().rss / 1e9, 2)}), flush=True)


def main():
    from ftlab.core import manifest, write_json
    both = {f"fill={n}": subprocess.Popen([sys.executable, __file__, str(n)], stdout=subprocess.PIPE, text=True,
                                          env=os.environ | {"OMP_NUM_THREADS": "1"}) for n in (1, 16)}
    lines = {name: [json.loads(x) for x in p.communicate()[0].splitlines()] for name, p in both.items()}
    facts = manifest(conversations=SIZE, runs=lines)
    write_json(Path(__file__).with_suffix(".json"), facts)
    print(json.dumps({k: facts[k] for k in ("hardware", "runs")}, indent=1))


if __name__ == "__main__":
    run(int(sys.argv[1])) if sys.argv[1:] else main()
