"Deploy beyond its lesson: other adapters peft can write, races, the real converter where it is there"
import json
import multiprocessing
import os
import tarfile

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from ftlab import deploy
from ftlab.core import cache_dir, load_model


def toy(folder, **config):
    "A run whose adapter says something"
    torch.manual_seed(0)
    base = load_model("tiny", "random", device="cpu")[0]
    tuned = peft.get_peft_model(base, peft.LoraConfig(**{"r": 4, "target_modules": ["q_proj"]} | config))
    for name, p in tuned.named_parameters():
        if "lora_B" in name: p.data.normal_().mul_(.3)
        if "lora_magnitude" in name: p.data.mul_(1.1)
    tuned.save_pretrained(folder/"adapter", save_embedding_layers=False)
    (folder/"recipe.yaml").write_text("model: tiny\nweights: random\n")
    return tuned.eval()


X = torch.arange(60)[None]


@pytest.mark.parametrize("config", [
    {"target_modules": "all-linear"}, {"use_rslora": True, "lora_alpha": 16}, {"use_dora": True},
    {"target_modules": ["q_proj", "down_proj"], "rank_pattern": {"down_proj": 2}}, {"lora_dropout": .5},
    {"modules_to_save": ["norm"]}, {"bias": "none", "lora_alpha": 1}], ids=str)
def test_merge_equals_peft(tmp_path, config):
    tuned = toy(tmp_path/"run", **config)
    folder = deploy.merge(tmp_path/"run", tmp_path/"merged")
    merged = load_model(str(folder), device="cpu")[0]
    assert torch.allclose(merged(X).logits, tuned(X).logits, atol=1e-5)
    assert not torch.allclose(merged(X).logits, load_model("tiny", "random", device="cpu")[0](X).logits, atol=1e-3)


def test_merge_does_not_write_to_the_run(tmp_path):
    toy(tmp_path/"run")
    before = {p: p.read_bytes() for p in (tmp_path/"run").rglob("*") if p.is_file()}
    deploy.merge(tmp_path/"run", tmp_path/"out")
    assert {p: p.read_bytes() for p in (tmp_path/"run").rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "run"]
    assert (tmp_path/"out").stat().st_mode & 0o755 == 0o755


@pytest.mark.parametrize("change", ["drop", "extra", "layer"])
def test_partial_adapters_are_refused(tmp_path, change):
    toy(tmp_path/"run")
    file = tmp_path/"run/adapter/adapter_model.safetensors"
    tensors = load_file(file)
    last = sorted(tensors)[-1]
    if change == "drop": del tensors[last]
    if change == "extra": tensors["base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"] = torch.ones(4, 64)
    if change == "layer": tensors = {k.replace("layers.1", "layers.7"): v for k, v in tensors.items()}
    save_file(tensors, file)
    with pytest.raises(ValueError, match="not applied|does not have"): deploy.merge(tmp_path/"run", tmp_path/"out")
    assert not (tmp_path/"out").exists()


def test_pickles_are_not_opened(tmp_path):
    toy(tmp_path/"run")
    file = tmp_path/"run/adapter/adapter_model.safetensors"
    torch.save(load_file(file), file.with_name("adapter_model.bin")); file.unlink()
    with pytest.raises(FileNotFoundError, match="pickled"): deploy.merge(tmp_path/"run", tmp_path/"out")


def test_archive_cannot_leave_its_folder(tmp_path):
    there = "x/vendor/llama.cpp/conversion/"
    with tarfile.open(tmp_path/"a.tar.gz", "w:gz") as tar:
        for name in (there + "../../../evil.py", there + "good.py"):
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(tarfile.FilterError): deploy._unpack(tmp_path/"a.tar.gz", tmp_path/"out"/"in")
    assert not list(tmp_path.rglob("evil.py"))


def _fetch(cache, counter):
    os.environ["FTLAB_CACHE"] = str(cache)
    def download(folder):
        with open(counter, "a") as f: f.write("x")
        with tarfile.open(folder/"a.tar.gz", "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("x/vendor/llama.cpp/convert_hf_to_gguf.py"))
        return folder/"a.tar.gz"
    deploy._download = download
    assert (deploy.converter()/"convert_hf_to_gguf.py").exists()


def test_two_processes_fetch_once(tmp_path):
    many = multiprocessing.get_context("fork")
    workers = [many.Process(target=_fetch, args=(tmp_path/"cache", tmp_path/"count")) for _ in range(4)]
    for w in workers: w.start()
    for w in workers: w.join(60)
    assert [w.exitcode for w in workers] == [0]*4 and (tmp_path/"count").read_text() == "x"


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    toy(tmp_path/"run")
    from transformers import PreTrainedModel
    def full(self, path, **how): (path/"half").parent.mkdir(exist_ok=True); raise OSError(28, "No space left on device")
    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    with pytest.raises(OSError, match="No space left"): deploy.merge(tmp_path/"run", tmp_path/"out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


def test_parity_needs_no_answers_in_order(tmp_path):
    "different names the places, so that a reader can look at them"
    plain = load_model("tiny", "random", device="cpu")
    chats = [{"messages": [{"role": "user", "content": c}]} for c in "abc"]
    got = deploy.parity(plain[0], plain[0], plain[1], chats, ["1", "2", "3"], ["1", "x", "3"])
    assert (got["same"], got["different"]) == (2, [1]) and json.dumps(got)


@pytest.mark.slow
def test_the_real_converter(tmp_path):
    "Only where it is in the cache already: tests use no network"
    if not (cache_dir()/"llama.cpp"/deploy._LLAMA_CPP[1]/"convert_hf_to_gguf.py").exists():
        pytest.skip("llama.cpp's converter is not in the cache; `make course` brings it")
    pytest.importorskip("sentencepiece")
    model, tokenizer = load_model("smollm2-135m-instruct", device="cpu")
    model.save_pretrained(tmp_path/"m"); tokenizer.save_pretrained(tmp_path/"m")
    eight, tok = deploy.load_gguf(deploy.export_gguf(tmp_path/"m", tmp_path/"m.gguf", "q8_0"))
    assert (tmp_path/"m.gguf").stat().st_size < 150e6
    chat = [{"messages": [{"role": "user", "content": "What is the capital of France?"}]}]
    gap = deploy.logit_gap(model, eight.cpu(), tokenizer, chat)
    assert 0 < gap["mean"] < .5 and gap["agree"] > .8
    assert tok.apply_chat_template(chat[0]["messages"]) == tokenizer.apply_chat_template(chat[0]["messages"])
