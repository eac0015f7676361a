"""Shape tables against the real model classes and against peft."""
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ftlab.shapes import known, load_shapes, lora_params, lora_size, match, n_params, targets

PUBLISHED = {
    "llama-2-7b": 6_738_415_616, "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192, "llama-3-8b": 8_030_261_248, "llama-3-70b": 70_553_706_496,
    "qwen2.5-7b": 7_615_616_512, "qwen2.5-72b": 72_706_203_648, "qwen3-8b": 8_190_735_360,
    "gemma-2-2b": 2_614_341_888, "gemma-2-9b": 9_241_705_984, "llama-3.2-3b": 3_212_749_824,
    "llama-3.2-1b": 1_235_814_400, "mistral-7b": 7_241_732_096,
    "smollm2-135m-instruct": 134_515_008, "smollm2-360m-instruct": 361_821_120,
    "smollm2-1.7b-instruct": 1_711_376_384, "qwen2.5-0.5b": 494_032_768,
    "roberta-base": 124_697_433, "phi-1.5": 1_418_270_720,
}


def build(shapes):
    import torch
    import transformers
    config = transformers.AutoConfig.for_model(**shapes.config)
    with torch.device("meta"):
        return getattr(transformers, shapes.architecture)(config)


def table(model):
    """Every parameter of a model, counted by (path, out, in, kind)."""
    from torch import nn
    rows = Counter()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear): kind = "linear"
        elif isinstance(module, nn.Embedding): kind = "embedding"
        elif "Norm" in type(module).__name__: kind = "norm"
        else: kind = None
        for leaf, p in module.named_parameters(recurse=False):
            path = re.sub(r"\.\d+\.", ".*.", name)
            if leaf == "bias": rows[f"{path}.bias", p.shape[0], 1, "bias"] += 1
            else: rows[(path, *p.shape, *[1] * (p.ndim == 1), kind)] += 1
    return rows


@pytest.mark.parametrize("name", known())
def test_table_is_the_real_model(name):
    shapes = load_shapes(name)
    real = build(shapes)
    want = table(real)
    want.pop(("lm_head.decoder.bias", 50265, 1, "bias"), None)  # RoBERTa: the same as lm_head.bias
    assert {(l.name, l.out, l.in_, l.kind): l.count for l in shapes.layers} == want
    assert len(shapes.layers) == len(want)
    assert n_params(shapes) == real.num_parameters()
    assert shapes.tied == real.config.tie_word_embeddings
    assert PUBLISHED.get(name, n_params(shapes)) == n_params(shapes)


@pytest.mark.parametrize("name", known())
def test_ids_are_in_the_vocabulary(name):
    c = load_shapes(name).config
    ids = [c[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id") if k in c]
    assert all(0 <= i < c["vocab_size"] for i in ids)


@pytest.mark.parametrize("name", ["tiny", "smollm2-135m-instruct", "roberta-base", "phi-1.5", "gpt3-175b"])
@pytest.mark.parametrize("target", ["all-linear", "q,v"])
def test_counts_are_pefts(name, target):
    from peft import LoraConfig, get_peft_model
    shapes = load_shapes(name)
    modules = target if target == "all-linear" else sorted(
        {l.name.split(".")[-1] for l in targets(shapes, target)})
    model = get_peft_model(build(shapes), LoraConfig(r=8, target_modules=modules))
    got = lora_params(shapes, 8, target)
    assert model.get_nb_trainable_parameters() == (got["trainable"], got["all"])


@pytest.mark.parametrize("name, r, target, n", [
    ("gpt3-175b", 1, "q,v", 4_718_592), ("gpt3-175b", 4, "q,v", 18_874_368),
    ("gpt3-175b", 8, "q,v", 37_748_736), ("llama-2-7b", 8, "q,v", 4_194_304),
    ("llama-2-7b", 16, "q_proj,v_proj", 8_388_608), ("llama-2-13b", 8, "q,v", 6_553_600),
    ("phi-1.5", 8, "q,v", 1_572_864), ("llama-3.2-3b", 32, "q,v", 9_175_040),
    ("llama-3.2-3b", 64, "q,v", 18_350_080),
    ("llama-3.2-3b", 10, "gate_proj,up_proj,down_proj", 9_461_760),
    ("roberta-base", 8, "query,value", 294_912), ("smollm2-135m-instruct", 16, "q,v", 921_600)])
def test_published_counts(name, r, target, n):
    assert lora_params(load_shapes(name), r, target)["trainable"] == n


EXACT = [("gpt3-175b", 1, 4_718_592), ("gpt3-175b", 4, 18_874_368), ("gpt3-175b", 8, 37_748_736),
         ("llama-2-7b", 8, 4_194_304), ("llama-2-7b", 16, 8_388_608), ("llama-2-13b", 8, 6_553_600),
         ("phi-1.5", 8, 1_572_864), ("llama-3.2-3b", 32, 9_175_040), ("llama-3.2-3b", 64, 18_350_080),
         ("roberta-base", 8, 294_912), ("smollm2-135m-instruct", 16, 921_600)]


def test_exact_totals():
    assert lora_size((4096, 4096), 64) == 524_288 and 1 - 524_288 / 4096**2 == .96875
    for name, r, said, percent in [("llama-2-7b", 8, 6_742_609_920, .0622), ("llama-2-7b", 16, 6_746_804_224, .1243),
                                   ("smollm2-135m-instruct", 16, 135_436_608, .6805)]:
        got = lora_params(load_shapes(name), r, "q,v")
        assert got["all"] == said and round(got["percent"], 4) == percent


def test_no_answer_is_in_the_code():
    "Each count comes from shapes: neither the number nor its parts by comma is written in the package"
    root = Path(load_shapes.__code__.co_filename).parent
    sources = [*root.glob("*.py"), *(root/"assets").rglob("*.json"), *(root/"assets").rglob("*.yaml")]
    text = " ".join(re.sub(r"(?<=\d)[_,](?=\d{3})", "", p.read_text(encoding="utf-8")) for p in sources)
    numbers = set(re.findall(r"\d+", text))
    assert "49152" in numbers                    # a vocabulary is there, so the search works
    assert not numbers & {str(n) for _, _, n in EXACT} | numbers & {"9461760", "524288", "6742609920", "6746804224"}


@pytest.mark.parametrize("name, r, n", EXACT)
def test_dora_adds_one_number_for_each_output(name, r, n):
    shapes = load_shapes(name)
    rows = sum(l.out * l.count for l in targets(shapes, "q,v"))
    assert lora_params(shapes, r, "q,v")["trainable"] == n
    assert lora_params(shapes, r, "q,v", dora=True)["trainable"] == n + rows


def test_percent_and_bytes():
    got = lora_params(load_shapes("llama-2-7b"), 16, "q,v")
    assert got["all"] == 6_746_804_224 and got["percent"] == 100 * 8_388_608 / 6_746_804_224
    assert got["bytes"] == {"float32": 33_554_432, "bfloat16": 16_777_216}


@pytest.mark.parametrize("name", [n for n in known()
                                  if load_shapes(n).config["model_type"] in ("llama", "mistral", "qwen2", "qwen3", "gemma2")])
def test_derived_is_shipped(name, tmp_path):
    shapes = load_shapes(name)
    (tmp_path / "config.json").write_text(json.dumps(shapes.config))
    for where in (tmp_path, str(tmp_path), tmp_path / "config.json"):
        derived = load_shapes(where)
        assert derived.layers == shapes.layers and derived.architecture == shapes.architecture


@pytest.mark.parametrize("change", [
    {"head_dim": 32}, {"attention_bias": True}, {"mlp_bias": True}, {"num_key_value_heads": 4},
    {"tie_word_embeddings": False}, {"model_type": "qwen2"}, {"model_type": "mistral", "head_dim": 24},
    {"model_type": "qwen3", "head_dim": 24}, {"model_type": "qwen3", "head_dim": 32, "attention_bias": True},
    {"model_type": "gemma2", "head_dim": 24}, {"model_type": "gemma2", "head_dim": 24, "attention_bias": True}])
def test_derived_is_what_transformers_saves(change, tmp_path):
    import transformers
    config = transformers.AutoConfig.for_model(**load_shapes("tiny").config | change)
    config.save_pretrained(tmp_path)
    shapes = load_shapes(tmp_path)
    assert n_params(shapes) == build(shapes).num_parameters()
    assert {(l.name, l.out, l.in_, l.kind): l.count for l in shapes.layers} == table(build(shapes)) | (
        {("lm_head", 320, 64, "linear"): 1} if shapes.tied else {})


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="did you mean 'smollm2-135m-instruct'"):
        load_shapes("SmolLM2-135M-Instrukt")
    assert load_shapes("Qwen/Qwen3-8B") == load_shapes("qwen3-8b")
    with pytest.raises(FileNotFoundError, match="config.json"): load_shapes("microsoft/phi-1.5")
    with pytest.raises(FileNotFoundError, match="config.json"): load_shapes(tmp_path)
    path = tmp_path / "config.json"
    for text, message in [("{", "not a JSON"), ("[]", "model_type None"), ("{}", "model_type None"),
                          ('{"model_type": "gpt2"}', "'gpt2'; shapes can be derived for llama, mistral, qwen2, qwen3, gemma2"),
                          ('{"model_type": "llama"}', "lacks hidden_size")]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message): load_shapes(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a JSON"): load_shapes(path)


@pytest.mark.parametrize("r", [0, -1, 193, 2.0, None, "8"])
def test_rank_must_fit(r):
    with pytest.raises(ValueError, match="cannot adapt a weight of shape 192x576"):
        lora_size((192, 576), r)


def test_match_by_whole_parts():
    names = ["a.q_proj", "a.k_proj", "b.query", "lm_head", "lm_head.dense", "lm_head.decoder"]
    assert match(names, "all-linear") == ["a.q_proj", "a.k_proj", "b.query", "lm_head.dense"]
    assert match(names, "q") == ["a.q_proj", "b.query"]
    assert match(names, ["k_proj", "a.q_proj"]) == ["a.q_proj", "a.k_proj"]
    assert match(names, "all-linear,lm_head")[-2:] == ["lm_head", "lm_head.dense"]
    for bad in ("proj", "a", "q_proj,nope"):
        with pytest.raises(ValueError, match="this model has: q_proj, k_proj, query"): match(names, bad)


def test_import_is_light():
    code = ("import sys, ftlab.shapes as s; s.lora_params(s.load_shapes('tiny'), 4, 'q,v');"
            "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
