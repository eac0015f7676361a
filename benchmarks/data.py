"""A million conversations through each stage of the data room, and TRL's own preparation beside it: rate and memory.

    python benchmarks/data.py                 1,000,000 conversations (about 1 GB); writes data.json beside this file
    python benchmarks/data.py --n 20000       a rehearsal; writes nothing without --out

TRL comes with ftlab's development tools, `pip install -e .[dev]`; without it its line is left out.
Each stage is a fresh process. Memory is that of the process and all its children together, looked at five times a
second: PSS shares a page among those that use it, RSS counts it once for each.
"""
import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

MODEL, MAX_LENGTH, CORES = "smollm2-135m-instruct", 1024, len(os.sched_getaffinity(0))
# The model's own template with generation markers around the answers, since TRL takes its mask from them.
TEMPLATE = ("{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' %}"
            "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}{% else %}"
            "{{ m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


# ---- a million conversations

def sentences(rng, n):
    "Sentences that follow Python's own documentation word by word: real words in a believable order"
    from pydoc_data.topics import topics
    words, follow, out = " ".join(topics.values()).split(), {}, []
    for a, b in zip(words, words[1:]): follow.setdefault(a, []).append(b)
    starts = [w for w in follow if w[0].isupper()]
    for _ in range(n):
        sentence, length = [rng.choice(starts)], rng.randint(6, 24)
        while len(sentence) < length: sentence.append(rng.choice(follow.get(sentence[-1]) or starts))
        out.append(" ".join(sentence).rstrip(".,:;") + ".")
    return out


def make(path, n, seed=0):
    "Conversations of one to three rounds and very different lengths; one in a hundred repeats an earlier one"
    rng = random.Random(seed)
    stock, kept = sentences(rng, 100_000), []
    with open(path, "w", encoding="utf-8") as f:
        for i in range(n):
            if kept and rng.random() < .01: f.write(rng.choice(kept)); continue
            messages = [{"role": "system", "content": rng.choice(stock)}] if rng.random() < .3 else []
            for round in range(rng.choice((1, 1, 1, 2, 3))):
                messages.append({"role": "user", "content": f"{rng.choice(stock)[:-1]}, number {i}.{round}?"})
                answer = rng.choices(stock, k=min(40, int(rng.lognormvariate(1.2, .8)) + 1))
                messages.append({"role": "assistant", "content": " ".join(answer)})
            line = json.dumps({"messages": messages}) + "\n"
            f.write(line)
            if i % 100 == 0: kept = [*kept[-999:], line]


# ---- the stages, each run in a process of its own

def tokenizer():
    from transformers import AutoTokenizer

    from ftlab.core import model_path
    got = AutoTokenizer.from_pretrained(model_path(MODEL))
    got.chat_template = TEMPLATE
    return got


def read(path, folder):
    "Pieces, parsed and as messages, in one process"
    from ftlab.data import judge, pieces
    return {"records": sum(judge(p)[1] is not None for p in pieces(path))}


def _prints(chunk):
    from ftlab.data import judge
    from ftlab.duplicates import fingerprints
    kept = [m for _, m, _ in map(judge, chunk) if m is not None]
    return fingerprints(kept), [json.dumps(m).encode() for m in kept]


def duplicates(path, folder):
    "ftlab: read, exact and near duplicates, conflicting answers"
    import numpy as np

    from ftlab.duplicates import conflicts, exact_duplicates, near_duplicates
    from ftlab.pieces import pieces
    from ftlab.stream import Spool, chunks, in_order
    prints, texts = [], Spool(folder)
    for some, kept in in_order(_prints, chunks(pieces(path))):
        prints.append(some)
        for text in kept: texts.append(text)
    prints = np.concatenate(prints)
    near, _ = near_duplicates(prints, lambda i: json.loads(texts[i]))
    return {"records": len(prints), "exact": len(exact_duplicates(prints)), "near": len(near),
            "conflicts": len(conflicts(prints))}


def doctor(path, folder):
    "ftlab's doctor: read, every rule on every record, and what only the whole set shows, duplicates among it"
    from ftlab.doctor import doctor
    report = doctor(path)
    return {"records": report.total, "kept": report.records, "counts": report.counts}


def prepare(path, folder, rules=False):
    "ftlab: read, tokenise, mask, pack, write; the doctor's rules are the doctor's line"
    from ftlab.prepare import prepare_file
    return prepare_file(path, tokenizer(), folder / "rows", MAX_LENGTH, packed=True, rules=rules, progress=False)


def prepare_and_rules(path, folder):
    "The same with all rules of the doctor put to each record"
    return prepare(path, folder, rules=True)


def trl_rows(path, folder):
    "TRL: load the file with datasets, then SFTTrainer's own preparation; the rows, and seconds of each of the two"
    import datasets
    from trl import SFTConfig, SFTTrainer

    from ftlab.core import load_model
    start = time.perf_counter()
    data = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(folder))
    took, plain = {"records": len(data), "load_seconds": time.perf_counter() - start}, SFTTrainer._prepare_dataset

    def timed(self, *args, **kwargs):
        start = time.perf_counter()
        rows = plain(self, *args, **kwargs)
        took["prepare_seconds"] = time.perf_counter() - start
        return rows
    SFTTrainer._prepare_dataset = timed
    try: trainer = SFTTrainer(
        load_model("tiny", "random", device="cpu")[0], train_dataset=data, processing_class=tokenizer(),
        args=SFTConfig(str(folder / "run"), packing=True, packing_strategy="bfd", max_length=MAX_LENGTH, use_cpu=True,
                       assistant_only_loss=True, dataset_num_proc=CORES, report_to="none", bf16=False))
    finally: SFTTrainer._prepare_dataset = plain
    return trainer.train_dataset, took


def trl(path, folder):
    "TRL: load, tokenise, mask, pack, write"
    import pyarrow.compute as pc
    rows, took = trl_rows(path, folder)
    tokens = taught = 0
    for batch in rows.with_format("arrow").iter(1000):
        labels = pc.list_flatten(batch["labels"])
        tokens, taught = tokens + len(labels), taught + pc.sum(pc.not_equal(labels, -100)).as_py()
    return {"rows": len(rows), "tokens": tokens, "taught": taught, "full": tokens / (len(rows) * MAX_LENGTH), **took}


def same(path, folder):
    "Do both give the same tokens and labels? Conversations with equal ones on both sides, and all of them"
    from collections import Counter

    from datasets import load_from_disk

    def conversations(rows):
        for row in rows:
            at = 0
            for n in row["seq_lengths"]:
                yield tuple(row["input_ids"][at:at + n]), tuple(row["labels"][at:at + n])
                at += n
    theirs = Counter(c for c in conversations(trl_rows(path, folder)[0]) if len(c[0]) < MAX_LENGTH)
    prepare(path, folder)
    ours = Counter(c for c in conversations(load_from_disk(str(folder / "rows"))) if len(c[0]) < MAX_LENGTH)
    return {"records": sum(ours.values()), "equal": sum((ours & theirs).values()), "trl": sum(theirs.values())}


STAGES = {f.__name__: f for f in (read, doctor, duplicates, prepare, prepare_and_rules, trl, same)}


# ---- measuring

def memory(process, peak, done):
    "Keep the highest sum over the process tree, in bytes"
    import psutil
    over = False
    while not over:
        pss = rss = 0
        try: tree = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess: return
        for p in tree:
            try:
                pss += p.memory_full_info().pss
                rss += p.memory_info().rss
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess): pass
        peak.update(pss=max(peak["pss"], pss), rss=max(peak["rss"], rss), processes=max(peak["processes"], len(tree)))
        over = done.wait(.2)


def measure(name, path):
    "One stage in a fresh process and a fresh folder: its facts, seconds and peak memory; None where it is not there"
    import psutil
    with tempfile.TemporaryDirectory(prefix="ftlab-bench-", dir=path.parent) as folder:
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.Popen([sys.executable, __file__, "--stage", name, str(path), folder], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": folder})
        peak, done = {"pss": 0, "rss": 0, "processes": 0}, threading.Event()
        watch = threading.Thread(target=memory, args=(psutil.Process(run.pid), peak, done))
        watch.start()
        out, err = run.communicate()
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        done.set(); watch.join()
    if run.returncode: raise SystemExit(f"{name} failed:\n{err[-3000:]}")
    facts = json.loads(out.splitlines()[-1])
    for key, size in facts.pop("end").items(): peak[key] = max(peak[key], size)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**facts, "seconds": seconds, "cpu_seconds": cpu, "peak_pss_gb": peak["pss"] / 1e9, "peak_rss_gb": peak["rss"] / 1e9,
            "processes": peak["processes"]}


def stage(name, path, folder):
    "Inside the fresh process, which looks at its own memory at the end: a short stage may be over between two looks from outside"
    import psutil
    start = time.perf_counter()
    facts = STAGES[name](Path(path), Path(folder))
    seconds, held = time.perf_counter() - start, psutil.Process().memory_full_info()
    print("\n" + json.dumps(facts | {"work_seconds": seconds, "end": {"pss": held.pss, "rss": held.rss}}))


def there(name):
    from importlib.util import find_spec
    return find_spec({"trl": "trl", "same": "trl", "doctor": "ftlab.doctor", "duplicates": "ftlab.duplicates"}.get(
        name, "ftlab")) is not None


def line(name, facts):
    "One line of the table: TRL counts its preparation alone, everything else is read from the file"
    seconds = facts.get("prepare_seconds", facts["work_seconds"])
    return (f"{name:<18}{seconds:>9,.1f} s{facts['records'] / seconds:>12,.0f}/s{facts['peak_pss_gb']:>9.2f} GB"
            f"{facts['peak_rss_gb']:>9.2f} GB{facts['processes']:>6}")


def main():
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--n", type=int, default=1_000_000, help="conversations")
    ask.add_argument("--rounds", type=int, default=1, help="how often ftlab and TRL take turns")
    ask.add_argument("--out", help="where to write the result; data.json beside this file for a whole million")
    ask.add_argument("--only", nargs="+", choices=STAGES, default=[*STAGES], help="stages to run")
    ask.add_argument("--stage", nargs=3, help=argparse.SUPPRESS)
    given = ask.parse_args()
    if given.stage: return stage(*given.stage)
    with tempfile.TemporaryDirectory(prefix="ftlab-data-") as folder:
        path, few = Path(folder) / "conversations.jsonl", Path(folder) / "few.jsonl"
        start = time.perf_counter()
        make(path, given.n)
        make(few, 2000, seed=1)
        size = path.stat().st_size / 1e9
        print(f"{given.n:,} conversations, {size:.2f} GB, made in {time.perf_counter() - start:.0f} s; {CORES} cores\n")
        print(f"{'stage':<18}{'seconds':>11}{'conversations':>14}{'PSS':>12}{'RSS':>12}{'processes':>10}")
        runs = {}
        turns = [n for n in ("read", "doctor", "duplicates", "prepare_and_rules") if n in given.only]
        turns += [n for i in range(given.rounds) for n in (("prepare", "trl"), ("trl", "prepare"))[i % 2] if n in given.only]
        for name in [n for n in turns if there(n)]:
            runs.setdefault(name, []).append(measure(name, path))
            print(line(name, runs[name][-1]), flush=True)
        if "same" in given.only and there("same"): runs["same"] = [measure("same", few)]
    report(given, size, runs)


def report(given, size, runs):
    "What the runs say together, printed and kept"
    from ftlab.core import manifest, write_json
    facts = {"conversations": given.n, "gigabytes": round(size, 3), "max_length": MAX_LENGTH, "cores": CORES}
    if "trl" in runs and "prepare" in runs:
        pairs = [*zip(runs["prepare"], runs["trl"])]
        facts["ratio"] = statistics.median(t["prepare_seconds"] / p["work_seconds"] for p, t in pairs)
        facts["ratio_with_loading"] = statistics.median(
            (t["load_seconds"] + t["prepare_seconds"]) / p["work_seconds"] for p, t in pairs)
        ours, theirs = runs["prepare"][0], runs["trl"][0]
        cut = ours["rejected"].get("too-long", 0)
        print(f"\nftlab, from the file to packed rows, takes 1/{facts['ratio']:.2f} of the time of TRL's preparation alone, "
              f"1/{facts['ratio_with_loading']:.2f} with loading the file.")
        print(f"Rows: {ours['rows']:,} that are {ours['full']:.2%} full; TRL {theirs['rows']:,}, {theirs['full']:.2%}. "
              f"TRL cut {cut:,} conversations without a word; ftlab set them aside by name.")
        if theirs["tokens"] - ours["tokens"] != cut * MAX_LENGTH: raise SystemExit("the two did not tokenise alike")
    elif "trl" not in runs: print("\nTRL is not installed, so it was not measured: pip install trl==1.16.0")
    if "same" in runs: print("{equal:,} of {records:,} conversations have the same tokens and labels in both.".format(
        **runs["same"][0]))
    keep = {name: [{k: round(v, 3) if isinstance(v, float) else v for k, v in run.items()} for run in many]
            for name, many in runs.items()}
    out = given.out or (Path(__file__).with_suffix(".json") if given.n >= 1_000_000 else None)
    if out: print(write_json(out, manifest(**facts, runs=keep)))


if __name__ == "__main__": main()
