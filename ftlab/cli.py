"""The `ftlab` command: parse, call, print. What it says comes from the rooms; torch comes only when needed."""
import atexit
import gc
import json
import logging
import os
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated as A

import typer
from typer import Argument as Arg
from typer import Option as Opt
from typer.core import TyperGroup

from ftlab import __version__

# Importing torch and transformers makes objects by the hundred thousand, and all stay: looking through them every
# 700 for ones to free, and once more at the end, is a third of the time in which a command starts and ends.
gc.set_threshold(10_000)
atexit.register(gc.freeze)


class _Stop(Exception):
    "Somebody stopped it; the message says what became of it"


class _Group(TyperGroup):
    def invoke(self, ctx):
        try: return super().invoke(ctx)
        except KeyboardInterrupt as e: raise _Stop(str(e) or "stopped by Ctrl-C") from None   # else typer says nothing


app = typer.Typer(name="ftlab", cls=_Group, add_completion=False,
                  pretty_exceptions_enable=False, rich_markup_mode="rich",
                  help="Fine-tune a language model, and know what you got.",
                  epilog="Exit codes: 0 good, 1 findings or out of bounds, 2 it could not.")
data_app = typer.Typer(help="Examine training data.")
app.add_typer(data_app, name="data")

# what many commands take, worded once
Json = A[bool, Opt("--json", help="Print JSON, errors included.")]
Shape = A[str, Arg(metavar="MODEL", help="A shipped name such as llama-2-7b, a model's folder, a config.json, or a hub id.")]
Model = A[str, Arg(metavar="MODEL", help="An embedded name, a folder, or a hub id.")]
Rank = A[int, Opt("-r", "--rank", help="Rank of the adapters.")]
Target = A[str, Opt("--target", help="all-linear, or names: q_proj,v_proj.")]
Weights = A[str, Opt("--weights", help="real, or random: from the configuration, nothing downloaded.")]
DataFile = A[str, Arg(metavar="FILE", help="JSONL, JSON, CSV or Parquet, also packed; - for standard input; or a hub id.")]


def _version(wanted: bool):
    if wanted:
        print(f"ftlab {__version__}")
        raise typer.Exit()


@app.callback()
def _top(version: A[bool, Opt("--version", callback=_version, is_eager=True, help="Say which version this is.")] = False):
    pass


def _json(obj, indent=1): print(json.dumps(obj, indent=indent, ensure_ascii=False))


def _console(stderr=False):
    from rich.console import Console
    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)


def _size(n):
    from ftlab.fit import show_size
    return show_size(n)


def _need(extra, *modules):
    "Say which extra to install before any work begins"
    for module in modules:
        if find_spec(module) is None: raise ModuleNotFoundError(
            f"{module} is not installed; run `pip install 'ftlab[{extra}]'`")


def _table(title, rows):
    "Rows of (name, value, note) under a title"
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column()
    for row in rows: table.add_row(*(Text(str(cell)) for cell in row))
    _console().print(table)


def _typed(pairs, types=None):
    "{key: value} of `key=value` words, each of the type that `types` has for it, else as YAML reads it"
    import yaml
    out = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key: raise ValueError(f"{pair!r} is not of the form key=value")
        wanted = (types or {}).get(key)
        if wanted in (str, float): out[key] = text          # the room reads a number, or says what it expected
        else:
            try: out[key] = yaml.safe_load(text)
            except yaml.YAMLError: out[key] = text
    return out


# ---- what to do at all

_ASKED = {   # what `ftlab decide` asks, by the name of the fact
    "knowledge_changes": "Do answers need facts that change, or that no model has seen?",
    "behaviour": "Must a format, a tone or a skill come out right every time?",
    "base_lacks": "Is it a language or a domain that no existing model knows?",
    "prompt_enough": "Did you try a careful prompt, and was it good enough?",
    "private": "Must the data stay on your own machines?",
    "examples": "How many questions with right answers do you have?",
    "calls_per_month": "How many calls a month?", "budget": "How many dollars to spend once?",
    "monthly": "How many dollars a month?", "seconds": "How many seconds may an answer take?",
    "gpu_gb": "How many GB of memory do your own GPUs have together?"}


def _answer(text, was, open_flag):
    "What a person typed, as the kind of value that the fact has"
    words = {"yes": True, "y": True, "no": False, "n": False} | ({"unknown": None} if open_flag else {})
    if open_flag or isinstance(was, bool):
        if text.lower() not in words: raise ValueError(f"{text!r}: answer yes or no" + ", or unknown"*open_flag)
        return words[text.lower()]
    if was is None and text == "any": return None
    try: value = float(text.replace(",", ""))
    except ValueError: raise ValueError(f"{text!r} is no number") from None
    return int(value) if value.is_integer() else value


def _ask(facts):
    "The facts from a terminal, one question each; Enter keeps what stands in brackets"
    from dataclasses import asdict, replace
    said = {}
    for name, question in _ASKED.items():
        was = asdict(facts)[name]
        shown = "unknown" if name == "prompt_enough" else "any" if was is None else \
            ("no", "yes")[was] if isinstance(was, bool) else f"{was:g}"
        while True:
            try:
                said[name] = _answer(typer.prompt(question, default=shown, err=True), was, name == "prompt_enough")
                replace(facts, **{name: said[name]})
            except ValueError as e:
                if name == "prompt_enough" and name in said: break     # other answers may explain it
                print(f"  {e}", file=sys.stderr)
            else: break
    return replace(facts, **said)


@app.command()
def decide(changes: A[list[str], Arg(metavar="[KEY=VALUE]…", help="Prices and assumptions to change: gpu_hour=3.")] = None,
           knowledge_changes: A[bool, Opt("--knowledge-changes", help="Answers need facts that change.")] = False,
           behaviour: A[bool, Opt("--behaviour", help="A format, a tone or a skill must be right every time.")] = False,
           base_lacks: A[bool, Opt("--base-lacks", help="No existing model knows the language or domain.")] = False,
           prompt_enough: A[bool, Opt("--prompt-enough/--prompt-failed", help="A careful prompt was tried.")] = None,
           private: A[bool, Opt("--private", help="The data may not leave your own machines.")] = False,
           examples: A[int, Opt(help="Questions with right answers at hand.")] = 0,
           calls: A[int, Opt(help="Calls a month.")] = 1000,
           budget: A[float, Opt(metavar="DOLLARS", help="To spend once.")] = 10_000,
           monthly: A[float, Opt(metavar="DOLLARS", help="To spend a month.")] = None,
           seconds: A[float, Opt(help="Longest wait for an answer.")] = None,
           gpu: A[str, Opt(metavar="SIZE", help="Memory of your own GPUs, such as 24GB.")] = "",
           as_json: Json = False):
    """Prompt, look up (RAG), fine-tune or train from nothing: a ranking, with reasons and costs. Without options, it asks.

    Example: ftlab decide --knowledge-changes --examples 500 --calls 100000 gpu_hour=3
    """
    from dataclasses import asdict, fields
    from difflib import get_close_matches

    from ftlab.decide import Costs, Facts, decide
    if gpu: from ftlab.fit import parse_size
    facts = Facts(knowledge_changes, behaviour, base_lacks, prompt_enough, examples, private, calls, budget, monthly,
                  seconds, parse_size(gpu)/1e9 if gpu else None)
    given = _typed(changes or [])
    known = [f.name for f in fields(Costs)]
    for key in given:
        if key not in known: raise ValueError(f"unknown assumption {key!r}; " + (
            f"did you mean {near[0]!r}?" if (near := get_close_matches(key, known, 1)) else f"there are: {', '.join(known)}"))
    if facts == Facts() and not given and not as_json and sys.stdin.isatty(): facts = _ask(facts)
    costs = Costs(**given)
    got = decide(facts, costs)
    if as_json: return _json({"best": got.best, "ranked": [asdict(o) for o in got.ranked], "changes": got.changes,
                              "note": got.note, "facts": asdict(facts), "costs": asdict(costs)})
    _table(f"{got.best} comes first; costs at {facts.calls_per_month:,} calls a month", [
        (o.approach, f"{o.points:+}", f"${o.once:,.0f} once, ${o.month:,.2f} a month, ready in {o.hours:,.3g} h")
        for o in got.ranked])
    for option in got.ranked: print(f"{option.approach}: {'; '.join(option.reasons)}")
    print("\nWhat would change the answer:")
    for fact, other in got.changes.items(): print(f"  {fact}: {other}")
    if got.note: print(f"\n{got.note}")


# ---- what it takes: no torch here

@app.command()
def params(model: Shape, rank: Rank = 16, target: Target = "all-linear",
           dora: A[bool, Opt("--dora", help="Count DoRA's magnitudes too.")] = False, as_json: Json = False):
    """Count what a LoRA adapter trains.

    Example: ftlab params llama-2-7b -r 8 --target q_proj,v_proj
    """
    from ftlab.shapes import load_shapes, lora_params
    got = lora_params(load_shapes(model), rank, target, dora)
    if as_json: return _json(got)
    _table(f"{model}, r={rank}, {target}{', DoRA' * dora}", [
        ("trainable", f"{got['trainable']:,}", ""), ("all", f"{got['all']:,}", ""),
        ("percent", f"{got['percent']:.4f}", ""),
        *(("adapter", _size(n), dtype) for dtype, n in got["bytes"].items())])


@app.command()
def memory(model: Shape,
           method: A[str, Opt(help="full, lora or qlora.")] = "lora",
           rank: Rank = 16, target: Target = "all-linear",
           batch: A[int, Opt(help="Sequences in a micro-batch, on each GPU.")] = 1,
           length: A[int, Opt(help="Tokens in a sequence, padding included.")] = 512,
           dtype: A[str, Opt(help="Of the base model: float32, bfloat16 or float16.")] = "bfloat16",
           adapter_dtype: A[str, Opt(help="Of the adapters.")] = "float32",
           checkpointing: A[bool, Opt("--checkpointing", help="Recompute activations in the backward pass.")] = False,
           optimizer: A[str, Opt(help="adamw, adamw_foreach, adamw8bit, adamw32 or sgd.")] = "adamw",
           accumulation: A[int, Opt(help="Micro-batches per step.")] = 1,
           attention: A[str, Opt(help="sdpa or eager.")] = "sdpa",
           plain_scales: A[bool, Opt("--plain-scales", help="qlora without double quantisation.")] = False,
           embeddings: A[bool, Opt("--embeddings", help="Train embedding and head as well.")] = False,
           gpus: A[int, Opt(help="GPUs that share the work.")] = 1,
           parallel: A[str, Opt(help="How they share it: fsdp or ddp.")] = "fsdp",
           gpu: A[str, Opt(metavar="SIZE", help="24GB, or a name such as 'RTX 4090': exit code 1 if it is too little.")] = "",
           fake: A[bool, Opt("--fake", help="Rehearse a step of the real model class on tensors without memory.")] = False,
           as_json: Json = False):
    """Predict what training needs, term by term from a formula or by a rehearsal; with --gpu what to change.

    Example: ftlab memory llama-2-7b --method qlora -r 16 --batch 4 --length 2048 --gpu 24GB
    """
    from ftlab.memory import Plan, budget
    from ftlab.shapes import load_shapes
    shapes = load_shapes(model)
    plan = Plan(method, rank, target, batch, length, dtype, adapter_dtype, checkpointing, optimizer, accumulation,
                attention, not plain_scales, embeddings, gpus, parallel)
    size, steps = None, None
    if gpu:
        from ftlab.fit import advise, fits, gpu_size
        size = gpu_size(gpu)
    if fake:
        from ftlab.rehearse import fake_run
        got = fake_run(shapes, plan)
    else: got = budget(shapes, plan)
    fit = fits(got, size) if gpu else None
    if fit is False: steps = advise(shapes, plan, size, fake)
    if as_json: _json(got | ({"gpu_bytes": size, "fits": fit, "change": steps and [_step(s) for s in steps]} if gpu else {}))
    else: _memory(f"{model}, {method}, batch {batch} x {length} tokens, {dtype}", got, gpu, fit, steps)
    if fit is False: raise typer.Exit(1)


def _step(step):
    "One step of `advise`, as options of this command"
    said = {k.replace("_", "-"): v for k, v in step["settings"].items()}
    options = " ".join("without --plain-scales" if k == "double-quant" else f"--{k}" if v is True else f"--{k} {v}"
                       for k, v in said.items())
    return {"options": options} | {k: v for k, v in step.items() if k != "plan"}


def _memory(title, got, gpu, fit, steps):
    "A budget or a rehearsal for a reader, and what to change"
    terms = [(k, _size(n), "") for k, n in got.items() if type(n) is int and n and not k.endswith("_bytes")]
    moments = [(f"in {k}" if k != "loading" else "after loading", _size(n), "the peak" if k == got["when"] else "")
               for k, n in got["moments"].items()]
    if "reserved_bytes" in got: moments.append(("reserved", _size(got["reserved_bytes"]), "by the allocator"))
    _table(title, [*terms, *moments])
    if not gpu: return
    peak = f"the peak and a ninth for context and allocator are {_size(got['peak_bytes']/.9)}"
    if fit: return print(f"It fits {gpu}: {peak}.")
    print(f"It does not fit {gpu}: {peak}. What to change, mildest first, each on top of those before:")
    for s in map(_step, steps):
        print(f"  {s['options']:28} saves {_size(s['saved_bytes'])}, costs {s['costs']}: "
              f"{_size(s['peak_bytes'])}{', fits' if s['fits'] else ''}")
    if not steps or not steps[-1]["fits"]: print("Nothing on this list is enough: take a larger GPU, or share it (--gpus).")


# ---- data

@data_app.command()
def doctor(file: DataFile,
           against: A[str, Opt(metavar="FILE", help="The test set: what both hold is a leak.")] = "",
           fix: A[str, Opt(metavar="DIR", help="Write clean.jsonl, rejected.jsonl (with reasons) and report.json there.")] = "",
           html: A[str, Opt(metavar="FILE", help="Write the report as a page.")] = "",
           model: A[str, Opt(help="Check the tokens too, with this model's tokenizer and chat template.")] = "",
           weights: Weights = "real",
           max_length: A[int, Opt(min=1, help="Longest conversation in tokens; goes with --model.")] = None,
           allow: A[list[str], Opt(metavar="CODE", help="Keep records with this error; may be repeated.")] = None,
           drop: A[list[str], Opt(metavar="CODE", help="Reject records with this warning; may be repeated.")] = None,
           tools: A[bool, Opt("--tools", help="Keep tool calls and the turns of tools.")] = False,
           workers: A[int, Opt(min=1, help="Processes; as many as are worth it if left out.")] = None,
           most: A[int, Opt("-n", help="Lines shown of each kind; --json has all.")] = 10, as_json: Json = False):
    """Examine training data: every bad record by file and line, and what to do about it.

    Example: ftlab data doctor train.jsonl --against test.jsonl --fix build/clean --drop exact-duplicate
    """
    from dataclasses import asdict

    from ftlab import doctor as room
    if max_length and not model: raise ValueError("--max-length counts tokens: name the tokenizer's --model too")
    how = {"tools": tools, "allow": tuple(allow or ()), "drop": tuple(drop or ())}
    if model: how |= _token_rules(_tokenizer(model, weights), max_length)
    with _Reading(file) as progress:
        how |= {"against": against or None, "workers": workers, "progress": progress}
        report = room.fix(file, fix, **how) if fix else room.doctor(file, **how)
    if html:
        from ftlab.report import write_report
        write_report(report, html)
    if as_json: _json(asdict(report) | {"counts": report.counts})
    else:
        _findings(report, most)
        for path in filter(None, (fix, html)): print(f"written: {path}")
    raise typer.Exit(report.exit_code)


def _token_rules(tokenizer, max_length):
    "Settings of the doctor that need a tokenizer"
    from functools import partial

    from ftlab.tokens import token_faults
    return {"special": tuple(tokenizer.all_special_tokens),
            "check": partial(token_faults, tokenizer=tokenizer, max_length=max_length)}


class _Reading:
    "On a terminal, how far a long file is read and how long the rest takes"
    def __init__(self, file):
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        console, path = _console(stderr=True), Path(file)
        self.size = path.stat().st_size if path.is_file() else None
        self.bar = Progress(TextColumn("reading"), BarColumn(bar_width=20), TextColumn("{task.percentage:.0f}%"),
                            TextColumn("{task.fields[records]:,} records"), TimeRemainingColumn(), console=console,
                            disable=not console.is_terminal, transient=True)

    def __enter__(self):
        self.bar.start()
        self.task = self.bar.add_task("", total=self.size, records=0)
        return self

    def __exit__(self, *why): self.bar.stop()

    def __call__(self, records, size):
        packed = self.size is not None and size > self.size      # a packed file: its end is not known
        self.bar.update(self.task, completed=size, records=records, **({"total": None} if packed else {}))


def _findings(report, most):
    from rich.text import Text
    console = _console()
    for code, count in report.counts.items():
        found = [f for f in report.findings if f.code == code]
        colour = "bold red" if found[0].level == "error" else "bold yellow"
        console.print(Text.assemble((f"{found[0].level} {code}", colour), f", {count} of them: {found[0].do}"))
        for f in found[:most]: console.print(f"  {f.file}:{f.line}: {f.what}")
        if count > most: console.print(f"  … and {count - most} more")
    console.print(f"{report.file}: {report.total} lines, {report.records} records, {report.rejected} rejected"
                  + ("" if report.findings else "; nothing found"))


def _tokenizer(model, weights):
    from ftlab.recipe import load_tokenizer
    return load_tokenizer(model, weights)


@data_app.command("convert")
def convert_file(file: DataFile,
                 to: A[str, Opt(help="messages, sharegpt, alpaca or prompt-completion.")],
                 out: A[str, Opt("-o", "--out", metavar="FILE", help="File to write: .jsonl, .json, .csv or .parquet.")],
                 tools: A[bool, Opt("--tools", help="Keep tool calls and the turns of tools.")] = False):
    """Write a file's conversations in another format: all of them, or nothing.

    Example: ftlab data convert train.csv --to messages -o train.jsonl
    """
    from ftlab.data import convert, load, write
    if Path(out).exists(): raise FileExistsError(f"{out} is already there; remove it or choose another name")
    loaded = load(file, tools=tools)
    if loaded.rejected: raise ValueError(f"{len(loaded.rejected)} of {loaded.total} lines can't be converted; see "
                                         f"`ftlab data doctor {file}`, or let its --fix set them aside")
    print(f"{out} ({write(out, convert(loaded.records, to)):,} records)")


@data_app.command()
def prepare(file: DataFile,
            out: A[str, Arg(metavar="OUT", help="The folder to make.")],
            model: A[str, Opt(help="Whose tokenizer and chat template.")] = "smollm2-135m-instruct",
            weights: Weights = "real",
            max_length: A[int, Opt(min=1, help="Longest conversation in tokens; longer ones are set aside.")] = None,
            packed: A[bool, Opt("--packed", help="Fill rows of --max-length tokens by best fit.")] = False,
            rules: A[bool, Opt("--rules/--no-rules", help="Put the doctor's rules to each record.")] = True,
            tools: A[bool, Opt("--tools", help="Keep tool calls and the turns of tools.")] = False,
            workers: A[int, Opt(min=1, help="Processes; as many as are worth it if left out.")] = None,
            overwrite: A[bool, Opt("--overwrite", help="Replace OUT.")] = False, as_json: Json = False):
    """Tokenise a file of any size into rows that datasets.load_from_disk opens; all or nothing.

    Example: ftlab data prepare data/cron/train.jsonl build/rows --max-length 512 --packed
    """
    from ftlab.prepare import prepare_file
    with _Reading(file) as progress:
        facts = prepare_file(file, _tokenizer(model, weights), out, max_length, packed, tools, rules, workers,
                             overwrite, progress)
    if as_json: _json(facts)
    else:
        full = f", {facts['full']:.1%} full" if packed else ""
        print(f"{file}: {facts['records']:,} records, {facts['kept']:,} kept in {facts['rows']:,} rows{full}; "
              f"{facts['tokens']:,} tokens, {facts['taught'] / facts['tokens']:.0%} of them taught")
        for code, count in facts["rejected"].items(): print(f"  {count:,} rejected: {code}")
        print(f"written: {out}" + (f"; each rejected record is named in {out}/rejected.jsonl" if facts["rejected"] else ""))
    raise typer.Exit(1 if facts["rejected"] else 0)


@data_app.command()
def show(file: DataFile,
         n: A[int, Opt("-n", help="Records to show.")] = 3,
         model: A[str, Opt(help="Whose tokenizer and chat template.")] = "smollm2-135m-instruct",
         weights: Weights = "real",
         system: A[str, Opt(help="System prompt for conversations that have none, as a recipe's.")] = "",
         last: A[bool, Opt("--last", help="Teach the last answer of a conversation only.")] = False,
         max_length: A[int, Opt("--max-length", min=1, help="Cut here, and say how much was cut.")] = None,
         tools: A[bool, Opt("--tools", help="Keep calls of tools and what they answered.")] = False,
         as_json: Json = False):
    """See the tokens: green is what the model learns to say, dim is what it only reads, underlined is special.

    Example: ftlab data show data/cron/train.jsonl -n 3
    """
    if n < 1: raise ValueError(f"-n {n}: show at least 1 record")
    from itertools import islice

    from ftlab.data import judge
    from ftlab.pieces import pieces
    from ftlab.tokens import IGNORE_INDEX, encode_batch
    read = ((piece.line, judge(piece, tools)[1]) for piece in pieces(file))
    lines, chats = [], []
    for line, messages in islice(((line, m) for line, m in read if m), n):
        if system and messages[0]["role"] != "system": messages = [{"role": "system", "content": system}, *messages]
        lines.append(line)
        chats.append({"messages": messages})
    if not chats: raise ValueError(f"{file} holds no usable record; see `ftlab data doctor {file}`")
    tokenizer, out = _tokenizer(model, weights), []
    rows = encode_batch(chats, tokenizer, max_length, max_length is not None, "last" if last else "all")
    for line, row in zip(lines, rows):
        if isinstance(row, ValueError): said = {"code": getattr(row, "code", "unsafe-template"), "error": str(row)}
        else: said = {"tokens": len(row["labels"]), "taught": sum(x != IGNORE_INDEX for x in row["labels"]), **row}
        out.append({"file": file, "line": line, **said})
    if as_json: _json(out, indent=None)
    else: _shown(out, tokenizer, _console())
    if any("error" in row for row in out): raise typer.Exit(1)


def _share(taught, tokens): return f"{tokens} tokens, {taught} taught ({taught/tokens:.0%})"


def _shown(rows, tokenizer, console):
    "Rows under their file and line, below a legend; last what they have together"
    plain = not console.color_system
    if plain: console.print("⟦ taught ⟧  only read  ⏎ a line break")
    else: console.print(_legend())
    for row in rows:
        where = f"{row['file']}:{row['line']}: "
        if "error" in row: console.print(f"{where}{row['code']}: {row['error']}")
        else:
            cut = f", {row['cut']} more cut off" if row.get("cut") else ""
            console.print(f"{where}{_share(row['taught'], row['tokens'])}{cut}")
            console.print(_coloured(row, tokenizer, plain))
    good = [row for row in rows if "error" not in row]
    if len(good) > 1: console.print("together: " + _share(*(sum(row[k] for row in good) for k in ("taught", "tokens"))))


_TAUGHT, _READ, _SPECIAL = "black on green", "dim", " bold underline"


def _legend():
    from rich.text import Text
    return Text.assemble(("taught", _TAUGHT), "  ", ("only read", _READ), "  ", ("special", _READ + _SPECIAL), "  ⏎ a line break")


def _coloured(row, tokenizer, plain):
    "Tokens as rich text; where there is no colour, what is taught stands in ⟦ ⟧"
    from rich.text import Text

    from ftlab.tokens import spell
    text, before = Text(), False
    for part in spell(row, tokenizer):
        if plain and part["taught"] != before: text.append("⟦" if part["taught"] else "⟧")
        style = (_TAUGHT if part["taught"] else _READ) + _SPECIAL * part["special"]
        text.append(part["text"].replace("\n", "⏎\n"), style)
        before = part["taught"]
    if plain and before: text.append("⟧")
    return text


# ---- train and evaluate

class _Progress:
    "One line that follows a run: a bar on a terminal, else a line of text per report"
    def __init__(self):
        from collections import deque

        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column
        self.console, self.task, self.recent = _console(stderr=True), None, deque(maxlen=20)
        text = TextColumn("{task.fields[line]}", table_column=Column(no_wrap=True, overflow="ellipsis"), markup=False)
        self.bar = Progress(text, BarColumn(bar_width=12), console=self.console)

    def __enter__(self):
        if self.console.is_terminal:
            self.bar.start()
            self.task = self.bar.add_task("", total=None, line="loading the model")
        return self

    def __exit__(self, *why):
        if self.task is not None: self.bar.stop()

    def __call__(self, m):
        if "loss" not in m: return self.console.print(f"step {m['step']}/{m['steps']}  eval_loss {m['eval_loss']:.3f}")
        if not self.recent and m["step"] > 1: self.console.print(f"goes on after step {m['step'] - 1} of {m['steps']}")
        line = self.line(m)
        if self.task is None: self.console.print(line)
        else: self.bar.update(self.task, completed=m["step"], total=m["steps"], line=line)

    def line(self, m):
        "Step, loss, tokens/s over the last steps, supervised share, memory and time left"
        from time import monotonic

        from ftlab.dryrun import show_time
        self.recent.append((monotonic(), m["tokens"]))
        took, done = self.recent[-1][0] - self.recent[0][0], sum(n for _, n in self.recent) - self.recent[0][1]
        rate = f"{done/took:,.0f} tokens/s  " if done and took else ""
        return (f"step {m['step']}/{m['steps']}  loss {m['loss']:.3f}  {rate}{m['taught']/m['tokens']:.0%} supervised  "
                f"{m['peak_gb']:.1f} GB  {show_time(round(m['seconds_left']))} left")


@app.command()
def train(recipe: A[str, Arg(metavar="RECIPE", help="A YAML file, or a shipped recipe such as cron-smollm2-cpu.")],
          changes: A[list[str], Arg(metavar="[KEY=VALUE]…", help="Fields of the recipe to change.")] = None,
          run: A[str, Opt(metavar="DIR", help="The run directory; runs/<recipe> if left out.")] = "",
          overwrite: A[bool, Opt("--overwrite", help="Replace a run that is there already.")] = False,
          dry_run: A[bool, Opt("--dry-run", help="Say what the run will need, with three steps measured, and stop.")] = False,
          gpu: A[str, Opt(metavar="SIZE", help="With --dry-run: a GPU that is not here, 24GB or 'RTX 4090'.")] = "",
          gpus: A[int, Opt(min=1, help="With --dry-run: how many such GPUs share the work by FSDP.")] = 1,
          price: A[float, Opt(min=0, help="With --dry-run: dollars an hour.")] = None,
          force: A[bool, Opt("--force", help="Train even if it will not fit.")] = False,
          nproc: A[int, Opt(min=1, metavar="N", help="Train in N processes, one a GPU; they share the recipe's step.")] = None,
          as_json: Json = False):
    """Fine-tune by a recipe, or go on with a run that was stopped; says first what it will need, prints the run directory.

    Example: ftlab train cron-smollm2-cpu learning_rate=5e-4 limit=500 --run runs/mine
    """
    from dataclasses import fields

    from ftlab.recipe import Recipe, read_recipe, shares
    plan = read_recipe(recipe, **_typed(changes or [], {f.name: f.type for f in fields(Recipe)}))
    where = Path(run or Path("runs")/Path(recipe).name.removesuffix(".yaml").removesuffix(".yml"))
    if not dry_run and (gpu or gpus > 1 or price is not None): raise ValueError("--gpu, --gpus and --price go with --dry-run")
    if not dry_run and where.exists() and not overwrite: raise FileExistsError(
        f"{where} exists; choose another with --run, or --overwrite it")
    if (nproc or 1) > 1 and not dry_run and "RANK" not in os.environ:
        from ftlab.processes import launch
        shares(plan, nproc)         # a step that can't be shared is told here, once
        command = ["train", recipe, *(changes or []), "--run", str(where), "--nproc", str(nproc), *["--overwrite"]*overwrite]
        return launch([sys.executable, "-m", "ftlab.cli", *command, *["--force"]*force, *["--json"]*as_json], nproc,
                      alive=where.with_name(f"{where.name}.part")/"metrics.jsonl", done=where/"manifest.json")
    from ftlab.dryrun import forecast
    from ftlab.train import finetune
    told = forecast(plan, gpu, price, gpus, measure=dry_run)
    if dry_run: return _told(told, where, as_json)
    if told.error: raise ValueError(told.error)
    if os.environ.get("RANK", "0") == "0": print(told.short, file=sys.stderr)
    if told.fits is False and not force: raise RuntimeError(
        "it will not fit, so it is not begun; --dry-run says what to change, --force trains anyway")
    from ftlab.ranks import together
    with together(nproc or 0) as (rank, _):
        if rank: finetune(plan, where, overwrite, rows=told.rows); return     # the first one speaks
        with _Progress() as progress: done = finetune(plan, where, overwrite, progress, told.rows)
    if as_json:
        last = {}
        for line in (done/"metrics.jsonl").read_text(encoding="utf-8").splitlines(): last |= json.loads(line)
        _json({"run": str(done), **last})
    else: print(done)


def _told(told, where, as_json):
    "A forecast, printed; exit code 1 if the run would stop or not fit"
    import yaml
    facts = {"run": str(where), **told.facts()}
    if as_json: _json(facts)
    else: print(yaml.safe_dump(facts["recipe"], sort_keys=False, allow_unicode=True), f"run: {where}\n", told, sep="")
    raise typer.Exit(1 if told.error or told.fits is False else 0)


@app.command()
def reproduce(run: A[str, Arg(metavar="RUN", help="A finished run directory.")],
              keep: A[str, Opt(metavar="DIR", help="Keep the second run there; it is deleted if left out.")] = "",
              as_json: Json = False):
    """Run a run again: are weights and metrics the same to the last bit? Exit code 1: they are not.

    Example: ftlab reproduce runs/course --keep runs/again
    """
    from ftlab.reproduce import in_words, reproduce, verdict
    with _Progress() as progress:
        def told(found):
            for change in found: progress.console.print(in_words(*change))
        result = reproduce(run, keep or None, told, progress)
    if as_json: _json(result)
    else: print(verdict(result))
    if not result["equal"]: raise typer.Exit(1)


@app.command("eval")
def evaluate(model: A[str, Arg(metavar="MODEL_OR_RUN", help="A model as for `load_model`, or a run directory.")],
             data: A[str, Opt(metavar="FILE", help="Questions with right answers, in any format of `ftlab data doctor`.")],
             metric: A[str, Opt(help="accuracy, bleu, cron, f1 or rouge.")],
             limit: A[int, Opt(min=0, help="Only so many records from the start; 0: all.")] = 0,
             max_new_tokens: A[int, Opt(min=1, help="Longest answer, in tokens.")] = 32,
             batch_size: A[int, Opt(min=1, help="Prompts at a time; the answers do not depend on it.")] = 32,
             weights: Weights = "real",
             out: A[str, Opt(metavar="FILE", help="Where every answer is kept, as JSON.")] = "", as_json: Json = False):
    """Score a model or a run, with a 95% interval; every answer is kept.

    Example: ftlab eval runs/course --data data/cron/test.jsonl --metric cron
    """
    from ftlab.data import load
    load(data)
    from ftlab.core import write_json
    from ftlab.evaluate import evaluate_file, score
    score(["0 0 * * *"], ["0 0 * * *"], metric)   # a wrong path or metric is told before the model is loaded
    net, tokenizer, tuned = _whom(model, weights)
    got = evaluate_file(net, tokenizer, data, metric, max_new_tokens, batch_size, limit)
    name = f"{Path(data).name.split('.')[0]}-{metric}.json"
    path = Path(out) if out else Path(model)/f"eval-{name}" if tuned else Path("runs")/f"eval-{Path(model).name}-{name}"
    write_json(path, {"model": model, "data": data, "metric": metric, **got})
    if tuned and path.parent == Path(model):
        from ftlab.card import write_card
        write_card(model)
    facts = {k: v for k, v in got.items() if k != "samples"} | {"samples": str(path)}
    if as_json: return _json(facts)
    _table(f"{model} on {data}", [
        (metric, f"{got['score']:.4g}", f"95% interval {got['low']:.4g} to {got['high']:.4g}"), ("n", got["n"], ""),
        *[("rejected", got["rejected"], f"lines of {data}: see `ftlab data doctor`")]*bool(got["rejected"])])
    print(f"every answer: {path}")


def _whom(name, weights):
    "(model, tokenizer, whether it is a run directory)"
    if (Path(name)/"adapter").is_dir() and (Path(name)/"recipe.yaml").is_file():
        from ftlab.train import load_tuned
        return *load_tuned(name), True
    from ftlab.core import load_model
    return *load_model(name, weights), False


# ---- deploy

def _written(path):
    files = [path] if path.is_file() else path.rglob("*")
    print(f"{path} ({_size(sum(f.stat().st_size for f in files if f.is_file()))})")


Run = A[str, Arg(metavar="RUN", help="A run directory, or an adapter's folder.")]


@app.command()
def merge(run: Run, out: A[str, Opt("-o", "--out", metavar="DIR", help="Folder to write; must not exist.")],
          dtype: A[str, Opt(help="Of the saved weights: float32 or bfloat16.")] = "float32"):
    """Merge an adapter into its base: one plain model's folder.

    Example: ftlab merge runs/course -o build/merged
    """
    from ftlab.deploy import merge
    _written(merge(run, out, dtype))


@app.command()
def export(run: A[str, Arg(metavar="RUN_OR_DIR", help="A run directory, an adapter's folder, or a merged model's folder.")],
           out: A[str, Opt("-o", "--out", metavar="FILE", help="File to write; must not exist.")],
           to: A[str, Opt(help="The format: gguf.")] = "gguf",
           outtype: A[str, Opt(help="Of the weights: f32, f16, bf16 or q8_0.")] = "f16"):
    """Write a run or a model in the format that an engine reads.

    Example: ftlab export runs/course --to gguf -o build/course.gguf
    """
    if to != "gguf": raise ValueError(f"--to {to}: use gguf")
    import tempfile

    from ftlab.deploy import export_gguf, merge
    if (Path(run)/"config.json").is_file(): done = export_gguf(run, out, outtype)
    elif Path(out).exists(): raise FileExistsError(f"{out} is already there; remove it or choose another name")
    else:
        with tempfile.TemporaryDirectory() as folder: done = export_gguf(merge(run, Path(folder)/"merged"), out, outtype)
    _written(done)


@app.command()
def serve(model: Model,
          adapter: A[list[str], Opt(metavar="NAME=RUN", help="An adapter and the name it is asked by; may be repeated.")] = None,
          host: A[str, Opt(help="0.0.0.0 lets everyone on the network in: there are no keys.")] = "127.0.0.1",
          port: A[int, Opt(min=0, max=65535, help="0: any free one.")] = 8000, weights: Weights = "real"):
    """Serve a model and its adapters over the OpenAI protocol, until Ctrl-C.

    Example: ftlab serve smollm2-135m-instruct --adapter cron=runs/course
    """
    pairs = [a.partition("=") for a in adapter or []]
    for name, _, folder in pairs:
        if not name or not folder: raise ValueError(f"--adapter {name or folder!r} is not of the form NAME=RUN")
    names = [name for name, *_ in pairs]
    if len({*names}) < len(names): raise ValueError(f"two adapters can't share a name: {', '.join(names)}")
    _need("serve", "starlette", "uvicorn")
    from ftlab.serve import serve
    serve(model, {name: folder for name, _, folder in pairs}, host, port, weights)


# ---- the course

@app.command("run")
def course(words: A[list[str], Arg(metavar="[NOTEBOOK]… [KEY=VALUE]…",
                                   help="Notebooks such as 02_lora, all if left out; parameters to change.")] = None,
           profile: A[str, Opt(help="A map in nbs/profiles.yaml: smoke, cpu or gpu.")] = "cpu",
           start: A[str, Opt("--from", metavar="NAME", help="Begin with this notebook.")] = "",
           jobs: A[int, Opt(min=0, help="Notebooks at work at once; 0: as the profile says.")] = 0):
    """Run the course's notebooks in a profile; needs a clone.

    Example: ftlab run 01_decide 02_lora --profile smoke seed=7
    """
    _need("course", "papermill", "ipykernel")
    from ftlab.course import home, run_course
    from ftlab.plan import plan
    names = [w for w in words or [] if "=" not in w]
    changes = dict(w.split("=", 1) for w in words or [] if "=" in w)
    plan(home(), profile, names, start or None, changes)   # a wrong name is told on stderr, before anything runs
    raise typer.Exit(run_course(names, profile, start or None, changes, jobs=jobs))


# ---- the way in

def _sentence(e):
    "What went wrong, on one line"
    text = " ".join((e.format_message() if hasattr(e, "format_message") else str(e)).split())
    if ctx := getattr(e, "ctx", None): text = f"{text.removesuffix('.')}; see `{ctx.command_path} --help`"
    if isinstance(e, OSError) and e.filename and e.strerror: text = f"{e.filename}: {e.strerror.lower()}"
    expected = isinstance(e, (OSError, ValueError, RuntimeError, ImportError, ArithmeticError))
    return text if text and (expected or hasattr(e, "format_message")) else f"{type(e).__name__}: {text}"


def _fail(sentence, code, as_json=False):
    "One sentence on stderr, as JSON on stdout too if that was asked for"
    if as_json: _json({"error": sentence})
    print(f"ftlab: {sentence}", file=sys.stderr)
    return code


def main(args: list[str] | None = None) -> int:
    "Run the command; returns its exit code"
    args = sys.argv[1:] if args is None else list(args)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if not sys.warnoptions: warnings.simplefilter("ignore")   # python -W default brings them back
    if args in ([], ["data"]): args.append("--help")
    as_json = "--json" in args
    try:
        code = app(args, prog_name="ftlab", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.Abort: return _fail("stopped by Ctrl-C", 130, as_json)
    except _Stop as e: return _fail(str(e), 130, as_json)
    except BrokenPipeError:   # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as e:
        if os.environ.get("FTLAB_TRACEBACK"): raise
        return _fail(_sentence(e), getattr(e, "exit_code", 2), as_json)


if __name__ == "__main__": sys.exit(main())
