"datatrove's executors give the rows and the reasons of a single process, record for record."
import csv
import gzip
import json
import os
import re
import runpy
import stat
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from test_prepare import BAD, talks, tokenizer

from ftlab.prepare import prepare_file

ASSETS = files("ftlab").joinpath("assets/scale")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    "Five files, three formats, some bad records in each"
    folder, out = tmp_path_factory.mktemp("sources"), []
    for i in range(3):
        lines = [*map(json.dumps, talks(300, i)), *BAD]
        path = folder / f"{i}.jsonl{'.gz' * (i == 2)}"
        path.write_bytes((gzip.compress if i == 2 else bytes)("\n".join(lines).encode()))
        out.append(path)
    with open(folder / "3.csv", "w", newline="", encoding="utf-8") as f:
        table = csv.writer(f)
        table.writerow(["prompt", "completion"])
        for r in talks(50, 3): table.writerow([m["content"] for m in r["messages"][:2]])
        f.write("only one cell\n")
    with open(folder / "4.json", "w", encoding="utf-8") as f: json.dump([*talks(40, 4), {"messages": 1}], f, indent=1)
    return [*out, folder / "3.csv", folder / "4.json"]


@pytest.fixture(scope="module")
def alone(sources, tmp_path_factory):
    "What one process makes of them: rows and reasons by (file, line)"
    from datasets import load_from_disk
    folder, rows, reasons = tmp_path_factory.mktemp("alone"), {}, {}
    for path in sources:
        out = folder / path.name
        prepare_file(path, tokenizer(), out, max_length=256, workers=1, progress=False)
        rows |= {(str(path), r["line"]): r for r in load_from_disk(str(out))}
        for line in (out / "rejected.jsonl").read_text(encoding="utf-8").splitlines():
            r = json.loads(line)
            reasons[r["file"], r["line"]] = r["code"], r["what"], r["hash"]
    assert len(rows) > 900 and len(reasons) >= 20
    return rows, reasons


def result(out):
    import pyarrow.parquet as pq
    rows, reasons = {}, {}
    for path in sorted(Path(out, "rows").glob("*.parquet")):
        for r in pq.read_table(path).to_pylist():
            key = r.pop("file"), r["line"]
            assert key not in rows
            rows[key] = r
    for path in sorted(Path(out, "rejected").glob("*.parquet")):
        for r in pq.read_table(path).to_pylist():
            assert (r["file"], r["line"]) not in reasons
            reasons[r["file"], r["line"]] = r["filter_reason"], r["what"], r["hash"]
    return rows, reasons


@pytest.mark.slow
@pytest.mark.parametrize("tasks, workers", [(1, 1), (3, 2), (7, 2)])
def test_local_executor_equals_one_process(sources, alone, tmp_path, tasks, workers):
    from datatrove.executor import LocalPipelineExecutor

    from ftlab.scale import steps
    LocalPipelineExecutor(steps(sources, tokenizer(), tmp_path / "out", max_length=256), tasks=tasks, workers=workers,
                          logging_dir=str(tmp_path / "logs")).run()
    assert result(tmp_path / "out") == alone
    stats = {s["name"].split()[-1]: s["stats"] for s in json.loads((tmp_path / "logs/stats.json").read_text())}
    total = lambda x: x if isinstance(x, int | float) else x["total"]
    assert total(stats["conversations"]["documents"]) == len(alone[0]) + len(alone[1])
    dropped = sum(total(stats[s].get("dropped", 0)) for s in ("check", "tokenise"))
    assert dropped == len(alone[1])


def edit(name, folder, sources):
    "The shipped file as a user would edit it"
    from ftlab.core import EMBEDDED
    text = ASSETS.joinpath(name).read_text(encoding="utf-8")
    out, logs, venv = (str(folder / name) for name in ("out", "logs", "activate"))
    values = {"FILES = .*": f"FILES = {[str(s) for s in sources]!r}", "MODEL = .*": f"MODEL = {[*EMBEDDED][0]!r}",
              "MAX_LENGTH = .*": "MAX_LENGTH = 256", "OUT, LOGS = .*": f"OUT, LOGS = {out!r}, {logs!r}",
              "PARTITION, TIME, VENV = .*": f"PARTITION, TIME, VENV = 'cpu', '00:10:00', {venv!r}"}
    for pattern, line in values.items():
        text, n = re.subn(f"^{pattern}$", lambda m, line=line: line, text, flags=re.M)
        assert n == (0 if "VENV" in pattern and "ray" in name else 1), pattern
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


CLUSTER = {   # just enough of Slurm: every job runs at once, here
    "sbatch": """#!/bin/bash
script="${@: -1}"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for i in $(seq 0 "$last"); do SLURM_ARRAY_TASK_ID=$i RUN_OFFSET=0 SLURM_NODELIST=here bash "$script" >&2 || exit 1; done
echo Submitted batch job 7
""",
    "srun": """#!/bin/bash
while [ "$1" != launch_pickled_pipeline ]; do shift; done
exec "$@"
""",
    "scontrol": "#!/bin/bash\necho here\n",
}


@pytest.mark.slow
def test_slurm_file(sources, tmp_path, monkeypatch):
    "Launched on a cluster of three shell scripts: the same rows as with the local executor, nothing run twice"
    from datatrove.executor import LocalPipelineExecutor, SlurmPipelineExecutor

    from ftlab.scale import steps
    (tmp_path / "activate").write_text("")
    (tmp_path / "bin").mkdir()
    for name, text in CLUSTER.items():
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]))
    executor = runpy.run_path(str(edit("on_slurm.py", tmp_path, sources)))["executor"]
    assert isinstance(executor, SlurmPipelineExecutor) and executor.tasks == len(sources)
    plain = steps(sources, executor.pipeline[2].preparer.tokenizer, tmp_path / "plain", max_length=256)
    executor.run()
    script = (tmp_path / "logs/launch_script.slurm").read_text()
    assert "#SBATCH --array=0-4" in script and "#SBATCH --partition=cpu" in script and "activate" in script
    LocalPipelineExecutor(plain, tasks=1, workers=1, logging_dir=str(tmp_path / "logs-plain")).run()
    rows, reasons = result(tmp_path / "out")
    assert (rows, reasons) == result(tmp_path / "plain") and len(rows) > 900
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.parquet")}
    runpy.run_path(str(tmp_path / "on_slurm.py"))["executor"].run()
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.parquet")}


@pytest.mark.slow
def test_ray_file(sources, tmp_path):
    from datatrove.executor import RayPipelineExecutor
    executor = runpy.run_path(str(edit("on_ray.py", tmp_path, sources)))["executor"]
    assert isinstance(executor, RayPipelineExecutor)
    assert executor.tasks == executor.world_size == len(sources)
    assert [type(s).__name__ for s in executor.pipeline] == [
        "ReadConversations", "CheckConversations", "TokeniseConversations", "ParquetWriter"]
