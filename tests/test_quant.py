"""NF4 against bitsandbytes, bit for bit, on more shapes than the lesson shows; refusals; merging."""
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab.core import load_model
from ftlab.quant import (bits_per_param, dequantize_blockwise, dequantize_nf4, nf4_levels,
                         quantize_blockwise, quantize_linears, quantize_nf4)

F = pytest.importorskip("bitsandbytes.functional")
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def parts(weight, blocksize, double):
    "[(ours, theirs)]; read as one row, since bitsandbytes' CPU kernel errs where rows end inside a block"
    ours = quantize_nf4(weight, blocksize, double)
    packed, state = F.quantize_4bit(weight, blocksize=blocksize, compress_statistics=double, quant_type="nf4")
    state.shape = torch.Size([weight.numel()])
    yield ours.packed, packed.view(-1)
    yield ours.absmax, state.absmax
    if double:
        yield ours.scale2, state.state2.absmax
        yield ours.offset, state.offset
    yield dequantize_nf4(ours).view(-1), F.dequantize_4bit(packed, state).view(-1)


@settings(max_examples=150, deadline=None)
@given(rows=st.integers(1, 9), half=st.integers(1, 300), blocksize=st.sampled_from([32, 64, 256, 1024]),
       double=st.booleans(), dtype=st.sampled_from(DTYPES), scale=st.sampled_from([1e-30, 1e-4, .02, 1., 1e4]),
       seed=st.integers(0, 10**6))
def test_equal_to_bitsandbytes(rows, half, blocksize, double, dtype, scale, seed):
    gen = torch.Generator().manual_seed(seed)
    weight = (torch.randn(rows, 2*half, generator=gen) * scale).to(dtype)
    if not weight.isfinite().all(): return
    for ours, theirs in parts(weight, blocksize, double): assert torch.equal(ours, theirs)


@pytest.mark.parametrize("n", [1, 3, 63, 65, 127, 16_385])
@pytest.mark.parametrize("double", [False, True])
def test_odd_lengths(n, double):
    weight = torch.randn(n, generator=torch.Generator().manual_seed(n))
    q = quantize_nf4(weight, double=double)
    assert len(q.packed) == (n + 1)//2 and dequantize_nf4(q).shape == weight.shape
    for ours, theirs in parts(weight, 64, double): assert torch.equal(ours, theirs)


def test_outliers_and_zeros():
    weight = torch.randn(4, 256) * .02
    weight[0, 5], weight[1] = 1e6, 0
    for double in (False, True):
        for ours, theirs in parts(weight, 64, double): assert torch.equal(ours, theirs)
    back = dequantize_nf4(quantize_nf4(weight, double=False))
    assert (back[1] == 0).all() and (back[2] - weight[2]).abs().max() < .02


def test_levels_survive():
    "A tensor made of levels comes back as it was"
    weight = nf4_levels().repeat(8) * .5
    assert torch.equal(dequantize_nf4(quantize_nf4(weight, double=False)), weight)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_not_finite(bad):
    weight = torch.zeros(3, 64)
    weight[1, 2] = bad
    with pytest.raises(ValueError, match="shape \\(3, 64\\) with 1 values"): quantize_nf4(weight)


def test_any_table():
    "`quantize_blockwise` finds the nearest level of any ascending table"
    x, table = torch.randn(1000), torch.tensor([-1., -.2, 0, .5, 1])
    codes, absmax = quantize_blockwise(x, table, 100)
    nearest = (x.view(10, 100, 1)/absmax.view(10, 1, 1) - table).abs().argmin(-1).view(-1)
    assert torch.equal(codes.long(), nearest)
    assert torch.equal(dequantize_blockwise(codes, absmax, table, 100), table[nearest]*absmax.repeat_interleave(100))


@pytest.mark.parametrize("blocksize,plain,double", [(32, 5, 4.25390625), (64, 4.5, 4.126953125), (128, 4.25, 4.0634765625)])
def test_bits(blocksize, plain, double):
    assert bits_per_param(blocksize, double=False) == plain and bits_per_param(blocksize) == double


def test_model_still_works_after_inference():
    "bitsandbytes repacks weights for inference on some CPUs; merging afterwards must not read them as plain"
    peft = pytest.importorskip("peft")
    net = quantize_linears(load_model("tiny", weights="random", device="cpu")[0])
    net = peft.get_peft_model(net, peft.LoraConfig(r=4, target_modules="all-linear")).eval()
    ids = torch.arange(40)[None]
    with torch.no_grad():
        before = net(ids).logits
        with pytest.warns(UserWarning, match="rounding errors"): merged = net.merge_and_unload()
        after = merged(ids).logits
    assert (after - before).norm() < .2*before.norm()     # B is zero: only the requantisation differs


def test_linears():
    net = load_model("tiny", weights="random", device="cpu")[0]
    norms = [n for n, p in net.named_parameters() if p.dim() == 1]
    quantize_linears(net, skip=("lm_head", "down_proj"))
    kinds = {n.split(".")[-1]: type(m).__name__ for n, m in net.named_modules() if n.endswith(("proj", "lm_head"))}
    assert kinds["down_proj"] == kinds["lm_head"] == "Linear" and kinds["q_proj"] == "Linear4bit"
    assert [n for n, p in net.named_parameters() if p.dim() == 1] == norms
    assert net.lm_head.weight is net.model.embed_tokens.weight


@pytest.mark.slow
def test_no_log_line():
    code = "import ftlab.quant, bitsandbytes"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "gemm_4bit_forward" not in done.stderr
