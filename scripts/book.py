"The book in build/book/html: Sphinx over the notebooks that `make course` executed; nothing runs twice."
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC, OUT = ROOT / "build/book/src", ROOT / "build/book/html"
CONF = '''
project, author, copyright = "ftlab", "The ftlab authors", "2026, the ftlab authors"
extensions = ["myst_nb"]
html_theme, html_title = "furo", "ftlab"
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure", "myst.header"]
exclude_patterns = []
'''


def page(cell):
    "A cell as a reader wants it, or None"
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        source = re.sub(r"\]\(\.\./(?!docs/)([^)]+)\)", r"](https://github.com/ftlab/ftlab/blob/main/\1)", source)
        source = re.sub(r"\]\(\.\./docs/([^)]+)\)", r"](\1)", source)
        return cell | {"source": source}
    if "default_exp" in source or "#| hide" in source: return None
    tags = cell["metadata"].get("tags", [])
    if "injected-parameters" in tags: return None
    if "#| echo: false" in source: cell["metadata"] = {"tags": ["remove-input"]}
    return cell | {"source": re.sub(r"^#\|.*\n?", "", source, flags=re.M)}


def outputs(cell):
    "Markdown shown by a cell links as its page does; no widgets"
    for o in cell.get("outputs", []):
        if "text/markdown" in o.get("data", {}):
            text = "".join(o["data"]["text/markdown"])
            text = re.sub(r"\]\(\.\./nbs/(\w+)\.ipynb\)", r"](\1.ipynb)", text)
            o["data"]["text/markdown"] = re.sub(
                r"\]\(\.\./([^)]+)\)", r"](https://github.com/ftlab/ftlab/blob/main/\1)", text)
    return cell


shutil.rmtree(ROOT / "build/book", ignore_errors=True)
SRC.mkdir(parents=True)
names = []
for path in sorted((ROOT / "nbs").glob("*.ipynb")):
    done = ROOT / "build/course" / path.name
    nb = json.loads((done if done.exists() else path).read_text(encoding="utf-8"))
    nb["cells"] = [outputs(c) for c in map(page, nb["cells"]) if c]
    nb["metadata"] = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
    if path.stem == "index":
        toc = "```{toctree}\n:maxdepth: 1\n:hidden:\n\n" + "@@"  + "\n```"
        nb["cells"].append({"cell_type": "markdown", "id": "toc", "metadata": {}, "source": toc})
        index = nb
    else: names.append(path.stem)
    (SRC / path.name).write_text(json.dumps(nb), encoding="utf-8")
index["cells"][-1]["source"] = index["cells"][-1]["source"].replace("@@", "\n".join(names))
(SRC / "index.ipynb").write_text(json.dumps(index), encoding="utf-8")
(SRC / "conf.py").write_text(CONF, encoding="utf-8")
if (ROOT / "docs/results.png").exists(): shutil.copy(ROOT / "docs/results.png", SRC)
ran = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", SRC, OUT])
if ran.returncode: sys.exit("the book has warnings, listed above; mend them and run `make docs` again")


def broken():
    "Links inside the book that lead nowhere, by page"
    for file in OUT.glob("*.html"):
        for link in re.findall(r'<[^<>]* href="([^"#:?]+)(?:[#?][^"]*)?"', file.read_text(encoding="utf-8")):
            if not (file.parent / link).exists(): yield f"{file.name}: {link}"


lost = sorted(set(broken()))
if lost: sys.exit("links that lead nowhere:\n" + "\n".join(lost))
print(f"{len(names) + 1} pages, no warnings, every link resolves: build/book/html/index.html")
