"""What filling rows up to round sizes does to a long run: memory and seconds a step, each in a process of its own,
both at once, one thread each.

    python benchmarks/fill.py            writes fill.json beside this file
"""
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

STEPS, EVERY, SIZE = 200, 40, 5


def run(fill):
    "Train with rows filled up to multiples of `fill`; a line of JSON on each EVERY steps"
    import psutil

    from step import ready, step
    _, rows, model, optimizer = ready(limit=STEPS * SIZE)
    seconds = []
    for i in range(STEPS):
        seconds.append(step(model, optimizer, rows[i * SIZE:(i + 1) * SIZE], fill=fill))
        if i % EVERY == EVERY - 1:
            print(json.dumps({"step": i + 1, "seconds": round(statistics.mean(seconds[-EVERY:]), 3),
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
