"""Break each exported module, one way at a time, and run its own notebook: does an assertion notice?
Three ways: a constant changed, a sign or comparison flipped, a statement dropped. A mutant that Python
stops by itself (an undefined name, say) tells nothing about the lesson: it is counted, and the next is drawn.
  python scripts/mutants.py [NOTEBOOK ...] [--each N]     writes benchmarks/mutants.json; with notebooks named,
                                                          what it says of the others stays"""
import argparse
import ast
import copy
import json
import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import TimeoutExpired, run

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
FLIP = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=",
        ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in", ast.NotIn: "in", ast.Is: "is not",
        ast.IsNot: "is"}
SIMPLE = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.Return)


def changes(source):
    "(way, start, end, text) of every mutant of a cell; positions in its bytes"
    raw, tree = source.encode(), ast.parse(source)
    begins = [0]
    for line in raw.split(b"\n"): begins.append(begins[-1] + len(line) + 1)
    at = lambda line, col: begins[line - 1] + col
    span = lambda n: (at(n.lineno, n.col_offset), at(n.end_lineno, n.end_col_offset))
    skip = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant): skip |= {id(n), id(n.value)}  # docstring
        if isinstance(n, ast.arg) and n.annotation: skip |= {id(x) for x in ast.walk(n.annotation)}
        if isinstance(n, ast.FunctionDef) and n.returns: skip |= {id(x) for x in ast.walk(n.returns)}
        if isinstance(n, ast.JoinedStr): skip |= {id(x) for x in ast.walk(n)}       # a message's text
    for n in ast.walk(tree):
        if id(n) in skip: continue
        if isinstance(n, ast.Constant) and isinstance(n.value, (bool, int, float)):
            yield ("constant", *span(n), str(not n.value) if isinstance(n.value, bool) else f"({n.value!r} + 1)")
        pair = (n.left, n.op, n.right) if isinstance(n, ast.BinOp) else \
            (n.left, n.ops[0], n.comparators[0]) if isinstance(n, ast.Compare) and len(n.ops) == 1 else None
        if pair and type(pair[1]) in FLIP:
            start, end = span(pair[0])[1], span(pair[2])[0]
            if b"(" not in raw[start:end] and b")" not in raw[start:end]:
                yield "sign", start, end, f" {FLIP[type(pair[1])]} "
        if isinstance(n, SIMPLE): yield ("dropped", *span(n), "pass")


def mutants(notebook):
    "way -> its mutants, in an order drawn by the notebook's name alone"
    found = {}
    for i, c in enumerate(notebook["cells"]):
        source = "".join(c["source"])
        if c["cell_type"] != "code" or not source.startswith("#| export"): continue
        for way, start, end, text in changes(source): found.setdefault(way, []).append((i, start, end, text))
    for way, places in sorted(found.items()):
        yield way, random.Random(f"{notebook['stem']} {way}").sample(places, len(places))


def broken(notebook, way, i, start, end, text):
    "The notebook with one mutant in it, and what that is"
    nb = copy.deepcopy(notebook)
    raw = "".join(nb["cells"][i]["source"]).encode()
    nb["cells"][i]["source"] = (raw[:start] + text.encode() + raw[end:]).decode()
    line = raw.split(b"\n")[raw[:start].count(b"\n")].decode().strip()
    return nb, {"way": way, "cell": i, "line": line, "was": raw[start:end].decode(), "now": text}


def verdict(stem, nb, parameters):
    "assertion, error or survived; and the cell that noticed"
    with tempfile.TemporaryDirectory() as d:
        (Path(d) / "in.ipynb").write_text(json.dumps({k: v for k, v in nb.items() if k != "stem"}))
        code = ("import papermill, sys, json; papermill.execute_notebook(sys.argv[1], sys.argv[2], "
                "json.loads(sys.argv[3]), kernel_name='python3', execution_timeout=300, progress_bar=False)")
        try: done = run([sys.executable, "-c", code, f"{d}/in.ipynb", f"{d}/out.ipynb", json.dumps(parameters)],
                        cwd=ROOT / "nbs", capture_output=True, timeout=900)
        except TimeoutExpired: return "error", "time-out"
        out = Path(d) / "out.ipynb"
        cells = json.loads(out.read_text())["cells"] if out.exists() else []
    for c in cells:
        for o in c.get("outputs", []):
            if o["output_type"] == "error":
                return ("assertion" if o["ename"] == "AssertionError" else "error"), "".join(c["source"])[:60]
    return ("survived", "") if cells and not done.returncode else ("error", "did not run to its end")


def main():
    from ftlab.plan import plan
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("notebooks", nargs="*")
    ask.add_argument("--each", type=int, default=1)
    ask = ask.parse_args()
    stems = ask.notebooks or [p.stem for p in sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))]
    jobs, given = [], plan(ROOT, "smoke")
    for stem in stems:
        nb = json.loads((ROOT / f"nbs/{stem}.ipynb").read_text(encoding="utf-8")) | {"stem": stem}
        jobs += [(nb, way, places) for way, places in mutants(nb)]

    def one(job):
        "Mutants of one way, until so many of them were left to the lesson"
        nb, way, places = job
        rows = []
        for place in places:
            changed, what = broken(nb, way, *place)
            how, where = verdict(nb["stem"], changed, given.get(nb["stem"], {}))
            print(f"{nb['stem']:12} {way:9} {how:10} {what['was'][:30]!r} -> {what['now'][:20]!r} "
                  f"in {what['line'][:60]}", flush=True)
            rows.append({"notebook": nb["stem"], **what, "verdict": how, "noticed by": where})
            if sum(r["verdict"] != "error" for r in rows) == ask.each: break
        return rows

    with ThreadPoolExecutor(2) as ex: rows = [row for part in ex.map(one, jobs) for row in part]
    receipt = ROOT / "benchmarks/mutants.json"
    if ask.notebooks and receipt.exists():
        rows += [r for r in json.loads(receipt.read_text(encoding="utf-8"))["mutants"] if r["notebook"] not in stems]
    rows.sort(key=lambda r: r["notebook"])
    count = {v: sum(r["verdict"] == v for r in rows) for v in ("assertion", "survived", "error")}
    silent = count["assertion"] + count["survived"]
    share = count["assertion"] / max(silent, 1)
    print(f"{silent} mutants that run: {count['assertion']} stopped by an assertion ({share:.0%}), "
          f"{count['survived']} survived; {count['error']} more stopped by themselves")
    receipt.write_text(json.dumps({"counts": count, "mutants": rows}, indent=1) + "\n", encoding="utf-8")
    sys.exit(share < .9)


if __name__ == "__main__": main()
