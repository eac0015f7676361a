"What a finished run says of itself: its manifest, and a card that a hub and a stranger can use."
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from ftlab.card import card, inputs, licence, model_hash, write_card
from ftlab.core import load_model, sha256
from ftlab.recipe import Recipe
from ftlab.train import finetune

ROOT = Path(__file__).resolve().parent.parent
SYSTEM = "Answer ``` in | one\nline."


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    "A folder with data, their card, and a run that was started in it"
    folder = tmp_path_factory.mktemp("card")
    (folder/"data").mkdir()
    rows = [{"prompt": f"at {h} o'clock", "completion": f"0 {h} * * *"} for h in range(24)]
    for name, some in (("train", rows[:16]), ("dev", rows[16:])):
        (folder/f"data/{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in some))
    (folder/"data/CARD.md").write_text("# Hours\n\n## License\nThe data: CC BY-SA 4.0. The script: MIT.\n")
    return folder


@pytest.fixture(scope="module")
def recipe(where):
    return Recipe(model="tiny", weights="random", data=str(where/"data/train.jsonl"), eval_data=str(where/"data/dev.jsonl"),
                  r=4, system=SYSTEM, per_device_train_batch_size=4, max_length=512, dtype="float32", eval_steps=2)


@pytest.fixture(scope="module")
def run(where, recipe): return finetune(recipe, where/"runs/hours")


def lines(run): return [json.loads(l) for l in (run/"metrics.jsonl").read_text().splitlines()]


def how(text): return re.search(r"(?ms)^(`{3,})python\n(.*?)^\1$", text)[2]


def runs(code, folder):
    "Python as a stranger would run it: another process, in the folder of the card"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"})


def test_the_manifest_says_what_it_takes_to_run_again(run, where, recipe):
    m = json.loads((run/"manifest.json").read_text())
    assert m["data"] == sha256(recipe.data) and m["eval_data"] == sha256(recipe.eval_data)
    assert m["base"] == model_hash("tiny", "random") and m["recipe"] == sha256(run/"recipe.yaml")
    assert m["saved"] == {"adapter_model.safetensors": sha256(run/"adapter/adapter_model.safetensors")}
    assert m["hardware"]["threads"] > 0 and m["versions"]["torch"] and m["commit"]
    assert m["places"] == {"data": "../../data/train.jsonl", "eval_data": "../../data/dev.jsonl"}
    assert m["licences"] == {"data": "cc-by-sa-4.0", "model": None} and m["dtype"] == "torch.float32"
    assert str(where) not in (run/"manifest.json").read_text()


def test_the_card_is_what_the_run_measured(run, recipe):
    text = (run/"adapter/README.md").read_text()
    m, train = json.loads((run/"manifest.json").read_text()), [l for l in lines(run) if "loss" in l]
    held = [l for l in lines(run) if "eval_loss" in l]
    assert f"| first loss | {train[0]['loss']:.4g} at step 1 of 4 |" in text
    assert f"| last loss | {train[-1]['loss']:.4g} at step 4 of 4 |" in text
    lowest = min(train, key=lambda l: l["loss"])
    assert f"| lowest loss | {lowest['loss']:.4g} at step {lowest['step']} of 4 |" in text
    assert f"| held-out loss, last | {held[-1]['eval_loss']:.4g} at step 4 of 4 |" in text
    assert all(str(m[k]) in text for k in ("data", "eval_data", "base", "commit", "python"))
    assert all(f"| {k} | {v} |" in text for k, v in m["versions"].items())
    assert f"{m['taught']:.1%} of them supervised" in text and "No held-out conversations" not in text


def test_the_best_is_not_the_last(run, recipe):
    made = json.loads((run/"manifest.json").read_text())
    some = [{"step": n, "steps": 3, k: x} for k in ("loss", "eval_loss") for n, x in enumerate((3., 1., 2.), 1)]
    text = card(recipe, made, some)
    assert "| lowest loss | 1 at step 2 of 3 |" in text and "| last loss | 2 at step 3 of 3 |" in text
    assert "| held-out loss, lowest | 1 at step 2 of 3 |" in text and "| held-out loss, last | 2 at step 3 of 3 |" in text


def test_nothing_of_this_machine_is_in_it(run, where):
    text = (run/"adapter/README.md").read_text()
    assert str(where) not in text and str(Path.home()) + "/" not in text and "| data | train.jsonl |" in text


def test_the_hub_can_read_it(run):
    read = ModelCard((run/"adapter/README.md").read_text())
    assert read.data.to_dict() == {"library_name": "peft", "pipeline_tag": "text-generation", "tags": ["ftlab", "lora"]}
    block = re.search(r"(?ms)^(`{3,})yaml\n(.*?)^\1$", read.text)[2]
    assert len(re.findall(r"(?m)^`{4}", read.text)) == 4           # two blocks, whose fences three backticks can't close
    assert yaml.safe_load(block)["system"] == SYSTEM


@pytest.mark.slow
def test_its_lines_load_the_adapter(run):
    done = runs(how((run/"adapter/README.md").read_text()) + "\nprint(type(model).__name__, chat)", run/"adapter")
    assert done.returncode == 0, done.stderr
    chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Hello"}]
    assert done.stdout.strip().endswith(f"PeftModelForCausalLM {chat}")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_its_lines_load_what_lies_in_folders(where, recipe, method):
    base = where/f"base-{method}"
    model, tokenizer = load_model("tiny", "random")
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    (base/"README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n")
    how_ = replace(recipe, model=str(base), weights="real", method=method, max_steps=1, system="")
    run = finetune(how_, where/f"runs/{method}")
    place = run/("adapter" if method == "lora" else "model")
    read = ModelCard((place/"README.md").read_text())
    assert read.data.library_name == ("peft" if method == "lora" else "transformers")
    assert read.data.license == "cc-by-sa-4.0" and read.data.base_model is None and str(where) not in read.text
    assert json.loads((run/"manifest.json").read_text())["places"]["model"] == f"../../base-{method}"
    code = how(read.text)
    assert code.count(repr(base.name)) == (method == "lora")       # the reader has to say where it is
    done = runs(code.replace(repr(base.name), repr(str(base))), place)
    assert done.returncode == 0, done.stderr


def test_a_score_that_comes_later(run, where):
    made = {"model": str(run), "data": str(where/"data/dev.jsonl"), "metric": "cron", "score": 1/3, "low": .1, "high": .6, "n": 8}
    (run/"eval-dev-cron.json").write_text(json.dumps(made))
    text = write_card(run).read_text()
    assert "| dev.jsonl | cron | 0.3333 | 0.1 to 0.6 | 8 |" in text and "not scored" not in text
    (run/"eval-dev-cron.json").unlink()
    assert "not scored" in write_card(run).read_text()


@pytest.mark.parametrize("said, found", [
    ("---\nlicense: mit\n---\n# x\n## Licence\nCC0-1.0\n", "mit"), ("---\ntags: [x]\n---\n# Licence\nCC0 1.0\n", "cc0-1.0"),
    ("## License\nApache License, Version 2.0\n", "apache-2.0"), ("## Licence\nCC-BY-NC-4.0\n## Other\nMIT\n", "cc-by-nc-4.0"),
    ("## Licence\nThe code is MIT. The data are CC BY 4.0.\n", "cc-by-4.0"), ("## Licence\nMIT or Apache-2.0\n", None),
    ("---\nlicense: other\n---\n## Licence\nMIT\n", None), ("## Limits\nMIT\n", None),
    ("## Licence\nSubmit it.\n", None), (None, None)])
def test_a_licence_is_read_or_unknown(tmp_path, said, found):
    if said is not None: (tmp_path/"README.md").write_text(said)
    assert licence(Recipe(data=str(tmp_path/"x.jsonl")), "data") == found


@pytest.mark.parametrize("data, model, front", [
    ("cc0-1.0", "apache-2.0", "apache-2.0"), ("mit", "mit", "mit"), ("cc-by-nc-4.0", "apache-2.0", None),
    (None, "apache-2.0", None), ("cc0-1.0", None, None), (None, None, None)])
def test_no_licence_is_given_that_nobody_gave(run, data, model, front):
    made = json.loads((run/"manifest.json").read_text()) | {"licences": {"data": data, "model": model}}
    read = ModelCard(card(Recipe(data="x.jsonl"), made, []))
    assert read.data.license == front and (read.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct")
    assert f"| data | {data or 'unknown: ask'} |" in read.text and f"| base model | {model or 'unknown: ask'} |" in read.text


def test_a_run_of_an_older_ftlab_still_gets_a_card(run):
    made = json.loads((run/"manifest.json").read_text())
    for k in ("base", "code", "places", "licences", "eval_data", "recipe"): made.pop(k)
    assert "| SHA-256 over its files | unknown |" in card(Recipe(data="x.jsonl"), made, lines(run))


def test_the_embedded_model_is_known_by_what_was_hashed_when_it_was_unpacked():
    a = model_hash("smollm2-135m-instruct")
    assert re.fullmatch("[0-9a-f]{64}", a) and a != model_hash("smollm2-135m-instruct", "random") != model_hash("tiny", "random")


def test_a_model_is_known_by_its_bytes(tmp_path):
    for name, text in (("config.json", "{}"), ("model.safetensors", "w"), ("tokenizer.json", "t"), ("notes.md", "n")):
        (tmp_path/name).write_text(text)
    was = model_hash(str(tmp_path))
    (tmp_path/"notes.md").write_text("other")
    assert model_hash(str(tmp_path)) == was
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        before = (tmp_path/name).read_text()
        (tmp_path/name).write_text(before + " ")
        assert model_hash(str(tmp_path)) != was
        (tmp_path/name).write_text(before)
    (tmp_path/"model.safetensors").rename(tmp_path/"model-00001-of-00002.safetensors")
    assert model_hash(str(tmp_path)) != was


def test_the_hash_that_the_hub_s_cache_knows_is_not_computed_again(tmp_path, monkeypatch):
    (tmp_path/"plain").mkdir()
    (tmp_path/"snapshot").mkdir()
    (tmp_path/"blobs").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path/"plain"/name).write_text(name)
        blob = sha256(tmp_path/"plain"/name) if name[0] == "m" else "0"*40        # small files go by git's hash
        (tmp_path/"blobs"/blob).write_text(name)
        (tmp_path/"snapshot"/name).symlink_to(f"../blobs/{blob}")
    was = model_hash(str(tmp_path/"plain"))
    read = []
    monkeypatch.setattr("ftlab.card.sha256", lambda path: read.append(path.name) or sha256(path))
    assert model_hash(str(tmp_path/"snapshot")) == was and read == ["config.json"]


def test_data_of_a_hub_are_no_file(tmp_path, monkeypatch):
    kept = tmp_path/"data/owner--name.jsonl"
    kept.parent.mkdir()
    kept.write_text("{}\n")
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path))
    given = inputs(Recipe(model="tiny", weights="random", data="owner/name"), tmp_path/"run")
    assert given["data"] == sha256(kept) and given["places"] == {} and given["licences"]["data"] is None
