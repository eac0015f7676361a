"""The budget against counted steps on models it was not written beside; sizes; bad input; light import."""
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftlab.memory import budget, fake_run, fits, measure, parse_size, peak_rss
from ftlab.shapes import known, load_shapes, n_params

torch = pytest.importorskip("torch")
TERMS = ["weights", "quant_state", "adapters", "gradients", "optimizer", "workspace", "activations", "logits"]
CONFIG = dict(model_type="llama", vocab_size=6000, hidden_size=128, intermediate_size=320, num_hidden_layers=4,
              num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, rms_norm_eps=1e-5)
VARIANTS = {"gqa": {}, "mha": {"num_key_value_heads": 4}, "wide heads": {"head_dim": 64},
            "untied": {"tie_word_embeddings": False}, "qwen2": {"model_type": "qwen2"}}
UNLIKE = ["gpt3-175b", "roberta-base", "phi-1.5", "qwen3-8b", "gemma-2-2b", "gemma-2-9b"]   # no closed form
OTHERS = {"qwen3": {"model_type": "qwen3", "head_dim": 32}, "gemma2": {"model_type": "gemma2", "head_dim": 32}}
METHODS = [
    ("full", "all-linear", "float32"), ("full", "all-linear", "bfloat16"),
    ("lora", "all-linear", "float32"), ("lora", "q_proj,v_proj", "bfloat16"), ("lora", "o_proj,down_proj", "float32"),
    ("qlora", "all-linear", "float32"), ("qlora", "gate_proj,k_proj", "bfloat16")]


def train(net, batch, length):
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-4)
    ids = torch.randint(0, 6000, (batch, length))
    for _ in range(2):
        net(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def build(config, method, r, target, dtype):
    import peft
    from transformers import AutoConfig, AutoModelForCausalLM

    from ftlab.quant import quantize_linears
    torch.manual_seed(0)
    net = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config), dtype=dtype).train()
    if method == "full": return net
    if method == "qlora": quantize_linears(net)
    target = target if target == "all-linear" else target.split(",")
    return peft.get_peft_model(net, peft.LoraConfig(r=r, target_modules=target))


def errors(tmp_path, variant, method, target, dtype, *predictors, checkpointing=False):
    "How far each predictor is from one counted run"
    config = CONFIG | (VARIANTS | OTHERS)[variant]
    (tmp_path/"config.json").write_text(json.dumps(config))
    net = build(config, method, 8, target, getattr(torch, dtype))
    if checkpointing:
        net.enable_input_require_grads()
        net.activation_checkpointing_enable()
    got = measure(lambda: train(net, 2, 48))["peak_bytes"]
    return [abs(f(load_shapes(tmp_path), method, 8, target, 2, 48, dtype, checkpointing=checkpointing)["peak_bytes"]/got
                - 1) for f in predictors]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("method,target,dtype", METHODS)
def test_counted(tmp_path, variant, method, target, dtype):
    formula, rehearsed = errors(tmp_path, variant, method, target, dtype, budget, fake_run)
    assert formula < .02 and rehearsed < .005


@pytest.mark.parametrize("variant", OTHERS)
@pytest.mark.parametrize("method,target,dtype", METHODS[1::2])
def test_rehearsed(tmp_path, variant, method, target, dtype):
    assert errors(tmp_path, variant, method, target, dtype, fake_run)[0] < .005


@pytest.mark.parametrize("variant", ["gqa", "gemma2"])
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_rehearsed_with_checkpointing(tmp_path, variant, method):
    assert errors(tmp_path, variant, method, "all-linear", "float32", fake_run, checkpointing=True)[0] < .005


def test_measure_returns_what_fn_returns():
    assert measure(lambda: "x")["result"] == "x"
    with pytest.raises(ZeroDivisionError): measure(lambda: 1/0)
    assert measure(lambda: torch.ones(10) is None)["peak_bytes"] == 40     # and the mode is gone after the error


def test_measure_in_place_and_shared():
    x = torch.zeros(100)
    assert measure(lambda: x.add_(1).view(10, 10)[0] is None)["peak_bytes"] == 400


@pytest.mark.parametrize("name", [n for n in known() if n not in UNLIKE])
def test_every_model(name):
    shapes = load_shapes(name)
    full, lora, qlora = (budget(shapes, m) for m in ("full", "lora", "qlora"))
    for b in (full, lora, qlora):
        assert list(b) == TERMS + ["total_bytes", "peak_bytes"] and all(type(v) is int and v >= 0 for v in b.values())
        assert max(b[t] for t in TERMS) <= b["peak_bytes"] <= b["total_bytes"] == sum(b[t] for t in TERMS)
    assert full["weights"] == lora["weights"] > qlora["weights"]
    assert full["adapters"] == full["quant_state"] == lora["quant_state"] == 0 < qlora["quant_state"]
    assert budget(shapes, "lora", checkpointing=True)["peak_bytes"] <= lora["peak_bytes"]


@pytest.mark.parametrize("name", UNLIKE)
def test_not_llama_shaped(name):
    with pytest.raises(ValueError, match="Llama-shaped"): budget(load_shapes(name), "full")


@pytest.mark.slow
@pytest.mark.parametrize("name", known())
def test_rehearsed_at_full_size(name):
    shapes = load_shapes(name)
    got = fake_run(shapes, "lora", r=4, target="q,v", length=64)
    assert 2*n_params(shapes) < got["loading"] < got["forward"] < got["peak_bytes"] < 400e9 and peak_rss() < 4e9
    if name not in UNLIKE:
        assert abs(budget(shapes, "lora", r=4, target="q,v", length=64)["peak_bytes"]/got["peak_bytes"] - 1) < .01


def test_grows_with_tokens_alone():
    shapes = load_shapes("llama-2-7b")
    one, two = budget(shapes, "lora", batch=1, length=1024), budget(shapes, "lora", batch=2, length=512)
    assert one == two
    assert budget(shapes, "lora", batch=4)["activations"] == 4*budget(shapes, "lora")["activations"]


@pytest.mark.parametrize("bad", [dict(method="ia3"), dict(method="lora", r=0), dict(method="lora", target="nope"),
                                 dict(method="full", dtype="int4"), dict(method="full", length=0)])
def test_refused(bad):
    with pytest.raises(ValueError): budget(load_shapes("tiny"), **bad)


@given(st.integers(1, 10**6), st.sampled_from(["k", "M", "g", "T"]), st.booleans(), st.sampled_from(["", "B", "b"]))
def test_sizes(n, unit, binary, b):
    power = 1 + "kmgt".index(unit.lower())
    assert parse_size(f" {n} {unit}{'i'*binary}{b} ") == n*(1024 if binary else 1000)**power


@pytest.mark.parametrize("bad", ["", "24", "GB", "-2GB", "0GB", "1e3GB", "2 GBs", "nanGB", "1,5GB", None, 24])
def test_no_size(bad):
    with pytest.raises(ValueError, match="is no size"): parse_size(bad)


def test_fits():
    b = budget(load_shapes("llama-2-7b"), "lora")
    assert fits(b, parse_size("24GB")) and not fits(b, parse_size("20GB"))


def test_rss(): assert 10**7 < peak_rss() < 10**12


def test_light():
    code = "import sys, ftlab.memory; print(sorted({'torch','transformers','numpy','scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
