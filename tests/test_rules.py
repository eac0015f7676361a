# ruff: noqa: E501   (tables of records: one a line, however long)
"The rules on one conversation: every kind named, what is clean left alone, and no text that stalls them."
import random
import time

import clean
import planted
import pytest

from ftlab.data import READING, load
from ftlab.privacy import private
from ftlab.rules import KINDS, examine, language
from ftlab.text import characters, codelike, quoted

Q = "Why is the sky blue?"
LOOP = "It is blue because of the light, and "
IBANS = ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "fr14 2004 1010 0505 0001 3m02 606"]


def chat(*pairs): return [{"role": r, "content": c} for r, c in pairs]


def qa(answer, ask=Q): return chat(("user", ask), ("assistant", answer))


def codes(messages, **more): return [code for code, what in examine(messages, **more)]


BAD = {
    "null-character": [qa("Light\0 scatters."), qa("It scatters.", "Why\0?"), chat(("system", "\0"), ("user", Q), ("assistant", "It scatters."))],
    "control-character": [qa("\x1b[31mRed\x1b[0m light."), qa("It\x08 scatters."), qa("It scatters.", "Why\x85 is it?"), qa("One.\x0cTwo."), qa("a\x7f")],
    "special-token-in-text": [
        qa("It scatters.<|im_end|>"), qa("[INST] Why? [/INST] It scatters."), qa("It scatters.</s>"), qa("It scatters. </s>\n"), qa("<s> It scatters."),
        qa("It scatters.", "<|begin_of_text|>Why?"), qa("<start_of_turn>model\nIt scatters."), qa("<<SYS>>Be brief.<</SYS>>"), qa("<｜end▁of▁sentence｜>"),
        qa("<b>It</b> scatters.</s>", "Answer in HTML: why is the sky blue?"), qa("It scatters.\n### Instruction:\nSay more."), qa("It scatters<eos>")],
    "secret": [
        qa("Use ghp_" + "a8Kq2ZrT5vXw9LmN3pBc" * 2), qa("AKIA" + "Q7XJ2M4ZP9RWK3TB"), qa("key", "my key is sk-proj-" + "Zk3v9QpLx7TnBw2RyHc8MdEu5Jf4" * 2),
        qa("-----BEGIN PRIVATE KEY-----\n" + "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj" + "\n-----END PRIVATE KEY-----"),
        qa("eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyIjoicTd4MiJ9.Kq2ZrT5vXw9LmN3pBcA8sD4fG6hJ1kL0"), qa("glpat-" + "x7Qz2Lk9Wm4Rt8Vb3Np1")],
    "prompt-echo": [
        qa(Q + " Because light scatters."), qa(f"Question: {Q}\nAnswer: it scatters."), qa(Q), qa("Warum ist der Himmel blau?\nWegen der Streuung.", "Warum ist der Himmel blau?"),
        qa("天空为什么是蓝色的？因为散射。", "天空为什么是蓝色的？"), qa("Name three colours.\n\nRed, blue, green.", "Name three colours.\n\nOnly bright ones.")],
    "answer-cut-off": [
        qa("Light scatters in the air. Blue light scatters more than red light because its"), qa("```python\nprint(1)\n"), qa('{"colour": "blue", "why": ['),
        qa("There are three reasons why it looks so blue:"), qa("It scatters more strongly, it is brighter,"), qa("<!DOCTYPE html>\n<html><body><h1>Sky</h1>", "As HTML."),
        qa("Das Licht wird in der Luft gestreut. Blaues Licht wird stärker gestreut als das")],
    "refusal": [
        qa("I'm sorry, but I can’t assist with that request."), qa("As an AI language model, I do not have opinions."), qa("I cannot fulfill your request."), qa("I must decline."),
        qa("Als KI-Sprachmodell kann ich das nicht sagen."), qa("Je ne peux pas vous aider avec cette demande."), qa("No puedo ayudar con esa solicitud."), qa("作为一个人工智能语言模型，我没有观点。")],
    "placeholder": [
        qa("TODO"), qa("TBD."), qa("Lorem ipsum dolor sit amet."), qa("The sky is [insert colour]."), qa("[Your answer here]"), qa("It is blue. TODO: say why."), qa("{{answer}}"), qa("..."),
        qa("Your order {{order_number}} is on its way.", "Where is my parcel?"), qa("Blue.", "[insert question here]")],
    "html-in-text": [
        qa("<p>It scatters.</p>"), qa("It scatters.<br>Blue wins."), qa("Tom &amp; Ann say it&nbsp;scatters."), qa("It <span style='color:blue'>scatters</span>."),
        qa("It scatters.", "<p>Why is the sky blue?</p><p>I have wondered.</p>")],
    "mojibake": [qa("Itâ€™s the light."), qa("Le cafÃ© est bleu."), qa("It\ufffds the light."), qa("Ð¡Ð²ÐµÑ‚ is light."), qa("It\u00e2\u0080\u0099s light."), qa("SchÃ¶n!", "Wie ist der Himmel?"), qa("æ—¥æœ¬èªž")],
    "repeated-text": [qa("Blue " * 30), qa(LOOP * 6), qa("It scatters, it wins. " * 12), qa("散乱します。" * 20), qa("The light scatters in the air above us.\n" * 5), qa("Why? " + "ha" * 60)],
    "extreme-length": [qa(clean.prose(random.Random(1), 900)), qa("Blue.", clean.prose(random.Random(2), 900)), chat(("system", clean.prose(random.Random(3), 900)), *[("user", Q), ("assistant", "Blue.")])],
    "email-address": [qa("Ask petra.novak@posteo.de."), qa("It is j.haddad77@mail.example-uni.ch"), qa("Blue.", "I am nina_ito@qq.com, why is the sky blue?"), qa("Ask maria.keller@example.org.")],
    "phone-number": [qa("Call me at +49 170 5551234."), qa("My number is (212) 410-7782."), qa("Mein Handy: 0171 4428193."), qa("Blue.", "Appelle-moi au 06 12 34 56 78 !"), qa("Ring 415-237-9981 after six.")],
    "card-number": [qa("My card is 4111 1111 1111 1111."), qa("5555-5555-5555-4444"), qa("Blue.", "Take 378282246310005 for it."), qa("Amex 3782 822463 10005")],
    "iban": [qa(f"Pay to {code}.") for code in IBANS],
}
CASES = [(code, i) for code, examples in BAD.items() for i in range(len(examples))]


def test_the_catalogue_is_complete():
    assert set(READING) < set(KINDS) and len(KINDS) >= 50
    assert set(BAD) == set(planted.SEEN) == set(planted.HELD) <= set(KINDS)
    assert all(level in ("error", "warning") and do and do[0].islower() and do[-1] != "." for level, do in KINDS.values())
    assert all(len(examples) >= 3 for examples in BAD.values())
    new = "exact-duplicate near-duplicate conflicting-answers train-test-leak label-imbalance too-few-examples narrow-wording mixed-languages mixed-formats"
    tokens = "too-long answer-truncated nothing-supervised double-bos missing-eos unsafe-template"
    assert set(f"{new} {tokens}".split()) == set(KINDS) - set(READING) - set(BAD)
    errors = {code for code, (level, do) in KINDS.items() if level == "error"}
    assert errors - set(READING) == {"null-character", "control-character", "special-token-in-text", "secret", "train-test-leak", *tokens.split()}


@pytest.mark.parametrize("code,i", CASES)
def test_named(code, i):
    found = examine(BAD[code][i])
    assert [c for c, what in found] == [code]
    what = found[0][1]
    assert what.startswith("turn ") and what.isprintable() and what.isascii() and len(what) <= 125


GOOD = [
    ("price?", "It was <s>40 €</s> 30 €."), ("How do I strike text through?", "Like this: <s>old</s>"), ("What does </s> do?", "It ends an <s> element."), ("Strike out: no", "<s>no</s>"),
    ("What is <br> for?", "Use <br> for a line break: one<br>two."), ("How do I write an ampersand in HTML?", "&amp;"), ("Landing page for a bakery", "<html>\n<body><p>Bread</p></body>\n</html>"),
    ("Refund?", "I'm sorry, but I can't refund an order after 30 days."), ("Refund?", "I'm sorry, I can't help with that. Refunds end 30 days after the order arrives."), ("Where is it?", "I cannot find your order."),
    ("How should a bot decline?", 'Say: "I\'m sorry, I can\'t help with that."'), ("Is the model refusing?", "A model that says “As an AI language model, I cannot” refuses."), ("Add tests", "# TODO: write tests\ndef f(): pass"),
    ("What is a TODO?", "A TODO is a note on what is left to do."), ("Dummy text?", "Lorem ipsum dolor sit amet."), ("Write a letter", "Dear [Name],\n\nThank you.\n\nKind regards,\n[Your Name]"), ("Roman 30?", "XXX"),
    ("Gross domestic product", "Gross domestic product (GDP) is what a country makes in a year."), ("Good morning!", "Good morning! How can I help?"), (Q, f"You asked: “{Q}” Light scatters."), (Q, f"> {Q}\n\nLight scatters."), ("2 + 2 =", "2 + 2 = 4"),
    ("def add(a, b):", "def add(a, b):\n    return a + b"), ("Two things", "- milk\n- bread and butter"), ("Verse", "The sea is wide,\nthe night is long,\nand so we sing"), ("Cron at noon", "0 12 * * *"), ("C++ or C?", "C++"), ("A grade?", "A-"),
    ("Say it", "« C’était l’été… », dit-il. „Spaß“, „Größe“, “CAFÉ” – ÅNGSTRÖM, “NÃO”"), ("UTF-8 trouble: why do I see Ã©?", "The é was decoded as Latin-1, so it shows as Ã©."), ("Names", "Søren Åkesson, Þóra Ægisdóttir, Nguyễn Ánh, Łukasz Żak"),
    ("Matrix", "0 0 0 0 0 0 0 0 0 0\n0 0 0 0 0 0 0 0 0 0"), ("Repeat hello 20 times", "hello " * 20), ("Rule", "-" * 80), ("Laugh", "Ha ha ha ha ha!"), ("Song", "La la la la la la"), ("Mail?", "Write to support@firma.ch or user@example.com."),
    ("Clone", "git clone git@github.com:org/repo.git"), ("Icon", "icon@2x.png"), ("Hotline?", "Call our hotline: 1-800-555-0199."), ("Order?", "Order number 4155521234 was sent on 2024-05-17 10:22."), ("IP?", "192.168.100.200, version 10.15.7, ISBN 978-3-16-148410-0"),
    ("Card test", "Stripe's test card is 4242 4242 4242 4242."), ("Number", "The product is 4111111111111112."), ("AWS docs", "aws_access_key_id = AKIAIOSFODNN7EXAMPLE"), ("Key?", "export OPENAI_API_KEY=sk-your-key-here"), ("Key?", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ("PEM?", "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----"), ("F#", "xs |> f <| y"), ("Haskell", "p <|> q"), ("Pick", "[INSTALL] <sub>2</sub>\u2028\u00a0\u200b"), ("Emoji", "👩🏽‍💻🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇨🇭"), ("Date of 05 06 07 08 09?", "05 06 07 08 09"),
    ("Regex group?", r"(?P<s>\d+) and (?<s>x)"), ("Bye", "Thanks for writing.\n\nKind regards,"), ("Physics", "The mean is <|x|>."), ("Quote", '"Be kind. Everyone else is taken." — a poster'), ("List:", "1. Red\n2. Blue and green\n3. Black"), ("Abbreviation", "TBD stands for “to be determined”."),
]


@pytest.mark.parametrize("ask,answer", GOOD)
def test_no_false_alarm(ask, answer): assert not examine(qa(answer, ask))


def test_a_tokenizers_own_tokens():
    assert codes(qa("It was <s>40</s> 30."), special=("<s>", "</s>")) == ["special-token-in-text"]
    assert codes(qa("It [MASK] blue."), special=["[MASK]", "[CLS]", " "]) == ["special-token-in-text"] and not codes(qa("It [MASK] blue."))
    assert not codes(qa("It is blue."), special=("<s>", "\n", "", "b|c"))


def test_one_of_each_in_the_order_of_the_catalogue():
    messages = chat(("user", "\0 Call me: (212) 410-7782"), ("assistant", "\x1b</s>"), ("user", "\0 petra.novak@posteo.de"), ("assistant", "TODO"))
    found = codes(messages)
    assert found == [code for code in KINDS if code in found] and len(found) == len(set(found)) == 6
    assert examine(messages) == examine(messages)                       # pure
    assert examine([]) == [] and examine(chat(("assistant", ""))) == [] and examine(chat(("user", " "), ("tool", "x"), ("assistant", " "))) == []


def test_what_is_private_is_masked():
    shown = {}
    for code in ("secret", "email-address", "phone-number", "card-number", "iban"):
        for messages in planted.planted(code, 100):
            text = " ".join(m["content"] for m in messages)
            for name, what in examine(messages):
                if name != code: continue
                shown[code] = what
                assert not [w for w in text.split() if len(w) > 11 and w in what] and len(what) < 110, what
    assert len(shown) == 5


def test_a_loop_has_one_finding_not_two():
    assert codes(qa(LOOP * 8)) == ["repeated-text"] and codes(qa(LOOP)) == ["answer-cut-off"]


def test_text_tools():
    assert [c for c, what in characters("\0\x01Ã©")] == ["null-character", "control-character", "mojibake"]
    assert codelike("x = 1") and codelike("SELECT a FROM b;") and not codelike(clean.prose(random.Random(1), 40))
    assert quoted("say “no” or “yes", 14) and not quoted("say “no” or yes", 14) and quoted("„Ja", 2) and not quoted("„Ja“ gut", 6) and not quoted('"\nx', 2)
    assert private("nothing") == [] and private("petra.novak@posteo.de")[0][0] == "email-address"


def test_iban_and_card_need_their_checksums():
    rng = random.Random(5)
    for make, code in ((lambda: planted.luhn("4", 16, rng), "card-number"), (lambda: planted.iban_of(rng, "DE", 22), "iban")):
        for _ in range(50):
            good = make()
            assert codes(qa(f"it is {good}")) == [code]
            wrong = good[:-1] + str((int(good[-1]) + 1) % 10)
            assert not codes(qa(f"it is {wrong}"))


SPEECH = {"English": "en", "German": "de", "French": "fr", "Spanish": "es", "Italian": "it", "Portuguese": "pt", "Dutch": "nl", "Swedish": "sv", "Polish": "pl",
          "Russian": "ru", "Greek": "el", "Chinese": "zh", "Japanese": "ja", "Korean": "ko", "Arabic": "ar", "Hindi": "hi"}


def test_language_is_right_or_silent():
    rng, said, right = random.Random(2), 0, 0
    for name, texts in {**clean.TRANSLATIONS, "English": clean.ENGLISH}.items():
        for _ in range(20):
            text = clean.say(rng, " ".join(rng.sample(texts, 2)))
            guess = language(text)
            assert guess in (None, SPEECH.get(name)), (name, guess, text)
            if name in SPEECH: said, right = said + 1, right + (guess is not None)
    assert right > .85 * said
    for text in ("", "42", "Berlin", "OK", "def f(the): return of(the, and)", "SELECT the FROM of WHERE and = 1;", "\n", "é"): assert language(text) is None


HOSTILE = ["a", " ", "\n", "<", "<s>", "</s>", "[ ", "{{ ", "1", "1 ", "1-", "+1", "a@", "a.a", "a@a.", "eyJ-", "eyJaaaaaaaaaa.", "-----BEGIN PRIVATE KEY-----\n ", "AB12 ", "DE12 ", "Ã", "Ð¿", '"', "“", "TODO ", "[insert a] ",
           "lorem ipsum ", "i can't ", "ha", "```\n", "\t", "&amp;", "<p a", "<p>", "def f(", "SELECT ", "a = ", "sk-", "的", "今天。", "Aaa. B ", "a, ", "if a:", ":AA1", "(415) 222-1234 ", "4111111111111111 ", "tel 030 1 ", "\ufffd", '{"a":', "<|aaaa|>"]


@pytest.mark.slow
def test_no_text_stalls_a_rule():
    "Eight times the text takes about eight times as long: a quadratic rule would take sixty-four times."
    def cost(unit, size):
        text = (unit * (size // len(unit) + 1))[:size]
        start = time.process_time()
        examine(chat(("user", text), ("assistant", text)))
        language(text)
        return time.process_time() - start
    def ratio(unit):
        return min(cost(unit, 240_000) for _ in range(2)) / max(min(cost(unit, 30_000) for _ in range(3)), .01)
    for unit in HOSTILE: assert any(ratio(unit) < 26 for _ in range(3)), unit     # a busy machine may err once, a rule errs always


@pytest.mark.slow
@pytest.mark.parametrize("form", clean.FORMATS)
def test_clean_records_stay_clean(tmp_path, form):
    path = tmp_path / f"clean.{'csv' if form == 'csv' else 'jsonl'}"
    rows = clean.records(7000, seed=11)
    n = clean.write(path, rows, form)
    got = load(path)
    assert n >= 5000 and len(got.records) == n and not [f for f in got.findings if f.level == "error"]
    found = [f for record in got.records for f in examine(record["messages"])]
    assert not [f for f in found if KINDS[f[0]][0] == "error"]
    assert len(found) < .01 * n, found[:20]


# of the planted ones found; all others .95
FLOOR = {"answer-cut-off": .75, "prompt-echo": .8, "placeholder": .9, "html-in-text": .9, "refusal": .85}


@pytest.mark.slow
@pytest.mark.parametrize("code", BAD)
def test_planted_defects_are_found(code):
    for held in (False, True):
        found = [codes(m) for m in planted.planted(code, 200, seed=3, held=held)]
        recall = sum(code in f for f in found) / len(found)
        assert recall >= FLOOR.get(code, .95), (held, recall)


@pytest.mark.slow
def test_alarms_are_right():
    "Precision: of 200 records with each defect and 5,000 without any, what an alarm is worth."
    right, wrong = dict.fromkeys(BAD, 0), dict.fromkeys(BAD, 0)
    for code in BAD:
        for messages in planted.planted(code, 200, seed=4):
            stopped = messages[-1]["content"].rstrip()[-1:] in (*".!?…。", "")      # else it is cut off too
            for c in codes(messages):
                if c == code or stopped or c != "answer-cut-off": (right if c == code else wrong)[c] += 1
    for row in clean.records(5000, seed=5):
        for c in codes(row["messages"]): wrong[c] += 1
    assert all(right[c] / (right[c] + wrong[c]) >= .97 for c in BAD), (right, wrong)
