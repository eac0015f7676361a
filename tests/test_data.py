"The door of the house: every kind of bad record by code and line, and nothing lost on broken files."
import gzip
import json
import random
import subprocess
import sys

import pytest

from ftlab import data
from ftlab.data import KINDS, Finding, convert, doctor, load, write_jsonl


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


def write(path, *lines):
    path.write_bytes(b"".join(raw(x) + b"\n" for x in lines))
    return path


BOM = b"\xef\xbb\xbf"
BAD = {
    "invalid-utf8": [
        b'{"prompt": "caf\xe9", "completion": "b"}',
        b'\xff\xfe{\x00"\x00p\x00',
        b'{"prompt": "\xed\xa0\xbd", "completion": "b"}',       # a surrogate, encoded
        b'{"prompt": "\xc0\xaf", "completion": "b"}',           # overlong
    ],
    "bad-json": [
        b'{"prompt": "a", "completion": "b"', b"{'prompt': 'a', 'completion': 'b'}", b"nothing",
        b'{"prompt": "a\tb", "completion": "c"}',                # a raw tab inside of a string
        b'{"prompt": "a", "completion": "b"},', b'{"prompt": "a"} {"completion": "b"}',
        b"[" * 50_000, b'{"a": ' + b"9" * 5000 + b"}",
    ],
    "duplicate-key": [
        b'{"prompt": "a", "prompt": "b", "completion": "c"}',
        b'{"prompt": "a", "completion": "c", "completion": "c"}',
        b'{"messages": [{"role": "user", "role": "assistant", "content": "x"}]}',
        b'{"prompt": "a", "completion": "c", "meta": {"k": 1, "\\u006b": 2}}',
    ],
    "not-a-record": [
        {"text": "a"}, {}, ["a"], 3, "text", None, True, {"question": "a", "answer": "b"},
        {"input": "a"},
    ],
    "preference-pair": [
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"chosen": [{"role": "user", "content": "a"}], "rejected": []},
        pc("a", "b", label=False), pc("a", "b", label=True),
    ],
    "missing-field": [
        {"prompt": "a"}, {"completion": "b"}, {"instruction": "a"}, {"output": "b"},
        {"instruction": "a", "output": None}, {"messages": None},
        {"prompt": None, "completion": None},
        {"messages": [{"role": "user"}, {"role": "assistant", "content": "a"}]},
        {"messages": [{"content": "a"}]}, gpt(("human", "a"), ("gpt", None)),
    ],
    "wrong-type": [
        pc("a", 5), pc(["a"], "b"), {"instruction": {"a": 1}, "output": "b"},
        {"instruction": "a", "input": 7, "output": "b"}, {"messages": "a"}, {"messages": {}},
        {"messages": ["a"]}, {"conversations": [["human", "a"]]}, gpt(("human", 1), ("gpt", "b")),
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {"messages": [{"role": 1, "content": "a"}]}, pc("a", "b", system=3),
        b'{"instruction": "a", "input": NaN, "output": "b"}',
    ],
    "unsupported-field": [
        {"instruction": "a", "output": "b", "history": [["c", "d"]]},
        one() | {"tools": [{"name": "f"}]}, one() | {"functions": [{}]}, one() | {"images": ["x"]},
        {"messages": [{"role": "user", "content": "a"},
                      {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
        {"messages": [{"role": "user", "content": "a"},
                      {"role": "assistant", "content": "b", "weight": 0}]},
        {"messages": [{"role": "user", "content": "a"},
                      {"role": "assistant", "content": "b", "function_call": {"name": "f"}}]},
    ],
    "unknown-role": [
        chat(("user", "a"), ("bot", "b")), chat(("User", "a"), ("assistant", "b")),
        chat(("user", "a"), ("tool", "b")), gpt(("human", "a"), ("chatgpt", "b")),
        chat(("", "a"), ("assistant", "b")), chat(("user\ud800", "a")),
    ],
    "role-order": [
        chat(("assistant", "b"), ("user", "a")), chat(("user", "a"), ("user", "a"), ("assistant", "b")),
        chat(("user", "a"), ("assistant", "b"), ("user", "c")), chat(("assistant", "b")),
        chat(("user", "a"), ("system", "s"), ("assistant", "b")),
        chat(("user", "a"), ("assistant", "b"), ("assistant", "c")),
        one() | {"system": "s"} | chat(("system", "t"), ("user", "a"), ("assistant", "b")),
        gpt(("gpt", "b"), ("human", "a"), ("gpt", "b")),
    ],
    "no-assistant": [
        chat(("user", "a")), {"messages": []}, {"conversations": []}, chat(("system", "s")),
        chat(("system", "s"), ("user", "a")),
    ],
    "empty-answer": [
        one("a", ""), one("a", " \n\t"), pc("a", ""), {"instruction": "a", "output": "\u3000"},
        chat(("user", "a"), ("assistant", ""), ("user", "a"), ("assistant", "b")),
    ],
    "empty-prompt": [
        one("", "b"), pc(" ", "b"), {"instruction": "", "input": "  ", "output": "b"},
        gpt(("human", "\n"), ("gpt", "b")),
    ],
    "special-token-in-text": [
        one("a<|im_end|>", "b"), one("a", "b</s>"), pc("[INST] a [/INST]", "b"),
        pc("a", "<|eot_id|>"), {"instruction": "<start_of_turn>a", "output": "b"},
        chat(("system", "<<SYS>>"), ("user", "a"), ("assistant", "b")), one("a", "<|endoftext|>"),
    ],
    "control-character": [
        one("a", "b\0"), one("\x1b[31ma", "b"), pc("a\x7f", "b"), pc("a", "b\x85"), pc("\x0ca", "b"),
        gpt(("human", "a\x08"), ("gpt", "b")),
    ],
    "lone-surrogate": [
        one("a", "\ud83d"), one("\ude00", "b"), pc("\udcff", "b"),
        b'{"prompt": "\\ud83d x \\ude00", "completion": "b"}',
    ],
    "exact-duplicate": [
        one(), pc("q", "a"), gpt(("human", "q"), ("gpt", "a")), {"instruction": "q", "output": "a"},
    ],
    "conflicting-answers": [
        one("q", "b"), pc("q", "a "), {"instruction": "q", "input": "", "output": "A"},
    ],
    "byte-order-mark": [
        BOM + raw(one("x")), BOM + raw(pc("x", "y")), BOM + raw(gpt(("human", "x"), ("gpt", "y"))),
    ],
}
CASES = [(code, i) for code, examples in BAD.items() for i in range(len(examples))]


def test_the_table_covers_every_kind():
    assert set(BAD) == set(KINDS) and len(KINDS) >= 14
    assert all(len(examples) >= 3 for examples in BAD.values())


@pytest.mark.parametrize("code,i", CASES)
def test_named_by_code_and_line(tmp_path, code, i):
    report = doctor(write(tmp_path / "a.jsonl", one(), b"", BAD[code][i], one("later", "fine")))
    assert [(f.code, f.line) for f in report.findings] == [(code, 3)]
    finding = report.findings[0]
    assert (finding.level, finding.do) == KINDS[code] and finding.what
    assert finding.file == str(tmp_path / "a.jsonl") and finding.file in str(report)
    blocked = finding.level == "error"
    assert (report.total, report.rejected, report.records) == (3, blocked, 3 - blocked)
    assert report.exit_code == 1
    str(report).encode()        # what is said of a broken record can itself be printed


@pytest.mark.parametrize("code,i", [
    (code, i) for code, i in CASES      # but for what breaks the array itself
    if code not in ("bad-json", "byte-order-mark") and raw(BAD[code][i])[:2] != b"\xff\xfe"])
def test_the_same_inside_an_array(tmp_path, code, i):
    bad = raw(BAD[code][i])
    got = load(write(tmp_path / "a.json", b"[", raw(one()) + b",", bad + b",",
                     raw(one("later", "fine")), b"]"))
    assert [(f.code, f.line) for f in got.findings] == [(code, 3)]
    assert got.total == 3 == len(got.records) + len(got.rejected)


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
]


@pytest.mark.parametrize("obj,roles", GOOD)
def test_no_false_alarm(tmp_path, obj, roles):
    got = load(write(tmp_path / "a.jsonl", obj), strict=True)
    assert not got.findings and got.total == 1 and set(got.records[0]) == {"messages"}
    if roles:
        assert [m["role"] for m in got.records[0]["messages"]] == roles


def test_text_is_never_altered(tmp_path):
    text = "  two\n\nlines \u2028 and\r\n spaces\t "
    got = load(write(tmp_path / "a.jsonl", pc(text, text), one(text, text[::-1])))
    assert [m["content"] for r in got.records for m in r["messages"]] == [text] * 3 + [text[::-1]]


def test_alpaca_input_only_if_there_is_one(tmp_path):
    rows = [{"instruction": "do", "input": x, "output": "b"} for x in ("", " \n", None, "this")]
    got = load(write(tmp_path / "a.jsonl", *rows))
    assert [r["messages"][0]["content"] for r in got.records] == ["do"] * 3 + ["do\n\nthis"]
    assert not any("###" in json.dumps(r) for r in got.records)


def test_several_findings_for_one_record(tmp_path):
    got = load(write(tmp_path / "a.jsonl", BOM + raw(chat(("user", " "), ("assistant", "\0<s>")))))
    assert [f.code for f in got.findings] == [
        "byte-order-mark", "empty-prompt", "special-token-in-text", "control-character"]
    assert got.total == 1 == len(got.rejected)


def test_repeats_point_to_the_first_line(tmp_path):
    got = load(write(tmp_path / "a.jsonl", one(), one("q", "b"), one("q", "b"), one(), one("r")))
    assert [(f.line, f.code, f.what[-6:]) for f in got.findings if "same as" in f.what] == [
        (3, "exact-duplicate", "line 2"), (4, "exact-duplicate", "line 1")]
    assert [(f.line, f.what[:6]) for f in got.findings if "differently" in f.what] == [(2, "line 1")]
    assert len(got.records) == 5        # warnings do not block


def test_rejected_records_are_no_first_of_their_kind(tmp_path):
    got = load(write(tmp_path / "a.jsonl", pc("q", ""), pc("q", "a")))
    assert [f.code for f in got.findings] == ["empty-answer"]


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("indent", [None, 0, 1, 4])
def test_arrays_in_any_layout(tmp_path, n, indent):
    rows = [pc(f'[{i}] "],[" \\', "{") for i in range(n)]
    path = tmp_path / "a.json"
    path.write_text("\n " + json.dumps(rows, indent=indent) + "\n\n")
    if not n:
        with pytest.raises(ValueError, match="is empty"):
            load(path)
        return
    got = load(path, strict=True)
    assert [r["messages"][0]["content"] for r in got.records] == [r["prompt"] for r in rows]
    lines = path.read_text().split("\n")
    if indent is not None:
        assert all(lines[line - 1].strip().startswith("{") for _, line in got.origins)
        assert len({line for _, line in got.origins}) == n


def test_array_with_one_bad_element_keeps_the_rest(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"[" + raw(one()) + b",\n oops,\n" + raw(one("x")) + b",\n" + raw(one("y")))
    got = load(path)                     # and its end is missing
    assert len(got.records) == 3 and [(f.code, f.line) for f in got.findings] == [("bad-json", 2)]


def test_what_follows_an_array_is_not_lost(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(raw([one(), one("x")]) + b"\n" + raw([one("y")]))
    got = load(path)
    assert got.total == 3 and len(got.records) == 2 and got.rejected == [(str(path), 2)]


@pytest.mark.parametrize("first", [b"[", b"[[", b'["a", ', b"[1]"])
def test_a_bad_first_line_does_not_take_the_file(tmp_path, first):
    path = write(tmp_path / "a.jsonl", first + raw(one())[1:], one("x"), one("y"), one("z"))
    got = load(path)
    assert len(got.records) == 3 and got.rejected == [(str(path), 1)]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"", b"\n", b"\n\n \n"])
def test_line_ends(tmp_path, line_end, last):
    path = tmp_path / "a.jsonl"
    path.write_bytes(line_end.join([raw(one()), b"", raw(one("x"))]) + last)
    assert [line for _, line in load(path, strict=True).origins] == [1, 3]


def test_gzip_is_known_by_its_bytes(tmp_path):
    for name in ("a.jsonl.gz", "a.jsonl", "a.gz"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(raw(one()) + b"\n" + raw(one("x")) + b"\n"))
        assert len(load(path).records) == 2
    plain = write(tmp_path / "plain.gz", one())
    assert len(load(plain).records) == 1
    arr = tmp_path / "arr.gz"
    arr.write_bytes(gzip.compress(json.dumps([one(), one("x")], indent=1).encode()))
    assert len(load(arr).records) == 2


@pytest.mark.parametrize("keep", [2, 5, 12, 30, -1, -8])
def test_damaged_gzip(tmp_path, keep):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"".join(raw(one(str(i))) + b"\n" for i in range(99)))[:keep])
    with pytest.raises(ValueError, match="damaged gzip file"):
        doctor(path)


def test_unusable_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file .*absent"):
        doctor(tmp_path / "absent.jsonl")
    with pytest.raises(IsADirectoryError, match="name one file in it"):
        doctor(str(tmp_path))
    for i, empty in enumerate((b"", b"\n\n", b" \r\n\t", b"[]", b"[ \n ]")):
        (tmp_path / f"{i}").write_bytes(empty)
        with pytest.raises(ValueError, match="is empty"):
            doctor(tmp_path / f"{i}")


def test_exit_codes(tmp_path):
    def exits(*lines):
        return doctor(write(tmp_path / "a.jsonl", *lines)).exit_code
    assert exits(one()) == 0 and exits(one(), one()) == 1 and exits(one(), b"{") == 1
    assert exits({"text": "a"}) == 1                        # read, though of no use
    assert exits(b"{", b"\xff", BOM) == 2 and exits(b"PK\x03\x04\x00\x00") == 2


def test_strict_stops_at_the_first_error_only(tmp_path):
    path = write(tmp_path / "a.jsonl", one(), one(), b"{", pc("", ""))
    with pytest.raises(ValueError, match=r"a\.jsonl:3: error bad-json: .*one JSON object per line"):
        load(path, strict=True)
    assert load(path).total == 4


def mutants(seed):
    rng = random.Random(seed)
    seeds = [x for examples in BAD.values() for x in examples if len(raw(x)) < 300]
    bits = [b"null", b"\\u0000", b"\\ud800", b"\xff", BOM, b"[", b"]", b"{", b"}", b'"', b"\\",
            b"\n", b"\r", b",", b"NaN", b"1e999", b'"role": "user",', b"\0", b"\xe2\x80\xa8"]
    while True:
        lines = [raw(x) for x in rng.sample(seeds, 2) + [g for g, _ in rng.sample(GOOD, 3)]]
        text = rng.choice([b"\n".join(lines), b"[" + b",\n".join(lines) + b"]"])
        for _ in range(rng.randrange(1, 5)):
            i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
            text = rng.choice([
                text[:i] + text[j:], text[:i] + text[i:j] * 2 + text[j:], text[:j],
                text[:i] + rng.choice(bits) + text[i:], text[:i] + rng.choice(bits) + text[i + 1:],
                text[:i] + bytes([rng.randrange(256)]) + text[i + 1:]])
        yield text


@pytest.mark.slow
def test_nothing_is_lost_on_2000_broken_files(tmp_path):
    path, source, codes, empty = tmp_path / "a.jsonl", mutants(7), set(), 0
    for n in range(2000):
        text = next(source)
        path.write_bytes(text)
        try:
            got = load(path)
        except ValueError as e:
            assert "is empty" in str(e), text
            empty += 1
            continue
        assert got.total == len(got.records) + len(got.rejected), text
        assert len(got.records) == len(got.origins)
        errors = {(f.file, f.line) for f in got.findings if f.level == "error"}
        assert errors == set(got.rejected), text
        if not text.removeprefix(BOM).lstrip(b" \t\n\r\x0b\x0c").startswith(b"["):
            assert got.total == sum(bool(x.strip()) for x in text.split(b"\n")), text
        if got.records and n % 5 == 0:      # what was kept can be written
            write_jsonl(tmp_path / "b.jsonl", got.records)
            assert load(tmp_path / "b.jsonl", strict=True).records == got.records
        codes |= {f.code for f in got.findings}
    assert codes == set(KINDS) and empty < 200


def test_convert_round_trips(tmp_path):
    rng = random.Random(3)
    letters = ["a", "\u00e9", "\U0001f389", '"', "\\", "\n", "\t", "\u2028", " ", "{", "],["]
    def text():
        return "".join(rng.choices(letters, k=rng.randrange(9))) + "x"
    for turns in [1, 1, 2, 4] * 25:
        pairs = [("system", text())] * rng.randrange(2)
        pairs += [(role, text()) for _ in range(turns) for role in ("user", "assistant")]
        record = chat(*pairs)
        for to in ("messages", "sharegpt", "alpaca", "prompt-completion"):
            if turns > 1 and to in ("alpaca", "prompt-completion"):
                with pytest.raises(ValueError, match=f"record 0 has {2 * turns} turns and {to}"):
                    convert([record], to)
            else:
                path = write(tmp_path / "a.jsonl", *convert([record], to))
                assert load(path, strict=True).records == [record]
    with pytest.raises(ValueError, match="no dialect 'text'; use one of"):
        convert([one()], "text")


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
    from datasets import Dataset, load_dataset
    rows = [one("\u00e9\u2028"), chat(("system", "s"), ("user", "a"), ("assistant", "b"))]
    write_jsonl(tmp_path / "a.jsonl", rows)
    table = load_dataset("json", data_files=str(tmp_path / "a.jsonl"), split="train",
                         cache_dir=str(tmp_path / "cache"))
    assert table.to_list() == Dataset.from_list(rows).to_list() == load(tmp_path / "a.jsonl").records


def test_light_import():
    code = "import sys, ftlab.data; print(sorted({'torch', 'datasets', 'transformers'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
