"""Run the studies, nbs/studies/*.ipynb: what takes longer than a lesson may. Each writes its own JSON beside itself,
and the lessons read that. The executed copy stays in build/studies.

    python scripts/studies.py [NAME …] [KEY=VALUE …]
"""
import ast
import sys
import time
from pathlib import Path

import papermill
from papermill.exceptions import PapermillExecutionError

from ftlab.plan import parameters_of

ROOT = Path(__file__).resolve().parent.parent
DONE = ROOT / "build/studies"


def literal(text):
    "A number, True or a list as Python reads it, else the text itself"
    try: return ast.literal_eval(text)
    except (ValueError, SyntaxError): return text


def main(words):
    there = sorted(p.stem for p in (ROOT / "nbs/studies").glob("*.ipynb"))
    given = {key: literal(value) for key, _, value in (w.partition("=") for w in words if "=" in w)}
    names = [w.removesuffix(".ipynb") for w in words if "=" not in w] or there
    for name in names:
        if name not in there: sys.exit(f"there is no study {name!r}; there are: {', '.join(there)}")
    DONE.mkdir(parents=True, exist_ok=True)
    for name in names:
        path, start = ROOT / f"nbs/studies/{name}.ipynb", time.time()
        known = parameters_of(path)
        for key in given:
            if key not in known: sys.exit(f"{name} has no parameter {key!r}; it has: {', '.join(known)}")
        print(f"{name} ...", flush=True)
        try: papermill.execute_notebook(path, DONE / path.name, given, kernel_name="python3", language="python",
                                        cwd=ROOT / "nbs", progress_bar=sys.stderr.isatty())
        except PapermillExecutionError as e:
            sys.exit(f"{name} stopped at cell {e.exec_count}: {e.ename}: {e.evalue}\n"
                     f"as it ran: build/studies/{path.name}")
        print(f"{name}: done in {(time.time() - start) / 60:.1f} min", flush=True)


if __name__ == "__main__": main(sys.argv[1:])
