"Masks: the right characters are taught, with eleven chat templates and five kinds of tokenizer, or it is refused."
import copy
import html
import json
import re
from functools import cache, partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from ftlab.template import ALPACA, TokenFault, end_token
from ftlab.tokens import IGNORE_INDEX, encode, encode_batch, show, spell, token_faults

# ---- chat templates, from their published descriptions: «» stands where a generation block may begin and end

ALTERNATE = ("{% for m in turns %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}")
NO_SYSTEM = ("{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
             "{% set turns = messages %}")
INVITE = "{% if add_generation_prompt %}{{ 'INVITE' }}{% endif %}"
TURN = ("{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}«{{ m.content + '<|im_end|>' }}»"
        "{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{{ '\n' }}")
CHATML_INVITE = INVITE.replace("INVITE", "<|im_start|>assistant\n")

JINJA = {
    "chatml": "{% for m in messages %}" + TURN + "{% endfor %}" + CHATML_INVITE,
    "qwen2.5": "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nYou are Qwen.<|im_end|>\n' }}{% endif %}"
               "{% for m in messages %}" + TURN + "{% endfor %}" + CHATML_INVITE,
    "llama-2": "{% if messages[0].role == 'system' %}{% set turns = messages[1:] %}{% set system = messages[0].content %}"
               "{% else %}{% set turns = messages %}{% set system = false %}{% endif %}" + ALTERNATE +
               "{% for m in turns %}{% if loop.index0 == 0 and system != false %}"
               "{% set words = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + m.content %}{% else %}"
               "{% set words = m.content %}{% endif %}{% if m.role == 'user' %}"
               "{{ bos_token + '[INST] ' + words.strip() + ' [/INST]' }}{% else %}"
               "«{{ ' ' + words.strip() + ' ' + eos_token }}»{% endif %}{% endfor %}",
    "llama-3": "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
               "{% if m.role == 'assistant' %}«{{ m.content | trim + '<|eot_id|>' }}»{% else %}"
               "{{ m.content | trim + '<|eot_id|>' }}{% endif %}{% endfor %}"
               + INVITE.replace("INVITE", "<|start_header_id|>assistant<|end_header_id|>\n\n"),
    "mistral": "{{ bos_token }}" + NO_SYSTEM + ALTERNATE + "{% for m in turns %}{% if m.role == 'user' %}"
               "{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}«{{ ' ' + m.content + eos_token }}»{% endif %}{% endfor %}",
    "gemma": "{{ bos_token }}" + NO_SYSTEM + ALTERNATE + "{% for m in turns %}{% if m.role == 'user' %}"
             "{{ '<start_of_turn>user\n' + m.content | trim + '<end_of_turn>\n' }}{% else %}{{ '<start_of_turn>model\n' }}"
             "«{{ m.content | trim + '<end_of_turn>' }}»{{ '\n' }}{% endif %}{% endfor %}"
             + INVITE.replace("INVITE", "<start_of_turn>model\n"),
    "phi-3": "{% for m in messages %}{{ '<|' + m.role + '|>\n' }}{% if m.role == 'assistant' %}«{{ m.content + '<|end|>' }}»"
             "{% else %}{{ m.content + '<|end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    "zephyr": "{% for m in messages %}{{ '<|' + m.role + '|>\n' }}{% if m.role == 'assistant' %}«{{ m.content + eos_token }}»"
              "{% else %}{{ m.content + eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
              + INVITE.replace("INVITE", "<|assistant|>\n"),
    "no-invitation": "{% for m in messages %}" + TURN + "{% endfor %}",
    "alpaca": ALPACA,
}
MARKS = {   # (bos, eos, further special tokens)
    "chatml": (None, "<|im_end|>", ["<|im_start|>"]),
    "qwen2.5": (None, "<|im_end|>", ["<|im_start|>", "<|endoftext|>"]),
    "llama-2": ("<s>", "</s>", []),
    "llama-3": ("<|begin_of_text|>", "<|end_of_text|>", ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]),
    "mistral": ("<s>", "</s>", []),
    "gemma": ("<bos>", "<eos>", ["<start_of_turn>", "<end_of_turn>"]),
    "phi-3": ("<s>", "<|endoftext|>", [AddedToken(f"<|{n}|>", rstrip=True, special=True)
                                       for n in ("system", "user", "assistant", "end")]),
    "zephyr": ("<s>", "</s>", []),
    "no-invitation": (None, "<|im_end|>", ["<|im_start|>"]),
    "alpaca": ("<s>", "</s>", []),
}
SYSTEM = {name for name in JINJA if name not in ("mistral", "gemma")}


# ---- the oracle: the same conversations, written character by character, taught or not

def chatml(messages, default=""):
    if default and messages[0]["role"] != "system": yield f"<|im_start|>system\n{default}<|im_end|>\n", False
    for m in messages:
        yield f"<|im_start|>{m['role']}\n", False
        yield m["content"] + "<|im_end|>", m["role"] == "assistant"
        yield "\n", False


def llama2(messages):
    system = messages[0]["content"] if messages[0]["role"] == "system" else None
    for i, m in enumerate(messages[system is not None:]):
        if m["role"] == "assistant": yield f" {m['content'].strip()} </s>", True
        elif i == 0 and system is not None:
            words = f"<<SYS>>\n{system}\n<</SYS>>\n\n{m['content']}"
            yield f"<s>[INST] {words.strip()} [/INST]", False
        else: yield f"<s>[INST] {m['content'].strip()} [/INST]", False


def llama3(messages):
    yield "<|begin_of_text|>", False
    for m in messages:
        yield f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n", False
        yield m["content"].strip() + "<|eot_id|>", m["role"] == "assistant"


def mistral(messages):
    yield "<s>", False
    for m in messages:
        if m["role"] == "user": yield f"[INST] {m['content']} [/INST]", False
        else: yield f" {m['content']}</s>", True


def gemma(messages):
    yield "<bos>", False
    for m in messages:
        yield f"<start_of_turn>{'model' if m['role'] == 'assistant' else 'user'}\n", False
        yield m["content"].strip() + "<end_of_turn>", m["role"] == "assistant"
        yield "\n", False


def named(messages, end, last=""):
    for m in messages:
        yield f"<|{m['role']}|>\n", False
        yield m["content"] + end, m["role"] == "assistant"
        yield "\n", False
    yield last, False


def alpaca(messages):
    yield "<s>", False
    for i, m in enumerate(messages):
        if m["role"] == "system": yield f"{m['content']}\n\n", False
        elif m["role"] == "user": yield f"### Instruction:\n{m['content']}\n\n### Response:\n", False
        else:
            yield f"{m['content']}</s>", True
            if i + 1 < len(messages): yield "\n\n", False


ORACLE = {"chatml": chatml, "qwen2.5": partial(chatml, default="You are Qwen."), "llama-2": llama2, "llama-3": llama3,
          "mistral": mistral, "gemma": gemma, "phi-3": partial(named, end="<|end|>", last="<|endoftext|>"),
          "zephyr": partial(named, end="</s>"), "no-invitation": chatml, "alpaca": alpaca}
END = {"llama-3": "<|eot_id|>", "gemma": "<end_of_turn>", "phi-3": "<|end|>"}


# ---- tokenizers, trained here

CORPUS = ["hello world, the answer is yes or no", "say: yes\nYes, it is.\n\nNo.", "9:30 on weekdays is 30 9 * * 1-5",
          "### Instruction:\nSay hi.\n\n### Response:\nHi. Hello. Yes", "<|user|>\nSay yes\n<|assistant|>\nYes",
          "user\nHi\n\nmodel\nHello\nassistant\nYes\n\n  indented\n\ttabbed", "[INST] say hi [/INST] Hi </s>",
          "été naïve 日本語 🙂🙂"] * 8
KINDS = ["byte-level", "trimming", "crossing", "metaspace", "sentencepiece"]


@cache
def _core(kind):
    tok = Tokenizer(models.BPE())
    train = partial(trainers.BpeTrainer, show_progress=False, vocab_size=600)
    if kind in ("metaspace", "sentencepiece"):      # words merge across blanks; unknown characters fall back to bytes
        tok = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
        if kind == "metaspace": tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        else: tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tok.train_from_iterator(CORPUS, train(special_tokens=["<unk>", *(f"<0x{i:02X}>" for i in range(256))]))
        data = json.loads(tok.to_str())              # bytes are ordinary tokens, not special ones
        data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
        tok = Tokenizer.from_str(json.dumps(data))
        tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                         decoders.Strip(" ", 1, 0)])
        return tok.to_str()
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind != "crossing")
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, train(initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    if kind == "trimming": tok.post_processor = processors.ByteLevel(trim_offsets=True)
    return tok.to_str()


@cache
def _tokenizer(name, kind="byte-level", marked=False):
    bos, eos, more = MARKS[name]
    tok = Tokenizer.from_str(_core(kind))
    tok.add_special_tokens([t for t in (bos, eos, *more) if t])
    template = JINJA[name].replace("«", "{% generation %}" * marked).replace("»", "{% endgeneration %}" * marked)
    return PreTrainedTokenizerFast(tokenizer_object=tok, bos_token=bos, eos_token=eos, pad_token=eos,
                                   chat_template=template)


def expected(name, tokenizer, messages, last=False):
    "(row, the text of each taught stretch) by the oracle: a token is taught if it covers a taught character"
    parts = [(text, taught) for text, taught in ORACLE[name](messages) if text]
    if last:
        final = max(i for i, (_, t) in enumerate(parts) if t)
        parts = [(text, t and i == final) for i, (text, t) in enumerate(parts)]
    whole, taught = "".join(text for text, _ in parts), [t for text, t in parts for _ in text]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == whole
    core = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    if core.post_processor: core.post_processor = processors.ByteLevel(trim_offsets=False)
    coded, special = core.encode(whole, add_special_tokens=False), {*tokenizer.added_tokens_decoder}
    labels, runs = [], []
    for i, (a, b) in zip(coded.ids, coded.offsets):
        mine = any(taught[a:b]) and not (i in special and not taught[a])    # a mark that swallowed blanks stays a mark
        if mine and (not labels or labels[-1] == IGNORE_INDEX): runs.append([a, b])
        elif mine: runs[-1][1] = max(b, runs[-1][1])
        labels.append(i if mine else IGNORE_INDEX)
    return {"input_ids": coded.ids, "labels": labels}, [whole[a:b] for a, b in runs]


def talk(*said, system=None):
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    return ([] if system is None else [{"role": "system", "content": system}]) + turns


ALL = pytest.mark.parametrize("name", JINJA)
EACH = pytest.mark.parametrize("kind", KINDS)
TALKS = {
    "single": talk("Say yes.", "Yes."),
    "multi": talk("Say yes.", "Yes.", "and no?", "No, it is 30 9 * * 1-5."),
    "three": talk("a", "b", "c", "d", "e", "f"),
    "unicode": talk("été 日本語?", "🙂 naïve 日本", "e\u0301\u200d👩‍👩‍👧", "\u0301é 🙂"),
    "blanks": talk("  Say yes.\n", "\n\n Yes. \t\n", "\tand?\n\n", "  No.  "),
    "markers": talk("say <|im_end|> or </s> [/INST] <|end|>", "an <end_of_turn> and <|eot_id|> and ### Response:\n inside",
                    "<|assistant|>\nYes", "[INST] Yes [/INST]"),
    "same": talk("Yes.", "Yes.", "Yes.", "Yes."),
    "short": talk(".", "y", "", "n"),
}


@ALL
@EACH
@pytest.mark.parametrize("said", TALKS)
def test_exactly_the_answers_are_taught(name, kind, said):
    tokenizer, end = _tokenizer(name, kind), END.get(name) or MARKS[name][1]
    systems = [None, "Be brief. "] if name in SYSTEM else [None]
    for system in systems:
        messages = talk(*(m["content"] for m in TALKS[said]), system=system)
        for train_on in ("all", "last"):
            row, runs = expected(name, tokenizer, messages, train_on == "last")
            assert encode({"messages": messages}, tokenizer, train_on=train_on) == row
            answers = [m["content"] for m in messages if m["role"] == "assistant"][-1 if train_on == "last" else 0:]
            assert len(runs) == len(answers)
            for run, answer in zip((r.rstrip() for r in runs), answers):    # Phi-3's end mark takes blanks after it
                assert run.endswith(end) and run.removesuffix(end).rstrip().endswith(answer.strip())
                if kind == "byte-level": assert run.removesuffix(end).strip() == answer.strip()
        assert token_faults(messages, tokenizer) == []
    assert end_token(tokenizer) == end


@pytest.mark.parametrize("name", ["chatml", "llama-2", "gemma", "zephyr", "alpaca"])
@pytest.mark.parametrize("kind, said", [("crossing", "multi"), ("metaspace", "multi"), ("sentencepiece", "multi"),
                                        ("byte-level", "blanks")])
def test_a_token_across_the_border_is_taught(name, kind, said):
    if kind == "byte-level" and name in ("llama-2", "gemma"): return      # both trim
    tokenizer, messages = _tokenizer(name, kind), TALKS[said]
    _, runs = expected(name, tokenizer, messages)
    answers = [text for text, taught in ORACLE[name](messages) if taught]
    assert any(run != answer and run.endswith(answer) for run, answer in zip(runs, answers))   # else nothing is shown here
    row = encode({"messages": messages}, tokenizer)
    assert row == expected(name, tokenizer, messages)[0]


@ALL
@EACH
def test_equal_to_what_transformers_makes_of_generation_markers(name, kind):
    if name == "alpaca" or kind == "trimming" or name == "phi-3": return   # no markers; blanks that offsets lose
    marked = _tokenizer(name, kind, marked=True)
    assert "{% generation %}" in marked.chat_template
    for messages in TALKS.values():
        theirs = marked.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        for tokenizer in (marked, _tokenizer(name, kind)):     # with markers and without
            row = encode({"messages": messages}, tokenizer)
            assert row["input_ids"] == theirs["input_ids"]
            assert [int(l != IGNORE_INDEX) for l in row["labels"]] == theirs["assistant_masks"]


def test_markers_say_where_an_answer_begins_but_never_before_the_invitation_ends():
    blank = ("{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}"
             "{{ ' ' }}{% generation %}{{ m.content + eos_token }}{% endgeneration %}{% endif %}{% endfor %}")
    messages, tokenizer = talk("a", "ж", "c", "ж"), like(blank, "llama-2")
    theirs = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    row = encode({"messages": messages}, tokenizer)
    assert [int(label != IGNORE_INDEX) for label in row["labels"]] == theirs["assistant_masks"]
    assert taught(row, tokenizer) == "ж</s>ж</s>"
    unmarked = like(blank.replace("{% generation %}", "").replace("{% endgeneration %}", ""), "llama-2")
    assert taught(encode({"messages": messages}, unmarked), unmarked) == " ж</s> ж</s>"
    header = ("{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ '<|im_start|>assistant\n' + m.content"
              " + '<|im_end|>' }}{% endgeneration %}{% else %}{{ '<|im_start|>user\n' + m.content + '<|im_end|>' }}"
              "{% endif %}{{ '\n' }}{% endfor %}" + CHATML_INVITE)
    assert taught(encode({"messages": messages}, like(header)), like(header)) == "ж<|im_end|>ж<|im_end|>"


@pytest.mark.parametrize("name", ["mistral", "gemma"])
def test_a_system_prompt_that_the_template_refuses(name):
    with pytest.raises(TokenFault, match="System role not supported") as e:
        encode({"messages": talk("a", "b", system="Be brief.")}, _tokenizer(name))
    assert e.value.code == "unsafe-template"


# ---- properties

PIECES = st.sampled_from(["Yes", "yes ", " ", "\n", "\n\n", "\t", "é", "e\u0301", "🙂", "日本", "\u200d", "<|im_end|>",
                          "<|im_start|>", "</s>", "<s>", "[INST]", " [/INST]", "<|end|>", "<end_of_turn>", "<|eot_id|>",
                          "### Response:\n", "{{ x }}", "{% generation %}", "\u2003", "\ue0001\ue001", "▁", "\ufffd", "\x00"])
TEXT = st.one_of(st.lists(PIECES, max_size=6).map("".join), st.text(max_size=12))
SAID = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3).map(lambda pairs: [x for p in pairs for x in p])


@pytest.mark.slow
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(SAID, st.one_of(st.none(), TEXT), st.sampled_from([*JINJA]), st.sampled_from(KINDS), st.booleans(), st.booleans())
def test_any_conversation_is_taught_exactly_or_refused(said, system, name, kind, last, marked):
    messages = talk(*said, system=system if name in SYSTEM else None)
    tokenizer, train_on = _tokenizer(name, kind, marked and name != "alpaca"), "last" if last else "all"
    bos = MARKS[name][0]
    writes = bos and bos in "".join(text for text, _ in ORACLE[name](talk("", "")))
    if writes and any(m["content"].lstrip().startswith(bos) for m in messages):
        with pytest.raises(TokenFault) as e: encode({"messages": messages}, tokenizer, train_on=train_on)
        assert e.value.code == "double-bos" and token_faults(messages, tokenizer)[0][0] == "double-bos"
        return
    row, _ = expected(name, tokenizer, messages, last)
    assert encode({"messages": messages}, tokenizer, train_on=train_on) == row
    assert encode_batch([{"messages": messages}]*2, tokenizer, train_on=train_on) == [row, row]
    assert token_faults(messages, tokenizer) == []


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(SAID, st.sampled_from([*JINJA]), st.sampled_from(KINDS), st.integers(1, 80))
def test_the_faults_are_what_encode_refuses_and_a_cut_is_counted(said, name, kind, most):
    messages, tokenizer = talk(*said), _tokenizer(name, kind)
    codes = [code for code, _ in token_faults(messages, tokenizer, most)]
    try: row = encode({"messages": messages}, tokenizer, most)
    except TokenFault as fault: assert codes and codes[0] == fault.code
    else: assert codes == [] and len(row["input_ids"]) <= most and "cut" not in row
    if "double-bos" in codes: return
    whole = encode({"messages": messages}, tokenizer)
    n, ends = len(whole["labels"]), _ends(whole)
    assert ("too-long" in codes) == (n > most)
    assert ("answer-truncated" in codes) == any(e >= most for e in ends)
    empty = all(label == IGNORE_INDEX for label in whole["labels"][:most])
    assert ("nothing-supervised" in codes) == empty
    if empty:
        with pytest.raises(TokenFault, match="hold nothing to learn"):
            encode({"messages": messages}, tokenizer, most, truncate=True)
    else: assert encode({"messages": messages}, tokenizer, most, truncate=True) == {
        "input_ids": whole["input_ids"][:most], "labels": whole["labels"][:most], "cut": max(0, n - most)}


def _ends(row):
    "Where each taught stretch ends"
    labels = row["labels"] + [IGNORE_INDEX]
    return [i for i in range(len(labels) - 1) if labels[i] != IGNORE_INDEX == labels[i + 1]]


# ---- templates that can't be masked

def like(template, name="chatml", kind="byte-level"):
    tokenizer = copy.copy(_tokenizer(name, kind))
    tokenizer.chat_template = template
    return tokenizer


THINKS = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' and not loop.last %}"
          "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
          + CHATML_INVITE)
INSERTS = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' and loop.last %}"
           "{{ '<think>\n\n</think>\n\n' }}{% endif %}{{ m.content + '<|im_end|>\n' }}{% endfor %}" + CHATML_INVITE)
LAST_SYSTEM = ("{{ bos_token }}{% if messages[0].role == 'system' %}{% set turns = messages[1:] %}{% else %}"
               "{% set turns = messages %}{% endif %}{% for m in turns %}{% if m.role == 'user' %}{{ '[INST] ' }}"
               "{% if (loop.last or loop.index0 == turns | length - 2) and turns | length != messages | length %}"
               "{{ messages[0].content + '\n\n' }}{% endif %}"
               "{{ m.content + '[/INST]' }}{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}")
CHAT = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" + CHATML_INVITE


def taught(row, tokenizer): return tokenizer.decode([label for label in row["labels"] if label != IGNORE_INDEX])


@pytest.mark.parametrize("template, name, messages, last", [
    (THINKS, "chatml", talk("a", "<think>one</think>b", "c", "<think>two</think>d"), "<think>two</think>d<|im_end|>"),
    (INSERTS, "chatml", talk("a", "b", "c", "d"), "<think>\n\n</think>\n\nd<|im_end|>"),
    (LAST_SYSTEM, "mistral", talk("a", "b", "c", "d", system="s"), " d</s>"),
])
def test_a_template_that_changes_earlier_turns_can_teach_the_last_one(template, name, messages, last):
    tokenizer = like(template, name)
    with pytest.raises(TokenFault, match="turn [23] (is .*differently once others|does not) follow") as e:
        encode({"messages": messages}, tokenizer)
    assert e.value.code == "unsafe-template" and "train_on='last'" in str(e.value)
    assert taught(encode({"messages": messages}, tokenizer, train_on="last"), tokenizer) == last
    assert taught(encode({"messages": [*messages[:-4], *messages[-2:]]}, tokenizer), tokenizer) == last


def test_an_answer_that_ends_twice():
    "As Cohere's: its own mark, and eos right after it"
    template = CHAT.replace("'<|im_end|>\n'", "'<|endoftext|><|im_end|>'")
    tokenizer = like(template, "qwen2.5")
    assert taught(encode({"messages": talk("a", "b", "c", "d")}, tokenizer), tokenizer) == \
        "b<|endoftext|><|im_end|>d<|endoftext|><|im_end|>"
    assert end_token(tokenizer) == "<|im_end|>"
    apart = like(template.replace("<|endoftext|><|im_end|>", "<|im_end|>.<|endoftext|>"), "qwen2.5")
    assert taught(encode({"messages": talk("a", "b")}, apart), apart) == "b<|im_end|>"


def test_contents_that_change_the_rendering():
    "Questions may be rewritten, as the model will see them so; an answer that looks different as the last may not"
    asks = CHAT.replace("m.content", "(m.content | upper if '?' in m.content and m.role == 'user' else m.content)")
    asks = asks.replace("m.role + '\n' + ", "m.role + '\n' + ('<think>' if loop.last and '!' in m.content else '') + ")
    row = encode({"messages": talk("a?", "b", "c", "d")}, like(asks))
    assert taught(row, like(asks)) == "b<|im_end|>d<|im_end|>" and "A?" in like(asks).decode(row["input_ids"])
    with pytest.raises(TokenFault, match="turn 2 is changed, moved or rendered differently"):
        encode({"messages": talk("a?", "b!", "c", "d")}, like(asks))
    last = encode({"messages": talk("a?", "b!", "c", "d")}, like(asks), train_on="last")
    assert taught(last, like(asks)) == "d<|im_end|>"


def test_answers_that_end_in_different_tokens():
    template = CHAT.replace("'<|im_end|>\n'", "('<|endoftext|>' if loop.index0 < 2 else '<|im_end|>') + '\n'")
    messages = talk("a", "b", "c", "d")
    with pytest.raises(TokenFault, match="turn 2 in <.endoftext.>, turn 4 in <.im_end.>") as e:
        encode({"messages": messages}, like(template, "qwen2.5"))
    assert e.value.code == "unsafe-template"
    assert taught(encode({"messages": messages}, like(template, "qwen2.5"), train_on="last"), like(template)) == "d<|im_end|>"


def test_a_thought_that_the_invitation_begins():
    "As DeepSeek R1's: asked, the model goes on from <think>, where no answer of the data ever stands"
    template = CHAT.replace("'<|im_start|>assistant\n'", "'<|im_start|>assistant\n<think>\n'")
    with pytest.raises(TokenFault, match="asked for it: …ssistant.*<think>.*; use"):
        encode({"messages": talk("a", "b")}, like(template))
    thinks = template.replace("+ m.content", "+ ('<think>\n\n</think>' if m.role == 'assistant' else '') + m.content")
    assert taught(encode({"messages": talk("a", "b")}, like(thinks)), like(thinks)) == "\n</think>b<|im_end|>"


@pytest.mark.parametrize("template, code, why", [
    ("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}", "missing-eos", "no end token after turn 2"),
    (CHAT.replace("'<|im_end|>\n'", "'\n'"), "missing-eos", "no end token after turn 2"),
    (CHAT.replace("'<|im_end|>\n'", "'\n'") + "{% if not add_generation_prompt %}{{ '<|im_start|>' }}{% endif %}",
     "missing-eos", "no end token after turn 2"),
    (CHAT.replace("'<|im_end|>\n'", "'.<|im_end|>\n'"), "missing-eos", "no end token after turn 2"),
    ("{% for m in messages %}{% if m.role != 'system' %}" + TURN.replace("«", "").replace("»", "") + "{% endif %}{% endfor %}",
     "unsafe-template", "leaves out turn 1 .system"),
    (CHAT.replace("m.content", "m.content + m.content"), "unsafe-template", "turn 3 is rendered twice"),
    ("{{ messages | length }}" + CHAT, "unsafe-template", "turn 3 does not follow the text in which the model is asked"),
    (CHAT.replace("m.content", "m.content | upper"), "unsafe-template", "turn 3 is changed"),
    (CHAT.replace("m.content", "(m.content | reverse)"), "unsafe-template", "leaves out turn"),
    (CHAT + "{{ messages[3].content }}", "unsafe-template", "refuses this conversation|has no attribute|undefined"),
    ("{% for m in messages %}«»" + TURN.replace("«", "").replace("»", "") + "{% endfor %}", "unsafe-template",
     "generation markers leave out turn 3"),
    ("{{ raise_exception('no ' + messages[0].role) }}", "unsafe-template", "refuses this conversation: no system"),
])
def test_refused_with_the_reason(template, code, why):
    marked = template.replace("«", "{% generation %}").replace("»", "{% endgeneration %}")
    messages = talk("Say yes.", "Yes.", system="Be brief.")
    why = why.replace("after turn 2", "after turn 3")
    with pytest.raises(TokenFault, match=why) as e: encode({"messages": messages}, like(marked))
    assert e.value.code == code
    (told, what), = token_faults(messages, like(marked))
    assert told == code and what.isprintable() and len(what) <= 120


def test_a_tokenizer_that_can_not_do_it():
    tokenizer = like(None)
    (code, what), = token_faults(talk("a", "b"), tokenizer)
    assert code == "unsafe-template" and "no chat template" in what
    with pytest.raises(TokenFault, match="ftlab.template.ALPACA"): encode({"messages": talk("a", "b")}, tokenizer)

    class Slow:
        is_fast, chat_template = False, CHAT
    assert token_faults(talk("a", "b"), Slow()) == [
        ("unsafe-template", "this tokenizer is a slow one and gives no offsets")]
    split = copy.deepcopy(_tokenizer("chatml"))
    split.split_special_tokens = True                    # marks are read as text, letter by letter
    with pytest.raises(TokenFault, match="does not read <|im_end|> as one token") as e:
        encode({"messages": talk("a", "b")}, split)
    assert e.value.code == "missing-eos"


def test_what_is_no_conversation(name="chatml"):
    tokenizer = _tokenizer(name)
    for bad in ({}, {"messages": []}, {"messages": [{"role": "user"}]}, [], None, {"messages": [{"role": "user", "content": 3}]},
                {"messages": ["hi"]}, {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}):
        with pytest.raises(ValueError, match="ftlab.data.load"): encode(bad, tokenizer)
    assert token_faults(talk("a"), tokenizer)[0][0] == "nothing-supervised"
    assert token_faults([{"role": "assistant", "content": "a"}], tokenizer)[0][0] == "unsafe-template"
    for options in ({"max_length": 0}, {"truncate": True}, {"train_on": "first"}):
        with pytest.raises(ValueError, match="max_length=|train_on="): encode({"messages": talk("a", "b")}, tokenizer, **options)


def test_a_batch_names_its_faults_in_place_and_forgets_nothing():
    tokenizer = _tokenizer("gemma")
    chats = [talk("a", "b"), talk("a"), talk("a", "b", system="s"), talk("a", "b", "c", "d"), talk("<bos>a", "b"), None]
    rows = encode_batch([{"messages": m} for m in chats], tokenizer)
    assert [getattr(r, "code", type(r).__name__) for r in rows] == [
        "dict", "nothing-supervised", "unsafe-template", "dict", "double-bos", "ValueError"]
    for m, row in zip(chats, rows):
        if isinstance(row, dict): assert row == encode({"messages": m}, tokenizer)
    assert encode_batch([], tokenizer) == []


def test_a_tokenizer_that_adds_a_beginning_adds_none_here():
    tokenizer = copy.deepcopy(_tokenizer("llama-3"))
    bos = tokenizer.bos_token, tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=[bos[0], "$A"], special_tokens=[bos])
    whole = tokenizer.apply_chat_template(talk("a", "b"), tokenize=False)
    assert tokenizer(whole)["input_ids"][:2] == [bos[1]] * 2
    assert encode({"messages": talk("a", "b")}, tokenizer) == encode({"messages": talk("a", "b")}, _tokenizer("llama-3"))
    twice = like("{{ bos_token }}" + JINJA["llama-3"].replace("«", "").replace("»", ""), "llama-3")
    assert token_faults(talk("a", "b"), twice) == [("double-bos", "the text begins with <|begin_of_text|> twice")]


@EACH
def test_what_the_tokenizer_was_last_asked_for_leaves_no_trace(kind):
    chats = [{"messages": talk("a " * 40, "b " * 40)}, {"messages": talk("a", "b")}]
    tokenizer = copy.deepcopy(_tokenizer("chatml", kind))
    tokenizer(["a b c d"], truncation=True, max_length=2, padding="max_length")
    assert encode_batch(chats, tokenizer) == encode_batch(chats, _tokenizer("chatml", kind))


def test_a_changed_tokenizer_is_asked_again():
    tokenizer = copy.deepcopy(_tokenizer("chatml"))
    row = encode({"messages": talk("a", "b")}, tokenizer)
    tokenizer.chat_template = CHAT.replace("<|im_end|>", "<|other|>")
    with pytest.raises(TokenFault, match="no end token"): encode({"messages": talk("a", "b")}, tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|other|>"]})
    assert taught(encode({"messages": talk("a", "b")}, tokenizer), tokenizer) == "b<|other|>"
    assert end_token(tokenizer) == "<|other|>"
    tokenizer.chat_template = CHAT
    assert encode({"messages": talk("a", "b")}, tokenizer) == row
    zephyr = copy.deepcopy(_tokenizer("zephyr"))
    assert taught(encode({"messages": talk("a", "b")}, zephyr), zephyr) == "b</s>"
    zephyr.add_special_tokens({"eos_token": "<|stop|>"})
    assert taught(encode({"messages": talk("a", "b")}, zephyr), zephyr) == "b<|stop|>"


def test_a_date_in_the_template_and_a_night_between(monkeypatch):
    from datetime import datetime
    from types import SimpleNamespace

    from transformers.utils import chat_template_utils
    tokenizer = like("{{ strftime_now('%d %b') }}" + CHAT)
    for day in (1, 2):
        monkeypatch.setattr(chat_template_utils, "datetime", SimpleNamespace(now=lambda day=day: datetime(2026, 1, day)))
        row = encode({"messages": talk("a", "b", "c", "d")}, tokenizer)
        assert tokenizer.decode(row["input_ids"]).startswith(f"0{day} Jan") and taught(row, tokenizer) == "b<|im_end|>d<|im_end|>"


# ---- tools

CALLS = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}{% for c in m.tool_calls or [] %}"
         "{{ '<call>' + c.function.name + c.function.arguments + '</call>' }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
         + CHATML_INVITE)
USED = [{"role": "user", "content": "Is it noon?"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "clock", "arguments": "{}"}}]},
        {"role": "tool", "name": "clock", "content": '{"time": "12:00"}'}, {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "and now?"}, {"role": "assistant", "content": "No."}]


def test_calls_are_taught_and_what_tools_answer_is_read():
    row = encode({"messages": USED}, like(CALLS))
    assert taught(row, like(CALLS)) == "<call>clock{}</call><|im_end|>Yes.<|im_end|>No.<|im_end|>"
    assert taught(encode({"messages": USED}, like(CALLS), train_on="last"), like(CALLS)) == "No.<|im_end|>"
    plain = [{k: v for k, v in m.items() if k != "tool_calls"} for m in USED]
    assert taught(encode({"messages": plain}, like(CHAT)), like(CHAT)) == "<|im_end|>Yes.<|im_end|>No.<|im_end|>"


@pytest.mark.parametrize("template, why", [
    (CHAT, "turn 2 or its tool_calls are left out"),
    (CALLS.replace("in messages", "in messages if m.role != 'tool'"), "leaves out turn 3 .tool"),
    (CALLS.replace("+ m.content", "+ (m.content if m.role != 'tool' else 'Is it noon?')"), "leaves out turn 3 .tool"),
    (CALLS.replace("+ m.content", "+ (m.content if m.role != 'tool' else raise_exception('no tools'))"), "no tools"),
    ("{{ messages | length }}" + CALLS, "turn 2 does not follow"),
    (CALLS.replace("'<call>'", "('<call>' if last else '<did>')").replace("{% for c", "{% set last = loop.last %}{% for c"),
     "turn 2 or its tool_calls"),
])
def test_a_template_without_words_for_tools(template, why):
    with pytest.raises(TokenFault, match=why) as e: encode({"messages": USED}, like(template))
    assert e.value.code == "unsafe-template"


# ---- pictures

@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(SAID, st.sampled_from(["chatml", "llama-2", "gemma"]), st.sampled_from(KINDS))
def test_no_character_is_broken_and_none_is_lost(said, name, kind):
    messages, tokenizer = talk(*said), _tokenizer(name, kind)
    if token_faults(messages, tokenizer): return
    row = encode({"messages": messages}, tokenizer)
    parts = spell(row, tokenizer)
    assert [i for p in parts for i in p["ids"]] == row["input_ids"]
    assert [p["taught"] for p in parts for _ in p["ids"]] == [label != IGNORE_INDEX for label in row["labels"]]
    assert "".join(p["text"] for p in parts) == tokenizer.decode(row["input_ids"])
    if "\ufffd" not in "".join(said): assert not any("\ufffd" in p["text"] for p in parts)
    special = {*tokenizer.all_special_ids} | {i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    assert all(p["special"] == (p["ids"][0] in special) and (len(p["ids"]) == 1 or not p["special"]) for p in parts)


def test_the_page_has_every_token_and_the_shares():
    tokenizer = _tokenizer("chatml")
    rows = [encode({"messages": m}, tokenizer) for m in (talk("<b>\n🫠", "a & b"), talk("a", "b"))]
    page = show(rows, tokenizer)
    counts = [(sum(label != IGNORE_INDEX for label in r["labels"]), len(r["labels"])) for r in rows]
    for n, total in counts: assert f"{n} of {total} tokens taught ({n/total:.0%})" in page
    assert f"together: {sum(n for n, _ in counts)} of {sum(t for _, t in counts)}" in page
    assert "<b>" not in page and "🫠" in page and "\ufffd" not in page
    assert "<b>⏎🫠" in html.unescape(re.sub("<[^>]*>", "", page))
    assert show(rows[0], tokenizer).count("tokens taught") == 1
    cut = encode({"messages": talk("a", "b", "c", "d " * 20)}, tokenizer, max_length=30, truncate=True)
    assert f"{cut['cut']} more cut off" in show(cut, tokenizer)
