"Several processes: equal to one, one run directory, and nothing that kills a rank loses the run."
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
ASSETS = files("ftlab").joinpath("assets/scale")
slow = pytest.mark.slow
ENV = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")} | {
    "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


LAUNCH = "import sys; from ftlab.processes import launch; sys.exit(launch"


# ---- the watcher, with ranks that import nothing

def watched(program, tmp_path, nproc=2, **how):
    "(exit code, what was said) of `launch` in a process of its own"
    (tmp_path / "rank.py").write_text("import os, signal, sys, time\nfrom pathlib import Path\nrank = int(os.environ['RANK'])\n"
                                      f"box = Path({str(tmp_path)!r})\n" + program)
    call = f"{LAUNCH}([sys.executable, sys.argv[1]], {nproc}, **{how!r}))"
    return say([sys.executable, "-c", call, tmp_path / "rank.py"])


def say(command, **env):
    return subprocess.run([*map(str, command)], text=True, capture_output=True, timeout=300, env=ENV | env)


def tries(tmp_path, rank=0):
    "How often a rank began"
    return len((tmp_path / f"tries{rank}").read_text())


COUNT = "open(box/f'tries{rank}', 'a').write('.')\n"


def test_ends_well_and_each_knows_its_place(tmp_path):
    program = COUNT + ("names = 'RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT'\n"
                       "(box/f'env{rank}').write_text(' '.join(os.environ[n] for n in names.split()))\nprint('said', rank)")
    done = watched(program, tmp_path, 3)
    assert (done.returncode, done.stdout, tries(tmp_path)) == (0, "said 0\n", 1)
    places = [(tmp_path / f"env{rank}").read_text().split() for rank in range(3)]
    assert [p[:5] for p in places] == [[str(r), str(r), "3", "3", "127.0.0.1"] for r in range(3)]
    assert len({p[5] for p in places}) == 1


@pytest.mark.parametrize("victim", [0, 1])
def test_killed_rank_brings_all_of_them_back(victim, tmp_path):
    done = watched(COUNT + f"first = not (box/'dead').exists()\nif first and rank == {victim}:\n"
                   "    (box/'dead').touch(); os.kill(os.getpid(), signal.SIGKILL)\nif first: time.sleep(60)", tmp_path)
    assert done.returncode == 0 and tries(tmp_path, victim) == 2
    assert f"process {victim} was killed by SIGKILL; restart 1 of 3" in done.stderr


def test_gives_up_after_so_many(tmp_path):
    done = watched(COUNT + "os.kill(os.getpid(), signal.SIGSEGV) if rank else time.sleep(60)", tmp_path, restarts=2)
    assert done.returncode == 128 + signal.SIGSEGV and tries(tmp_path, 1) == 3
    assert done.stderr.count("restart") == 2 and "given up" in done.stderr


def test_an_answer_is_not_asked_for_again(tmp_path):
    done = watched(COUNT + "sys.exit('no such file') if rank else time.sleep(.3)", tmp_path)
    assert done.returncode == 1 and tries(tmp_path, 1) == 1 and "process 1: no such file" in done.stderr


@slow
def test_a_rank_that_waits_for_a_dead_one_is_ended(tmp_path):
    begin = time.time()
    done = watched("import ftlab.processes\n(box/str(rank)).write_text(str(os.getpid()))\n"
                   "sys.exit(3) if rank else time.sleep(100)", tmp_path)
    assert done.returncode == 3 and time.time() - begin < 60
    with pytest.raises(ProcessLookupError): os.kill(int((tmp_path / "0").read_text()), 0)


@slow
def test_a_hang_is_seen_by_what_does_not_grow(tmp_path):
    program = COUNT + ("(box/'grows').touch()\nfor _ in range(30): time.sleep(.1); rank == 0 and os.utime(box/'grows')\n"
                       "if len((box/'tries0').read_text()) < 2: time.sleep(100)")
    done = watched(program, tmp_path, timeout=1.5, alive=str(tmp_path / "grows"))
    assert done.returncode == 0 and tries(tmp_path) == 2 and "nothing moved for 1.5 s; restart 1 of 3" in done.stderr


def test_finished_is_finished(tmp_path):
    "A rank that dies when all work is done brings nobody back, not even with a file of an older run there"
    (tmp_path / "done").touch()
    os.utime(tmp_path / "done", (1e9, 1e9))
    waits, dies = COUNT + "if rank == 0: time.sleep(60)\n", "os.kill(os.getpid(), signal.SIGKILL)"
    how = {"restarts": 1, "done": str(tmp_path / "done")}
    done = watched(waits + dies, tmp_path, **how)
    assert done.returncode == 137 and tries(tmp_path, 1) == 2
    done = watched(waits + "(box/'done').touch(); " + dies, tmp_path, **how)
    assert done.returncode == 0 and tries(tmp_path, 1) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_once(number, tmp_path):
    "Each rank is told once, ends in its own time, and nothing is started again"
    program = ("told = []\nsignal.signal(signal.SIGTERM, lambda *a: told.append(1))\n(box/f'up{rank}').touch()\n"
               "while not told: time.sleep(.05)\ntime.sleep(.5); (box/f'told{rank}').write_text(str(len(told))); sys.exit(130)")
    (tmp_path / "rank.py").write_text("import os, signal, sys, time\nfrom pathlib import Path\nrank = int(os.environ['RANK'])\n"
                                      f"box = Path({str(tmp_path)!r})\n" + program)
    call = f"{LAUNCH}([sys.executable, sys.argv[1]], 2))"
    p = subprocess.Popen([sys.executable, "-c", call, tmp_path / "rank.py"], env=ENV, start_new_session=True)
    try:
        until(lambda: all((tmp_path / f"up{r}").exists() for r in (0, 1)))
        os.killpg(p.pid, number)                 # as a terminal or a scheduler does
        assert p.wait(60) == 130
    finally: p.kill()
    assert [(tmp_path / f"told{r}").read_text() for r in (0, 1)] == ["1", "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_ranks_stop_when_their_watcher_is_killed(tmp_path):
    program = ("import os, signal, sys, time\nfrom pathlib import Path\nbox = Path(sys.argv[1]); rank = os.environ['RANK']\n"
               "def stop(*a): (box/f'told{rank}').touch(); sys.exit()\nsignal.signal(signal.SIGTERM, stop)\n"
               "(box/f'up{rank}').touch(); time.sleep(100)")
    call = f"{LAUNCH}([sys.executable, '-c', {program!r}, sys.argv[1]], 2))"
    p = subprocess.Popen([sys.executable, "-c", call, tmp_path], env=ENV)
    until(lambda: all((tmp_path / f"up{r}").exists() for r in (0, 1)))
    p.kill(); p.wait()
    until(lambda: all((tmp_path / f"told{r}").exists() for r in (0, 1)))


def until(what, seconds=120):
    begin = time.time()
    while not what():
        assert time.time() - begin < seconds, "it never came"
        time.sleep(.05)


# ---- training: what one process does is what two have to do

SMALL = {"model": "tiny", "weights": "random", "limit": 44, "r": 4, "dtype": "float32",
         "per_device_train_batch_size": 16, "num_train_epochs": 2, "learning_rate": 3e-3, "max_length": 512, "save_steps": 2}
RANK = """
import json, os, signal, sys
from pathlib import Path
from ftlab.recipe import Recipe
from ftlab.checkpoint import Stopped
from ftlab.ranks import place, together
from ftlab.train import Diverged, finetune
jobs = json.loads(Path(sys.argv[1]).read_text())
def dies(run, victim, what, after):
    "The victim is killed once, before or after its second call of something that writes a checkpoint"
    import transformers, ftlab.train
    owner,calls,hit = ftlab.train if what == "keep" else transformers.Trainer,[],run.with_suffix(".hit")
    was = getattr(owner, what)
    def call(*args, **kwargs):
        calls.append(1)
        now = len(calls) == 2 and place()[0] == victim and not hit.exists()
        if now: hit.touch()
        if after: came = was(*args, **kwargs)
        if now: os.kill(os.getpid(), signal.SIGKILL)
        return came if after else was(*args, **kwargs)
    setattr(owner, what, call)
with together(jobs["nproc"]) as (rank,size):
    for name,values,stop,victim,number in jobs["runs"]:
        run = Path(jobs["box"])/name
        run.with_suffix(f".{rank}").write_text(str(os.getpid()))
        seen = []
        def report(line):
            if not seen: seen.append(1); open(run.with_suffix(".from"), "a").write(f"{line['step'] - 1} ")
            if line["step"] == stop and not run.with_suffix(".hit").exists():
                run.with_suffix(".hit").touch()
                os.kill(int(run.with_suffix(f".{victim}").read_text()), number)
        if type(number) is list: dies(run, victim, *number)
        try: finetune(Recipe(**values), run, report=report)
        except (Stopped, Diverged, ValueError) as e: run.with_suffix(f".{type(e).__name__}{rank}").write_text(str(e))
"""


def talks(path, n, seed):
    "Conversations of uneven length with one system prompt"
    import random
    dice, words = random.Random(seed), "every day week month noon night at on the first last of two five".split()
    some = lambda most: " ".join(dice.choices(words, k=dice.randint(1, most)))
    lines = [[("system", "Say it shorter."), ("user", some(30)), ("assistant", some(8))] for _ in range(n)]
    path.write_text("".join(json.dumps({"messages": [{"role": r, "content": c} for r, c in line]}) + "\n" for line in lines))
    return str(path)


class Bench:
    "Runs by name, in one process or two"
    def __init__(self, box):
        self.box, self.data, self.held = box, talks(box / "train.jsonl", 60, 1), talks(box / "held.jsonl", 20, 2)
        (box / "rank.py").write_text(RANK)

    def recipe(self, **changes):
        if changes.get("model") == "saved":         # 4 bits need a model on the disk
            changes["model"] = str(self.box / "saved")
            if not (self.box / "saved").exists():
                from ftlab.core import load_model
                for part in load_model("tiny", "random"): part.save_pretrained(self.box / "saved")
        if "eval_data" in changes: changes["eval_data"] = self.held
        return SMALL | {"data": self.data} | changes

    def go(self, nproc, *runs, **how):
        "runs: (name, recipe, step to hit at or 0, whom, with what signal)"
        from ftlab.processes import launch
        command = self.command(nproc, runs)
        return launch(command, nproc, **how) if nproc > 1 else subprocess.run(command, env=ENV, check=False).returncode

    def command(self, nproc, runs):
        runs = [[*r, 0, 0, 0][:5] for r in runs]
        jobs = self.box / f"{runs[0][0]}.{nproc}.json"
        jobs.write_text(json.dumps({"nproc": nproc, "box": str(self.box), "runs": runs}))
        return [sys.executable, "-W", "ignore", str(self.box / "rank.py"), str(jobs)]

    def lines(self, name):
        return [json.loads(line) for line in (self.box / name / "metrics.jsonl").read_text().splitlines()]

    def adapter(self, name):
        from safetensors.torch import load_file
        path, = [*(self.box / name).glob("adapter/*.safetensors"), *(self.box / name).glob("model/*.safetensors")]
        return load_file(path)

    def close(self, a, b, bound=1e-5):
        "Loss of every step, gradient norm, taught tokens, the adapter"
        first, second = self.lines(a), self.lines(b)
        assert [x["step"] for x in first] == [x["step"] for x in second]
        for x, y in zip(first, second, strict=True):
            assert x.get("taught") == y.get("taught") and x.get("learning_rate") == y.get("learning_rate")
            for key in ("loss", "eval_loss"):
                if key in x: assert y[key] == pytest.approx(x[key], rel=bound), (x["step"], key)
            if "grad_norm" in x: assert y["grad_norm"] == pytest.approx(x["grad_norm"], rel=10*bound), x["step"]
        A, B = self.adapter(a), self.adapter(b)
        assert A.keys() == B.keys()
        for name in A: assert (A[name] - B[name]).norm() <= bound*A[name].norm(), name

    def same(self, a, b):
        "To the last bit: adapter, optimizer, and what metrics say but for time and memory"
        import torch
        A, B = self.adapter(a), self.adapter(b)
        assert A.keys() == B.keys() and all(torch.equal(A[k], B[k]) for k in A)
        keys = ("step", "loss", "learning_rate", "grad_norm", "taught", "tokens", "eval_loss")
        assert [[x.get(k) for k in keys] for x in self.lines(a)] == [[x.get(k) for k in keys] for x in self.lines(b)]
        steps = [sorted(p.name for p in (self.box / n / "checkpoints").iterdir()) for n in (a, b)]
        assert steps[0] == steps[1] and steps[0]
        one, two = (torch.load(self.box / n / "checkpoints" / steps[0][-1] / "optimizer.pt") for n in (a, b))
        for x, y in zip(one["state"].values(), two["state"].values(), strict=True):
            assert all(torch.equal(x[k], y[k]) for k in x)


@pytest.fixture(scope="module")
def bench(tmp_path_factory): return Bench(tmp_path_factory.mktemp("runs"))


def test_two_equal_one(bench):
    "Packed rows with a shared prefix, rows cut in two, a last step that is not full, two epochs"
    recipe = bench.recipe()
    alone = subprocess.Popen(bench.command(1, [("alone", recipe)]), env=ENV)
    assert bench.go(2, ("two", recipe)) == 0 and alone.wait(300) == 0
    bench.close("alone", "two")
    assert len(bench.lines("two")) == 6
    files_of = lambda name: {p.relative_to(bench.box / name).as_posix() for p in (bench.box / name).rglob("*") if p.is_file()}
    more = {re.sub("rng_state_[01]", "rng_state", f) for f in files_of("two")}
    assert more == files_of("alone") and not (bench.box / "two.part").exists()


CASES = {"accumulated": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
         "rectangle": {"packing": False}, "unshared": {"share_prefix": False}, "full": {"method": "full", "learning_rate": 1e-4},
         "recomputed": {"gradient_checkpointing": True}, "blanks alone": {"limit": 5}, "steps": {"max_steps": 4},
         "qlora": {"method": "qlora", "weights": "real", "model": "saved"},
         "dora": {"use_dora": True, "learning_rate": 1e-3}, "lora+": {"loraplus_lr_ratio": 4.},
         "plain": {"packing": False, "per_device_train_batch_size": 2,
         "gradient_accumulation_steps": 6, "limit": 29},
         "held": {"eval_data": "yes", "eval_steps": 2, "early_stopping_patience": 1, "learning_rate": .05,
                  "limit": 40, "max_steps": 40}}


@pytest.fixture(scope="module")
def cases(bench):
    for nproc, name in ((1, "one"), (2, "both")):
        assert bench.go(nproc, *[(f"{case} {name}", bench.recipe(**changes)) for case, changes in CASES.items()]) == 0
    return bench


@slow
@pytest.mark.parametrize("case", CASES)
def test_every_way_to_train(case, cases):
    cases.close(f"{case} one", f"{case} both")
    if case == "held": assert len(cases.lines("held both")) < 50      # it did stop early


@slow
def test_a_checkpoint_of_two_goes_on_in_one_and_in_two(bench):
    "Stopped in the second epoch by a signal that only one rank got"
    recipe = bench.recipe(num_train_epochs=3)
    assert bench.go(2, ("long", recipe)) == 0 and bench.go(1, ("long1", recipe)) == 0
    for name, first, then in (("two-two", 2, 2), ("two-one", 2, 1), ("one-two", 1, 2)):
        assert bench.go(first, (name, recipe, 4, first - 1, int(signal.SIGTERM))) == 0
        said = {(bench.box / f"{name}.Stopped{rank}").read_text() for rank in range(first)}
        assert len(said) == 1 and re.match("stopped after step [456] of 9", said.pop())     # by then it has arrived
        assert bench.go(then, (name, recipe)) == 0
    bench.same("long", "two-two")
    for name in ("two-one", "one-two"): bench.close("long1", name)


@slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("step", [1, 4, 5])
def test_killed_at_any_step_ends_the_same(victim, step, bench, capfd):
    "Before there is a checkpoint, just before one is written, and in the second epoch"
    recipe = bench.recipe()
    if not (bench.box / "straight").exists(): assert bench.go(2, ("straight", recipe)) == 0
    name = f"killed{victim}{step}"
    assert bench.go(2, (name, recipe, step, victim, int(signal.SIGKILL))) == 0
    assert f"process {victim} was killed by SIGKILL; restart 1 of 3" in capfd.readouterr().err
    bench.same("straight", name)


@slow
@pytest.mark.parametrize("victim, what, after, kept", [
    (1, "_save_rng_state", False, 2), (1, "_save_rng_state", True, 2), (0, "_save_optimizer_and_scheduler", True, 2),
    (0, "keep", False, 2), (0, "keep", True, 4)])
def test_killed_in_a_checkpoint_ends_the_same(victim, what, after, kept, bench, capfd):
    "`kept`: the checkpoint that the second try goes on from"
    recipe = bench.recipe()
    if not (bench.box / "straight").exists(): assert bench.go(2, ("straight", recipe)) == 0
    name = f"in{victim}{what}{after}"
    assert bench.go(2, (name, recipe, 0, victim, [what, after])) == 0
    assert f"process {victim} was killed by SIGKILL; restart 1 of 3" in capfd.readouterr().err
    assert (bench.box / f"{name}.from").read_text() == f"0 {kept} "
    bench.same("straight", name)


@slow
def test_a_rank_that_hangs_is_found(bench, capfd):
    recipe = bench.recipe()
    if not (bench.box / "straight").exists(): assert bench.go(2, ("straight", recipe)) == 0
    assert bench.go(2, ("hung", recipe, 3, 1, int(signal.SIGSTOP)), timeout=90, alive=bench.box / "hung.part/metrics.jsonl") == 0
    assert "nothing moved for 90 s; restart 1 of 3" in capfd.readouterr().err
    bench.same("straight", "hung")


@slow
def test_a_diverged_run_ends_on_both_ranks(bench):
    recipe = bench.recipe(learning_rate=1e30, warmup_steps=0.)
    assert bench.go(2, ("mad", recipe)) == 0
    said = [(bench.box / f"mad.Diverged{rank}").read_text() for rank in (0, 1)]
    assert said[0] == said[1] and said[0].count("train.jsonl:") == 8 and "and 8 more" in said[0]


@slow
def test_a_wrong_recipe_is_told_by_all(bench):
    "Rank 0 alone finds it; the other gets the same sentence and does not wait"
    assert bench.go(2, ("other", bench.recipe(), 3, 0, int(signal.SIGTERM))) == 0
    (bench.box / "other.hit").unlink()
    jobs = bench.box / "other2.json"
    jobs.write_text(json.dumps({"nproc": 2, "box": str(bench.box), "runs": [["other", bench.recipe(r=8), 0, 0, 0]]}))
    done = say([sys.executable, "-c", f"{LAUNCH}(sys.argv[1:], 2))", sys.executable, bench.box / "rank.py", jobs])
    assert done.returncode == 1 and "r was 4 and is 8" in done.stderr
    assert re.search("^process 1: .*FileExistsError: .*r was 4 and is 8", done.stderr, flags=re.M)


# ---- the command

@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    box = tmp_path_factory.mktemp("recipe")
    (box / "mine.yaml").write_text(yaml.safe_dump(SMALL | {"data": talks(box / "train.jsonl", 60, 1)}))
    return box / "mine.yaml"


def ftlab(*args): return say([sys.executable, "-m", "ftlab.cli", *args])


def torchrun(nproc, *args, **env):
    return say([sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", nproc, "-m", "ftlab.cli", "--", *args], **env)


def digest(run):
    from ftlab.core import sha256
    return sha256(Path(run) / "adapter/adapter_model.safetensors")


@slow
def test_command(recipe_file, tmp_path):
    "`--nproc 2`, and torchrun, write the same bytes; one path is printed; the world is as it was asked for"
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    done = ftlab("train", recipe_file, "--run", ours, "--nproc", 2)
    assert (done.returncode, done.stdout) == (0, f"{ours}\n"), done.stderr
    assert done.stderr.count("step 6/6") == 1
    done = torchrun(2, "train", recipe_file, "--run", theirs, "--nproc", 2)
    assert (done.returncode, done.stdout) == (0, f"{theirs}\n"), done.stderr
    assert digest(ours) == digest(theirs)
    done = torchrun(2, "train", recipe_file, "--run", tmp_path / "no", "--nproc", 3)
    assert done.returncode and "3 processes were asked for and there are 2" in done.stderr
    done = ftlab("train", recipe_file, "--run", ours, "--nproc", 2)
    assert done.returncode == 2 and "exists" in done.stderr
    done = ftlab("train", recipe_file, "per_device_train_batch_size=15", "--run", tmp_path / "no", "--nproc", 2)
    assert done.returncode == 2 and "can't be shared by 2 processes" in done.stderr
    assert not (tmp_path / "no").exists() and not (tmp_path / "no.part").exists()


@slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_stopped_and_gone_on_with(number, recipe_file, tmp_path):
    "The watcher passes the signal on, there is a last checkpoint, and the same command ends as if nothing had been"
    run, whole = tmp_path / "run", tmp_path / "whole"
    args = ["train", recipe_file, "num_train_epochs=30", "save_steps=1000", "--nproc", 2, "--run"]
    p = subprocess.Popen([sys.executable, "-m", "ftlab.cli", *map(str, args), run], env=ENV, start_new_session=True)
    try:
        until(lambda: (tmp_path / "run.part/metrics.jsonl").exists())
        os.killpg(p.pid, number)
        assert p.wait(120) == 130
    finally: p.kill()
    kept = [c.name for c in (tmp_path / "run.part/checkpoints").iterdir()]
    assert len(kept) == 1 and kept[0] != "checkpoint-90" and not run.exists()
    assert ftlab(*args, run).returncode == 0 and ftlab(*args, whole).returncode == 0
    assert digest(run) == digest(whole)
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 91))


@slow
def test_accelerate_that_does_less_is_refused(recipe_file, tmp_path):
    done = torchrun(2, "train", recipe_file, "--run", tmp_path / "no", ACCELERATE_USE_FSDP="true", FSDP_VERSION="2")
    assert done.returncode and "FSDP was asked for" in done.stderr


# ---- shards

SHARDS = """
import sys, torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from ftlab.core import seed_everything
from ftlab.engine import adapt, base_model, collator, optimizer
from ftlab.pack import packed_loss
from ftlab.ranks import gathered, spare, together, total
from ftlab.recipe import prepare, read_recipe
recipe = read_recipe(sys.argv[1])
with together() as (rank,size):
    seed_everything(recipe.seed)      # nobody sends the others its A: each has to begin with the same
    base, tokenizer = base_model(recipe)
    rows, model = prepare(recipe, tokenizer), adapt(base, recipe)
    inner = model if recipe.method == "full" else model.get_base_model()
    if recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        if recipe.method != "full": model.enable_input_require_grads()
    model.train()
    if size > 1:
        mesh = init_device_mesh("cpu", (size,))
        for layer in inner.model.layers: fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    rows, collate = spare(rows, collator(recipe))
    opt, out = optimizer(model, recipe), []
    each = 8//size
    for at in range(0, 44, 8):
        here = [*range(at, min(at + 8, 44)), *[44]*8][:8]
        for half in (0, 1):                                     # two micro-batches a step
            mine = here[half*4 + rank*4//size:half*4 + (rank + 1)*4//size]
            batch = {k: v for k,v in collate([rows[i] for i in mine]).items() if k not in ("origins", "shift_labels")}
            if half == 0:
                taught = sum(total(*[sum(l != -100 for l in rows[i]["labels"][1:]) for i in here if i < 44]))/size
                step = 0.
            loss = packed_loss(model, batch)/taught
            (loss*size).backward(); step += loss.item()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        opt.step(); opt.zero_grad()
        out.append((sum(gathered(step)), norm.item()))
    held = sum(getattr(p, "_local_tensor", p).numel() for p in model.parameters())
    whole = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if rank == 0: torch.save((out, held, {k: v for k,v in whole.items() if recipe.method == "full" or "lora" in k}), sys.argv[2])
"""


@slow
@pytest.mark.parametrize("changes", [{}, {"method": "full"}, {"method": "qlora", "weights": "real"}, {"share_prefix": False},
                                     {"gradient_checkpointing": True}], ids=["lora", "full", "qlora", "unshared", "recomputed"])
def test_shards_equal_one_process(changes, tmp_path, monkeypatch):
    "fully_shard per layer on gloo: loss, gradient norm and weights, over accumulated steps of which the last is not full"
    import torch

    from ftlab.processes import launch
    if changes.get("method") == "qlora":
        from ftlab.core import load_model
        for it in load_model("tiny", "random"): it.save_pretrained(tmp_path / "saved")
        changes = changes | {"model": str(tmp_path / "saved")}
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")       # then 4-bit weights are stored as what can be sharded
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(SMALL | {"data": talks(tmp_path / "d.jsonl", 60, 1)} | changes))
    (tmp_path / "shards.py").write_text(SHARDS)
    for n in (1, 2):
        assert launch([sys.executable, str(tmp_path / "shards.py"), str(tmp_path / "r.yaml"), str(tmp_path / str(n))], n) == 0
    (one, whole, A), (two, part, B) = (torch.load(tmp_path / str(n)) for n in (1, 2))
    assert len(one) == 6 and .5*whole <= part < .52*whole
    for (a, x), (b, y) in zip(one, two, strict=True): assert b == pytest.approx(a, rel=1e-5) and y == pytest.approx(x, rel=1e-4)
    assert A.keys() == B.keys() and A
    for k in A: assert (A[k] - B[k]).norm() <= 1e-5*A[k].norm(), k


# ---- launch files

def test_fsdp2_file_read_by_accelerate(monkeypatch):
    "Its own loader, its launcher's environment, and the plugin that a rank makes of that"
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.launch import prepare_multi_gpu_env
    path = str(ASSETS / "fsdp2.yaml")
    config = load_config_from_file(path)
    assert config.distributed_type == "FSDP" and config.num_processes == 8
    args = launch_command_parser().parse_args(["--config_file", path, "-m", "ftlab.cli", "train", "x"])
    args, _, _ = _validate_launch_command(args)
    assert args.use_fsdp and args.training_script == "ftlab.cli" and args.training_script_args == ["train", "x"]
    env = prepare_multi_gpu_env(args)
    for k, v in env.items():
        if k.startswith(("FSDP_", "ACCELERATE_")): monkeypatch.setenv(k, v)
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True and plugin.cpu_ram_efficient_loading
    assert "FULL_STATE_DICT" in str(plugin.state_dict_type) and plugin.auto_wrap_policy.__name__ == "transformer_auto_wrap_policy"


COMMANDS = {   # what a node has: each says what it was called with
    "srun": "#!/bin/bash\nshift\nfor node in 0 1; do SLURM_NODEID=$node \"$@\" || exit 1; done\n",
    "scontrol": "#!/bin/bash\nprintf 'n7\\nn8\\n'\n",
    "torchrun": "#!/bin/bash\necho torchrun \"$@\" >> \"$CALLS\"\n[ $(wc -l < \"$CALLS\") -gt 1 ]\n",
    "accelerate": "#!/bin/bash\necho accelerate \"$@\" >> \"$CALLS\"\n",
}


@pytest.fixture
def node(tmp_path):
    (tmp_path / "bin").mkdir()
    for name, text in COMMANDS.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin/activate").write_text("")
    return os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}


def slurm(tmp_path, node, fsdp=""):
    text = (ASSETS / "train_on_slurm.sh").read_text(encoding="utf-8")
    for name, value in {"VENV": tmp_path, "FSDP": fsdp, "RECIPE": "my recipe.yaml"}.items():
        text, n = re.subn(f"^{name}=.*$", f'{name}="{value}"', text, flags=re.M)
        assert n == 1
    text = text.replace('source "$VENV/bin/activate"', f"source {tmp_path}/bin/activate")
    done = subprocess.run(["bash"], input=text, text=True, capture_output=True, env=node | {
        "SLURM_JOB_NODELIST": "n[7-8]", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "8"})
    return done, (tmp_path / "calls").read_text().splitlines()


def test_slurm_file(tmp_path, node):
    "Options that sbatch knows; run with stand-ins for Slurm's commands, the second try goes well"
    text = (ASSETS / "train_on_slurm.sh").read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash\n") and subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    given = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", text, flags=re.M)
    assert len(given) == text.count("#SBATCH") and dict(given) == {
        "job-name": "ftlab-train", "nodes": "2", "ntasks-per-node": "1", "gpus-per-node": "8", "cpus-per-task": "64",
        "time": "24:00:00", "signal": "TERM@300", "requeue": "", "open-mode": "append"}
    assert text.rindex("#SBATCH") < re.search(r"^[^#\n]", text, flags=re.M).start()      # sbatch ignores what comes later
    done, calls = slurm(tmp_path, node)
    assert done.returncode == 0 and "try 0 ended; 3 restarts are left" in done.stderr
    assert len(calls) == 3                         # the first try died on its first node
    for rank, call in enumerate(calls[1:]):
        assert call == (f"torchrun --nnodes 2 --node_rank {rank} --nproc_per_node 8 --master_addr n7 --master_port 29500 "
                        "-m ftlab.cli -- train my recipe.yaml --run /shared/runs/mine --nproc 16")
        known(call)


def test_slurm_file_with_fsdp(tmp_path, node):
    done, calls = slurm(tmp_path, node, fsdp=ASSETS / "fsdp2.yaml")
    assert done.returncode == 0 and len(calls) == 2
    from accelerate.commands.launch import launch_command_parser
    args = launch_command_parser().parse_args(calls[1].replace("my recipe", "my").split()[2:])
    assert (args.num_machines, args.machine_rank, args.num_processes, args.main_process_ip) == (2, 1, 16, "n7")
    assert args.training_script_args == ["train", "my.yaml", "--run", "/shared/runs/mine", "--nproc", "16"]


def known(call):
    "torchrun's own parser takes it, and leaves the script's arguments to the script"
    from torch.distributed.run import get_args_parser
    args = get_args_parser().parse_args(call.replace("my recipe", "my").split()[1:])
    assert args.training_script == "ftlab.cli" and args.module and args.training_script_args[0] == "train"
    assert args.training_script_args[2] == "--run"


def test_sky_file(node):
    "The fields of SkyPilot's YAML specification; the run command under its variables"
    sky = yaml.safe_load((ASSETS / "train_on_sky.yaml").read_text(encoding="utf-8"))
    assert set(sky) <= set("name workdir num_nodes resources envs secrets volumes file_mounts setup run config".split())
    assert set(sky["resources"]) <= set("infra accelerators cpus memory use_spot disk_size job_recovery image_id".split())
    assert set(sky["resources"]["job_recovery"]) <= {"strategy", "max_restarts_on_errors", "recover_on_exit_codes"}
    assert isinstance(sky["num_nodes"], int) and all(re.fullmatch("[A-Z_]+", k) for k in sky["envs"])
    assert re.fullmatch(r"[\w-]+:\d+", sky["resources"]["accelerators"])
    Path(node["CALLS"]).write_text("first\n")
    given = {"NUM_NODES": "2", "NODE_RANK": "1", "NUM_GPUS_PER_NODE": "8", "NODE_IPS": "10.0.0.1\n10.0.0.2"}
    done = subprocess.run(["bash", "-c", sky["run"]], env=node | sky["envs"] | {f"SKYPILOT_{k}": v for k, v in given.items()})
    call = Path(node["CALLS"]).read_text().splitlines()[1]
    assert done.returncode == 0 and call.endswith("--run /shared/runs/mine --nproc 16")
    assert "--node_rank 1" in call and "--master_addr 10.0.0.1 " in call
    known(call)
