"The report as a page: nothing of the data becomes markup, every number is the report's, and it stays a page."
import copy
import json
import os
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ftlab import report as room
from ftlab.data import Finding
from ftlab.doctor import doctor
from ftlab.report import html_report, show_report, write_report

VOID = {"meta", "br", "img", "link", "input", "hr"}
ALLOWED = set("html head meta title style body main div p code bdi h1 h2 h3 h4 h5 dl dt dd span section "
              "table thead tbody tr th td ul li details summary figure figcaption svg rect b footer".split())


class Page(HTMLParser):
    "Elements with their attributes, balanced; the text outside of style"
    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(text); self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID: self.open.append(tag)

    def handle_startendtag(self, tag, attrs): self.seen.append((tag, dict(attrs)))
    def handle_endtag(self, tag): assert self.open.pop() == tag
    def handle_comment(self, data): raise AssertionError(f"a comment: {data}")
    def handle_pi(self, data): raise AssertionError(f"an instruction: {data}")
    def handle_data(self, data): self.text += [data] * ("style" not in self.open)

    @property
    def shape(self): return [(tag, tuple(attrs)) for tag, attrs in self.seen]
    def all(self, tag): return [attrs for name, attrs in self.seen if name == tag]


def talk(*texts): return [{"role": r, "content": c} for r, c in zip(("user", "assistant") * 20, texts)]


def report(talks=(), findings=(), rejected=0, **stats):
    talks = list(talks) or [talk("a question", "an answer")] * 12
    counted = {"formats": {"messages": len(talks)}, "roles": {"user": len(talks), "assistant": len(talks)},
               "turns": {2: len(talks)}, "prompt_chars": [[8, len(talks)]], "answer_chars": [[8, len(talks)]],
               "languages": {"en": len(talks)}, "samples": [{"line": i + 1, "messages": t} for i, t in enumerate(talks[:10])]}
    return SimpleNamespace(file="made.jsonl", total=len(talks) + rejected, records=len(talks), rejected=rejected,
                           findings=list(findings), stats=counted | stats)


def found(line=1, code="exact-duplicate", level="warning", what="the same as line 1", do="keep one", file="made.jsonl"):
    return Finding(code, level, file, line, what, do)


FULL = [*(found(i, code, level) for code, level, n in
          (("bad-json", "error", 1), ("secret", "error", 12), ("exact-duplicate", "warning", 40), ("refusal", "warning", 2))
          for i in range(1, n + 1))]


def everywhere(text, key=""):
    "A report in which every text is `text`; `key` keeps a dict's key apart"
    one = [{"role": text, "content": text}, {"role": "user", "content": text}, {"role": "assistant", "content": text}]
    r = report([one] * 12, [found(3, text, what=text, do=text, file=text), found(4, text, "error", text, text, text),
                            found(5, text, text, text, text, text)], 1,
               formats={text: 3, key: 1}, languages={text: 1, key: 2}, roles={text: 4, key: 1})
    r.file = text
    return r


EVIL = ["<script>alert(1)</script>", "\"><img src=x onerror='alert(1)'>", "'><svg/onload=alert(1)>", "</style></title><b>",
        "<!-- ", "-->", "]]><![CDATA[", "<?php ", "javascript:alert(1)", "&lt;script&gt;&#60;b&#62;", "{{ 7*7 }}{% raw %}{# #}",
        "</main></body></html>", "`onmouseover=alert(1)", "\u202etxt.exe\u2066\u2069\u200f", "\ud800 \udfff", "\ufffe\uffff",
        "\x00\x01\x1b[2J\x7f\x85\x9f", "\u2028\u2029\ufeff\u200b", "\U000e0041\U000e007f", "\r\n\r", "\ue000 \U0010ffff",
        "Z" + "\u0301" * 50, "W" * 90]
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069\u200b\u200f\ufeff]")


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
@pytest.mark.parametrize("make", [html_report, lambda r: show_report(r)._repr_html_()], ids=["page", "notebook"])
def test_nothing_of_the_data_becomes_markup(make, evil):
    hostile, tame = Page(make(everywhere(evil))), Page(make(everywhere("plain")))
    assert hostile.shape == tame.shape and {tag for tag, _ in hostile.seen} <= ALLOWED
    for one, other in zip(hostile.seen, tame.seen):                   # the file's name is in no attribute, nor is anything else
        assert one == other
    text = make(everywhere(evil))
    assert text.encode("utf-8") and not UNSEEN.search(text)


def through_the_doctor(path, text):
    "Records that hold `text`, as the doctor reports them: kept, warned of and rejected"
    records = [talk(f"{i} {text}", f"{text} {i}") for i in range(12)] * 2 + [talk(text, " "), [{"role": text, "content": text}]]
    lines = "".join(json.dumps({"messages": m}) + "\n" for m in records)
    path.write_text(lines + '{"' + text, encoding="utf-8", errors="replace")
    return doctor(str(path), workers=1)


@pytest.mark.parametrize("evil", ["<script>alert(1)</script>", "\"><img src=x onerror='alert(1)'>", "</style></title></main>",
                                  "{{ 7*7 }}{% raw %}", "&lt;b&gt;", "\u202etxt.exe", "javascript:alert(1) <!--"])
def test_the_doctors_own_report(evil, tmp_path):
    name = re.sub(r"[/\0]", "", evil)
    hostile, tame = through_the_doctor(tmp_path / name, evil), through_the_doctor(tmp_path / "plain", "plain words")
    page = html_report(hostile)
    assert hostile.total == 27 and hostile.rejected == 3
    assert {"exact-duplicate", "empty-answer", "unknown-role"} <= hostile.counts.keys()
    assert f"Not ready: {hostile.rejected} records cannot be used" in page and page.count(">Line ") == 10
    assert {tag for tag, _ in Page(page).seen} <= ALLOWED and not UNSEEN.search(page)
    assert {k for _, a in Page(page).seen for k in a} == {k for _, a in Page(html_report(tame)).seen for k in a}
    assert not any(evil in str(v) for _, a in Page(page).seen for v in a.values())
    assert not any("None" in t or "Undefined" in t for t in Page(page).text)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=40)
       | st.text(st.sampled_from("<>&\"'/=`{}%#!-?\ud800\u202e\x00\n\t \u200d"), max_size=40)
       | st.text(st.characters(categories=["Cs", "Cc", "Cf", "Co", "Zl", "Zp"]), max_size=20))
def test_any_text_at_all(text):
    # long texts fold, and the names of levels and roles mean something: other shapes, tested below
    assume(text.count("\n") < 14 and text not in ("key", "error", "user", "assistant"))
    page = html_report(everywhere(text, "key"))
    assert Page(page).seen == Page(html_report(everywhere("plain", "key"))).seen and page.encode("utf-8")
    assert len(page.encode()) < 1_000_000


def test_what_a_person_wrote_is_there_to_read():
    tricky = "a < b && c > \"d\" 'e' <b>bold</b> naïve 可 👩\u200d💻 می\u200cخواهم"
    seen = "".join(Page(html_report(report([talk(tricky, "so\n\tit is")] * 10))).text)
    assert seen.count(tricky) == 10 and "so\n\tit is" in seen
    seen = "".join(Page(html_report(report([talk("\u202eevil\ud83d\x00", "x")]))).text)
    assert r"\u202eevil\ud83d\x00" in seen


def test_it_needs_nothing_else():
    for text in (html_report(report(findings=FULL)), show_report(report(findings=FULL))._repr_html_()):
        assert not re.search(r"<script|https?:|//|@import|@font-face|url\(|\bsrc=|\bhref=|\bid=|\bon\w+=|<iframe|<link", text)
    seen = {k for _, attrs in Page(text).seen for k in attrs}
    assert seen <= set("class lang dir style role aria-label aria-hidden scope colspan "
                       "viewbox preserveaspectratio x y width height".split())


def test_headings_tables_and_charts_say_what_they_are():
    for text, top in ((html_report(report(findings=FULL)), 1), (show_report(report(findings=FULL))._repr_html_(), 3)):
        page = Page(text)
        levels = [int(tag[1]) for tag, _ in page.seen if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == top and levels.count(top) == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:]))
        assert all(a.get("scope") in ("col", "row") for a in page.all("th"))
        assert all(a["role"] == "img" and a["aria-label"] for a in page.all("svg")) and len(page.all("svg")) == 2
    page = Page(html_report(report()))
    assert page.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")


def test_its_style_leaks_into_no_notebook():
    css = re.findall(r"<style>(.*?)</style>", show_report(report())._repr_html_(), re.S)
    assert len(css) == 1 and css[0].strip().startswith(":is(.ftlab, #ftlab) {")
    depth, outside = 0, ""
    for c in css[0].strip():
        depth += (c == "{") - (c == "}")
        outside += c * (depth == 0)
    assert depth == 0 and outside == ":is(.ftlab, #ftlab) }"          # one rule, and everything within it
    body = show_report(report())._repr_html_()
    assert body.strip().startswith('<div class="ftlab"') and body.strip().endswith("</div></div>")


def test_every_number_is_the_reports():
    r = report([talk("q", "a")] * 1234, FULL, 13, languages={"en": 1000, "": 234})
    page = html_report(r)
    tiles = dict((name, n) for n, name in [(int(n.replace(",", "")), name) for name, n in
                                           re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page)])
    assert tiles == {"records in": 1247, "kept": 1234, "set aside": 13, "errors": 13, "warnings": 42}
    rows = re.findall(r'<th scope="row"><code>(.*?)</code>.*?[✗▲] (\w+)</span>.*?<span class="num">(\d+)</span></td></tr>', page)
    assert rows == [("secret", "error", "12"), ("bad-json", "error", "1"),
                    ("exact-duplicate", "warning", "40"), ("refusal", "warning", "2")]
    assert page.count("made.jsonl:") == 10 + 1 + 10 + 2 and "30 that only the JSON report lists" in page
    assert "1,000 (81%)" in page and "234 (19%)" in page and "not sure" in page
    assert page == html_report(copy.deepcopy(r))                      # the same bytes each time


@pytest.mark.parametrize("r, headline, says, command", [
    (report(), "Ready to train", "12 records, and no rule found anything", False),
    (report(findings=[found()]), "Ready, with 1 warning", "You can train on 12 records", False),
    (report(findings=FULL, rejected=13), "Not ready: 13 records cannot be used", "Begin with secret: keep one.", True),
    (report(findings=[found(level="error")], rejected=1), "Not ready: 1 record cannot be used", "the other 12", True),
])
def test_the_verdict(r, headline, says, command):
    page = html_report(r)
    assert f">{headline}</h1>" in page and says in page and ("--fix OUT</span></code>" in page) is command
    assert headline in repr(show_report(r)) and says in repr(show_report(r))


def test_a_file_of_which_nothing_is_left():
    r = report(findings=[found(1, "bad-json", "error")], rejected=7)
    r.records, r.total = 0, 7
    r.stats = {k: [] for k in ("samples", "prompt_chars", "answer_chars")} | \
              {k: {} for k in ("roles", "turns", "formats", "languages")}
    page = html_report(r)
    Page(page)
    assert "Nothing here can be used" in page and "Not one of 7 records is left" in page
    assert "--fix" not in page and "<svg" not in page
    r.total = 0; r.findings = []
    assert "There is nothing here" in html_report(r)


@pytest.mark.parametrize("bins, says", [
    ([[1, 1]], "Half have fewer than 2 characters, 99% fewer than 2; the longest has 1."),
    ([[0, 4]], "Half have fewer than 1 characters, 99% fewer than 1; the longest has 0."),
    ([[4, 50], [64, 49], [1024, 1]], "Half have fewer than 8 characters, 99% fewer than 128; the longest has 1,024 to 2,047."),
    ([[4, 49], [64, 51]], "Half have fewer than 128 characters, 99% fewer than 128; the longest has 64 to 127."),
    ([[1024, 1], [4, 1]], "Half have fewer than 8 characters, 99% fewer than 2,048; the longest has 1,024 to 2,047."),
])
def test_a_histogram_says_what_it_shows(bins, says):
    page = html_report(report(answer_chars=bins))
    chart = room._chart(bins)
    assert chart["says"] == says and page.count(says) == 2            # to see, and to hear
    assert sum(n for _, _, n in chart["bins"]) == sum(n for _, n in bins)
    for (low, high, _), (after, _, _) in zip(chart["bins"], chart["bins"][1:]): assert high + 1 == after and low <= high
    assert chart["bins"][-1][2] == 0 and len(chart["ticks"]) <= 7 and chart["top"] == max(n for _, n in bins)
    tall = [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', page.split("Answer lengths")[1])]
    assert len(tall) == len(chart["bins"]) and max(tall) == 100 and min(tall) == 0


@pytest.mark.slow
def test_a_million_findings_and_megabytes_of_text_are_still_a_page():
    long = "<&'\"\U000e0041\ud800" * 200_000
    r = everywhere(long)
    r.findings = [found(i, f"{i % 90}{long[:300]}", "error", long[:9999], long[:9999], long[:9999]) for i in range(20_000)]
    r.findings += [found(2)] * 980_000
    r.stats |= {"roles": {f"{i}{long[:99]}": i for i in range(999)}, "turns": {i: i for i in range(2, 99)},
                "prompt_chars": [[2**i, 9**i] for i in range(21)],
                "samples": [{"line": i, "messages": [{"role": long, "content": long}] * 500} for i in range(50)]}
    page = html_report(r)
    assert len(page.encode()) < 1_000_000 and "31 more kinds" in page and "992 others" in page
    assert {tag for tag, _ in Page(page).seen} <= ALLOWED and page.count(">Line ") == 10


def test_long_texts_fold_and_say_what_is_left_out():
    page = html_report(report([talk("x" * 700, "y" * 5000, "z")]))
    assert "220 more characters</summary>" + "x" * 220 in page
    assert f"{5000 - 480:,} more characters, of which {2400 - 700 - 480:,} are here" in page and "and 1 more messages" not in page
    assert page.count("x") - page.count("xt") >= 700 and ">z" not in page and "and 1 more message" in page
    assert html_report(report([talk(*"ab" * 10)])).count('class="q" dir="auto"') == 6    # twelve of twenty


def test_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = write_report(report(findings=FULL), tmp_path / "new/report.html")
    before = path.read_bytes()
    assert before.decode("utf-8") == html_report(report(findings=FULL)) and os.listdir(path.parent) == ["report.html"]
    def full(*args): raise OSError("no space left on device")
    with monkeypatch.context() as m:
        m.setattr(os, "replace", full)
        with pytest.raises(OSError, match="no space"): write_report(report(), path)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["report.html"]
    broken = report(); del broken.stats["samples"]
    with pytest.raises(KeyError): write_report(broken, path)
    assert path.read_bytes() == before and write_report(report(), str(path)).read_bytes() != before
