"""Which rank fits a budget, and how thin a matrix is."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab.rank import costs, energy, rank_for, stable_rank, truncate
from ftlab.shapes import known, load_shapes, lora_params

MODELS = {n: load_shapes(n) for n in ("smollm2-135m-instruct", "llama-3-8b", "qwen2.5-7b", "gemma-2-2b", "llama-2-70b")}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(MODELS)), target=st.sampled_from(["q,v", "gate_proj,up_proj,down_proj", "all-linear"]),
       budget=st.integers(2**18, 2**31))
def test_the_rank_is_the_largest_that_fits(name, target, budget):
    shapes = MODELS[name]
    def trains(r): return lora_params(shapes, r, target)["trainable"]
    if budget < trains(1):
        with pytest.raises(ValueError, match="are too few: rank 1"): rank_for(shapes, target, budget)
        return
    r = rank_for(shapes, target, budget)
    assert trains(r) <= budget
    try: more = trains(r + 1)
    except ValueError: return       # the narrowest matrix holds no more
    assert more > budget


@pytest.mark.parametrize("name", known())
def test_costs_add_up(name):
    got = costs(load_shapes(name), 4)
    assert sum(got.values()) == lora_params(load_shapes(name), 4, "all-linear")["trainable"]
    assert "lm_head" not in got


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=st.integers(1, 20), columns=st.integers(1, 20), seed=st.integers(0, 99), data=st.data())
def test_spectra_against_numpy(rows, columns, seed, data):
    torch.manual_seed(seed)
    W = torch.randn(rows, columns)
    S = torch.linalg.svdvals(W)
    r = data.draw(st.integers(0, min(rows, columns)))
    lost = np.linalg.norm(W - truncate(W, r))**2 / np.linalg.norm(W)**2
    assert abs((energy(S)[r - 1].item() if r else 0) - (1 - lost)) < 1e-4
    assert np.linalg.matrix_rank(truncate(W, r), tol=1e-4) <= r
    assert abs(stable_rank(S) - np.linalg.norm(W)**2 / np.linalg.norm(W, 2)**2) < 1e-3
    assert torch.all(energy(S).diff() >= 0) and abs(energy(S)[-1] - 1) < 1e-12


def test_zeros_have_no_direction():
    with pytest.raises(ValueError, match="a matrix of zeros"): energy(torch.zeros(4))
    with pytest.raises(ValueError, match="a matrix of zeros"): stable_rank(torch.zeros(4))
