"README.md from nbs/index.ipynb: prose as it is, of code cells the Markdown they show."
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def markdown(cell):
    "What a reader sees of one cell"
    if cell["cell_type"] == "markdown": return "".join(cell["source"])
    shown = [o["data"].get("text/markdown", "") for o in cell["outputs"] if "data" in o]
    return "\n".join("".join(s) for s in shown)


cells = json.loads((ROOT / "nbs/index.ipynb").read_text(encoding="utf-8"))["cells"]
text = "\n\n".join(filter(None, map(markdown, cells)))
note = "<!-- made from nbs/index.ipynb by scripts/readme.py; edit the notebook -->\n\n"
(ROOT / "README.md").write_text(note + text.replace("](../", "](") + "\n", encoding="utf-8")
