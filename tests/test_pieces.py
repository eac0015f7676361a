"Any format in: the same pieces from all of them, in little memory, and one broken piece costs only itself."
import csv
import gzip
import io
import json
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import datasets
import pyarrow
import pytest
from datasets import Dataset, DatasetDict, IterableDataset
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from ftlab import pieces as room
from ftlab.pieces import Bad, Piece, local, parse, pieces

BOM = b"\xef\xbb\xbf"
GOOD = b'{"prompt": "q", "completion": "a"}'
BAD = {     # by code: what a line, or an element of an array, may be
    "invalid-utf8": [
        b'{"prompt": "caf\xe9", "completion": "b"}', b'\xff\xfe{\x00"\x00p\x00"\x00}\x00',
        b'{"prompt": "\xed\xa0\xbd", "completion": "b"}', b'{"prompt": "\xc0\xaf", "completion": "b"}'],
    "truncated-json": [
        b'{"prompt": "a", "completion": "b"', b'{"prompt": "a", "comp', b'{"prompt": "a", "completion": "b\\',
        b'{"prompt": "a", "completion":', b'{"prompt": "a", "completion": "\\u00', b'{"prompt": "caf\xc3'],
    "trailing-comma": [
        b'{"prompt": "a", "completion": "b",}', b'{"messages": [{"role": "user", "content": "a"},]}',
        b'{"prompt": "a", "completion": "b" , }', b'{"a": [1, 2, ], "prompt": "a", "completion": "b"}'],
    "not-a-number": [
        b'{"prompt": "a", "completion": "b", "score": NaN}', b'{"prompt": "a", "completion": Infinity}',
        b'{"prompt": "a", "completion": "b", "meta": {"loss": [-Infinity]}}'],
    "duplicate-key": [
        b'{"prompt": "a", "prompt": "b", "completion": "c"}', b'{"prompt": "a", "completion": "c", "completion": "c"}',
        b'{"messages": [{"role": "user", "role": "assistant", "content": "x"}]}',
        b'{"prompt": "a", "completion": "c", "meta": {"k": 1, "\\u006b": 2}}'],
    "two-objects": [
        GOOD + b" " + GOOD, GOOD + GOOD, GOOD + b"\t[1]"],
    "nested-too-deep": [
        b"[" * 50_000, b'{"a": ' * 200 + b"1" + b"}" * 200, b'{"prompt": "a", "completion": ' + b"[" * 3000 + b"]" * 3000 + b"}"],
    "line-too-long": [
        b'{"prompt": "' + b"a" * 10_000_000 + b'"}', b"[" * 10_000_001, b'{"prompt": ' + b"1, " * 4_000_000],
    "bad-json": [
        b"{'prompt': 'a', 'completion': 'b'}", b"nothing", b'{"prompt": "a\tb", "completion": "c"}',
        b'{"prompt": "a" "completion": "b"}', b'{"a": ' + b"9" * 5000 + b"}", b'{"prompt": "a\\x", "completion": "b"}',
        b'{prompt: "a"}', b'{"prompt": True}', GOOD + b"}"],
}
CASES = [pytest.param(code, x, id=f"{code}-{i}") for code, xs in BAD.items() for i, x in enumerate(xs)]


def read(source):
    "(line, object or code) of each piece"
    def seen(piece):
        try: return parse(piece)
        except Bad as bad: return bad.code
    return [(p.line, seen(p)) for p in pieces(source)]


def put(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("code,bad", CASES)
def test_named_by_code_and_line(tmp_path, code, bad):
    good = json.loads(GOOD)
    lines = GOOD + b"\n\n" + bad + b"\n" + GOOD + b"\n"
    for data in (lines, gzip.compress(lines, 1), pyarrow.compress(lines, codec="zstd", asbytes=True)):
        assert read(put(tmp_path / "a", data)) == [(1, good), (3, code), (4, good)]
    what = next(p for p in pieces(tmp_path / "a") if p.line == 3)
    assert len(what.raw) <= 10_000_000 and bad.startswith(what.raw)


@pytest.mark.parametrize("code,bad", [p for p in CASES if p.values[0] != "line-too-long"])
def test_the_same_in_an_array(tmp_path, code, bad):
    got = read(put(tmp_path / "a", b"[\n" + GOOD + b",\n" + bad + b",\n" + GOOD + b",\n" + GOOD + b"\n]\n"))
    good = json.loads(GOOD)
    assert got[:2] == [(2, good), (3, code)]
    if code not in ("nested-too-deep", "two-objects"):      # an object cut off in the middle does not take the others
        assert got[2:] == [(4, good), (5, good)]
    elif code == "two-objects": assert got[2:] == [(4, good), (5, good)]


def test_too_long_within_an_array(tmp_path):
    long = b'{"prompt": "' + b"a" * 10_000_000 + b'"}'
    good = json.loads(GOOD)
    got = read(put(tmp_path / "a", b"[" + GOOD + b",\n" + long + b",\n" + GOOD + b"]"))
    assert got == [(1, good), (2, "line-too-long"), (3, good)]
    almost = b'{"prompt": "' + b"a" * 9_999_985 + b'"}'
    assert len(almost) <= 10_000_000
    assert [p.obj for p in pieces(put(tmp_path / "a", almost + b"\n" + almost))] == [None, None]


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("indent", [None, 0, 1, 4])
def test_arrays_in_any_layout(tmp_path, n, indent):
    rows = [{"prompt": f'[{i}] "],[" \\', "completion": {"{": ["}"]}} for i in range(n)]
    path = put(tmp_path / "a.json", ("\n " + json.dumps(rows, indent=indent) + "\n\n").encode())
    got = list(pieces(path))
    assert [parse(p) for p in got] == rows
    lines = path.read_text().split("\n")
    if indent is not None:
        assert all(lines[p.line - 1].strip().startswith("{") for p in got)
        assert len({p.line for p in got}) == n


def test_objects_over_several_lines(tmp_path):
    rows = [{"prompt": "a", "completion": str(i)} for i in range(3)]
    path = put(tmp_path / "a", "\n".join(json.dumps(r, indent=2) for r in rows).encode())
    assert read(path) == [(1 + 4 * i, r) for i, r in enumerate(rows)]


values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats(allow_nan=False),
                      lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=5), x, max_size=4), max_leaves=12)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(rows=st.lists(st.dictionaries(st.text(max_size=5), values, max_size=4), min_size=1, max_size=5),
       ascii_=st.booleans(), indent=st.sampled_from([None, 0, 1]), n=st.integers(1, 40))
def test_any_array_cut_anywhere(rows, ascii_, indent, n):
    "Whatever JSON holds and wherever the chunks end, the elements are those of json.loads"
    data = json.dumps(rows, ensure_ascii=ascii_, indent=indent).encode(errors="backslashreplace")
    chunks = [data[i:i + n] for i in range(0, len(data), n)]
    got = list(room._elements(iter(chunks)))
    assert [json.loads(p.raw) for p in got] == rows and not any(p.obj for p in got)
    for p in got:       # the line is that of the element's first byte
        assert data.split(b"\n")[p.line - 1].find(p.raw.split(b"\n")[0]) >= 0


@settings(deadline=None, max_examples=150)
@given(data=st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"\n", b"a", b":", b" ", b"\xc3", b"1"]),
                     max_size=60).map(b"".join), n=st.integers(1, 9))
def test_broken_arrays_cut_anywhere(data, n):
    "Chunks do not show, and no byte but separators is lost"
    whole = [(p.line, p.raw, p.obj and p.obj.args) for p in room._elements(iter([data]))]
    parts = room._elements(iter([data[i:i + n] for i in range(0, len(data), n)]))
    assert [(p.line, p.raw, p.obj and p.obj.args) for p in parts] == whole
    def count(text): return {c: text.count(c) for c in b'"\\a:1\xc3'}
    assert count(b"".join(raw for _, raw, _ in whole)) == count(data)
    lines = [p.raw for p in room._lines(iter([data[i:i + n] for i in range(0, len(data), n)]))]
    assert lines == (data + b"\n").split(b"\n")[:-1]


def test_one_missing_bracket_costs_one_element(tmp_path):
    rows = [{"messages": [{"role": "user", "content": f"{i}"}]} for i in range(6)]
    texts = [json.dumps(r) for r in rows]
    for cut in ("]", "}]}", "]}", '"}]}'):      # the second row's end is missing
        broken = [texts[0], texts[1].removesuffix("}").removesuffix("]") if cut == "]}" else texts[1].replace(cut, "", 1),
                  *texts[2:]]
        got = read(put(tmp_path / "a", ("[\n" + ",\n".join(broken) + "\n]\n").encode()))
        assert [x for _, x in got if not isinstance(x, str)] == [rows[0], *rows[2:]], cut
        assert [line for line, x in got if isinstance(x, str)] == [3]


def test_what_follows_an_array(tmp_path):
    data = json.dumps([1, 2]).encode()
    assert read(put(tmp_path / "a", data + b"\n" + data)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert read(put(tmp_path / "a", data + b"\nmore")) == [(1, 1), (1, 2), (2, "bad-json")]
    assert read(put(tmp_path / "a", b"[1,\n2]\n" + GOOD)) == [(1, 1), (2, 2), (3, json.loads(GOOD))]


@pytest.mark.parametrize("first", [b"[", b"[[", b'["a", ', b"[1]"])
def test_a_bad_first_line_does_not_take_the_file(tmp_path, first):
    got = read(put(tmp_path / "a", b"\n".join([first + GOOD[1:], GOOD, GOOD, GOOD])))
    assert [x for _, x in got[1:]] == [json.loads(GOOD)] * 3 and isinstance(got[0][1], str)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"", b"\n", b"\n\n \n"])
def test_line_ends(tmp_path, line_end, last):
    got = read(put(tmp_path / "a", line_end.join([GOOD, b"", GOOD]) + last))
    assert got == [(1, json.loads(GOOD)), (3, json.loads(GOOD))]


# ---- tables

cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(deadline=None, max_examples=200)
@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=6), d=st.sampled_from(",;\t|"),
       quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), end=st.sampled_from(["\r\n", "\n"]))
def test_any_csv(tmp_path_factory, rows, d, quoting, end):
    if end == "\n": rows = [tuple(x.replace("\r", "") for x in row) for row in rows]     # Python's writer leaves a \r bare
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=d, quoting=quoting, lineterminator=end).writerows([("prompt", "completion"), *rows])
    path = put(tmp_path_factory.getbasetemp() / "a.csv", out.getvalue().encode())
    got = list(pieces(path))
    assert [(p.obj["prompt"], p.obj["completion"]) for p in got] == rows
    lines = path.read_bytes().split(b"\n")
    for p in got:
        assert lines[p.line - 1] == p.raw.split(b"\n")[0]
        again = next(csv.reader(io.StringIO(p.raw.decode() + "\n", newline=""), delimiter=d))
        assert [x.rstrip("\r") for x in again] == [x.rstrip("\r") for x in (p.obj["prompt"], p.obj["completion"])]


DAMAGED = [b"a", b"a,b,c", b'"a,b', b'a,"b"c', b'a,"b', b'"a"b,c', b',"', b"a\rb,c"]


@pytest.mark.parametrize("bad", DAMAGED)
def test_a_damaged_row_costs_itself(tmp_path, bad):
    rows = b'prompt,completion\nx,"one\ntwo"\n' + bad + b'\ny,z\n"p ""q""","r\n\ns"\n'
    assert read(put(tmp_path / "a", rows)) == [
        (2, {"prompt": "x", "completion": "one\ntwo"}), (4, "damaged-csv"), (5, {"prompt": "y", "completion": "z"}),
        (6, {"prompt": 'p "q"', "completion": "r\n\ns"})]


def test_tables_are_told_by_their_header(tmp_path):
    def kinds(data): return [x for _, x in read(put(tmp_path / "a", data))]
    talk = '[{"role": "user", "content": "a"}]'
    quote = lambda text: '"' + text.replace('"', '""') + '"'
    quoted = quote(talk)
    assert kinds(f"id,messages\n1,{quoted}\n".encode()) == [{"id": "1", "messages": json.loads(talk)}]
    assert kinds(f"conversations\n{quoted}\n".encode()) == [{"conversations": json.loads(talk)}]
    assert kinds(f"messages\n{quote(talk[:-3])}\n".encode()) == ["truncated-json"]
    assert kinds(b"messages\n\"[{'role': 'user'}]\"\n") == ["bad-json"]                   # Python's repr is no JSON
    assert kinds(b"prompt,prompt,completion\na,b,c\n") == ["duplicate-key"]
    assert kinds(b"prompt,completion\ncaf\xe9,b\nc,d\n") == ["invalid-utf8", {"prompt": "c", "completion": "d"}]
    assert kinds(b"prompt,completion,label\na,b,True\n") == [{"prompt": "a", "completion": "b", "label": True}]
    assert kinds(b"chosen,rejected\na,b\n") == [{"chosen": "a", "rejected": "b"}]
    assert kinds(b"\n\nprompt;completion\r\na,b;c\r\n") == [{"prompt": "a,b", "completion": "c"}]
    assert kinds(b"question,answer\na,b\n") == ["bad-json"] * 2                            # not a header that says enough
    big = b"x" * 200_000
    assert kinds(b"prompt,completion\n" + big + b",b\n") == [{"prompt": big.decode(), "completion": "b"}]
    assert kinds(b"prompt,completion\n" + big * 60 + b",b\nc,d\n")[:1] == ["line-too-long"]


def test_a_quote_left_open_before_a_long_file(tmp_path):
    "The reader does not take the whole file into memory to look for the other quote, and loses one row"
    path = put(tmp_path / "a", b"prompt,completion\n" + b'a,"b\n' + b"question,answer\n" * 150_000)
    bad, last = 0, None
    for p in pieces(path):
        if isinstance(p.obj, Bad): bad += 1
        else: last = p
    assert bad == 1 and (last.line, last.obj) == (150_002, {"prompt": "question", "completion": "answer"})


@pytest.mark.slow
def test_a_row_of_too_many_lines(tmp_path):
    tall = b'"' + b"x\n" * 100_000 + b'"'
    path = put(tmp_path / "a", b"prompt,completion\n" + tall[:90_000] + tall[-1:] + b",a\nb," + tall + b"\nc,d\n")
    got = [p for p in pieces(path)]
    assert isinstance(got[0].obj, dict) and got[1].obj.what == "a quote is left open"
    assert got[-1].obj == {"prompt": "c", "completion": "d"}


# ---- rows without bytes

ROWS = [{"prompt": f"q{i} \"é\u2028", "completion": "a\n" * i} for i in range(5)]


def test_every_source_gives_the_same(tmp_path, monkeypatch):
    text = "\n".join(map(json.dumps, ROWS)).encode()
    Dataset.from_list(ROWS).to_parquet(tmp_path / "p")
    table = (tmp_path / "p").read_bytes()
    zstd = pyarrow.compress(text, codec="zstd", asbytes=True)
    files = {"jsonl": text, "gz": gzip.compress(text), "zst": zstd, "two gz": gzip.compress(text[:70]) + gzip.compress(text[70:]),
             "array": json.dumps(ROWS).encode(), "parquet": table, "parquet.gz": gzip.compress(table),
             "parquet.zst": pyarrow.compress(table, codec="zstd", asbytes=True)}
    for name, data in files.items():
        path = put(tmp_path / "x.txt", data)        # the name says nothing
        assert [x for _, x in read(path)] == ROWS, name
        assert [x for _, x in read(str(path))] == ROWS, name
        done = subprocess.run([sys.executable, "-c", "import json; from ftlab.pieces import *\n"
                               "print(json.dumps([parse(p) for p in pieces('-')]))"],
                              input=data, capture_output=True, check=True)
        assert json.loads(done.stdout) == ROWS, name
    whole = Dataset.from_list(ROWS)
    for rows in (ROWS, tuple(ROWS), iter(ROWS), whole, whole.with_format("numpy"), whole.to_iterable_dataset(),
                 IterableDataset.from_generator(lambda: iter(ROWS))):
        assert read(rows) == list(enumerate(ROWS, 1))


def test_rows_have_bytes_that_can_be_parsed_again(tmp_path):
    rows = [*ROWS, {"prompt": "\ud83d", "completion": None}, {"prompt": b"x", "completion": Path("y")}]
    for piece, row in zip(pieces(rows), rows, strict=True):
        again = parse(Piece(piece.line, piece.raw))
        if isinstance(row["prompt"], str): assert again == row
    odd = [[1], None, 3, "text", {("a",): 1}, {"x": float("nan")}]
    odd[3:3] = [loop := {}]
    loop["loop"] = loop
    assert [x if isinstance(x, str) else 0 for _, x in read(odd)] == [0, 0, 0, "not-a-record", "text", "not-a-record", 0]


def test_parquet_of_many_groups_and_types(tmp_path):
    rows = [{"prompt": str(i), "completion": "a", "n": i, "when": None, "blob": b"x"} for i in range(2500)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a", row_group_size=700)
    got = list(pieces(tmp_path / "a"))
    assert [p.line for p in got] == [*range(1, 2501)] and [p.obj for p in got] == rows
    assert json.loads(got[7].raw) == rows[7] | {"blob": "b'x'"}


# ---- what cannot be read

ARCHIVES = {"gz": gzip.compress, "zst": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True)}


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("keep", [5, 12, 30, -1, -8])
def test_damaged_archives(tmp_path, kind, keep):
    data = b"".join(b'{"prompt": "%d", "completion": "%d"}\n' % (i * i, i ** 3) for i in range(99))
    path = put(tmp_path / "a", ARCHIVES[kind](data)[:keep])
    with pytest.raises(ValueError, match="a is damaged .*; copy it again"):
        list(pieces(path))
    noise = bytearray(ARCHIVES[kind](data) + b"trailing noise")
    with pytest.raises(ValueError, match="is damaged"):
        list(pieces(put(tmp_path / "a", noise)))


def test_damaged_parquet(tmp_path):
    Dataset.from_list(ROWS).to_parquet(tmp_path / "p")
    data, rng, seen = (tmp_path / "p").read_bytes(), random.Random(5), 0
    for keep in (4, 8, 100, len(data) - 1):
        with pytest.raises(ValueError, match="is damaged"):
            list(pieces(put(tmp_path / "a", data[:keep])))
    for _ in range(200):
        i = rng.randrange(4, len(data))
        try: list(pieces(put(tmp_path / "a", data[:i] + bytes([rng.randrange(256)]) + data[i + 1:])))
        except ValueError as e: seen += "is damaged" in str(e)
    assert seen > 20


def test_nothing_there(tmp_path):
    for empty in (b"", b"\n\n", b" \r\n\t", b"[]", b"[ \n ]", BOM, gzip.compress(b""), b"prompt,completion\n"):
        with pytest.raises(ValueError, match="a is empty; expected JSONL"):
            list(pieces(put(tmp_path / "a", empty)))
    for none in ([], Dataset.from_list([])):
        with pytest.raises(ValueError, match="is empty"): list(pieces(none))
    with pytest.raises(FileNotFoundError, match="there is no file .*absent"): list(pieces(tmp_path / "absent"))
    with pytest.raises(IsADirectoryError, match="name one file in it"): list(pieces(str(tmp_path)))
    with pytest.raises(ValueError, match=r"not a DatasetDict; give one of \['train'\]"):
        list(pieces(DatasetDict(train=Dataset.from_list(ROWS))))
    with pytest.raises(ValueError, match="expected a path, a Dataset or a list of objects, not a NoneType"):
        list(pieces(None))


def test_a_zip_is_named(tmp_path):
    import zipfile
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as f: f.writestr("x", "y")
    with pytest.raises(ValueError, match="a zip archive or a spreadsheet; unpack it"): list(pieces(tmp_path / "a.xlsx"))


def test_a_failing_disk_is_not_a_damaged_file(tmp_path, monkeypatch):
    def failing(f):
        yield Piece(1, b"1")
        raise OSError(5, "Input/output error")
    monkeypatch.setattr(room, "_stream", failing)
    with pytest.raises(OSError, match="Input/output error"): list(pieces(put(tmp_path / "a", GOOD)))


def test_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("FTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no-owner/no-data is no file here.*check the name, your network"):
        list(pieces("no-owner/no-data"))
    assert not (tmp_path / "cache").exists()
    asked = []
    def stored(name, split):
        asked.append((name, split))
        return Dataset.from_list(ROWS)
    monkeypatch.setattr(datasets, "load_dataset", stored)
    assert [x for _, x in read("owner/some.data")] == ROWS == [x for _, x in read("owner/some.data")]
    assert asked == [("owner/some.data", "train")] and local("owner/some.data").name == "owner--some.data.jsonl"
    class Full(list):
        def to_json(self, path, **kw):
            path.write_text("half")
            raise OSError(28, "no space left")
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: Full())
    with pytest.raises(OSError, match="no space"): local("owner/other")
    assert [p.name for p in (tmp_path / "cache/data").iterdir()] == ["owner--some.data.jsonl"]
    (tmp_path / "owner").mkdir()            # now it is a path, and one that is not there
    with pytest.raises(FileNotFoundError, match="there is no file owner/some.data"): list(pieces("owner/some.data"))


# ---- size

def stream(n, between, first=b"", last=b""):
    row = json.dumps({"prompt": "q \u00e9 " * 60, "completion": "[{," * 100}).encode()
    block = (row + between) * 1000
    yield first
    for _ in range(n // 1000): yield block
    yield row + last


@pytest.mark.parametrize("reader", ["_lines", "_elements"])
def test_streams_hold_little(reader):
    tracemalloc.start()
    source = stream(20_000, b"\n") if reader == "_lines" else stream(20_000, b",\n", b"[", b"]")
    n = sum(p.obj is None for p in getattr(room, reader)(source))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 20_001 and most < 8e6       # of 17 MB


@pytest.mark.parametrize("reader,head", [("_lines", b'{"a": "'), ("_elements", b'["'), ("_elements", b'["\\"'),
                                         ("_elements", b"[1")])
def test_endless_records_hold_little(reader, head):
    filler = b"1" if head == b"[1" else b"x\\\\"
    tracemalloc.start()
    chunks = (x for part in ([head], (filler * (1_000_000 // len(filler)) for _ in range(40))) for x in part)
    got = list(getattr(room, reader)(chunks))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got[0].obj.code == "line-too-long" and len(got) == 1 + (head == b"[1") and most < 60e6
    assert 39_900_000 < int(got[0].obj.what.split()[2].replace(",", "")) < 40_100_000


def test_bad_survives_a_trip_to_another_process():
    import pickle
    piece = Piece(3, b"x", Bad("bad-json", "seen \ud800"))
    again = pickle.loads(pickle.dumps(piece))
    assert (again.line, again.raw, again.obj.code, again.obj.what) == (3, b"x", "bad-json", r"seen \ud800")
    assert again.hash == piece.hash


def test_light_import():
    code = "import sys, ftlab.pieces; print(sorted({'torch', 'datasets', 'transformers', 'pyarrow'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
