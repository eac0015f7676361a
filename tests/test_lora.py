"""LoRA against peft, and what a lesson has no room for: types, quantised bases, refusals."""
from copy import deepcopy

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch import nn

from ftlab.lora import (
    LoRALinear,
    inject,
    load_lora,
    lora_state,
    merge,
    n_trainable,
    unload,
    unmerge,
)
from ftlab.shapes import load_shapes, lora_params


def llama(**change):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**load_shapes("tiny").config | change)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def ours_name(n):
    n = n.removeprefix("base_model.model.").replace(".default", "")
    return n.replace("lora_A", "A").replace("lora_B", "B")


def pair(base, r, alpha, target):
    ours = deepcopy(base)
    inject(ours, r, alpha, target)
    theirs = get_peft_model(deepcopy(base), LoraConfig(r=r, lora_alpha=alpha, target_modules=target)).eval()
    torch.manual_seed(1)
    for n, p in theirs.named_parameters():
        if "lora_" in n: ours.get_parameter(ours_name(n)).data.copy_(p.data.normal_(std=.1))
    return ours, theirs


IDS = torch.arange(48).reshape(3, 16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("r, alpha, target", [(1, 1, ["q_proj"]), (4, 8, ["q_proj", "v_proj"]),
                                              (8, 3, "all-linear"), (32, 64, ["k_proj", "up_proj"])])
def test_equals_peft(dtype, r, alpha, target):
    ours, theirs = pair(llama().to(dtype), r, alpha, target)
    assert ours(IDS).logits.dtype == dtype
    assert torch.equal(ours(IDS).logits, theirs(IDS).logits)
    for m in (ours, theirs): m(input_ids=IDS, labels=IDS).loss.backward()
    grads = {ours_name(n): p.grad for n, p in theirs.named_parameters() if p.requires_grad}
    assert grads.keys() == lora_state(ours).keys()
    for n, g in grads.items(): assert torch.equal(ours.get_parameter(n).grad, g), n
    assert n_trainable(ours) == theirs.get_nb_trainable_parameters()
    said = lora_params(load_shapes("tiny"), r, target)
    assert n_trainable(ours) == (said["trainable"], said["all"])


def test_merged_weights_are_pefts():
    ours, theirs = pair(llama(), 4, 8, "all-linear")
    merge(ours)
    unload(ours)
    for n, p in theirs.merge_and_unload().named_parameters(): assert torch.equal(p, ours.get_parameter(n)), n


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-5), (torch.bfloat16, .1)])
def test_merge_and_back(dtype, tolerance):
    base = llama().to(dtype)
    model = deepcopy(base)
    n = inject(model, 4, 8, "all-linear")
    for name, w in lora_state(model).items():
        if name.endswith("B.weight"): w.normal_(std=.1)
    want = model(IDS).logits
    assert merge(model) == n and merge(model) == 0
    assert (model(IDS).logits - want).abs().max() < tolerance
    assert model.model.layers[0].mlp.up_proj.base.weight.dtype == dtype
    assert unmerge(model) == n and unmerge(model) == 0
    for name, p in base.named_parameters():
        if name.endswith("proj.weight"):
            back = model.get_parameter(name.replace("proj.weight", "proj.base.weight"))
            assert (back - p).abs().max() <= 4 * torch.finfo(dtype).eps * (p.abs().max() + 1)


def test_bias_is_kept():
    base = llama(attention_bias=True)
    for m in base.modules():
        if isinstance(m, nn.Linear) and m.bias is not None: nn.init.normal_(m.bias)
    ours, theirs = pair(base, 4, 8, ["q_proj", "o_proj"])
    assert torch.equal(ours(IDS).logits, theirs(IDS).logits)
    merge(ours), unload(ours)
    assert (ours(IDS).logits - theirs(IDS).logits).abs().max() < 1e-5


def test_a_refusal_changes_nothing():
    model = llama()
    before = {n: (p.clone(), p.requires_grad) for n, p in model.named_parameters()}
    for r, target, message in [(33, "all-linear", "cannot adapt"), (0, "q,v", "cannot adapt"),
                               (4, "q_proj,nope", "matches nope"), (4, "lm_head", "shares its weight")]:
        with pytest.raises(ValueError, match=message): inject(model, r, 8, target)
    assert not any(isinstance(m, LoRALinear) for m in model.modules())
    assert all(torch.equal(p, before[n][0]) and p.requires_grad for n, p in model.named_parameters())


def test_untied_head_can_be_adapted():
    model = llama(tie_word_embeddings=False)
    assert inject(model, 4, 8, "lm_head") == 1


def test_adapted_twice_is_refused_and_unload_frees():
    model = llama()
    inject(model, 4, 8, "q,v")
    with pytest.raises(ValueError, match="adapted already"): inject(model, 4, 8, "k_proj")
    assert unload(model) == 4 and inject(model, 4, 8, "k_proj") == 2
    for call in (merge, unmerge, unload, lora_state):
        with pytest.raises(ValueError, match="no LoRA layers"): call(llama())


def test_quantised_base():
    import bitsandbytes as bnb
    model = nn.Sequential(bnb.nn.Linear4bit(64, 32, quant_type="nf4"), nn.Linear(32, 8)).to("cpu")
    x = torch.randn(3, 64)
    want = model(x)
    assert inject(model, 4, 8, "0,1") == 2 and torch.equal(model(x), want)
    model(x).sum().backward()
    assert model[0].B.weight.grad.abs().max() > 0
    plain = model[1].base.weight.clone()
    with pytest.raises(ValueError, match="unquantised base"): merge(model)
    assert torch.equal(plain, model[1].base.weight) and not model[1].merged  # all or nothing


def test_load_is_all_or_nothing():
    ours, _ = pair(llama(), 4, 8, ["q_proj", "v_proj"])
    good = {n: w.clone() for n, w in lora_state(ours).items()}
    fresh = llama()
    inject(fresh, 4, 8, "q,v")
    start = {n: w.clone() for n, w in lora_state(fresh).items()}
    first, last = min(good), max(good)
    lacking = {n: w for n, w in good.items() if n != last}
    for bad, message in [(lacking, f"lacks {last}$"), (good | {"x": good[first]}, "has x, which the model lacks$"),
                         ({}, r"lacks .* \(8 such\)"), (good | {first: good[first][:2]}, r"\(2, 64\), not \(4, 64\)"),
                         (start, "untrained: every B is zero$")]:
        with pytest.raises(ValueError, match=message): load_lora(fresh, bad)
        assert all(torch.equal(w, start[n]) for n, w in lora_state(fresh).items())
    assert load_lora(fresh, good) == 4
    assert torch.equal(fresh(IDS).logits, ours(IDS).logits)


def test_start_is_pefts_distribution():
    torch.manual_seed(0)
    a = LoRALinear(nn.Linear(400, 300), 64, 8).A.weight
    bound = 400 ** -.5  # kaiming_uniform with a = sqrt(5)
    assert .99 * bound < a.abs().max() <= bound and abs(a.std() - bound / 3 ** .5) < .001
