"""LoRA's variants against peft on drawn settings, and adapter files that come from elsewhere."""
import json
from copy import deepcopy

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

from ftlab.lora import LoRALinear, inject, lora_state, merge, n_trainable, unload, unmerge
from ftlab.shapes import load_shapes, lora_params, match
from ftlab.variants import DoRALinear, load_adapter, save_adapter

IDS = torch.arange(48).reshape(3, 16)
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def llama(**change):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**load_shapes("tiny").config | change)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


LM = llama()


def ours_name(n):
    for theirs, mine in {"base_model.model.": "", ".default": "", "lora_A": "A", "lora_B": "B",
                         "lora_magnitude_vector.weight": "magnitude"}.items(): n = n.replace(theirs, mine)
    return n


def pair(base, r, alpha, target, use_dora=False, **options):
    "Ours and peft's with the same A, B and magnitudes, none of them as at the start"
    ours = deepcopy(base)
    inject(ours, r, alpha, target, layer=DoRALinear if use_dora else LoRALinear, **options)
    theirs = get_peft_model(deepcopy(base), LoraConfig(
        r=r, lora_alpha=alpha, target_modules=target, use_dora=use_dora, **options)).eval()
    torch.manual_seed(1)
    for n, p in theirs.named_parameters():
        if not p.requires_grad: continue
        if "magnitude" in n:
            # peft rounds the lengths at the start to the base's type; ours stay in float32
            start, exact = ours.get_parameter(ours_name(n)), base.dtype == torch.float32
            assert torch.equal(p, start) if exact else torch.allclose(p, start, rtol=1e-2, atol=0)
            p.data.mul_(1 + .2*torch.rand_like(p))
        else: p.data.normal_(std=.1)
        ours.get_parameter(ours_name(n)).data.copy_(p.data)
    return ours, theirs


settings_ = st.fixed_dictionaries({
    "r": st.integers(1, 32), "alpha": st.sampled_from([1, 3, 8, 16, 64]),
    "target": st.lists(st.sampled_from(LINEAR), min_size=1, max_size=7, unique=True) | st.just("all-linear"),
    "use_rslora": st.booleans(), "use_dora": st.booleans(), "lora_dropout": st.sampled_from([0., .1, .5])})


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(how=settings_)
def test_equals_peft(how):
    ours, theirs = pair(LM, **how)
    assert torch.equal(ours(IDS).logits, theirs(IDS).logits)
    got = []
    for m in (ours, theirs):
        m.train()
        torch.manual_seed(2)                # the same dropout
        m(input_ids=IDS, labels=IDS).loss.backward()
        got.append({ours_name(n): p.grad for n, p in m.named_parameters() if p.requires_grad})
        m.eval()
    assert got[0].keys() == got[1].keys() == lora_state(ours).keys()
    for n, g in got[1].items(): assert torch.equal(got[0][n], g) and g.any(), n
    said = lora_params(load_shapes("tiny"), how["r"], how["target"], how["use_dora"])
    assert n_trainable(ours) == theirs.get_nb_trainable_parameters() == (said["trainable"], said["all"])
    before = ours(IDS).logits
    merge(ours)
    tolerance = 1e-4*max(1., before.abs().max())
    assert (ours(IDS).logits - before).abs().max() < tolerance
    merged = deepcopy(ours)
    unload(merged)
    for n, p in theirs.merge_and_unload().named_parameters(): assert torch.equal(p, merged.get_parameter(n)), n
    unmerge(ours)
    assert (ours(IDS).logits - before).abs().max() < tolerance


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(how=settings_)
def test_files_go_both_ways(how, tmp_path):
    ours, theirs = pair(LM, **how)
    save_adapter(ours, tmp_path/"a", "tiny")
    theirs.save_pretrained(tmp_path/"b")
    back, read, own = deepcopy(LM), PeftModel.from_pretrained(deepcopy(LM), tmp_path/"a").eval(), deepcopy(LM)
    n = load_adapter(back, tmp_path/"b")
    assert n == load_adapter(own, tmp_path/"a") == len([m for m in ours.modules() if isinstance(m, LoRALinear)])
    want = ours(IDS).logits
    for m in (back, read, own, theirs): assert torch.equal(m(IDS).logits, want)
    a, b = (load_file(tmp_path/f/"adapter_model.safetensors") for f in "ab")
    assert a.keys() == b.keys() and all(torch.equal(w, b[k]) for k, w in a.items())
    mine, peft = (json.loads((tmp_path/f/"adapter_config.json").read_text()) for f in "ab")
    for key in ("peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "bias", "fan_in_fan_out"):
        assert mine[key] == peft[key], key
    linear = [n for n, m in LM.named_modules() if isinstance(m, nn.Linear)]
    assert match(linear, mine["target_modules"]) == match(linear, peft["target_modules"])
    assert read.peft_config["default"].base_model_name_or_path == "tiny"
    assert n_trainable(back) == n_trainable(ours)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(out=st.integers(2, 40), in_=st.integers(2, 40), data=st.data())
def test_one_layer_of_any_shape(out, in_, data):
    r = data.draw(st.integers(1, min(out, in_)))
    alpha, rs, dora, bias = (data.draw(s) for s in (st.floats(.1, 64), st.booleans(), st.booleans(), st.booleans()))
    torch.manual_seed(0)
    base, x = nn.Linear(in_, out, bias=bias), torch.randn(3, in_)
    layer = (DoRALinear if dora else LoRALinear)(base, r, alpha, use_rslora=rs).eval()
    assert torch.allclose(layer(x), base(x), atol=1e-5)
    nn.init.normal_(layer.B.weight)
    delta = alpha/(r**.5 if rs else r) * layer.B.weight @ layer.A.weight
    want = base.weight + delta
    if dora: want = base.weight.norm(dim=1, keepdim=True) * want/want.norm(dim=1, keepdim=True)
    size = 1 + want.abs().max().item() + delta.abs().max().item()
    assert torch.allclose(layer(x), nn.functional.linear(x, want, base.bias), atol=1e-4*size)
    plain = base.weight.clone()
    merged = layer.fold(plain, 1)
    assert torch.allclose(merged, want, atol=1e-5*size)
    assert torch.allclose(layer.fold(merged, -1), plain, atol=1e-5*size)


def test_twenty_steps_of_a_grouped_query_llama():
    base = llama(num_attention_heads=8, num_key_value_heads=2, hidden_size=96, head_dim=12, attention_bias=True)
    for how in ({}, {"use_rslora": True}, {"use_dora": True}, {"lora_dropout": .3}):
        models = pair(base, 6, 9, "all-linear", **how)
        states = []
        for m in models:
            torch.manual_seed(3)
            m.train()
            weights = {ours_name(n): p for n, p in m.named_parameters() if p.requires_grad}
            optimizer = torch.optim.AdamW(weights.values(), lr=3e-3)
            for _ in range(20):
                ids = torch.randint(256, (2, 12))
                optimizer.zero_grad()
                m(input_ids=ids, labels=ids).loss.backward()
                optimizer.step()
            states.append(({n: p.detach() for n, p in weights.items()}, m.eval()(IDS).logits))
        (mine, a), (peft, b) = states
        assert torch.equal(a, b) and all(torch.equal(mine[n], p) for n, p in peft.items()), how


@pytest.mark.parametrize("layer", [LoRALinear, DoRALinear])
def test_bfloat16_base(layer):
    ours, theirs = pair(llama().bfloat16(), 4, 8, ["q_proj", "down_proj"], use_dora=layer is DoRALinear)
    assert {p.dtype for p in lora_state(ours).values()} == {torch.float32}
    assert ours(IDS).logits.dtype == torch.bfloat16
    assert torch.equal(ours(IDS).logits, theirs(IDS).logits)


def test_names_as_short_as_they_can_be(tmp_path):
    for target, said in [("q,v", ["q_proj", "v_proj"]), ("all-linear", sorted(LINEAR)),
                         ("layers.0.self_attn.q_proj,k_proj", None)]:
        model = llama()
        n = inject(model, 2, 2, target)
        for w in lora_state(model).values(): w.fill_(.1)
        config = json.loads((save_adapter(model, tmp_path)/"adapter_config.json").read_text())
        if said: assert config["target_modules"] == said
        else: assert config["target_modules"] == [
            "model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.k_proj"]
        assert load_adapter(llama(), tmp_path) == n
        assert len([m for m in PeftModel.from_pretrained(llama(), tmp_path).modules() if hasattr(m, "lora_A")]) == n


def test_a_new_layer_is_in_its_models_mode():
    model = llama()
    inject(model, 4, 8, "q,v", layer=DoRALinear, lora_dropout=.5)
    assert not any(m.training for m in model.modules())
    assert torch.equal(model(IDS).logits, model(IDS).logits)


def test_a_refused_option_changes_nothing():
    model = llama()
    with pytest.raises(ValueError, match="dropout probability"): inject(model, 4, 8, "q,v", lora_dropout=1.5)
    with pytest.raises(TypeError): inject(model, 4, 8, "q,v", rs=True)
    assert all(p.requires_grad for p in model.parameters())
    assert not any(isinstance(m, LoRALinear) for m in model.modules())


def test_dora_refuses_a_packed_base():
    import bitsandbytes as bnb
    four = nn.Sequential(bnb.nn.Linear4bit(64, 32, quant_type="nf4").to("cpu"))
    with pytest.raises(ValueError, match=r"packed \(torch.uint8\)"): inject(four, 4, 8, "0", layer=DoRALinear)
    assert inject(four, 4, 8, "0") == 1


def test_conv1d_of_gpt2_is_refused_by_name():
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_embd=16, n_head=2, vocab_size=50))
    with pytest.raises(ValueError, match="no linear layer matches c_attn.*Conv1D"): inject(gpt2, 4, 8, "c_attn")
    with pytest.raises(ValueError, match="no linear layer matches all-linear.*Conv1D"): inject(gpt2, 4, 8, "all-linear")
    assert all(p.requires_grad for p in gpt2.parameters())


@pytest.fixture
def saved(tmp_path):
    ours, _ = pair(LM, 4, 8, ["q_proj", "v_proj"])
    return save_adapter(ours, tmp_path/"adapter")


@pytest.mark.parametrize("change, words", [
    ({"peft_type": "LOHA"}, "peft_type 'LOHA'; only LORA is read here"), ({"peft_type": None}, "peft_type None"),
    ({"rank_pattern": {"q_proj": 8}}, "sets rank_pattern"), ({"alpha_pattern": {"q_proj": 8}}, "sets alpha_pattern"),
    ({"bias": "lora_only"}, "sets bias to 'lora_only'"), ({"modules_to_save": ["lm_head"]}, "sets modules_to_save"),
    ({"lora_bias": True}, "sets lora_bias"), ({"fan_in_fan_out": True}, "sets fan_in_fan_out"),
    ({"init_lora_weights": "olora"}, "sets init_lora_weights to 'olora'"), ({"layers_to_transform": [0]}, "sets layers"),
    ({"a_flag_of_next_year": True}, "sets a_flag_of_next_year to True, which is not done here; use peft"),
    ({"target_modules": "model.*"}, "regular expression"), ({"target_modules": ["query"]}, "matches query"),
    ({"target_modules": ["q_proj"]}, "which the model lacks"), ({"target_modules": "all-linear"}, "lacks model"),
    ({"use_dora": True}, "lacks model.layers.0.self_attn.q_proj.magnitude"), ({"r": 5}, r"as \(4, 64\), not \(5, 64\)"),
    ({"r": 0}, "r=0 cannot adapt"), ({"lora_dropout": 7}, "dropout probability")])
def test_what_is_not_done_is_refused(saved, change, words):
    path = saved/"adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    model = deepcopy(LM)
    with pytest.raises(ValueError, match=words): load_adapter(model, saved)
    assert not any(isinstance(m, LoRALinear) for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())
    for n, p in LM.named_parameters(): assert torch.equal(p, model.get_parameter(n))


def test_broken_files_are_refused(saved, tmp_path):
    config, tensors = saved/"adapter_config.json", saved/"adapter_model.safetensors"
    good, state = config.read_text(), load_file(tensors)
    for text, words in [("{", "is not a JSON file"), ("[1]", "peft_type None"), ('{"peft_type": "LORA"}', "lacks r, lora_alpha")]:
        config.write_text(text)
        with pytest.raises(ValueError, match=words): load_adapter(deepcopy(LM), saved)
    config.write_text(good)
    first = min(state)
    for bad, words in [({k: v for k, v in state.items() if k != first}, "lacks model"),
                       (state | {"x": state[first]}, "has x, which"), ({f"z.{k}": v for k, v in state.items()}, "lacks"),
                       ({k: v*0 if "lora_B" in k else v for k, v in state.items()}, "untrained")]:
        save_file({k: v.clone() for k, v in bad.items()}, tensors)
        with pytest.raises(ValueError, match=words): load_adapter(deepcopy(LM), saved)
    tensors.rename(saved/"adapter_model.bin")
    with pytest.raises(FileNotFoundError, match="pickle"): load_adapter(deepcopy(LM), saved)
    with pytest.raises(FileNotFoundError, match="has no adapter_config.json"): load_adapter(deepcopy(LM), tmp_path)


def test_a_merged_adapter_is_not_saved(tmp_path):
    ours, _ = pair(LM, 4, 8, ["q_proj"])
    merge(ours)
    with pytest.raises(ValueError, match="is merged into the model"): save_adapter(ours, tmp_path/"a")
    assert not (tmp_path/"a").exists()
