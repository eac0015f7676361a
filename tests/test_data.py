"The door of the house: every kind of unreadable record by code and line, and nothing lost on broken files."
import gzip
import json
import random
import subprocess
import sys

import pytest
from datasets import Dataset, load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab import data
from ftlab.data import DIALECTS, READING, Bad, Finding, Loaded, convert, load, pieces, to_messages, write, write_jsonl
from test_pieces import BAD as UNREAD


def chat(*pairs):
    return {"messages": [{"role": r, "content": c} for r, c in pairs]}


def one(user="q", answer="a"):
    return chat(("user", user), ("assistant", answer))


def pc(prompt, completion, **more):
    return {"prompt": prompt, "completion": completion, **more}


def gpt(*pairs, **more):
    return {"conversations": [{"from": r, "value": c} for r, c in pairs], **more}


def raw(x):
    return x if isinstance(x, bytes) else json.dumps(x).encode()


def write_lines(path, *lines):
    path.write_bytes(b"".join(raw(x) + b"\n" for x in lines))
    return path


BOM = b"\xef\xbb\xbf"
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "content": "4", "tool_call_id": "c1"}
ASK, SAY = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
BAD = UNREAD | {
    "byte-order-mark": [
        BOM + raw(one("x")), BOM + raw(pc("x", "y")), BOM + raw(gpt(("human", "x"), ("gpt", "y"))),
    ],
    "lone-surrogate": [
        one("a", "\ud83d"), one("\ude00", "b"), pc("\udcff", "b"), chat(("user", "a"), ("user\ud800", "b")),
        b'{"prompt": "\\ud83d x \\ude00", "completion": "b"}', {"instruction": "a", "input": "\ud83d", "output": "b"},
    ],
    "not-a-record": [
        {"text": "a"}, {}, ["a"], 3, "text", None, True, {"question": "a", "answer": "b"},
        {"input": "a"}, {"role": "user", "content": "a"},
    ],
    "preference-pair": [
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"chosen": [{"role": "user", "content": "a"}], "rejected": []},
        pc("a", "b", label=False), pc("a", "b", label=True), one() | {"chosen": "b", "rejected": "c"},
        pc([ASK], [SAY], label=True),
    ],
    "missing-field": [
        {"prompt": "a"}, {"completion": "b"}, {"instruction": "a"}, {"output": "b"},
        {"messages": [{"role": "user"}, {"role": "assistant", "content": "a"}]},
        {"messages": [{"content": "a"}]}, {"conversations": [{"from": "human"}]},
    ],
    "null-field": [
        {"instruction": "a", "output": None}, {"messages": None}, {"prompt": None, "completion": None},
        gpt(("human", "a"), ("gpt", None)), {"messages": [ASK, {"role": None, "content": "b"}]},
        {"conversations": None, "id": 3}, pc(None, "b"),
    ],
    "wrong-type": [
        pc("a", 5), pc(["a"], "b"), {"instruction": {"a": 1}, "output": "b"},
        {"instruction": "a", "input": 7, "output": "b"}, {"messages": "a"}, {"messages": {}},
        {"messages": ["a"]}, {"conversations": [["human", "a"]]}, gpt(("human", 1), ("gpt", "b")),
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {"messages": [{"role": 1, "content": "a"}]}, pc("a", "b", system=3), pc([ASK], "b"), pc(["a"], ["b"]),
    ],
    "unsupported-field": [
        {"instruction": "a", "output": "b", "history": [["c", "d"]]},
        one() | {"tools": [{"name": "f"}]}, one() | {"functions": [{}]}, one() | {"images": ["x"]},
        {"messages": [ASK, CALLS]}, {"messages": [ASK, SAY | {"weight": 0}]}, one() | {"weight": .5},
        {"messages": [ASK, SAY | {"function_call": {"name": "f"}}]}, pc([ASK], [CALLS]), one() | {"tool_calls": [CALL]},
    ],
    "tool-role": [
        {"messages": [ASK, CALLS, RESULT, SAY]}, chat(("user", "a"), ("tool", "b"), ("assistant", "c")),
        gpt(("human", "a"), ("function_call", "{}"), ("observation", "1"), ("gpt", "b")),
        chat(("user", "a"), ("assistant", "b"), ("function", "c")), pc([ASK, CALLS, RESULT], [SAY]),
    ],
    "unknown-role": [
        chat(("user", "a"), ("bot", "b")), chat(("User", "a"), ("assistant", "b")),
        gpt(("human", "a"), ("chatgpt", "b")), chat(("", "a"), ("assistant", "b")), chat(("user\x1b[31m", "a")),
    ],
    "no-assistant": [
        chat(("user", "a")), {"messages": []}, {"conversations": []}, chat(("system", "s")),
        chat(("system", "s"), ("user", "a")), pc([], []), pc([ASK], []),
    ],
    "role-order": [
        chat(("assistant", "b"), ("user", "a")), chat(("user", "a"), ("assistant", "b"), ("user", "c")),
        chat(("assistant", "b")), gpt(("gpt", "b"), ("human", "a"), ("gpt", "b")),
        chat(("system", "s"), ("assistant", "b")), pc([SAY], [ASK]),
    ],
    "late-system": [
        chat(("user", "a"), ("system", "s"), ("assistant", "b")), chat(("user", "a"), ("assistant", "b"), ("system", "s")),
        gpt(("human", "a"), ("gpt", "b"), ("system", "s"), ("human", "c"), ("gpt", "d")),
    ],
    "same-role-twice": [
        chat(("user", "a"), ("user", "a"), ("assistant", "b")), chat(("user", "a"), ("assistant", "b"), ("assistant", "c")),
        chat(("system", "s"), ("system", "t"), ("user", "a"), ("assistant", "b")),
        {"system": "s"} | chat(("system", "t"), ("user", "a"), ("assistant", "b")), pc([ASK, SAY], [SAY]),
    ],
    "empty-answer": [
        one("a", ""), one("a", " \n\t"), pc("a", ""), {"instruction": "a", "output": "\u3000"},
        chat(("user", "a"), ("assistant", ""), ("user", "a"), ("assistant", "b")), pc("a", "\u200b\ufeff"),
    ],
    "empty-prompt": [
        one("", "b"), pc(" ", "b"), {"instruction": "", "input": "  ", "output": "b"},
        gpt(("human", "\n"), ("gpt", "b")),
    ],
}
CASES = [pytest.param(code, x, id=f"{code}-{i}") for code, examples in BAD.items() for i, x in enumerate(examples)]


def test_the_table_covers_every_kind():
    assert {*BAD, "damaged-csv"} == set(READING) and len(READING) == 26     # the other one is in test_pieces
    assert all(len(examples) >= 3 for examples in BAD.values())
    assert all(level in ("error", "warning") and do for level, do in READING.values())


@pytest.mark.parametrize("code,bad", CASES)
def test_named_by_code_and_line(tmp_path, code, bad):
    got = load(write_lines(tmp_path / "a.jsonl", one(), b"", bad, one("later", "fine")))
    assert [(f.code, f.line) for f in got.findings] == [(code, 3)]
    finding = got.findings[0]
    assert (finding.level, finding.do) == READING[code]
    assert finding.file == str(tmp_path / "a.jsonl") and str(finding).startswith(f"{finding.file}:3: ")
    blocked = finding.level == "error"
    assert (got.total, len(got.rejected), len(got.records)) == (3, blocked, 3 - blocked)
    assert 5 < len(finding.what) <= 120 and str(finding).isprintable()     # what is said can be printed
    if blocked:
        with pytest.raises(ValueError, match=rf":3: error {code}: "): load(tmp_path / "a.jsonl", strict=True)
    else: assert len(load(tmp_path / "a.jsonl", strict=True).records) == 3


ROWS = [p for p in CASES if not isinstance(p.values[1], bytes)]


@pytest.mark.parametrize("code,bad", ROWS)
def test_the_same_in_an_array_and_a_list(tmp_path, code, bad):
    array = tmp_path / "a.json"
    array.write_bytes(b"[\n" + b",\n".join(map(raw, (one(), bad, one("later", "fine")))) + b"]")
    for source, line in ((array, 3), ([one(), bad, one("later", "fine")], 2)):
        got = load(source)
        assert [(f.code, f.line) for f in got.findings] == [(code, line)]
        assert got.total == 3 == len(got.records) + len(got.rejected)


def test_tools_are_kept_if_asked_for(tmp_path):
    talk = [ASK, CALLS, RESULT, RESULT | {"name": "f", "content": ""}, SAY, ASK, SAY]
    path = write_lines(tmp_path / "a", {"messages": talk}, {"messages": [ASK, CALLS]}, pc(talk[:4], talk[4:]), one("a", "b"))
    got = load(path, strict=True, tools=True)
    want = [ASK, CALLS | {"content": ""}, *talk[2:]]
    assert [r["messages"] for r in got.records] == [want, want[:2], want, [ASK, SAY]]
    assert [f.code for f in load(path).findings] == ["tool-role", "unsupported-field", "tool-role"]
    assert load(path).findings[0].what == "turn 3: the role is 'tool'"
    assert load(Dataset.from_list([{"messages": talk}]), strict=True, tools=True).records == got.records[:1]
    write_jsonl(tmp_path / "b", convert(got.records, "messages"))
    assert load(tmp_path / "b", strict=True, tools=True).records == got.records
    for to in ("sharegpt", "alpaca", "prompt-completion"):
        with pytest.raises(ValueError, match="record 1 calls tools and .* has no place"):
            convert(got.records[3:] + got.records[:1], to)
    def code(*turns, **more):
        with pytest.raises(Bad) as e: to_messages({"messages": [*turns], **more}, tools=True)
        return e.value.code
    assert code(ASK, RESULT, SAY) == "role-order" == code(ASK, CALLS, RESULT, ASK, SAY) == code(ASK, CALLS, RESULT)
    assert code(ASK, SAY | {"tool_calls": "f()"}) == "wrong-type"
    assert code(ASK, SAY | {"tool_calls": [{"name": "\ud83d"}]}) == "lone-surrogate"
    assert code(ASK, SAY, tools=[{"name": "f"}]) == "unsupported-field"
    assert code(ASK, {"role": "function", "content": "4"}, SAY) == "tool-role"
    assert code(ASK, {"role": "assistant", "content": ""}) == "empty-answer"


GOOD = [
    (one(), ["user", "assistant"]),
    (chat(("system", ""), ("user", "a"), ("assistant", "b")), ["system", "user", "assistant"]),
    (one() | {"id": 4, "source": "x", "prompt": "q", "tools": [], "images": None}, None),
    (gpt(("system", "s"), ("human", "a"), ("gpt", "b"), ("human", "c"), ("gpt", "d")), None),
    (gpt(("user", "a"), ("assistant", "b")), None),
    ({"messages": [{"role": "user", "content": "a"},
                   {"role": "assistant", "content": "b", "weight": 1, "name": "n"}]}, None),
    (pc("a", " b", label="weather"), None),
    (pc("a", "b", chosen="c", rejected=None), None),
    ({"instruction": "a", "input": None, "output": "b", "messages": None}, None),
    (pc("a\u2028b\u00a0", "x <| y |> [INSTALL] <sub>\t\r\n"), None),
    (pc("emoji \U0001f389", "\ufffd \u200b x"), None),
    (pc([{"role": "system", "content": "s"}, ASK], [SAY]), ["system", "user", "assistant"]),
    (pc([ASK, SAY, ASK], [SAY], system="s"), ["system", "user", "assistant", "user", "assistant"]),
    ({"prompt": "p", "messages": [ASK, SAY | {"tool_calls": None}], "score_chosen": 3}, None),
    ({"prompt": "p", "completion": "[1, 2]", "meta": [[[[[]]]]], "weight": 1, "label": 1}, None),
    (one("NaN, {,} \"\\", "Infinity\n,]"), None),
]


@pytest.mark.parametrize("obj,roles", GOOD)
def test_no_false_alarm(tmp_path, obj, roles):
    got = load(write_lines(tmp_path / "a.jsonl", obj), strict=True)
    assert not got.findings and got.total == 1 and set(got.records[0]) == {"messages"}
    if roles:
        assert [m["role"] for m in got.records[0]["messages"]] == roles


def test_text_is_never_altered(tmp_path):
    text = "  two\n\nlines \u2028 and\r\n spaces\t "
    got = load(write_lines(tmp_path / "a.jsonl", pc(text, text), one(text, text[::-1])))
    assert [m["content"] for r in got.records for m in r["messages"]] == [text] * 3 + [text[::-1]]


def test_alpaca_input_only_if_there_is_one(tmp_path):
    rows = [{"instruction": "do", "input": x, "output": "b"} for x in ("", " \n", None, "this")]
    got = load(write_lines(tmp_path / "a.jsonl", *rows))
    assert [r["messages"][0]["content"] for r in got.records] == ["do"] * 3 + ["do\n\nthis"]
    assert not any("###" in json.dumps(r) for r in got.records)


def test_origins_say_where_and_what(tmp_path):
    got = load(write_lines(tmp_path / "a.jsonl", one(), b"{", one(), pc("x", "y")))
    file = str(tmp_path / "a.jsonl")
    assert got.origins == [(file, p.line, p.hash) for p in pieces(file) if p.line != 2] and got.rejected == [(file, 2)]
    assert got.origins[0][2] == got.origins[1][2] != got.origins[2][2] and len(got.origins[0][2]) == 16
    records, findings = got
    assert records is got.records and findings is got.findings and isinstance(got, Loaded)


def test_a_byte_order_mark_and_more(tmp_path):
    got = load(write_lines(tmp_path / "a.jsonl", BOM + raw(one("a", " ")), one(), BOM + raw(one())))
    assert [(f.line, f.code) for f in got.findings] == [(1, "byte-order-mark"), (1, "empty-answer"), (3, "byte-order-mark")]
    assert got.total == 3 and got.rejected == [(str(tmp_path / "a.jsonl"), 1)]


SEEDS = [x for examples in BAD.values() for x in examples if len(raw(x)) < 300]
BITS = [b"null", b"\\u0000", b"\\ud800", b"\xff", BOM, b"[", b"]", b"{", b"}", b'"', b"\\", b"\n", b"\r", b",", b"NaN",
        b"1e999", b'"role": "user",', b"\0", b"\xe2\x80\xa8", b'""', b";", b"prompt,completion\n"]


def mutants(seed):
    rng = random.Random(seed)
    while True:
        lines = [raw(x) for x in rng.sample(SEEDS, 2) + [g for g, _ in rng.sample(GOOD, 3)]]
        rows = [b'"a ""b""\nc",' + line.replace(b",", b";") for line in lines]
        text = rng.choice([b"\n".join(lines), b"[" + b",\n".join(lines) + b"]", b"prompt,completion\n" + b"\n".join(rows)])
        for _ in range(rng.randrange(1, 5)):
            i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
            text = rng.choice([
                text[:i] + text[j:], text[:i] + text[i:j] * 2 + text[j:], text[:j],
                text[:i] + rng.choice(BITS) + text[i:], text[:i] + rng.choice(BITS) + text[i + 1:],
                text[:i] + bytes([rng.randrange(256)]) + text[i + 1:]])
        yield text


def letters(data): return sorted(x for x in data if chr(x).isalnum() and x < 128)


def nothing_is_lost(folder, files, seed):
    path, source, codes, empty, total = folder / "a", mutants(seed), set(), 0, 0
    for n in range(files):
        text = next(source)
        path.write_bytes(gzip.compress(text, 1) if n % 7 == 0 else text)
        try: got = load(path)
        except ValueError as e:
            assert "is empty" in str(e), text
            empty += 1
            continue
        assert got.total == len(got.records) + len(got.rejected), text
        assert len(got.records) == len(got.origins)
        errors = {(f.file, f.line) for f in got.findings if f.level == "error"}
        assert errors == set(got.rejected), text
        assert all(f.what.isprintable() and len(f.what) <= 120 for f in got.findings), text
        if text.removeprefix(BOM).lstrip()[:1] in (b"[", b"{"):       # a table's header is no record
            assert letters(b"".join(p.raw for p in pieces(path))) == letters(text), text
        if got.records and n % 5 == 0:      # what was kept can be written
            write_jsonl(folder / "b.jsonl", got.records)
            assert load(folder / "b.jsonl", strict=True).records == got.records
        codes |= {f.code for f in got.findings}
        total += got.total
    assert set(READING) - codes <= {"line-too-long", "nested-too-deep"} and empty < files / 10
    return total


@pytest.mark.slow
def test_nothing_is_lost_on_broken_files(tmp_path):
    nothing_is_lost(tmp_path, 1500, 7)


@pytest.mark.slow
def test_nothing_is_lost_on_100_000_broken_records(tmp_path):
    assert nothing_is_lost(tmp_path, 30_000, 8) > 100_000


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=9).map(lambda s: s + "x")


@st.composite
def talks(draw):
    turns = draw(st.integers(1, 3))
    return chat(*[("system", draw(words)) for _ in range(draw(st.integers(0, 1)))],
                *[(role, draw(words)) for _ in range(turns) for role in ("user", "assistant")])


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(records=st.lists(talks(), min_size=1, max_size=4))
def test_every_format_gives_every_conversation_back(tmp_path_factory, records):
    "read(write(x)) is x, in each dialect and each format that holds it"
    folder = tmp_path_factory.getbasetemp()
    for to in DIALECTS:
        fits = [r for r in records if to in ("messages", "sharegpt")
                or [m["role"] for m in r["messages"] if m["role"] != "system"] == ["user", "assistant"]]
        if len(fits) < len(records):
            with pytest.raises(ValueError, match=rf"turns and {to} holds 2"): convert(records, to)
        if not fits: continue
        rows = convert(fits, to)
        for end in (".jsonl", ".json", ".csv", ".parquet", ".jsonl.gz", ".csv.zst", ".parquet.gz", ".json.zst"):
            assert write(folder / f"a{end}", rows) == len(rows)
            got = load(folder / f"a{end}", strict=True)
            assert got.records == fits and not got.findings, (to, end)
        keys = dict.fromkeys(k for r in rows for k in r)
        for table in (rows, Dataset.from_list([{k: r.get(k) for k in keys} for r in rows])):
            assert load(table, strict=True).records == fits


def test_write_and_convert_refuse(tmp_path):
    with pytest.raises(ValueError, match="no dialect 'text'; use one of"): convert([one()], "text")
    for name in ("a.xml", "a", "a.gz", "a.csv.bz2"):
        with pytest.raises(ValueError, match="should end in one of"): write(tmp_path / name, [one()])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.gz", "a.jsonl.zst", "a.csv.gz"])
def test_written_bytes_are_the_same_every_time(tmp_path, name):
    def once():
        write(tmp_path / name, [one(), one("x")])
        return (tmp_path / name).read_bytes()
    assert once() == once()


def test_write_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    assert write_jsonl(path, [one(), one("x")]) == 2
    before = path.read_bytes()
    for bad in ({"x": float("inf")}, one("\ud800"), {"x": {1}}):
        with pytest.raises((ValueError, TypeError)):
            write_jsonl(path, [one(), bad])
    def full(*a):
        raise OSError("no space left")
    monkeypatch.setattr(data.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_jsonl(path, [one()])
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_finding_reads_like_a_compiler_message():
    finding = Finding("bad-json", *("error", "f.jsonl", 3, "saw", "act"))
    assert str(finding) == "f.jsonl:3: error bad-json: saw; act"


def test_parity_with_datasets(tmp_path):
    rows = [one("\u00e9\u2028"), chat(("system", "s"), ("user", "a"), ("assistant", "b"))]
    write_jsonl(tmp_path / "a.jsonl", rows)
    table = load_dataset("json", data_files=str(tmp_path / "a.jsonl"), split="train",
                         cache_dir=str(tmp_path / "cache"))
    assert table.to_list() == Dataset.from_list(rows).to_list() == load(tmp_path / "a.jsonl").records


def test_light_import():
    code = "import sys, ftlab.data; print(sorted({'torch', 'datasets', 'transformers'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
