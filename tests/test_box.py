"""The box from outside the lesson: hostile values, limits, no walls, many at once."""
import json
import os
import stat
import subprocess
import sys
import threading
import time

import pytest

from ftlab import box
from ftlab.box import box_kind, run_code

boxed = box_kind() == "bubblewrap"
walls = pytest.mark.skipif(not boxed, reason="bubblewrap does not work here")


@pytest.fixture
def bare(monkeypatch):
    "A machine without bubblewrap."
    monkeypatch.setattr(box.shutil, "which", lambda name: None)


@pytest.fixture(params=["as it is", "bare"])
def either(request):
    if request.param == "bare": request.getfixturevalue("bare")
    return request.param


def ok(source, **more): return run_code(source, trusted=True, **more)


def test_importing_is_light():
    code = "import sys, ftlab.box; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("value", [None, True, 0, -1.5, "é\n\x00😀", [], {"a": [1, {}]}, 10**400])
def test_values_come_out_as_they_went_in(either, value):
    assert ok(f"import json\njson.loads({json.dumps(value)!r})").value == value


@pytest.mark.parametrize("source, why", [
    ("1/0", "ZeroDivisionError"), ("x = ", "SyntaxError"), ("exit()", "ended before"),
    ("import os\nos._exit(0)", "ended before"), ("import os\nos.kill(os.getpid(), 9)", "ended before"),
    ("lambda: 1", "not JSON serializable"), ("x = []\nx.append(x)\nx", "Circular reference"),
    ("import sys\nsys.exit('enough')", "enough"), ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("[" * 2000, "SyntaxError"), ("\x00", "null bytes"), ("'\ud800'", "SyntaxError")])
def test_failures_have_a_reason_and_no_value(either, source, why):
    r = ok(source)
    assert (r.status, r.value) == ("error", None) and why in r.why


@pytest.mark.parametrize("sent", ["'{'", "'[' * 99999", "'9' * 9999", "'\\\\udcff'", "''"])
def test_a_forged_value_is_data_and_nothing_more(either, sent):
    forge = f"import os, sys\nos.write(int(sys.argv[2]), ({sent}).encode('utf-8', 'replace'))\nos._exit(0)"
    r = ok(forge)
    assert r.status == "error" and r.value is None


def test_a_pickle_is_not_opened(either, tmp_path):
    victim = tmp_path/"owned"
    forge = ("import os, pickle, sys\nclass P:\n    def __reduce__(self): return os.system, "
             f"('touch {victim}',)\nos.write(int(sys.argv[2]), pickle.dumps(P()))\nos._exit(0)")
    assert ok(forge).status == "error" and not victim.exists()


def test_flood_through_the_value_pipe_is_cut(either):
    r = ok("'x' * 5_000_000")
    assert r.status == "error" and "more than 1,000,000 bytes" in r.why


def test_flood_on_stderr_is_cut(either):
    r = ok("import sys\nwhile True: sys.stderr.write('x' * 9999)", timeout=20)
    assert r.status == "error" and len(r.stderr) == 1_000_000 and r.seconds < 15


def test_timeout_kills_what_it_started(either):
    source = ("import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(77)'"
              "])\nwhile True: pass")
    r = ok(source, timeout=1.5)
    assert r.status == "timeout" and r.seconds < 6
    time.sleep(.5)
    left = [p for p in box.psutil.process_iter(["cmdline", "status"])
            if "import time; time.sleep(77)" in (p.info["cmdline"] or []) and p.info["status"] != "zombie"]
    assert left == []


def test_memory_of_one_process(either):
    assert ok("bytearray(1 << 29)[0]", memory=1 << 28).status == "memory"
    assert ok("len(bytearray(1 << 26))", memory=1 << 28).value == 1 << 26


def test_stdin_arrives_whole_and_separate_from_the_program(either):
    text = "é" * 100_000 + "\n# not code\n"
    assert ok("import sys\ns = sys.stdin.read()\n[len(s), s[-12:]]", stdin=text).value == [100_012, "\n# not code\n"]


def test_a_long_program_arrives_whole(either):
    assert ok("x = 0\n" + "x += 1\n" * 30_000 + "x").value == 30_000


def test_no_secrets_in_the_environment(either, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    assert "s3cret" not in json.dumps(ok("import os\ndict(os.environ)").value)


def test_no_descriptor_of_ours_leaks(either, tmp_path):
    with open(tmp_path/"private", "w") as f:
        os.set_inheritable(f.fileno(), True)
        names = ok("import os\n[os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') "
                   "if os.path.exists(f'/proc/self/fd/{n}') or 1 if os.path.islink(f'/proc/self/fd/{n}')]").value
    assert not [n for n in names if "private" in n]


def test_refused_without_walls(bare, tmp_path):
    r = run_code(f"open({str(tmp_path/'x')!r}, 'w')")
    assert (r.status, r.value) == ("refused", None) and "apt install bubblewrap" in r.why
    assert not (tmp_path/"x").exists() and box_kind() == "process"


def test_the_warning_comes_once(bare, capsys):
    box._say_once.cache_clear()
    assert [ok("1").value, ok("2").value] == [1, 2]
    assert capsys.readouterr().out.count("under process limits alone") == 1


def test_installed_is_not_enough(monkeypatch, tmp_path):
    fake = tmp_path/"bwrap"
    fake.write_text("#!/bin/sh\necho no permission >&2; exit 1\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    for folder in (tmp_path, *tmp_path.parents[:3]): folder.chmod(0o755)
    monkeypatch.setattr(box.shutil, "which", lambda name: str(fake))
    assert box_kind() == "process" and run_code("1").status == "refused"
    assert "does not work here" in run_code("1").why


def test_the_probe_runs_once(monkeypatch):
    box_kind()
    monkeypatch.setattr(box.subprocess, "run", None)
    assert (box_kind() == "bubblewrap") == boxed


def test_many_at_once(either):
    got = {}
    def go(i): got[i] = ok(f"import time\ntime.sleep(.1)\n{i}").value
    threads = [threading.Thread(target=go, args=(i,)) for i in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert got == {i: i for i in range(6)}


@pytest.mark.parametrize("bad", [dict(timeout=0), dict(timeout=-1), dict(memory=1), dict(timeout=float("nan"))])
def test_limits_that_make_no_sense(bad):
    with pytest.raises(ValueError, match="use more than 0 s"): run_code("1", **bad)


@walls
@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/passwd", "/var", "/proc/1/root/etc", __file__,
                                  *["/home"]*(not sys.base_prefix.startswith("/home/"))])
def test_nothing_of_ours_is_there(path):
    assert run_code(f"import os\nos.path.exists({path!r})").value is False


@walls
def test_no_other_process_is_seen():
    ids = run_code("import os\nsorted(int(p) for p in os.listdir('/proc') if p.isdigit())").value
    assert ids[0] == 1 and len(ids) <= 3


@walls
def test_a_symlink_leads_nowhere():
    r = run_code("import os\nos.symlink('/etc/shadow', '/tmp/x')\nopen('/tmp/x').read()")
    assert "FileNotFoundError" in r.why


@walls
def test_tmp_is_not_shared_between_runs():
    run_code("open('/tmp/left', 'w').write('x')")
    assert run_code("import os\nos.listdir('/tmp')").value == []


@walls
def test_no_terminal_and_no_signals_to_us():
    r = run_code("import os, signal\ndef can(f, *a):\n    try: f(*a); return True\n    except OSError: return False\n"
                 f"[can(os.open, '/dev/tty', 2), can(os.kill, {os.getpid()}, 9)]")
    assert r.value == [False, False]


@walls
def test_background_processes_end_with_the_program():
    r = run_code("import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.closerange(0, 99)\n    time.sleep(78)\n'done'")
    assert r.value == "done" and r.seconds < 8
