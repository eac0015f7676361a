"Packing: every row in one bin, no bin over its size, and no conversation that another one can reach."
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab.pack import best_fit, join, pack
from ftlab.tokens import IGNORE_INDEX

SIZE = st.integers(1, 60)


def sized(size): return st.lists(st.integers(1, size), max_size=80)


def first_fit(lengths, size):
    "As they come, each into the first bin with room"
    bins, room = [], []
    for i, n in enumerate(lengths):
        b = next((b for b, left in enumerate(room) if left >= n), len(bins))
        if b == len(bins): bins.append([]); room.append(size)
        bins[b].append(i); room[b] -= n
    return bins


def plain_best_fit(lengths, size):
    "Best fit decreasing with a search through all bins: how many bins"
    room = []
    for n in sorted(lengths, reverse=True):
        fits = [b for b, left in enumerate(room) if left >= n]
        if not fits: room.append(size - n)
        else: room[min(fits, key=room.__getitem__)] -= n
    return len(room)


def fewest(lengths, size):
    "The fewest bins of all, by trying every order"
    return min(len(first_fit(order, size)) for order in itertools.permutations(lengths)) if lengths else 0


@given(SIZE.flatmap(lambda size: st.tuples(sized(size), st.just(size))))
@settings(max_examples=300, deadline=None)
def test_best_fit(case):
    lengths, size = case
    bins = best_fit(lengths, size)
    assert sorted(i for b in bins for i in b) == list(range(len(lengths)))
    assert all(0 < sum(lengths[i] for i in b) <= size for b in bins)
    assert bins == best_fit(list(lengths), size)
    assert len(bins) == plain_best_fit(lengths, size)
    assert sum(sum(lengths[i] for i in b) * 2 <= size for b in bins) <= 1      # two half-empty bins would be one


@given(st.lists(st.integers(1, 10), max_size=6))
@settings(max_examples=100, deadline=None)
def test_best_fit_against_the_fewest_bins(lengths): assert len(best_fit(lengths, 10)) <= fewest(lengths, 10) * 11 / 9 + 4


def test_longest_first_is_a_rule_and_no_proof():
    assert len(best_fit([5, 3, 2, 4, 3, 3], 10)) == 3 and fewest([5, 3, 2, 4, 3, 3], 10) == 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [512, 1024, 4096])
def test_best_fit_takes_no_more_rows_than_first_fit(seed, size):
    rng = random.Random(seed)
    lengths = [min(size, int(rng.lognormvariate(5, 1)) + 1) for _ in range(2000)]
    assert -(-sum(lengths) // size) <= len(best_fit(lengths, size)) <= len(first_fit(lengths, size))


@pytest.mark.slow
def test_a_million_lengths():
    rng = random.Random(0)
    lengths = rng.choices([min(2048, int(rng.lognormvariate(5.3, .7)) + 1) for _ in range(10_000)], k=1_000_000)
    bins = best_fit(lengths, 2048)
    assert sum(map(len, bins)) == 1_000_000 and sum(lengths) / (len(bins) * 2048) > .999
    assert max(sum(lengths[i] for i in b) for b in bins) <= 2048


@pytest.mark.parametrize("lengths, size, text", [([3, 5], 4, "conversation 1 has 5 tokens"),
                                                 ([0], 4, "conversation 0 has 0 tokens")])
def test_best_fit_says_what_does_not_fit(lengths, size, text):
    with pytest.raises(ValueError, match=text): best_fit(lengths, size)


def rows_of(seed, vocab=259, most=24, shared=0):
    "Random conversations of 2 to `most` tokens with labels anywhere, maybe a beginning that all share"
    rng = random.Random(seed)
    start, rows = [rng.randrange(vocab) for _ in range(shared)], []
    for _ in range(rng.randint(2, 6)):
        ids = start + [rng.randrange(vocab) for _ in range(rng.randint(2, most))]
        taught = {shared + 1} | {i for i in range(shared, len(ids)) if rng.random() < .4}
        rows.append({"input_ids": ids, "labels": [t if i in taught else IGNORE_INDEX for i, t in enumerate(ids)]})
    return rows


def disturb(rows, which, seed, keep):
    "Other tokens in one conversation, in the same places"
    rng, row = random.Random(seed), rows[which]
    ids = row["input_ids"][:keep] + [(t + rng.randrange(1, 259)) % 259 for t in row["input_ids"][keep:]]
    labels = [IGNORE_INDEX if l == IGNORE_INDEX else t for l, t in zip(row["labels"], ids)]
    return [*rows[:which], {"input_ids": ids, "labels": labels}, *rows[which + 1:]]


@pytest.fixture(scope="module")
def tiny():
    from ftlab.core import load_model
    return load_model("tiny", "random", device="cpu")[0]


def logits(model, rows, how):
    "Each conversation's logits where something is taught"
    import torch

    from ftlab.pack import collate, use_packing, walled
    if how in ("sdpa", "eager"):
        model.set_attn_implementation(how)
        with torch.no_grad(): out = model(**walled(join(rows))).logits[0]
        return list(out.split([len(r["input_ids"]) for r in rows]))
    use_packing(model)
    batch = collate(rows, share="share" in how, fill=16 if "fill" in how else 1)
    labels = batch.pop("labels")
    with torch.no_grad(): out = model(**batch).logits[0][labels != IGNORE_INDEX]
    return list(out.split([sum(l != IGNORE_INDEX for l in r["labels"][1:]) for r in rows]))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shared", [0, 7])
@pytest.mark.parametrize("how", ["sdpa", "eager", "share", "share fill", "apart", "apart fill"])
def test_no_conversation_sees_another(tiny, how, shared, seed):
    import torch
    rows = rows_of(seed, shared=shared)
    before = logits(tiny, rows, how)
    for which in range(len(rows)):
        after = logits(tiny, disturb(rows, which, seed, keep=shared), how)
        assert [torch.equal(a, b) for a, b in zip(before, after)] == [i != which for i in range(len(rows))]


@pytest.mark.parametrize("how", ["sdpa", "eager"])
def test_every_length_from_one(tiny, how):
    "A conversation of one token, of two, ... of twelve, in one row"
    import torch
    rng = random.Random(0)
    rows = [{"input_ids": (ids := [rng.randrange(259) for _ in range(n)]), "labels": ids} for n in range(1, 13)]
    before = logits(tiny, rows, how)
    for which in range(len(rows)):
        after = logits(tiny, disturb(rows, which, which, keep=0), how)
        assert [torch.equal(a, b) for a, b in zip(before, after)] == [i != which for i in range(len(rows))]


def test_without_walls_they_do_see_each_other(tiny):
    "The test above can fail"
    import torch
    rows = rows_of(3)
    tiny.set_attn_implementation("sdpa")

    def last(rows):
        ids = torch.tensor([[i for r in rows for i in r["input_ids"]]])
        with torch.no_grad(): return tiny(input_ids=ids, use_cache=False).logits[0, -len(rows[-1]["input_ids"]):]
    assert not torch.equal(last(rows), last(disturb(rows, 0, 3, keep=0)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shared", [0, 7])
@pytest.mark.parametrize("how", ["share", "apart", "share fill"])
def test_labels_anywhere_give_the_loss_of_one_at_a_time(tiny, how, shared, seed):
    import torch
    from torch.nn.functional import cross_entropy

    from ftlab.pack import collate, packed_loss, use_packing
    rows = rows_of(seed, shared=shared)
    use_packing(tiny)
    with torch.no_grad(): fast = packed_loss(tiny, collate(rows, share="share" in how, fill=16 if "fill" in how else 1))
    tiny.set_attn_implementation("sdpa")
    with torch.no_grad(): slow = sum(cross_entropy(
        tiny(input_ids=torch.tensor([r["input_ids"]])).logits[0, :-1], torch.tensor(r["labels"][1:]), reduction="sum")
        for r in rows)
    assert torch.allclose(fast, slow, rtol=1e-5)


def test_join_keeps_everything_but_a_first_label():
    rows = rows_of(1)
    row, at = join(rows), 0
    for r, n in zip(rows, row["seq_lengths"]):
        assert row["input_ids"][at:at + n] == r["input_ids"]
        assert row["labels"][at:at + n] == [IGNORE_INDEX, *r["labels"][1:]]
        at += n
    assert at == len(row["input_ids"]) == len(row["labels"])


@pytest.mark.parametrize("labels", [[IGNORE_INDEX] * 3, [5, IGNORE_INDEX, IGNORE_INDEX]])
def test_a_row_that_teaches_nothing_is_refused(labels):
    for share in (True, False):
        with pytest.raises(ValueError, match="teaches none of them"): pack([{"input_ids": [5, 6, 7], "labels": labels}], share)
