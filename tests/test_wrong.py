"The two checks of the lesson on quiet mistakes, on rows and models that any tool may have made."
import pytest
import torch

from ftlab.core import load_model
from ftlab.tokens import IGNORE_INDEX, encode
from ftlab.wrong import endless, unfed

NO, END = IGNORE_INDEX, 9


@pytest.mark.parametrize("labels, good", [
    ([NO, 1, END], True), ([NO, 1, END, NO, 2, END], True), ([NO, 1, END, 3], True), ([NO, 1], False),
    ([NO, 1, NO, 2, END], False), ([NO, 1, END, NO, 2], False), ([NO, 1, NO, END], False), ([NO, NO], True),
    ([], True), ([1, 2, 3], False)])
def test_each_answer_needs_its_own_end(labels, good):
    assert endless([{"labels": [NO, END]}, {"labels": labels}], {END, 8}) == [1]*(not good)


def test_what_encode_makes_has_its_ends():
    _, tokenizer = load_model("tiny", "random")
    turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    row = encode({"messages": [{"role": r, "content": c} for r, c in turns]}, tokenizer)
    assert endless([row], {tokenizer.eos_token_id}) == []


def test_what_trains_and_gets_no_gradient():
    model = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 2), "left": torch.nn.Linear(2, 2), "frozen": torch.nn.Linear(2, 2)})
    model["frozen"].requires_grad_(False)
    torch.nn.init.zeros_(model["used"].weight)
    model["used"](torch.zeros(1, 2)).sum().backward()             # a gradient of zeros is one
    assert unfed(model) == ["left.weight", "left.bias"]
