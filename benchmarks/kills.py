"""Kill a run at every moment there is, call it again, and compare what it ends with, to the last bit.

    python benchmarks/kills.py                    25 kills of a model of two layers; a minute or two
    python benchmarks/kills.py --model smollm2    5 kills of the 135M model
    python benchmarks/kills.py --out FILE         keep the table; kills.json beside this file for both together

A run is killed by SIGKILL before, in and after each file of a checkpoint, around its seal and its rename, while the
oldest is let go, between steps, by the clock, and while the finished run is put into its place. "In" leaves half of
the file. Compared with an undisturbed run: adapter, optimizer state, and step, loss, learning rate and gradient norm
of every line of metrics.jsonl.
"""
import argparse
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")     # a forked child may not use threads that its parent began
os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
from transformers import TrainerState

import ftlab.checkpoint
import ftlab.train
from ftlab.recipe import Recipe
from ftlab.train import finetune

DATA = Path(__file__).parent.parent/"data/cron/train.jsonl"
TINY = Recipe(model="tiny", weights="random", limit=64, r=4, per_device_train_batch_size=4, max_length=512,
              gradient_accumulation_steps=2, lora_dropout=.1, num_train_epochs=2, learning_rate=3e-3, dtype="float32",
              save_steps=3)                                                                  # 16 steps
REAL = Recipe(limit=48, r=8, per_device_train_batch_size=6, max_length=256, dtype="float32", save_steps=3)

# file or folder, when, and the how manieth of that name
FILES = [("adapter_config.json", "before", 1), ("adapter_config.json", "after", 2),
         ("adapter_model.safetensors", "before", 2), ("adapter_model.safetensors", "in", 1),
         ("adapter_model.safetensors", "after", 3), ("optimizer.pt", "before", 1), ("optimizer.pt", "in", 2),
         ("optimizer.pt", "after", 3), ("scheduler.pt", "in", 2), ("rng_state.pth", "in", 3),
         ("rng_state.pth", "after", 1), ("trainer_state.json", "in", 2), ("trainer_state.json", "after", 4),
         ("seal.json", "before", 2), ("seal.json", "in", 3), ("checkpoint-6", "before", 1), ("checkpoint-9", "after", 1),
         ("old", "before", 1), ("manifest.json", "before", 1), ("manifest.json", "after", 1),
         ("run", "before", 1), ("run", "after", 1)]
STEPS = [("step 2", "after", 2), ("step 7", "after", 7)]


def armed(name, when, nth):
    "Kill this process around the nth write of a file of that name"
    seen = 0

    def die(): os.kill(os.getpid(), signal.SIGKILL)

    def around(real, path_of):
        def call(*args, **kwargs):
            nonlocal seen
            path = path_of(*args, **kwargs)
            hit = isinstance(path, str | Path) and Path(path).name == name
            seen += hit
            hit = hit and seen == nth
            if hit and when == "before": die()
            out = real(*args, **kwargs)
            if hit and when == "in": os.truncate(path, os.path.getsize(path)//2)
            if hit: die()
            return out
        return call
    torch.save = around(torch.save, lambda obj, f, *a, **k: f)
    peft.peft_model.safe_save_file = around(peft.peft_model.safe_save_file, lambda tensors, f, *a, **k: f)
    peft.PeftConfig.save_pretrained = around(peft.PeftConfig.save_pretrained, lambda s, f, **k: Path(f)/"adapter_config.json")
    TrainerState.save_to_json = around(TrainerState.save_to_json, lambda s, f: f)
    for room in (ftlab.checkpoint, ftlab.train): room.write_json = around(room.write_json, lambda f, obj: f)
    os.rename = around(os.rename, lambda a, b: b)
    Path.rename = around(Path.rename, lambda a, b: b)


def dies_at(step):
    def report(line):
        if line["step"] == step: os.kill(os.getpid(), signal.SIGKILL)
    return report


def child(recipe, run, kill=None, seconds=None):
    "A run in a process of its own; (whether it was killed, seconds it took)"
    start, pid = time.time(), os.fork()
    if not pid:
        code = 1
        try:
            quiet = os.open(run.parent/"said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(quiet, 1), os.dup2(quiet, 2)
            if kill and not kill[0].startswith("step"): armed(*kill)
            finetune(recipe, run, report=dies_at(kill[2]) if kill and kill[0].startswith("step") else None)
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally: os._exit(code)
    if seconds:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status): raise SystemExit((run.parent/"said.txt").read_text())
    return os.WIFSIGNALED(status), time.time() - start


def few(path):
    "The first conversations of the course; to look through all of them each time would take longer than the training"
    with open(DATA, encoding="utf-8") as lines: path.write_text("".join(islice(lines, 64)), encoding="utf-8")
    return str(path)


def result(run):
    "What has to be equal: adapter, optimizer state, metrics"
    last = ftlab.checkpoint.checkpoints(run/"checkpoints")[-1]
    state = torch.load(last/"optimizer.pt", weights_only=True)["state"]
    lines = [json.loads(line) for line in open(run/"metrics.jsonl", encoding="utf-8")]
    return {"adapter": (run/"adapter/adapter_model.safetensors").read_bytes(),
            "optimizer": [t.numpy().tobytes() for _, s in sorted(state.items()) for _, t in sorted(s.items())],
            "metrics": [[x[k] for k in ("step", "loss", "learning_rate", "grad_norm")] for x in lines]}


def trial(recipe, folder, want, name, when, nth, seconds=None):
    "One kill and one more call: a row of the table"
    run, killed = folder/"run", False
    while not killed:                      # by the clock a quick run may be through before it is killed
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        killed, _ = child(recipe, run, None if seconds else (name, when, nth), seconds)
        if not killed and not seconds: break
        seconds = seconds and (seconds if killed else seconds/2)
    there = ftlab.checkpoint.checkpoints((run if run.exists() else folder/"run.part")/"checkpoints")
    moment = f"after {seconds:.2f} s" if seconds else f"after {name}" if name.startswith("step") else f"{when} {name}, no. {nth}"
    row = {"killed": moment, "died": killed, "finished": run.exists(),
           "whole checkpoints": [ftlab.checkpoint.step_of(c) for c in there]}
    if not run.exists(): child(recipe, run)
    got = result(run)
    row["equal"] = {k: got[k] == want[k] for k in want}
    row["clean"] = sorted(p.name for p in folder.iterdir()) == ["run", "said.txt"]
    return row


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--model", choices=("tiny", "smollm2", "both"), default="tiny")
    ask.add_argument("--seed", type=int, default=0, help="of the moments by the clock")
    ask.add_argument("--out", help="where to keep the table, as JSON")
    given = ask.parse_args()
    rng, rows = random.Random(given.seed), []
    with tempfile.TemporaryDirectory(prefix="ftlab-kills-") as box:
        for model in ("tiny", "smollm2") if given.model == "both" else (given.model,):
            (Path(box)/model).mkdir()
            recipe = replace(TINY if model == "tiny" else REAL, data=few(Path(box)/model/"train.jsonl"))
            if torch.get_num_threads() == 1: finetune(recipe, Path(box)/model/"warm")     # imports on the way, once for all
            gc.freeze()                # else each child looks through what it was born with, and copies it for that
            _, took = child(recipe, Path(box)/model/"run")
            want = result(Path(box)/model/"run")
            kills = FILES + STEPS + [("", "", 0)] if model == "tiny" else [*FILES[3:8:2], STEPS[1], ("", "", 0)]
            for i, kill in enumerate(kills):
                seconds = None if kill[0] else rng.uniform(.3, .95)*took
                row = {"model": model, **trial(recipe, Path(box)/f"{model}{i}", want, *kill, seconds)}
                rows.append(row)
                done = "finished" if row["finished"] else ", ".join(map(str, row["whole checkpoints"])) or "none"
                print(f"{model:<9}{row['killed']:<42}{'killed' if row['died'] else 'OUTLIVED IT':<12}whole: {done:<12}"
                      f"{'bit-equal' if all(row['equal'].values()) else 'DIFFERS: ' + str(row['equal'])}"
                      f"{'' if row['clean'] else ', LEFT SOMETHING'}", flush=True)
    good = sum(all(r["equal"].values()) and r["died"] and r["clean"] for r in rows)
    print(f"{good} of {len(rows)} killed, resumed and bit-equal")
    if given.out or given.model == "both":
        from ftlab.core import manifest, write_json
        print(write_json(given.out or Path(__file__).with_suffix(".json"), manifest(threads=torch.get_num_threads(), rows=rows)))
    return 0 if good == len(rows) else 1


if __name__ == "__main__": sys.exit(main())
