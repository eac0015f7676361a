"""Ranks that are forked from a process which has imported everything once: started afresh, each takes six seconds
of a core for that, and the tests start many. The watcher is the real one; `test_launch.py` starts the command as
users do."""
import gc
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from contextlib import redirect_stderr
from types import SimpleNamespace

ALONE = "RANK", "WORLD_SIZE", "LOCAL_RANK"       # what a process that is no rank must not see


def _run(command, env, preexec_fn=None, stdout=None, stderr=None, **_):
    "In the fork: what Popen and Python do between `command` and its first line"
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if preexec_fn: preexec_fn()
    os.environ.clear()
    os.environ.update(env)
    sys.stderr = sys.__stderr__
    if stdout is not None: os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if stderr is not None: os.dup2(stderr.fileno(), 2)
    sys.argv = command[next(i for i, word in enumerate(command) if word.endswith(".py")):]
    runpy.run_path(sys.argv[0], run_name="__main__")


class Forked(multiprocessing.get_context("fork").Process):
    "What the watcher asks of a Popen"
    def __init__(self, command, **how):
        super().__init__(target=_run, args=(command,), kwargs=how)
        self.start()

    def poll(self): return self.exitcode
    def wait(self): self.join(); return self.exitcode
    returncode = property(poll)


def _serve(pipe):
    for name in ALONE: os.environ.pop(name, None)
    os.environ["OMP_NUM_THREADS"] = "1"          # a fork may not use threads that its parent began
    import peft  # noqa: F401
    from transformers import Trainer  # noqa: F401

    import ftlab.processes
    import ftlab.ranks
    import ftlab.train  # noqa: F401
    ftlab.processes.subprocess = SimpleNamespace(Popen=Forked, DEVNULL=subprocess.DEVNULL)
    gc.freeze()                                  # else each fork looks through what it was born with, and copies it
    while True:
        try: command, nproc, how = pipe.recv()
        except EOFError: return
        with redirect_stderr(io.StringIO()) as said:
            if nproc == 1: code = Forked(command, env=dict(os.environ)).wait()
            else: code = ftlab.processes.launch(command, nproc, **how)
        pipe.send((code, said.getvalue()))


class Host:
    "`launch` in a process of its own whose ranks are forks; the exit code, and what the watcher said in `said`"
    def __init__(self):
        spawn = multiprocessing.get_context("spawn")
        self.pipe, there = spawn.Pipe()
        self.process, self.said = spawn.Process(target=_serve, args=(there,)), ""
        self.process.start()
        there.close()

    def launch(self, command, nproc, seconds=600, **how):
        self.pipe.send((command, nproc, how))
        if not self.pipe.poll(seconds):
            self.process.kill()
            raise TimeoutError(f"{command} did not end in {seconds} s")
        code, self.said = self.pipe.recv()
        return code

    def close(self):
        self.pipe.close()
        self.process.join(10)
        self.process.kill()
