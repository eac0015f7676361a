"""Evaluation beyond the lesson: parity with libraries, properties, files, faults."""
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import sacrebleu
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score

from ftlab import evaluate as ev
from ftlab.core import load_model
from ftlab.cron import SYSTEM
from ftlab.evaluate import bootstrap, evaluate_file, generate, pass_at_k, perplexity, score, solved, wilson
from ftlab.tokens import encode


@pytest.fixture(scope="module")
def tiny(): return load_model("tiny", weights="random", device="cpu")


def chat(question, answer=None, system=None):
    turns = [("system", system), ("user", question), ("assistant", answer)]
    return {"messages": [{"role": r, "content": c} for r, c in turns if c is not None]}


CHATS = [chat("q" * n, "a" * (1 + n % 5)) for n in (3, 40, 1, 17, 9, 25, 2)]


def test_importing_is_light():
    heavy = "torch", "transformers", "evaluate"
    code = f"import sys, ftlab.evaluate, ftlab.compare; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_answers_equal_transformers_one_by_one(tiny):
    model, tok = tiny
    for got, c in zip(generate(model, tok, CHATS, 8, batch_size=4), CHATS):
        text = tok.apply_chat_template(c["messages"][:-1], tokenize=False, add_generation_prompt=True)
        ids = tok(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)
        assert got == tok.decode(out[0, ids.shape[1]:], skip_special_tokens=True)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 99])
def test_batch_size_and_padding_side_change_no_answer(tiny, size):
    model, tok = tiny
    want = generate(model, tok, CHATS, 8)
    for side in ("left", "right"):
        tok.padding_side = side
        assert generate(model, tok, CHATS, 8, batch_size=size) == want
        assert generate(model, tok, CHATS[::-1], 8, batch_size=size) == want[::-1]


@pytest.mark.parametrize("chats", [
    [chat("abc", system="one"), chat("abc"), chat("abcdef", system="two")], [chat("abc")] * 3, [chat("abc")]])
def test_what_prompts_share_changes_no_answer(tiny, chats):
    model, tok = tiny
    assert generate(model, tok, chats, 6) == [generate(model, tok, [c], 6)[0] for c in chats]


def test_no_conversations_no_answers(tiny): assert generate(*tiny, []) == []


def test_a_sampling_model_is_still_asked_greedily(tiny):
    model, tok = tiny
    want, config = generate(model, tok, CHATS, 6), model.generation_config
    config.do_sample, config.temperature, config.repetition_penalty = True, 5., 1.9
    try: assert generate(model, tok, CHATS, 6) == want
    finally: config.do_sample, config.temperature, config.repetition_penalty = False, 1., 1.


def test_perplexity_is_over_tokens(tiny):
    model, tok = tiny
    nll = []
    for c in CHATS:
        row = encode(c, tok)
        with torch.inference_mode(): logp = model(torch.tensor([row["input_ids"]])).logits[0].log_softmax(-1)
        nll += [-logp[i - 1, l].item() for i, l in enumerate(row["labels"]) if l >= 0]
    want = math.exp(sum(nll) / len(nll))
    for side in ("left", "right"):
        tok.padding_side = side
        for size in (1, 2, 5, 50): assert perplexity(model, tok, CHATS, size) == pytest.approx(want, rel=1e-4)


@given(st.integers(1, 3000), st.data())
@settings(max_examples=150, deadline=None)
def test_wilson_equals_scipy(n, data):
    k = data.draw(st.integers(0, n))
    low, high = wilson(k, n)
    theirs = binomtest(k, n).proportion_ci(method="wilson")
    assert low == pytest.approx(theirs.low, abs=1e-12) and high == pytest.approx(theirs.high, abs=1e-12)
    assert 0 <= low <= k/n <= high <= 1


@given(st.integers(1, 60), st.data())
@settings(max_examples=150, deadline=None)
def test_pass_at_k_equals_the_product_form(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    # the numerically stable product in the paper's figure 3
    theirs = 1. if n - c < k else 1. - np.prod(1. - k / np.arange(n - c + 1, n + 1))
    assert pass_at_k(n, c, k) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("n, c, k", [(5, 1, 6), (5, 1, 0), (5, 6, 1), (5, -1, 1), (0, 0, 1)])
def test_pass_at_k_refuses(n, c, k):
    with pytest.raises(ValueError): pass_at_k(n, c, k)


words = st.lists(st.sampled_from("the cat sat on a mat and dog ran far".split()), min_size=1, max_size=12)
texts = st.lists(st.tuples(words.map(" ".join), words.map(" ".join)), min_size=1, max_size=12)


@given(texts)
@settings(max_examples=40, deadline=None)
def test_metrics_equal_their_libraries_and_sums_equal_metrics(pairs):
    told, wanted = map(list, zip(*pairs))
    library = {"accuracy": accuracy_score(wanted, told), "bleu": sacrebleu.corpus_bleu(told, [wanted]).score/100,
               "f1": f1_score(wanted, told, average="macro", zero_division=0)}
    for name, value in library.items():
        tool = ev._metric(name)
        assert tool._compute(told, wanted)[name] == pytest.approx(value)
        assert tool.total(np.sum(tool.statistics(told, wanted), 0).tolist(), len(told)) == pytest.approx(value)


@pytest.mark.parametrize("name", ["accuracy", "bleu", "cron", "f1", "rouge"])
def test_every_metric_is_one_for_the_truth_and_has_a_sane_interval(name):
    wanted = ["0 9 * * mon", "5 4 1 1 *", "7 * * * *", "0 0 1 * *"]
    assert score(wanted, wanted, name)["score"] == pytest.approx(1)
    got = score(["0 9 * * mon", "0 0 1 1 *", "1 2 3 4 5", "9"], wanted, name)
    assert got == score(["0 9 * * mon", "0 0 1 1 *", "1 2 3 4 5", "9"], wanted, name)
    assert 0 <= got["low"] <= got["score"] <= got["high"] <= 1 and got["n"] == 4 and set(got) == {"score", "low", "high", "n"}


@pytest.mark.slow
def test_metrics_load_without_a_network(tmp_path):
    code = ("import socket\ndef no(*a, **k): raise SystemExit('network!')\nsocket.socket.connect = no\n"
            "socket.getaddrinfo = no\nfrom ftlab.evaluate import score\n"
            "print([score(['0 9 * * 1'], ['0 9 * * 1'], m)['n'] for m in ('accuracy', 'bleu', 'cron', 'f1', 'rouge')])")
    env = dict(os.environ, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert r.stdout == "[1, 1, 1, 1, 1]\n", r.stderr[-500:]


def test_bootstrap_covers():
    rng, hits = np.random.default_rng(1), 0
    for trial in range(200):
        low, high = bootstrap([[x] for x in rng.normal(3, 1, 60)], lambda s, n: s[0]/n, 300, seed=trial)
        hits += low <= 3 <= high
    assert .88 <= hits/200 <= .99


@pytest.mark.parametrize("told, wanted, metric, text", [
    (["a"], [], "f1", "1 predictions for 0 references"), ([], [], "bleu", "at least one"),
    (["a"], ["b"], "BLEU", "there are: accuracy, bleu, cron, f1, rouge"), (["a"], ["b"], "../bleu", "no metric"),
    (["* * * * *"], ["99 * * * *"], "cron", "is no schedule")])
def test_score_refuses(told, wanted, metric, text):
    with pytest.raises(ValueError, match=text): score(told, wanted, metric)


def test_f1_is_for_labels():
    with pytest.raises(ValueError, match="labels"): score([f"a{i}" for i in range(1200)], ["b"] * 1200, "f1")


PROBLEM = {"prompt": "def f(x):\n", "entry_point": "f",
           "test": "def check(candidate):\n    assert candidate(2) == (4, [1])\n    assert True\n    assert candidate(x) == 1\n"}


def test_cases():
    assert ev._cases(PROBLEM["test"]) is None                      # an input that is no constant
    good = dict(PROBLEM, test="def check(candidate):\n    assert candidate(2) == (4, [1])\n    assert True\n")
    assert ev._cases(good["test"]) == [([2], (4, [1]))]
    assert solved(good, "    return 4, [1]\n", trusted=True) and not solved(good, "    return 4, [2]\n", trusted=True)
    for line in ("assert candidate(1) != 2", "assert other(1) == 2", "assert abs(candidate(1) - 2) < 1", "x = 1",
                 "for i in (1, 2): assert candidate(i) == i", "assert candidate(1) == len([1])"):
        assert not ev._cases(f"def check(candidate):\n    {line}\n"), line


def test_the_judge_is_not_fooled_by_a_program_that_equals_everything():
    good = dict(PROBLEM, test="def check(candidate):\n    assert candidate(2) == 4\n")
    yes = "    class Y:\n        def __eq__(s, o): return True\n    return Y()\n"
    assert not solved(good, yes, trusted=True)


def test_evaluate_file_reads_any_format(tiny, tmp_path):
    model, tok = tiny
    rows = {"messages": [chat("every day at 9", "0 9 * * *"), chat("noon", "0 12 * * *", "Be brief.")],
            "alpaca": [{"instruction": "every day at 9", "input": "", "output": "0 9 * * *"},
                       {"instruction": "noon", "output": "0 12 * * *", "system": "Be brief."}]}
    said = generate(model, tok, [chat("every day at 9", None, SYSTEM), chat("noon", None, "Be brief.")], 5)
    for name, lines in rows.items():
        path = tmp_path/f"{name}.jsonl"
        path.write_text("".join(json.dumps(r) + "\n" for r in lines) + "{broken\n")
        got = evaluate_file(model, tok, path, "cron", max_new_tokens=5)
        assert [s["prediction"] for s in got["samples"]] == said
        assert [s["reference"] for s in got["samples"]] == ["0 9 * * *", "0 12 * * *"]
        assert (got["n"], got["rejected"], got["score"]) == (2, 1, 0)
        assert json.loads(json.dumps(got)) == got
        assert evaluate_file(model, tok, path, "accuracy", 5, limit=1)["n"] == 1


def test_evaluate_file_refuses(tiny, tmp_path):
    empty = tmp_path/"bad.jsonl"
    empty.write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match="no usable record"): evaluate_file(*tiny, empty, "cron")
    with pytest.raises(FileNotFoundError): evaluate_file(*tiny, tmp_path/"none", "cron")
    with pytest.raises(ValueError, match="no metric 'x'"): evaluate_file(*tiny, empty, "x")
