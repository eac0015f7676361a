"""NF4 against bitsandbytes, bit for bit, on more shapes than the lesson shows; refusals; merging."""
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab import qlora
from ftlab.core import load_model
from ftlab.fourbit import CODES, code_levels, float_levels, int_levels, round_trip
from ftlab.lora import LoRALinear, inject, merge
from ftlab.quant import (bits_per_param, dequantize_blockwise, dequantize_nf4, nf4_levels,
                         quantize_blockwise, quantize_linears, quantize_nf4)

F = pytest.importorskip("bitsandbytes.functional")
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def bits(t): return t.contiguous().view({1: torch.uint8, 2: torch.int16, 4: torch.int32}[t.element_size()])


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


KINDS = {
    "normal": lambda n: torch.randn(n)*.02, "uniform": lambda n: torch.rand(n) - .5,
    "cauchy": lambda n: (torch.randn(n)/torch.randn(n)).clamp(-6e4, 6e4),
    "sparse": lambda n: torch.randn(n)*(torch.rand(n) < .05), "zero": lambda n: torch.zeros(n),
    "outlier": lambda n: torch.randn(n).index_fill(0, torch.tensor([n//2]), 6e4),
    "denormal": lambda n: torch.randn(n)*1e-39, "constant": lambda n: torch.full((n,), -.3),
    "midpoints": lambda n: ((nf4_levels()[1:] + nf4_levels()[:-1])/2).repeat(n//15 + 1)[:n]}


@pytest.mark.slow
def test_sweep():
    "Codes, absmax, nested state and values, bit by bit (signs of zero too), over at least 200 different tensors"
    tried = set()

    @settings(max_examples=500, deadline=None, derandomize=True, database=None)
    @given(n=st.integers(1, 9000), blocksize=st.sampled_from([64 << i for i in range(7)]), double=st.booleans(),
           dtype=st.sampled_from(DTYPES), kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 2**31))
    def sweep(n, blocksize, double, dtype, kind, seed):
        torch.manual_seed(seed)
        weight = KINDS[kind](n).to(dtype)
        for ours, theirs in parts(weight, blocksize, double):
            assert ours.dtype == theirs.dtype
            if ours.dtype == torch.bfloat16:      # a CPU with bfloat16 instructions writes zero for a denormal
                tiny = ours.abs() < torch.finfo(torch.bfloat16).tiny
                theirs = torch.where(tiny & (theirs == 0), ours, theirs)
            assert torch.equal(bits(ours), bits(theirs))
        tried.add((bits(weight).numpy().tobytes(), dtype, kind, blocksize))

    with torch.compiler.set_stance("force_eager"): sweep()
    assert len({t[:2] for t in tried}) >= 200
    assert [len({t[i] for t in tried}) for i in (1, 2, 3)] == [3, len(KINDS), 7]


def test_denormal_halves_equal_the_portable_kernel():
    "Where the CPU's instructions flush, bitsandbytes' own portable kernel does not, and has our bits"
    from bitsandbytes.backends.default.ops import _dequantize_4bit_compute
    weight = (torch.randn(130, generator=torch.Generator().manual_seed(0))*1e-39).bfloat16()
    packed, state = F.quantize_4bit(weight, quant_type="nf4")
    with torch.compiler.set_stance("force_eager"):
        theirs = _dequantize_4bit_compute(packed.view(-1), state.absmax, nf4_levels(), 64, (130,), torch.bfloat16)
    ours = dequantize_nf4(quantize_nf4(weight, double=False))
    assert ours.any() and torch.equal(bits(ours), bits(theirs))


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


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_not_floating(dtype):
    with pytest.raises(ValueError, match=f"tensor of {dtype}.*float32, float16 or bfloat16"):
        quantize_nf4(torch.ones(64, dtype=dtype))


def test_empty():
    with pytest.raises(ValueError, match="at least one value"): quantize_nf4(torch.empty(0, 64))


def test_scales_that_overflow():
    "bitsandbytes gives nan without a word; the plain scales hold such weights"
    weight = torch.full((256,), 3e38)
    assert F.dequantize_4bit(*F.quantize_4bit(weight, compress_statistics=True, quant_type="nf4")).isnan().any()
    with pytest.raises(ValueError, match="scales up to 3e\\+38 overflow float32.*double=False"): quantize_nf4(weight)
    assert torch.equal(dequantize_nf4(quantize_nf4(weight, double=False)), weight)


@pytest.mark.parametrize("size", [0, -64, 16, 48, 8192])
def test_block_sizes(size):
    with pytest.raises(ValueError, match=f"blocksize={size} is not"): quantize_nf4(torch.randn(64), size)
    with pytest.raises(ValueError): F.quantize_4bit(torch.randn(64), blocksize=size, quant_type="nf4")


def test_a_device_that_cannot(monkeypatch):
    "One sentence that says which device, and what to do; the model stays as it was"
    net = torch.nn.Sequential(torch.nn.Linear(64, 64, device="meta"))
    with pytest.raises(ValueError, match="device 'meta' cannot hold 4-bit weights.*load the model on cpu or cuda"):
        quantize_linears(net)

    def no_kernel(*_, **__): raise NotImplementedError("Could not run 'bitsandbytes::quantize_4bit'. A long list follows")
    monkeypatch.setattr(F, "quantize_4bit", no_kernel)
    net = torch.nn.Sequential(torch.nn.Linear(64, 64))
    with pytest.raises(ValueError, match="device 'cpu' cannot hold.*Could not run 'bitsandbytes::quantize_4bit'\\)"):
        quantize_linears(net)
    assert type(net[0]) is torch.nn.Linear


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


def test_exact_bit_widths():
    "Double quantisation: 0.5 → 0.127 bits a parameter, computed and counted in bytes"
    assert bits_per_param(64, False) - 4 == 32/64 == .5
    assert bits_per_param(64, True) - 4 == 8/64 + 32/(64*256) == .126953125
    weight = torch.randn(256, 1024)
    for double in (False, True):
        stored = quantize_nf4(weight, 64, double).nbytes*8 - 32*double      # one mean for the whole tensor
        assert stored == bits_per_param(64, double)*weight.numel()


def test_codes_from_their_bits():
    "Every float of four and of eight bits, decoded one pattern at a time and without the code under test"
    def decode(pattern, e, m):
        sign, exponent, mantissa = pattern >> (e + m), pattern >> m & (1 << e) - 1, pattern & (1 << m) - 1
        bias = (1 << e - 1) - 1
        size = mantissa/2**m*2.**(1 - bias) if exponent == 0 else (1 + mantissa/2**m)*2.**(exponent - bias)
        return -size if sign else size
    for e, m in [(2, 1), (3, 0), (1, 2), (4, 3), (5, 2), (2, 3), (3, 2)]:
        values = torch.tensor([decode(p, e, m) for p in range(1 << 1 + e + m)]).unique()
        levels = float_levels(e, m)
        assert len(levels) == (1 << 1 + e + m) - 1
        assert torch.allclose(levels*values.max(), values, rtol=1e-6, atol=0) and levels[len(levels)//2] == 0
    assert (float_levels(2, 1)*6).tolist() == [-6, -4, -3, -2, -1.5, -1, -.5, 0, .5, 1, 1.5, 2, 3, 4, 6]


def test_whole_numbers():
    for b in range(2, 9):
        levels = int_levels(b)
        assert len(levels) == 2**b - 1 and torch.equal(levels, -levels.flip(0)) and levels[-1] == 1
        assert torch.allclose(levels.diff(), torch.tensor(1/(2**(b - 1) - 1)))
    x = torch.randn(20, 256)
    theirs, absmax, _ = F.int8_vectorwise_quant(x)
    codes, scale = quantize_blockwise(x, int_levels(8), 256)
    assert torch.equal(codes.int().view(20, 256) - 127, theirs.int()) and torch.equal(scale, absmax)


def test_fp4_is_not_e2m1():
    mine, theirs = code_levels("e2m1"), code_levels("fp4")
    differ = (mine != theirs).nonzero().view(-1).tolist()
    assert differ == [6, 8] and mine[8]/theirs[8] == 16
    assert torch.equal(theirs, F.get_4bit_type("fp4", "cpu").unique())


@pytest.mark.parametrize("code", CODES)
def test_round_trip(code):
    "Once through changes, twice changes no more; the shape and dtype stay; each value is the nearest level"
    weight = torch.randn(6, 128)*.1
    once = round_trip(weight, code)
    assert once.shape == weight.shape and once.dtype == weight.dtype and not torch.equal(once, weight)
    if code == "nf4+dq": return
    assert torch.allclose(round_trip(once, code), once, rtol=1e-6, atol=0)
    blocks, back = weight.view(-1, 64, 1), once.view(-1, 64)
    absmax = blocks.abs().amax(1, keepdim=True)
    nearest = (blocks - code_levels(code)*absmax).abs().amin(-1)
    assert torch.allclose((blocks[..., 0] - back).abs(), nearest, atol=1e-7)


def test_codes_refuse():
    with pytest.raises(ValueError, match="no code is called 'nf5'; there are: int8"): round_trip(torch.ones(64), "nf5")
    for e, m in [(0, 3), (8, 0), (2, -1)]:
        with pytest.raises(ValueError, match=f"E{e}M{m}"): float_levels(e, m)
    for b in (1, 9):
        with pytest.raises(ValueError, match=f"bits={b}"): int_levels(b)


def layers(dtype, compute, adapter, bias, inputs=128, outputs=192):
    "Our QLoRA layer, and peft's over bitsandbytes', with the same weights"
    peft = pytest.importorskip("peft")
    plain = torch.nn.Linear(inputs, outputs, bias=bias).to(dtype)
    copy = torch.nn.Linear(inputs, outputs, bias=bias).to(dtype)
    copy.load_state_dict(plain.state_dict())
    ours = qlora.QLoRALinear(plain, 8, 24, compute, adapter)
    torch.nn.init.normal_(ours.B.weight)
    net = quantize_linears(torch.nn.Sequential(copy), compute_dtype=compute)
    theirs = peft.inject_adapter_in_model(peft.LoraConfig(r=8, lora_alpha=24, target_modules=["0"]), net)[0]
    for name in "AB": getattr(theirs, f"lora_{name}").default.weight.data = getattr(ours, name).weight.data.clone()
    return ours, theirs


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("adapter", DTYPES)
@pytest.mark.parametrize("compute", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", DTYPES)
def test_qlora_layer(dtype, compute, adapter, bias):
    torch.manual_seed(0)
    ours, theirs = layers(dtype, compute, adapter, bias)
    x, gradient = torch.randn(2, 5, 128).to(dtype), torch.randn(2, 5, 192).to(dtype)
    found = []
    for layer, A, B in ((ours, ours.A, ours.B), (theirs, theirs.lora_A.default, theirs.lora_B.default)):
        mine = x.clone().requires_grad_()
        y = layer(mine)
        y.backward(gradient)
        found.append([y.detach(), mine.grad, A.weight.grad, B.weight.grad])
    for a, b in zip(*found): assert a.dtype == b.dtype and torch.equal(a, b) and a.any()
    assert ours.A.weight.dtype == adapter and ours.base.weight.dtype == torch.uint8
    assert [n for n, p in ours.named_parameters() if p.requires_grad] == ["A.weight", "B.weight"]


def test_qlora_gradients_are_those_of_the_dequantised_layer():
    "Not only equal to a library: equal to plain autograd over the weight written out"
    layer = qlora.Linear4(torch.nn.Linear(64, 48))
    x = torch.randn(3, 64, requires_grad=True)
    y = layer(x)
    plain = torch.nn.functional.linear(x, dequantize_nf4(layer.q), layer.bias)
    g = torch.randn(3, 48)
    assert torch.equal(y, plain)
    assert torch.equal(*(torch.autograd.grad(out, x, g)[0] for out in (y, plain)))


def test_four_bit_base_keeps_nothing_for_backward():
    kept = []
    layer, x = qlora.Linear4(torch.nn.Linear(64, 48)), torch.randn(3, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t): y = layer(x)
    y.sum().backward()
    assert kept == [] and x.grad is not None


def test_qlora_refuses():
    net = load_model("tiny", weights="random", device="cpu")[0]
    assert qlora.to_four_bits(net) == 14 and isinstance(net.lm_head, torch.nn.Linear)
    with pytest.raises(ValueError, match="nothing to quantise: 1 linear layers"): qlora.to_four_bits(net)
    inject(net, 4, 8, "q_proj")
    with pytest.raises(ValueError, match="quantise first, adapt after"): qlora.to_four_bits(net)
    with pytest.raises(ValueError, match="merge into the unquantised base"): merge(net)
    with pytest.raises(ValueError, match="r=65 cannot adapt"): qlora.QLoRALinear(torch.nn.Linear(64, 64), 65, 8)
    assert all(isinstance(m.base, qlora.Linear4) for m in net.modules() if isinstance(m, LoRALinear))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_forward_passes(checkpointing):
    "Finished passes: torch skips the last product of a block, whose value nobody wants again"
    net = load_model("tiny", weights="random", device="cpu")[0].train()
    if checkpointing: net.activation_checkpointing_enable({"use_reentrant": False})
    calls = qlora.forward_passes(net, torch.arange(12)[None])
    assert calls.pop("lm_head") == calls.pop("down_proj") == 1
    assert len(calls) == 6 and set(calls.values()) == {1 + checkpointing}
    assert not any(m._forward_hooks for m in net.modules() if isinstance(m, torch.nn.Linear))


def test_paged_traffic():
    got = qlora.paged_traffic([99_999, 100_000, 250_000], bandwidth=1e6)
    assert got == {"tensors": 2, "bytes": 2*8*350_000, "seconds": 5.6}
    for sizes, bandwidth in [([], 1.), ([0], 1.), ([5], 0)]:
        with pytest.raises(ValueError, match="bandwidth above zero"): qlora.paged_traffic(sizes, bandwidth)
