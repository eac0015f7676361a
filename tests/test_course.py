"The course as a pipeline: what it refuses, how it stops and goes on, and a page that trusts no text."
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest
import yaml

from ftlab.course import collect, home, page, run_course
from ftlab.plan import parameters_of, plan

ROOT = Path(__file__).resolve().parent.parent
BOOK = yaml.safe_load((ROOT / "nbs/profiles.yaml").read_text(encoding="utf-8"))
PROFILES = ["cpu", "smoke", "gpu"]


@pytest.fixture
def clone(tmp_path):
    "A clone with three notebooks; the second waits for a file, the third divides by it"
    def notebook(name, *sources, parameters=None):
        tagged = [(parameters, ["parameters"])] * bool(parameters) + [(s, []) for s in sources]
        cells = [{"cell_type": "code", "id": f"c{i}", "source": s, "execution_count": None, "outputs": [],
                  "metadata": {"tags": t} if t else {}} for i, (s, t) in enumerate(tagged)]
        nb = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
        (tmp_path / "nbs" / f"{name}.ipynb").write_text(json.dumps(nb))
    (tmp_path / "nbs").mkdir()
    notebook("00_first", "n", parameters="n = 1\nname = 'x'\nquality = True")
    notebook("01_waits", "import pathlib, time\npathlib.Path('begun').touch()",
             "while not pathlib.Path('go').exists(): time.sleep(.05)")
    notebook("02_fails", "ok = True", "\n# a reader looks here\nint('seven')", parameters="n = 1")
    (tmp_path / "nbs/profiles.yaml").write_text(yaml.safe_dump({
        "cpu": {"00_first": {}, "01_waits": {}}, "smoke": {"common": {"n": 2}, "02_fails": {}},
        "settings": {"random": {}, "env": {}, "cap": {}, "minutes": {}}}, sort_keys=False))
    return tmp_path


def run(clone, *a, **k):
    code = run_course(*a, root=clone, file=(out := io.StringIO()), **k)
    return code, out.getvalue()


# ---- the profiles of this course

@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_name_what_exists(profile):
    steps = plan(ROOT, profile)
    assert list(steps) == sorted(steps) and steps.keys() == {n for n in BOOK[profile] if n != "common"}
    lessons = {p.stem for p in (ROOT / "nbs").glob("[0-9]*.ipynb") if p.stem < "20"}
    assert steps.keys() == lessons
    for name, given in steps.items():
        assert given.keys() <= parameters_of(ROOT / f"nbs/{name}.ipynb").keys()


def test_cpu_is_the_notebooks_as_written():
    assert not any(plan(ROOT, "cpu").values())


def test_smoke_is_short_and_claims_nothing():
    steps = plan(ROOT, "smoke")
    assert 0 < steps["07_train"]["limit"] <= 400 and 0 < steps["09_evaluate"]["limit"] <= 100
    has = {n: parameters_of(ROOT / f"nbs/{n}.ipynb") for n in steps}
    assert all(steps[n]["quality"] is False for n in steps if "quality" in has[n])
    assert not any(str(v).startswith("../runs/course") for n in steps for v in ({**has[n], **steps[n]}).values())


def test_gpu_takes_another_model_and_random_weights():
    steps = plan(ROOT, "gpu", overrides={"model": "tiny", "weights": "random"})
    assert steps["07_train"]["model"] == "tiny" and steps["07_train"]["quality"] is False
    assert steps["09_evaluate"]["weights"] == "random"
    assert "model" not in steps["02_lora"] and "weights" not in steps["03_quant"]   # their own business
    assert plan(ROOT, "gpu")["07_train"]["model"] == "HuggingFaceTB/SmolLM2-1.7B-Instruct"


def test_settings_speak_of_real_notebooks():
    there = {p.stem: parameters_of(p) for p in (ROOT / "nbs").glob("[0-9]*.ipynb")}
    for name, keys in BOOK["settings"]["own"].items(): assert set(keys) <= there[name].keys()
    for profile, minutes in BOOK["settings"]["minutes"].items():
        assert minutes.keys() == BOOK[profile].keys() - {"common"}
    order = list(plan(ROOT, "cpu"))
    assert {*BOOK["settings"]["alone"]} <= {*order}
    for name, before in BOOK["settings"]["needs"].items():
        assert all(order.index(n) < order.index(name) for n in before)
    assert BOOK["settings"]["jobs"].keys() == {"smoke", "cpu"}      # a GPU is not shared


def test_what_others_need_is_told():
    "A notebook that reads what another one recorded in the run needs it, unless that one runs alone before"
    writes, reads = {}, {}
    for name in plan(ROOT, "cpu"):
        text = (ROOT / f"nbs/{name}.ipynb").read_text(encoding="utf-8")
        for fact in re.findall(r'record\(run, \\"(\w+)\\"', text): writes[fact] = name
        for fact in re.findall(r'recall\(run, \\"(\w+)\\"', text): reads.setdefault(name, set()).add(fact)
    assert len(writes) > 2
    for name, facts in reads.items():
        for fact in facts & writes.keys() - {f for f, who in writes.items() if who == name}:
            assert writes[fact] in BOOK["settings"]["needs"].get(name, []), (name, fact)


# ---- what is refused, before anything runs

@pytest.mark.parametrize("args,text", [
    ({"profile": "cpuu"}, "there is no profile 'cpuu'; did you mean cpu?"),
    ({"notebooks": ["00_frist"]}, "there is no notebook '00_frist'; did you mean 00_first?"),
    ({"start": "waits"}, "there is no notebook 'waits'; did you mean 01_waits?"),
    ({"overrides": ["naem=y"]}, "there is no parameter 'naem'; did you mean name?"),
    ({"overrides": ["n=many"]}, "00_first: n='many' is no int; its default is 1"),
    ({"overrides": {"quality": 1}}, "quality=1 is no bool; its default is True"),
    ({"overrides": ["n"]}, "'n' is no parameter; write key=value"),
    ({"notebooks": ["01_waits"], "overrides": ["n=2"]}, "there is no parameter 'n'")])
def test_refused(clone, args, text):
    code, said = run(clone, **args)
    assert code == 2 and text in said and said.count("\n") == 1
    assert not list(clone.rglob("*.json")) and not (clone / "nbs/begun").exists()


def test_a_profile_that_gives_what_a_notebook_lacks(clone):
    book = yaml.safe_load((clone / "nbs/profiles.yaml").read_text())
    for name, text in (("01_waits", "no cell tagged `parameters`"), ("02_fails", "has only n")):
        (clone / "nbs/profiles.yaml").write_text(yaml.safe_dump(book | {"cpu": {name: {"steps": 3}}}))
        code, said = run(clone)
        assert code == 2 and f"gives {name} the parameter 'steps'" in said and text in said


def test_outside_a_clone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="change to your clone"): home()
    assert run_course(file=io.StringIO()) == 2


def test_a_full_disk(clone, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda p: type("Usage", (), {"free": 1e9}))
    code, said = run(clone)
    assert code == 2 and "1.0 GB are free here and a course needs 3" in said


# ---- how it stops

@pytest.mark.slow
def test_a_failing_notebook(clone):
    code, said = run(clone, profile="smoke")
    assert code == 1 and "02_fails stopped at cell 3 of 3\n    int('seven')\n" in said
    assert "ValueError: invalid literal for int() with base 10: 'seven'\n" in said
    assert "nbs/02_fails.ipynb; as it ran: build/smoke/02_fails.ipynb\n" in said
    assert said.endswith("Go on: make course PROFILE=smoke FROM=02_fails\n")
    kept = json.loads((clone / "build/smoke/progress.json").read_text())
    assert kept["notebooks"]["02_fails"]["failed"] == "ValueError" and kept["expected"] == {}
    assert kept["notebooks"]["02_fails"]["parameters"] == {"n": 2}
    assert "invalid literal" in (clone / "build/smoke/02_fails.ipynb").read_text()
    assert not (clone / "build/smoke/index.html").exists()


def begin(clone, jobs=0):
    "A course in a process of its own, waiting inside its second notebook; and all it has started"
    code = f"import sys; from ftlab.course import run_course; sys.exit(run_course(root={str(clone)!r}, jobs={jobs}))"
    p = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    patience = time.monotonic() + 90
    while not (clone / "nbs/begun").exists():
        assert p.poll() is None and time.monotonic() < patience
        time.sleep(.1)
    return p, psutil.Process(p.pid).children(recursive=True)


@pytest.mark.slow
def test_ctrl_c_then_on_from_there(clone):
    p, started = begin(clone)
    assert len(started) == 2                                        # papermill and its kernel
    p.send_signal(signal.SIGINT)
    said = p.communicate(timeout=30)[0]
    assert p.returncode == 130 and not any(s.is_running() for s in started)
    assert said.endswith("Stopped in 01_waits; nothing half-done is left. Go on: make course FROM=01_waits\n")
    build = clone / "build/course"
    assert {f.name for f in build.iterdir()} == {".lock", "00_first.ipynb", "progress.json"}
    first = json.loads((build / "progress.json").read_text())["notebooks"]["00_first"]
    (clone / "nbs/go").touch()
    code, said = run(clone, start="01_waits")
    assert code == 0 and "00_first" not in said and said.splitlines()[-1].endswith("index.html")
    kept = json.loads((build / "progress.json").read_text())["notebooks"]
    assert kept["00_first"] == first and "failed" not in kept["01_waits"]
    summary = json.loads((build / "summary.json").read_text())
    assert summary["minutes"]["total"] == pytest.approx(first["share"] + kept["01_waits"]["share"], abs=.002)
    assert summary["minutes"]["total"] == pytest.approx(first["minutes"] + kept["01_waits"]["minutes"], abs=.02)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl-c", "a failure"])
def test_two_at_once_stop_together(clone, how):
    "Of two at work one fails, or the user has enough: neither is left, and it goes on from the first that did not end"
    names = ["01_waits", "03_waits"]
    both = json.loads((clone / "nbs/01_waits.ipynb").read_text())
    both["cells"][1]["source"] = "while not pathlib.Path('go').exists(): time.sleep(.05)\n1/0"
    both["cells"][0]["source"] = "import pathlib, time\npathlib.Path('begun too').touch()"
    (clone / "nbs/03_waits.ipynb").write_text(json.dumps(both))
    book = yaml.safe_load((clone / "nbs/profiles.yaml").read_text())
    (clone / "nbs/profiles.yaml").write_text(yaml.safe_dump(book | {"cpu": dict.fromkeys(names)}, sort_keys=False))
    if how == "a failure":      # 01_waits goes on waiting for a file that never comes
        one = json.loads((clone / "nbs/01_waits.ipynb").read_text())
        one["cells"][1]["source"] = "while True: time.sleep(.05)"
        (clone / "nbs/01_waits.ipynb").write_text(json.dumps(one))
    p, _ = begin(clone, jobs=2)
    patience = time.monotonic() + 60
    while not (clone / "nbs/begun too").exists(): assert time.monotonic() < patience; time.sleep(.1)
    started = psutil.Process(p.pid).children(recursive=True)
    assert len(started) == 4
    if how == "ctrl-c": p.send_signal(signal.SIGINT)
    else: (clone / "nbs/go").touch()
    said = p.communicate(timeout=30)[0]
    assert not any(s.is_running() for s in started)
    if how == "ctrl-c": assert p.returncode == 130 and "Stopped in 01_waits and 03_waits; nothing half-done" in said
    else: assert p.returncode == 1 and "03_waits stopped at cell 2 of 2\n    1/0\n" in said
    assert said.endswith("Go on: make course FROM=01_waits\n")
    left = {f.name for f in (clone / "build/course").iterdir()}
    assert left == {".lock"} | ({"progress.json", "03_waits.ipynb"} if how == "a failure" else set())


@pytest.mark.slow
def test_a_killed_runner_leaves_no_kernel(clone):
    p, started = begin(clone)
    p.kill(); p.communicate()
    gone, alive = psutil.wait_procs(started, timeout=15)
    for s in alive: s.kill()
    assert not alive
    assert not [f for f in (clone / "build/course").iterdir() if f.name == "01_waits.ipynb"]


# ---- the figures and the page

def test_only_what_was_recorded(tmp_path):
    (tmp_path / "nbs").mkdir(); (tmp_path / "nbs/profiles.yaml").touch()
    with pytest.raises(FileNotFoundError, match="progress.json is not there"): collect(root=tmp_path)
    (tmp_path / "build/course").mkdir(parents=True)
    entry = {"minutes": .5, "peak_gb": 1., "parameters": {"facts": "../runs/m"}, "commit": "c", "time": "t"}
    (tmp_path / "build/course/progress.json").write_text(json.dumps({"notebooks": {"08_box": entry}}))
    (tmp_path / "runs/m").mkdir(parents=True); (tmp_path / "runs/m/box.json").write_text('{"box": "process"}')
    assert collect(root=tmp_path) == {"profile": "cpu", "time": "t", "commit": "c", "box": "process",
                                      "minutes": {"08_box": .5, "total": .5}, "peak_gb": {"08_box": 1., "total": 1.}}


EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;{{ 7*7 }}{% raw %}"


def evil(x):
    "The same summary with every text, key or value, hostile"
    if isinstance(x, dict): return {k: evil(v) for k, v in x.items()}
    if isinstance(x, list): return [evil(v) for v in x]
    return EVIL if isinstance(x, str) else x


def full():
    r = {"score": .9, "low": .8, "high": .95, "n": 99}
    return {"profile": "cpu", "time": "now", "commit": "c", "minutes": {"07_train": 2., "total": 2.},
            "peak_gb": {"07_train": 1., "total": 1.}, "loss": [[1, 2.], [9, .5]], "box": "b", "python": "3",
            "accuracy": {"test": {"base": {**r, "score": 0., "low": 0., "high": .1}, "tuned": r}},
            "samples": [["ask", "right", "base", "tuned", False, True], ["a", "b", " ", "", True, False]],
            "compare": {"sentence": "better"}, "serve": [{"model": "m", "asked": "q", "answer": "a"}],
            "sizes": {"adapter": 1_000, "merged": 2_000_000_000}, "deploy": {"n": 3, "merged_same": 3},
            "memory": {"predicted_bytes": 9, "measured_bytes": 8, "error": .1, "setting": "s"},
            "training": {"model": "m", "weights": "real", "seconds": 60, "trainable": 5, "conversations": 7},
            "hardware": {"cpu": "c", "cores": 2, "gpu": "g"}, "versions": {"torch": "2"},
            "hashes": {"data": {"f": "h"}, "adapter": "a"}}


class Tags(HTMLParser):
    "Every tag and attribute; fails where one is not closed"
    def __init__(self): super().__init__(); self.open, self.seen = [], set()
    def handle_starttag(self, tag, attrs):
        self.seen |= {tag, *(k for k, _ in attrs)}
        if tag not in ("meta", "img", "br"): self.open.append(tag)
    def handle_startendtag(self, tag, attrs): self.seen |= {tag, *(k for k, _ in attrs)}
    def handle_endtag(self, tag): assert self.open.pop() == tag


@pytest.mark.parametrize("summary", [full(), evil(full()), {"profile": "x"}], ids=["full", "evil", "bare"])
def test_the_page_is_whole_and_trusts_no_text(summary, tmp_path):
    text = page(summary, tmp_path / "new/index.html").read_text(encoding="utf-8")
    tags = Tags(); tags.feed(text)
    assert not tags.open and not tags.seen & {"script", "img", "onerror", "src", "href", "link"}
    assert "49" not in text and "None" not in text and "Undefined" not in text
    assert os.listdir(tmp_path / "new") == ["index.html"]


@pytest.mark.parametrize("gone", list(full()))
def test_the_page_does_without_any_one_fact(gone, tmp_path):
    left = {k: v for k, v in full().items() if k not in (gone, "peak_gb" if gone == "minutes" else gone)}
    Tags().feed(page(left, tmp_path / "index.html").read_text(encoding="utf-8"))


def test_the_headline_is_true(tmp_path):
    s = full()
    assert "It reads schedules now." in page(s, tmp_path / "a.html").read_text()
    s["accuracy"]["test"]["tuned"] = {"score": .05, "low": .01, "high": .2, "n": 99}
    assert "that the model learnt cannot be seen here" in page(s, tmp_path / "a.html").read_text()


def test_two_at_a_time_is_said_where_it_was(tmp_path):
    for total, said in ((3., False), (2., True)):
        s = full() | {"minutes": {"00_core": 1., "07_train": 2., "total": total}}
        assert ("Some ran two at a time." in page(s, tmp_path / "a.html").read_text()) is said
