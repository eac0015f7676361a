"""After `make course`: put the small outputs of the executed notebooks into nbs/, keep the run's
receipt as benchmarks/course.json, run the index, write the README and the results page's picture.
With the word `index`, only the last of that: the index and the README, from what benchmarks/ holds."""
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DONE = ROOT / "build/course"
SCRUB = [(str(ROOT), "."), (str(Path.home()), "~"), (r"/tmp/ipykernel_\d+/\d+\.py", "cell.py"),
         (re.escape(tempfile.gettempdir()) + r"/tmp\w+", "tmp"), (r" at 0x[0-9a-f]+", "")]
KINDS = ("text/plain", "text/html", "text/markdown", "image/png")


def scrub(text):
    "No path of the machine that ran it"
    for old, new in SCRUB: text = re.sub(old, new, text)
    return text


def keep(output):
    "An output worth a reader's time, without what changes from run to run; or None"
    if output["output_type"] == "stream":
        text = scrub("".join(output["text"]))
        return {"name": "stdout", "output_type": "stream", "text": text.splitlines(True)} \
            if output["name"] == "stdout" else None
    if output["output_type"] == "error" or "widget-view" in str(list(output["data"])): return None
    data = {k: v if k == "image/png" else scrub("".join(v)).splitlines(True)
            for k, v in output["data"].items() if k in KINDS}
    if "image/png" in data: data["text/plain"] = ["<Figure>"]
    out = {"data": data, "metadata": {}, "output_type": output["output_type"]}
    return out | ({"execution_count": None} if output["output_type"] == "execute_result" else {})


def joined(outputs):
    "What a cell printed as one text, however many pieces the kernel sent it in"
    out = []
    for o in outputs:
        if out and o["output_type"] == out[-1]["output_type"] == "stream":
            out[-1]["text"] = "".join(out[-1]["text"] + o["text"]).splitlines(True)
        else: out.append(o)
    return out


def refresh(path):
    "Outputs of build/course/NAME.ipynb into nbs/NAME.ipynb, cell by cell"
    ran = {"".join(c["source"]): c for c in json.loads((DONE / path.name).read_text())["cells"]
           if c["cell_type"] == "code"}
    nb = json.loads(path.read_text(encoding="utf-8"))
    for c in nb["cells"]:
        if c["cell_type"] == "code":
            outs = ran.get("".join(c["source"]), {"outputs": []})["outputs"]
            c["outputs"] = joined(k for o in outs if (k := keep(o)))
    path.write_text(json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def picture():
    "The results page as docs/results.png, where there is a Chromium"
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not browser: return print("no Chromium here; docs/results.png stays as it is")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             "--disable-background-networking", "--window-size=1100,1000"]
    with tempfile.TemporaryDirectory() as d:
        subprocess.run([browser, *flags, f"--user-data-dir={d}", f"--screenshot={ROOT}/docs/results.png",
                        (DONE / "index.html").as_uri()], check=True, capture_output=True)
    print(f"docs/results.png: {(ROOT / 'docs/results.png').stat().st_size / 1000:.0f} kB")


index_only = sys.argv[1:] == ["index"]
if not index_only:
    if not (DONE / "summary.json").exists(): sys.exit("no build/course/summary.json; run `make course` first")
    for p in sorted((ROOT / "nbs").glob("[0-9]*.ipynb")):
        if (DONE / p.name).exists(): refresh(p)
    shutil.copy(DONE / "summary.json", ROOT / "benchmarks/course.json")
subprocess.run([Path(sys.executable).parent / "jupyter", "nbconvert", "--to", "notebook", "--inplace",
                "--execute", "--log-level=ERROR", ROOT / "nbs/index.ipynb"], check=True)
index = json.loads((ROOT / "nbs/index.ipynb").read_text(encoding="utf-8"))
for c in index["cells"]:
    c["metadata"] = {}
    if c["cell_type"] == "code":
        c["execution_count"] = None
        c["outputs"] = [k for o in c["outputs"] if (k := keep(o))]
index["metadata"] = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
(ROOT / "nbs/index.ipynb").write_text(
    json.dumps(index, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
subprocess.run([sys.executable, ROOT / "scripts/readme.py"], check=True)
if not index_only: picture()
