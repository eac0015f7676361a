"Several processes: equal to one, one run directory, and nothing that kills a rank loses the run."
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from forked import ALONE, Host

ROOT = Path(__file__).resolve().parent.parent
slow = pytest.mark.slow
ENV = {k: v for k, v in os.environ.items() if k not in ALONE} | {
    "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


LAUNCH = "import sys; from ftlab.processes import launch; sys.exit(launch"


# ---- the watcher, with ranks that import nothing

def watched(program, tmp_path, nproc=2, **how):
    "(exit code, what was said) of `launch` in a process of its own"
    (tmp_path / "rank.py").write_text("import os, signal, sys, time\nfrom pathlib import Path\nrank = int(os.environ['RANK'])\n"
                                      f"box = Path({str(tmp_path)!r})\n" + program)
    call = f"{LAUNCH}([sys.executable, sys.argv[1]], {nproc}, **{how!r}))"
    return say([sys.executable, "-c", call, tmp_path / "rank.py"])


def say(command, timeout=300, **env):
    return subprocess.run([*map(str, command)], text=True, capture_output=True, timeout=timeout, env=ENV | env)


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
        if run.exists(): continue            # finished before a later one of these was killed
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
    def __init__(self, box, host):
        self.host, self.box, self.data, self.held = host, box, talks(box / "train.jsonl", 60, 1), talks(box / "held.jsonl", 20, 2)
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
        return self.host.launch(self.command(nproc, runs), nproc, **how)

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
def bench(tmp_path_factory):
    with closing(Host()) as host: yield Bench(tmp_path_factory.mktemp("runs"), host)


@slow
def test_two_equal_one(bench):
    "Packed rows with a shared prefix, rows cut in two, a last step that is not full, two epochs"
    recipe = bench.recipe()
    assert bench.go(1, ("alone", recipe)) == 0 and bench.go(2, ("two", recipe)) == 0
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
    recipe, term = bench.recipe(num_train_epochs=3), int(signal.SIGTERM)
    assert bench.go(2, ("long", recipe), ("two-two", recipe, 4, 1, term), ("two-one", recipe, 4, 1, term)) == 0
    assert bench.go(1, ("long1", recipe), ("one-two", recipe, 4, 0, term), ("two-one", recipe)) == 0
    assert bench.go(2, ("two-two", recipe), ("one-two", recipe)) == 0
    for name, first in (("two-two", 2), ("two-one", 2), ("one-two", 1)):
        said = {(bench.box / f"{name}.Stopped{rank}").read_text() for rank in range(first)}
        assert len(said) == 1 and re.match("stopped after step [456] of 9", said.pop())     # by then it has arrived
    bench.same("long", "two-two")
    for name in ("two-one", "one-two"): bench.close("long1", name)


AT_STEP = [(f"killed{victim}{step}", step, victim, int(signal.SIGKILL)) for step in (1, 4, 5) for victim in (0, 1)]
IN_CHECKPOINT = {   # whom, where, before or after it: the checkpoint that the second try goes on from
    (1, "_save_rng_state", False): 2, (1, "_save_rng_state", True): 2, (0, "_save_optimizer_and_scheduler", True): 2,
    (0, "keep", False): 2, (0, "keep", True): 4}
KILLED = AT_STEP + [(f"in{victim}{what}{after}", 0, victim, [what, after]) for victim, what, after in IN_CHECKPOINT]


@pytest.fixture(scope="module")
def killed(bench):
    "One run that nothing happens to, then one after the other that is killed once; what the watcher said of each"
    recipe = bench.recipe()
    code = bench.go(2, ("straight", recipe), *((name, recipe, *how) for name, *how in KILLED), restarts=len(KILLED))
    assert code == 0, bench.host.said
    return re.findall(r"process (\d) was killed by SIGKILL; restart (\d+) of", bench.host.said)


@slow
@pytest.mark.parametrize("name, step, victim, number", KILLED, ids=[name for name, *_ in KILLED])
def test_a_killed_rank_ends_the_same(name, step, victim, number, bench, killed):
    "Before there is a checkpoint, just before one is written, in the second epoch, and while one is being written"
    at = [n for n, *_ in KILLED].index(name)
    assert killed[at] == (str(victim), str(at + 1)) and len(killed) == len(KILLED)
    if not step: assert (bench.box / f"{name}.from").read_text() == f"0 {IN_CHECKPOINT[victim, *number]} "
    bench.same("straight", name)


@slow
def test_a_rank_that_hangs_is_found(bench, killed):
    recipe = bench.recipe()
    assert bench.go(2, ("hung", recipe, 3, 1, int(signal.SIGSTOP)), timeout=90, alive=bench.box / "hung.part/metrics.jsonl") == 0
    assert "nothing moved for 90 s; restart 1 of 3" in bench.host.said
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
    assert bench.go(2, ("other", bench.recipe(r=8))) == 1 and "r was 4 and is 8" in bench.host.said
    assert re.search("^process 1: .*FileExistsError: .*r was 4 and is 8", bench.host.said, flags=re.M)
