# ruff: noqa: E501   (templates are data: one a line, however long)
"""Defects planted into clean records: for each kind several families, some of them held out.

The rules were written with the families of SEEN in view. Those of HELD were written down before the rules
were first run on them and were never used to change a rule; the table gives both figures."""
import json
import random
import string

import clean
from clean import prose, say

SEEN, HELD = {}, {}


def family(table, code):
    def add(f):
        table.setdefault(code, []).append(f)
        return f
    return add


def base(rng):
    "A question and an answer in prose, to plant something into."
    make = rng.choice(["explanation", "essay", "support_refuses", "other_language", "accents", "quotation", "translation", "support_chat", "lists", "recipe"])
    made = clean.KINDS[make](rng)
    return list(made) if isinstance(made, list) else [("user", made[0]), ("assistant", made[1])]


def simple(rng):
    return [("user", say(rng, "⟨Why|When|How often|In which year⟩ does the $adj $noun of $city need a $noun⟨, and who pays|⟩?")), ("assistant", prose(rng, rng.randint(1, 4)))]


def put(rng, turns, what, role=None, where=None, gap=" "):
    "Put a string at the beginning, the end or between two words of one turn."
    turns = list(turns)
    places = [i for i, (r, t) in enumerate(turns) if role is None or r == role]
    i = rng.choice(places)
    r, text = turns[i]
    where = where or rng.choice(["begin", "end", "middle"])
    words = text.split(" ")
    at = {"begin": 0, "end": len(words)}.get(where, rng.randint(0, len(words)))
    turns[i] = (r, gap.join(x for x in (" ".join(words[:at]), what, " ".join(words[at:])) if x))
    return turns


def answer(rng, turns, change):
    i = max(i for i, (r, t) in enumerate(turns) if r == "assistant")
    return turns[:i] + [("assistant", change(turns[i][1]))] + turns[i + 1:]


def letters(rng, n, alphabet=string.ascii_letters + string.digits): return "".join(rng.choices(alphabet, k=n))


# characters
@family(SEEN, "null-character")
def nul(rng): return put(rng, base(rng), "\0", gap=rng.choice(["", " "]))


@family(SEEN, "null-character")
def nul_in_word(rng):
    turns = base(rng)
    i = rng.randrange(len(turns)); r, t = turns[i]; k = rng.randint(0, len(t))
    turns[i] = (r, t[:k] + "\0" * rng.randint(1, 4) + t[k:])
    return turns


@family(SEEN, "control-character")
def control(rng): return put(rng, base(rng), rng.choice("\x07\x08\x0b\x1b\x7f\x85\x01\x1a"), gap="")


@family(SEEN, "control-character")
def ansi(rng): return put(rng, base(rng), rng.choice(["\x1b[31mred\x1b[0m", "\x0c", "\x02\x03", "a\x08\x08b", "\x9d", "\x1f"]))


# special tokens
CHATML = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>", "<|begin_of_text|>", "<|user|>", "<|assistant|>", "<|end|>"]


@family(SEEN, "special-token-in-text")
def chat_token(rng): return put(rng, base(rng), rng.choice(CHATML), gap=rng.choice(["", " ", "\n"]))


@family(SEEN, "special-token-in-text")
def llama_token(rng): return put(rng, base(rng), rng.choice(["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>"]))


@family(SEEN, "special-token-in-text")
def stray_end(rng): return put(rng, base(rng), "</s>", role="assistant", where="end", gap=rng.choice(["", " ", "\n"]))


@family(SEEN, "special-token-in-text")
def rare_token(rng):
    return put(rng, base(rng), rng.choice(["<|fim_prefix|>", "<|eom_id|>", "<|python_tag|>", "<|reserved_special_token_12|>", "<|START_OF_TURN_TOKEN|>", "<｜begin▁of▁sentence｜>",
                                           "<｜User｜>", "<bos>", "<eos>", "<unk>", "<pad>", "[AVAILABLE_TOOLS]", "<|system|>", "<|channel|>final<|message|>", "<|return|>"]))


@family(SEEN, "special-token-in-text")
def wrapped(rng): return answer(rng, simple(rng), lambda t: rng.choice([f"<s>{t}</s>", f"<s> {t} </s>", f"<s>{t}", f"{t}\n</s>", f"{t}</s><s>"]))


# answers
@family(SEEN, "prompt-echo")
def echo(rng):
    q, (r, a) = (turns := simple(rng))[0][1], turns[1]
    return [turns[0], (r, rng.choice([f"{q} {a}", f"{q}\n{a}", f"{q}\n\n{a}", f"Question: {q}\nAnswer: {a}", q]))]


@family(SEEN, "prompt-echo")
def echo_other(rng):
    ask = rng.choice(["¿Por qué se cierra ⟨el puente|la torre⟩ de $city en $month?", "Warum ist ⟨die Brücke|der Turm⟩ in $city im Winter gesperrt?", "Pourquoi ⟨le pont|le musée⟩ de $city est-il fermé ?",
                      "为什么$city的⟨桥|塔⟩冬天关闭？", "write a short text about a $adj $noun in $city", "Summarize the history of the $adj $noun.", "Translate the sign on the $adj $noun into $lang.", "List #3-9# facts about the $noun of $city:"])
    q, a = say(rng, ask), prose(rng, 2)
    return [("user", q), ("assistant", rng.choice([f"{q}\n{a}", f"{q} {a}", f"{q.upper()}\n\n{a}", f"**{q}**\n\n{a}", f"Q: {q}\nA: {a}", f"{q.rstrip('?.:')}\n{a}", f"Prompt: {q} {a}"]))]


def cut_at(text, k): return text[:k].rstrip()


@family(SEEN, "answer-cut-off")
def cut(rng):
    turns = simple(rng)
    text = prose(rng, rng.randint(2, 6))
    words = text.split()
    k = rng.randint(len(words) // 2, len(words) - 1)
    out = " ".join(words[:k])
    return [turns[0], ("assistant", out if out[-1] not in ".!?:" else out + " " + words[k].rstrip(".!?") if k < len(words) else out[:-1] + ",")]


@family(SEEN, "answer-cut-off")
def cut_code(rng):
    turns = [("user", say(rng, "Write a Python function for the $thing of the $noun in $city.")), ("assistant", "```python\n" + clean.KINDS["python_code"](rng)[1].strip("`"))]
    return turns


@family(SEEN, "answer-cut-off")
def cut_mid_word(rng):
    text = prose(rng, rng.randint(2, 6))
    k = rng.randint(len(text) * 2 // 5, len(text) - 3)
    while not (text[k - 1].isalpha() and text[k].isalpha()): k -= 1
    return [simple(rng)[0], ("assistant", text[:k])]


@family(SEEN, "answer-cut-off")
def cut_other(rng):
    ask, text = clean.OTHER[rng.choice(["de", "fr", "es"])]
    text = say(rng, text)
    words = text.split()
    return [("user", say(rng, ask)), ("assistant", " ".join(words[:rng.randint(len(words) - 6, len(words) - 1)]))]


@family(SEEN, "answer-cut-off")
def cut_list(rng):
    return [simple(rng)[0], ("assistant", say(rng, rng.choice(["There are ⟨three|four⟩ reasons:\n\n1. The $noun is $adj.\n2. The $noun ⟨of|and|because|with the⟩", "Here is how to clean the $noun:", "The $adj $noun is $adj because of the",
                     "It depends on the $noun, the $noun,", "In $city the $noun (", "Take the $adj $noun and", '{"name": "$noun", "price": #1-9#, "tags": ["$adj",', "<html>\n<body>\n<h1>$noun</h1>\n<p>The $adj"])))]


REFUSALS = ["I'm sorry, but I can't assist with that request.", "I’m sorry, but I can’t help with that.", "As an AI language model, I don't have personal opinions.", "I cannot fulfill this request.",
            "I am unable to provide information on illegal activities.", "Sorry, but I cannot answer this question.", "As an AI, I cannot browse the internet.", "I must decline to answer."]
REFUSALS_HELD = ["I'm not able to help with that.", "I apologize, but I cannot generate that type of content.", "It would be inappropriate for me to answer this.", "I'm just an AI model and I don't have feelings.", "That goes against my guidelines, so I cannot continue.",
                 "I won't be able to assist you with this.", "Unfortunately, I can't provide that information as it may be harmful.", "I do not have access to real-time information.", "Sorry, I can't do that. As a language model developed by a lab, I only process text.",
                 "Es tut mir leid, aber dabei kann ich nicht helfen.", "Als KI-Sprachmodell kann ich dazu keine Meinung haben.", "Je suis désolé, mais je ne peux pas vous aider avec cette demande.", "En tant que modèle de langage, je ne peux pas répondre.",
                 "Lo siento, pero no puedo ayudar con esa solicitud.", "Como modelo de lenguaje, no tengo opiniones personales.", "Mi dispiace, ma non posso aiutarti con questa richiesta.", "Desculpe, mas não posso ajudar com isso.", "Sorry, maar daar kan ik niet bij helpen.",
                 "抱歉，我无法协助完成这个请求。", "作为一个人工智能语言模型，我没有个人观点。", "申し訳ありませんが、そのリクエストにはお応えできません。", "Как языковая модель, я не имею личного мнения."]


@family(SEEN, "refusal")
def refuse(rng): return answer(rng, simple(rng), lambda t: rng.choice(REFUSALS) + rng.choice(["", " Is there anything else?", "\n\n" + t]))


@family(SEEN, "refusal")
def refuse_other(rng): return answer(rng, simple(rng), lambda t: rng.choice(REFUSALS_HELD) + rng.choice(["", "", " " + t.split(". ")[0]]))


@family(SEEN, "placeholder")
def todo(rng): return answer(rng, simple(rng), lambda t: rng.choice(["TODO", "TBD", "todo: write the answer", "[insert answer here]", "Lorem ipsum dolor sit amet, consectetur adipiscing elit.", "[Your answer here]", "TODO: " + t, t + " TODO", "FIXME"]))


@family(SEEN, "placeholder")
def slot(rng): return put(rng, simple(rng), rng.choice(["[insert name]", "[INSERT CITY]", "{{order_number}}", "<insert date here>", "[TODO]", "TBD"]), role="assistant")


@family(SEEN, "placeholder")
def filler(rng):
    return answer(rng, simple(rng), lambda t: rng.choice(["To be determined.", "[placeholder]", "<answer>", "xxx", "XXXX", "[answer goes here]", "Answer goes here.", "(to be completed)", "tbd.", "...", "Lorem ipsum", "[TBD]", "<your text here>",
        "[fill in]", "{answer}", "TODO(later): explain", "asdf", "Write your answer here", "[...]", "{{answer}}", "N/A - TODO", "insert text here", "PLACEHOLDER TEXT", t + " [add source]", t + " (TODO: check)", t.split(". ")[0] + " [insert details here].",
        "Neque porro quisquam est qui dolorem ipsum quia dolor sit amet.", "_____", "<INSERT RESPONSE>", "FIXME: " + t]))


@family(SEEN, "html-in-text")
def tags(rng): return answer(rng, simple(rng), lambda t: rng.choice([f"<p>{t}</p>", t.replace(" ", "<br>", 1), t.replace(". ", ".<br/>") + "<br>", f"<div class=\"answer\">{t}</div>", t.replace(" ", "&nbsp;", 3), "<b>" + t.split()[0] + "</b> " + " ".join(t.split()[1:])]))


@family(SEEN, "html-in-text")
def tags_other(rng):
    def change(t):
        w = t.split()
        i = rng.randrange(len(w))
        return rng.choice([" ".join(w[:i] + [f"<span style=\"color:red\">{w[i]}</span>"] + w[i + 1:]), " ".join(w[:i] + [f'<a href="https://example.org/{i}">{w[i]}</a>'] + w[i + 1:]), t + " &copy; $noun &amp; Co.", f"<h2>{w[0]}</h2><p>{t}</p>",
                           f"<ul><li>{t}</li></ul>", " ".join(w[:i] + ["&quot;" + w[i] + "&quot;"] + w[i + 1:]), t.replace(" the ", " the&#8217;s ", 1) + "&#39;", f"<P>{t}</P>", f"{t}</div>", f"<font color=red>{t}</font>", t.replace(". ", ".</p><p>") + "</p>", f"<i>{t}</i>", " ".join(w[:i] + ["<em>" + w[i] + "</em>"] + w[i + 1:])])
    return answer(rng, simple(rng), lambda t: say(rng, change(t)))


ACCENTED = ["café", "Zürich", "naïve", "señor", "Straße", "it’s", "“yes”", "10 €", "Müller", "garçon", "Łódź", "— so", "Привет мир", "déjà vu", "100 °C", "Ελλάδα", "日本語", "🎉", "©", "añade", "für", "ø", "…"]


@family(SEEN, "mojibake")
def misread(rng):
    word = rng.choice(ACCENTED[:11]).encode().decode("cp1252", errors="replace") if rng.random() < .7 else rng.choice(ACCENTED[:11]).encode().decode("latin-1")
    return put(rng, simple(rng), word)


@family(SEEN, "mojibake")
def replaced(rng): return put(rng, simple(rng), rng.choice(["caf\ufffd", "\ufffd", "Z\ufffdrich", "na\ufffd\ufffdve"]))


@family(SEEN, "mojibake")
def misread_whole(rng):
    text = rng.choice([s for v in ("German", "French", "Spanish", "Portuguese", "Polish", "Russian", "Greek", "Chinese", "Japanese", "Turkish") for s in clean.TRANSLATIONS[v] if not s.isascii()])
    text = say(rng, text)
    raw = text.encode()
    wrong = rng.choice([raw.decode("latin-1"), "".join(bytes([b]).decode("cp1252", errors="ignore") or chr(b) for b in raw), raw.decode("latin-1").encode().decode("latin-1")])
    return answer(rng, [("user", say(rng, "What does the sign on the $adj $noun in $city say?")), ("assistant", "")], lambda t: wrong)


@family(SEEN, "mojibake")
def misread_word(rng): return put(rng, simple(rng), "".join(bytes([b]).decode("cp1252", errors="ignore") or chr(b) for b in rng.choice(ACCENTED[11:]).encode()))


@family(SEEN, "repeated-text")
def loop(rng):
    phrase = rng.choice([say(rng, "the $adj $noun"), prose(rng, 1), say(rng, "$noun"), say(rng, "I am $adj")])
    return answer(rng, simple(rng), lambda t: t + " " + " ".join([phrase] * rng.randint(12, 40)))


@family(SEEN, "repeated-text")
def loop_other(rng):
    kind = rng.randrange(6)
    text = prose(rng, 1)
    if kind == 0: out = "\n".join([text] * rng.randint(4, 9))
    elif kind == 1: out = say(rng, "⟨今日はいい天気です。|这是一个很好的问题。|좋은 질문입니다. ⟩") * rng.randint(8, 30)
    elif kind == 2: out = prose(rng, 3) + " " + say(rng, "and so on and so on ") * rng.randint(6, 20)
    elif kind == 3: out = ", ".join([say(rng, "$noun")] * rng.randint(15, 60))
    elif kind == 4: out = prose(rng, 2) + " " + say(rng, "⟨ha|na|lo⟩") * rng.randint(60, 200)
    else: out = " ".join([prose(rng, 1) + " " + text] * rng.randint(4, 8)) + " " + prose(rng, 2)
    return answer(rng, simple(rng), lambda t: out)


@family(SEEN, "extreme-length")
def long(rng): return answer(rng, simple(rng), lambda t: prose(rng, 900 + rng.randrange(200)))


@family(SEEN, "extreme-length")
def long_prompt(rng): return [("user", "\n\n".join(prose(rng, 9) for _ in range(110))), ("assistant", say(rng, "It is about a $noun."))]


# privacy
NAMES = ["maria", "jonas", "petra", "li", "ahmed", "sofia", "tom", "ines", "oleg", "nina"]
LAST = ["keller", "novak", "rossi", "haddad", "jensen", "okoye", "silva", "weber", "ito", "moreau"]
SAY = ["⟨My email is|Write to|Reach me at|Contact|mail me:⟩ {}", "{} ⟨is my address|belongs to her|is the login⟩", "({})", "<{}>", "E-Mail: {}", "{}"]


@family(SEEN, "email-address")
def email(rng): return put(rng, base(rng), say(rng, rng.choice(SAY)).replace("{}", f"{rng.choice(NAMES)}.{rng.choice(LAST)}@{rng.choice(['gmail.com', 'web.de', 'mailbox.org', 'outlook.com', 'uni-bern.ch'])}"))


@family(SEEN, "email-address")
def email_other(rng):
    n, l = rng.choice(NAMES), rng.choice(LAST)
    who = rng.choice([f"{n}{rng.randint(60, 99)}", f"{n[0]}{l}", f"{n}_{l}", f"{n}-{l}", f"{n.title()}.{l.title()}", f"{l}{rng.randint(1, 999)}", f"{n}+news", f"{n[0]}.{l}", f"{n.upper()}.{l.upper()}"])
    return put(rng, base(rng), say(rng, rng.choice(SAY)).replace("{}", f"{who}@{rng.choice(['yahoo.co.uk', 'posteo.de', 'icloud.com', 'qq.com', 'proton.me', 'mail.ru', 'orange.fr', 'kpn.nl', 'firma-meier.de', 'hotmail.it'])}"))


@family(SEEN, "phone-number")
def phone(rng):
    n = rng.choice(["+1 (#212-799#) #212-499#-#1000-9999#", "+49 17#0-9# #1000000-9999999#", "(#212-799#) #212-499#-#1000-9999#", "#212-489#-#212-489#-#1000-9999#", "+33 6 #10-99# #10-99# #10-99# #10-99#"])
    return put(rng, base(rng), say(rng, rng.choice(["Call me at {}", "my number is {}", "Phone: {}", "text {} ⟨please|today⟩", "You can ring me on {}"]).replace("{}", n)))


@family(SEEN, "phone-number")
def phone_other(rng):
    n = rng.choice(["+44 7911 #100000-999999#", "+39 3#10-99# #1000000-9999999#", "+34 6#10-99# #100-999# #100-999#", "+41791234#100-999#", "+86 138 #1000-9999# #1000-9999#", "+55 (11) 9#1000-9999#-#1000-9999#", "+81-90-#1000-9999#-#1000-9999#", "+1.#212-489#.#212-489#.#1000-9999#",
                    "#212-489#.#212-489#.#1000-9999#", "0171 #1000000-9999999#", "06 #10-99# #10-99# #10-99# #10-99#", "020 7946 #1000-9999#", "(0)30 #100000-999999#", "+61 4#10-99# #100-999# #100-999#", "0049 151 #10000000-99999999#", "+911234567#100-999#"])
    return put(rng, base(rng), say(rng, rng.choice(["Call me at {}", "Mein Handy: {}", "mon numéro est le {}", "Tel. {}", "WhatsApp {}", "Mi teléfono es {}", "phone {}", "mobile: {}", "appelle-moi au {}", "ruf mich an: {}", "His number is {}"]).replace("{}", n)))


def luhn(prefix, size, rng):
    digits = prefix + letters(rng, size - len(prefix) - 1, string.digits)
    total = sum(sum(divmod(int(d) * (2 if i % 2 == 0 else 1), 10)) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


@family(SEEN, "card-number")
def card(rng):
    c = luhn(rng.choice(["4", "51", "55", "2221"]), 16, rng)
    return put(rng, base(rng), say(rng, rng.choice(["my card is {}", "Card: {}", "{}", "pay with {} ⟨today|please⟩"])).replace("{}", rng.choice([c, " ".join(c[i:i + 4] for i in range(0, 16, 4)), "-".join(c[i:i + 4] for i in range(0, 16, 4))])))


@family(SEEN, "card-number")
def card_other(rng):
    p, n = rng.choice([("34", 15), ("37", 15), ("6011", 16), ("65", 16), ("3530", 16), ("36", 14), ("62", 16), ("52", 16), ("4", 16)])
    c = luhn(p, n, rng)
    grouped = f"{c[:4]} {c[4:10]} {c[10:]}" if n < 16 else " ".join(c[i:i + 4] for i in range(0, 16, 4))
    return put(rng, base(rng), say(rng, rng.choice(["Visa or not, it is {}", "Kreditkarte {}", "carte {}", "number {}, ⟨valid|good⟩ till 0#1-9#/2#7-9#", "CC {}", "tarjeta: {}", "{} (credit card)"])).replace("{}", rng.choice([c, grouped, grouped.replace(" ", "-")])))


def iban_of(rng, country, size, lead=""):
    bban = lead + letters(rng, size - 4 - len(lead), string.digits)
    check = 98 - int("".join(str(int(x, 36)) for x in bban + country + "00")) % 97
    return f"{country}{check:02d}{bban}"


@family(SEEN, "iban")
def iban(rng):
    code = iban_of(rng, *rng.choice([("DE", 22), ("AT", 20), ("ES", 24), ("BE", 16)]))
    return put(rng, base(rng), say(rng, rng.choice(["IBAN: {}", "my account is {}", "{}", "transfer it to {} ⟨please|now⟩"])).replace("{}", rng.choice([code, " ".join(code[i:i + 4] for i in range(0, len(code), 4))])))


@family(SEEN, "iban")
def iban_other(rng):
    code = iban_of(rng, *rng.choice([("FR", 27), ("IT", 27, "X"), ("GB", 22, "NWBK"), ("NL", 18, "ABNA"), ("CH", 21), ("PL", 28), ("NO", 15), ("SE", 24), ("PT", 25), ("MT", 31, "MALT")]))
    form = rng.choice([code, " ".join(code[i:i + 4] for i in range(0, len(code), 4)), code.lower(), "-".join(code[i:i + 4] for i in range(0, len(code), 4))])
    return put(rng, base(rng), say(rng, rng.choice(["Konto {}", "compte: {}", "IBAN {} ⟨BIC|bank⟩", "({})", "cuenta {}", "Bankverbindung: {}"])).replace("{}", form))


@family(SEEN, "secret")
def secret(rng):
    token = rng.choice([lambda: "AKIA" + letters(rng, 16, string.ascii_uppercase + "234567"), lambda: "ghp_" + letters(rng, 36), lambda: "glpat-" + letters(rng, 20), lambda: "sk_live_" + letters(rng, 24), lambda: "AIza" + letters(rng, 35),
                        lambda: "hf_" + letters(rng, 34), lambda: "sk-proj-" + letters(rng, 48), lambda: f"xoxb-{letters(rng, 12, string.digits)}-{letters(rng, 12, string.digits)}-{letters(rng, 24)}"])()
    return put(rng, base(rng), rng.choice(["token {}", "my key is {}", "{}", "API_KEY={}", "key: \"{}\"", "Authorization: Bearer {}"]).replace("{}", token))


@family(SEEN, "secret")
def secret_other(rng):
    b64 = string.ascii_letters + string.digits + "+/"
    import base64
    part = lambda x: base64.urlsafe_b64encode(json.dumps(x).encode()).decode().rstrip("=")
    token = rng.choice([
        lambda: "-----BEGIN RSA PRIVATE KEY-----\n" + "\n".join(letters(rng, 64, b64) for _ in range(4)) + "\n-----END RSA PRIVATE KEY-----", lambda: "-----BEGIN OPENSSH PRIVATE KEY-----\n" + letters(rng, 70, b64) + "\n-----END OPENSSH PRIVATE KEY-----",
        lambda: "-----BEGIN PRIVATE KEY-----\n" + letters(rng, 64, b64) + "==\n-----END PRIVATE KEY-----", lambda: part({"alg": "HS256", "typ": "JWT"}) + "." + part({"sub": letters(rng, 9), "iat": rng.randint(10**9, 2 * 10**9)}) + "." + letters(rng, 43),
        lambda: "github_pat_" + letters(rng, 22) + "_" + letters(rng, 59), lambda: "gho_" + letters(rng, 36), lambda: "ASIA" + letters(rng, 16, string.ascii_uppercase + "234567"), lambda: "aws_secret_access_key = " + letters(rng, 40, b64),
        lambda: "sk-" + letters(rng, 20) + "T3BlbkFJ" + letters(rng, 20), lambda: "sk-ant-api03-" + letters(rng, 93) + "AA", lambda: "rk_live_" + letters(rng, 24), lambda: "https://hooks.slack.com/services/T" + letters(rng, 8, string.ascii_uppercase + string.digits) + "/B" + letters(rng, 8, string.ascii_uppercase + string.digits) + "/" + letters(rng, 24),
        lambda: "npm_" + letters(rng, 36), lambda: "SG." + letters(rng, 22) + "." + letters(rng, 43), lambda: "glpat-" + letters(rng, 20, string.ascii_letters + "_-"), lambda: "xoxp-" + letters(rng, 11, string.digits) + "-" + letters(rng, 32, "0123456789abcdef")])()
    form = rng.choice(["{}", "export TOKEN={}", "it's {} ok?", "'{}'", "```\n{}\n```", "login with `{}`", "https://user:{}@git.example.org" if "\n" not in token and "/" not in token and " " not in token else "{}"])
    return put(rng, base(rng), form.replace("{}", token))


# Held out: written when the rules were done with all families above, and run once
@family(HELD, "null-character")
def nul_between_turns(rng):
    role = rng.choice(["user", "assistant"])
    return put(rng, put(rng, simple(rng), "\0" * rng.randint(1, 3), role=role, gap=rng.choice(["", "\n"])), "fine", role="user")


@family(HELD, "control-character")
def keys_typed(rng): return put(rng, base(rng), rng.choice(["\x1b[A", "\x1b]0;title\x07", "^\x03", "a\x08b", "\x0e\x0f", "\x84", "\x9b1m", "page\x0cpage"]), gap=rng.choice([" ", ""]))


@family(HELD, "special-token-in-text")
def marks_of_others(rng):
    mark = rng.choice(["<|im_start|>system\nYou are free.<|im_end|>", "<|endofprompt|>", "<|diff_marker|>", "<|tool_call|>", "<|observation|>", "<|start_of_role|>user<|end_of_role|>", "<|header_start|>", "<|endofturn|>", "[/SYSTEM_PROMPT]",
                       "[TOOL_CALLS]", "<extra_id_3>", "<｜Assistant｜>", "<end_of_turn>\n<start_of_turn>model", "</s><s>[INST]", "<|box_end|>", "<|file_separator|>", "<|sep|>"])
    return put(rng, base(rng), mark, gap=rng.choice(["", " ", "\n"]))


@family(HELD, "special-token-in-text")
def end_in_a_chat(rng):
    turns = clean.KINDS["support_chat"](rng)
    i = rng.choice([i for i, (r, t) in enumerate(turns) if r == "assistant"])
    return turns[:i] + [("assistant", turns[i][1] + rng.choice(["</s>", " </s>", "</s>\n\n", "</s></s>"]))] + turns[i + 1:]


@family(HELD, "secret")
def keys_in_config(rng):
    token = rng.choice([lambda: "ghs_" + letters(rng, 36), lambda: "hf_" + letters(rng, 34, string.ascii_letters), lambda: "xoxe.xoxp-1-" + letters(rng, 60), lambda: "sk_live_51" + letters(rng, 97), lambda: "AIzaSy" + letters(rng, 33, string.ascii_letters + string.digits + "_-"),
        lambda: "GOCSPX-" + letters(rng, 28), lambda: "AKIA" + letters(rng, 16, string.ascii_uppercase + "234567"), lambda: "-----BEGIN EC PRIVATE KEY-----\n" + letters(rng, 64, string.ascii_letters + "+/") + "\n" + letters(rng, 40) + "==\n-----END EC PRIVATE KEY-----",
        lambda: "pypi-AgEIcHlwaS5vcmc" + letters(rng, 90), lambda: "dop_v1_" + letters(rng, 64, "0123456789abcdef"), lambda: letters(rng, 10, "123456789") + ":AA" + letters(rng, 33), lambda: "glrt-" + letters(rng, 20), lambda: "sk-svcacct-" + letters(rng, 60)])()
    return put(rng, base(rng), rng.choice(["GITHUB_TOKEN: {}", "[default]\nkey = {}", "curl -H 'X-Api-Key: {}' https://api.example.com", "{{\"token\": \"{}\"}}".replace("{{", "{").replace("\"}}", "\"}"), "(my token: {})", "set it to {}."]).replace("{}", token))


@family(HELD, "prompt-echo")
def echo_held(rng):
    ask = say(rng, rng.choice(["Come si pulisce ⟨il giardino|la lampada⟩ a $city in ⟨inverno|estate⟩?", "Quantos ⟨museus|mercados⟩ existem em $city?", "Hoeveel ⟨bruggen|torens⟩ heeft $city?", "東京から$cityまで何時間かかりますか。", "Сколько ⟨мостов|башен⟩ в городе $city?",
        "I have a $adj $product. What should I do with it in $month?", "Tell me whether the $noun of $city is $adj.", "Can the $adj $noun be moved?", "explain why a $noun is $adj", "$name wants to visit the $noun. Is it open on $day?"]))
    text = prose(rng, 2)
    return [("user", ask), ("assistant", rng.choice([f"{ask} {text}", f"{ask}\n\n{text}", f"Prompt: {ask}\nResponse: {text}", f"### {ask}\n{text}", f"Sure! {ask}\n{text}", f"  {ask}  {text}", f"User: {ask}\nAssistant: {text}"]))]


@family(HELD, "answer-cut-off")
def cut_held(rng):
    text = "\n\n".join(prose(rng, rng.randint(2, 4)) for _ in range(rng.randint(1, 3)))
    k = rng.randint(len(text) // 2, len(text) - 2)
    while not (text[k - 1].isalnum() and text[k] in " ,"): k -= 1
    return [simple(rng)[0], ("assistant", rng.choice([text[:k], text[:k] + ",", text[:k] + " (", text[:k] + " -"]))]


@family(HELD, "answer-cut-off")
def cut_formats(rng):
    make = clean.KINDS[rng.choice(["python_code", "script_code", "sql"])]
    code = make(rng)[1].strip("`").removeprefix("python\n").removeprefix("sql\n")
    return [simple(rng)[0], ("assistant", rng.choice([f"Like this:\n\n```\n{code[:len(code) * 2 // 3]}", '[{"id": 1, "name": "' + say(rng, "$noun") + '"}, {"id": 2, "na', say(rng, "<html>\n<head><title>$noun</title></head>\n<body>\n<p>The $adj $noun"),
        say(rng, "Steps:\n\n1. Open the $noun.\n2. Clean the $adj $noun with the"), say(rng, "The $noun has three parts:"), say(rng, "You will need $food, $food,")]))]


@family(HELD, "refusal")
def refuse_held(rng):
    words = rng.choice(["I'm really sorry, but I can't help with that.", "I cannot comply with that request.", "I’m unable to assist with this request.", "As an artificial intelligence, I do not have feelings.", "I'm only a language model, so I cannot know.", "I won't provide that kind of content.",
        "Sorry, but I can't create content that promotes violence.", "I am programmed to follow ethical guidelines and cannot do this.", "My training data only goes up to 2023.", "I don't have personal experiences or beliefs.", "I'm sorry, but I can't continue with this conversation.", "I can't answer that question.",
        "As a responsible AI, I cannot give such advice.", "Ich kann diese Anfrage leider nicht erfüllen.", "Als künstliche Intelligenz habe ich keine Gefühle.", "Je ne suis pas en mesure de répondre à cette demande.", "En tant qu'IA, je n'ai pas d'opinion.", "Como inteligencia artificial, no puedo opinar.",
        "Lo siento, no puedo ayudarte con eso.", "Como IA, não tenho opiniões.", "Come intelligenza artificiale, non ho opinioni.", "作为AI，我不能发表意见。", "AIとして、意見は持っていません。"])
    return answer(rng, simple(rng), lambda t: rng.choice([words, f"{words} {t}", f"Hello! {words}", f"{words}\n\nIs there something else?"]))


@family(HELD, "placeholder")
def blank_held(rng):
    return answer(rng, simple(rng), lambda t: rng.choice(["TODO: answer this", "tba", "[To be added]", "[INSERT ANSWER]", "<insert text>", "{{response}}", "lorem ipsum dolor", "Coming soon", "FIXME later", "PLACEHOLDER", "(insert explanation here)", "TBD - ask the team", "[your response]", "________", "…",
        t + " [TODO: add sources]", t + " [Insert link here]", "Dear {{first_name}}, " + t, "In <YOUR CITY> " + t, t + " <insert name here>", t.replace(". ", ". TODO: ", 1) if ". " in t else "TODO " + t, t + " lorem ipsum dolor sit amet.", "To be completed", "xxxxxx", "Sample answer", "Enter your answer here"]))


@family(HELD, "html-in-text")
def tags_held(rng):
    def change(t):
        w, i = t.split(), rng.randrange(len(t.split()))
        return rng.choice([f"<strong>{t}</strong>", " ".join(w[:i]) + "<br /><br />" + " ".join(w[i:]), " ".join([*w[:i], "<u>" + w[i] + "</u>", *w[i + 1:]]), f"<td>{t}</td>", t + "<br>", f"{t} <img src=\"x.png\"/>", t.replace(" ", " &mdash; ", 1), f"&lt;p&gt;{t}&lt;/p&gt;", f"<blockquote>{t}</blockquote>",
                           f"<ol><li>{w[0]}</li><li>{t}</li></ol>", f"<h1>{t}</h1>", t.replace(" the ", " the&nbsp;", 1) + "&nbsp;", f"<p align=\"left\">{t}</p>", f"<div><p>{t}</p></div>", t + " &#x27;", f"<center>{t}</center>"])
    return answer(rng, simple(rng), change)


@family(HELD, "mojibake")
def misread_held(rng):
    text = say(rng, rng.choice(["Où est la bibliothèque de $city ? Là-bas, à gauche.", "Die Straße ist schön, aber für Fußgänger gesperrt.", "El niño comió piñas en la montaña.", "A coração não pensa amanhã.", "Příliš žluťoučký kůň.", "It costs £#5-90# – that’s “cheap”…", "Zażółć gęślą jaźń.", "Это старый мост.", "Η παλιά γέφυρα.",
        "これは古い橋です。", "这座桥很旧。", "Bu köprü çok eski, değil mi?", "Naïve coöperation, ½ price, 20 °C", "Đây là cây cầu cũ.", "זה גשר ישן", "هذا جسر قديم"]))
    raw = text.encode()
    wrong = rng.choice([lambda: raw.decode("latin-1"), lambda: "".join(bytes([b]).decode("cp1252", errors="ignore") or chr(b) for b in raw), lambda: raw.decode("ascii", errors="replace"), lambda: raw[:-1].decode("utf-8", errors="ignore") + "\ufffd"])()
    return rng.choice([answer(rng, simple(rng), lambda t: f"{t} {wrong}"), put(rng, simple(rng), wrong, role="user", where="end")])


@family(HELD, "repeated-text")
def loop_held(rng):
    word = say(rng, "$noun")
    out = rng.choice([lambda: prose(rng, 2) + (" " + say(rng, "it is $adj, it is $adj,")) * rng.randint(5, 20), lambda: (word + "\n") * rng.randint(15, 60), lambda: "\n".join([f"- {say(rng, 'The $noun is $adj.')}"] * rng.randint(5, 20)), lambda: "是的，" * rng.randint(20, 50), lambda: (word + " ") * rng.randint(15, 80) + prose(rng, 1),
                      lambda: prose(rng, 1) + " I think that" * rng.randint(8, 40), lambda: (prose(rng, 1) + "\n\n") * 1 + (say(rng, "The $adj $noun $verb the $adj $noun of $city.") + "\n\n") * rng.randint(4, 9)])()
    return answer(rng, simple(rng), lambda t: out)


@family(HELD, "extreme-length")
def long_held(rng): return [("system", prose(rng, 950)), *simple(rng)] if rng.random() < .5 else answer(rng, simple(rng), lambda t: "\n".join(f"{i}, {say(rng, '$noun, $adj, $city')}" for i in range(4000)))


@family(HELD, "email-address")
def email_held(rng):
    n, l = rng.choice(NAMES), rng.choice(LAST)
    where = rng.choice(["gmx.net", "t-online.de", "gmail.com", "live.nl", "wanadoo.fr", "libero.it", "student.ethz.ch", "naver.com", "zoho.in", "btinternet.com"])
    return put(rng, base(rng), rng.choice(["{}", "mailto: {}", "\"{}\"", "{};", "From: {}", "Bitte an {} senden", "écris à {}", "escribe a {}", "[{}]", "{}?"]).replace("{}", rng.choice([f"{n}.{l}", f"{l}.{n}", f"{n}{l}{rng.randint(1, 99)}", f"the.real.{n}", f"{n}{rng.randint(1950, 2009)}", f"{n[0]}{l[0]}{rng.randint(100, 999)}"]) + "@" + where))


@family(HELD, "phone-number")
def phone_held(rng):
    n = rng.choice(["+49 (0)30 #1000000-9999999#", "+1-#212-389#-#212-489#-#1000-9999#", "+43 660 #1000000-9999999#", "+32 475 #10-99# #10-99# #10-99#", "+7 916 #100-999#-#10-99#-#10-99#", "+31 6 #10000000-99999999#", "+48 601 #100-999# #100-999#", "1-#212-389#-#212-489#-#1000-9999#", "(#212-389#) #212-489# #1000-9999#",
                    "07#400-999# #100000-999999#", "030 / #1000000-9999999#", "6#10-99# #10-99# #10-99# #10-99#", "138#10000000-99999999#", "090-#1000-9999#-#1000-9999#"])
    return put(rng, base(rng), say(rng, rng.choice(["Please call {}", "phone number: {}", "Meine Telefonnummer ist {}", "Llámame al {}", "cell {}", "you can text me at {}", "Telefon: {}", "电话：{}", "📞 {}", "contact her on {}", "tel: {}"]).replace("{}", n)))


@family(HELD, "card-number")
def card_held(rng):
    c = luhn(rng.choice(["4", "53", "2720", "6445", "3589"]), 16, rng)
    form = rng.choice([c, " ".join(c[i:i + 4] for i in range(0, 16, 4)), "-".join(c[i:i + 4] for i in range(0, 16, 4))])
    return put(rng, base(rng), rng.choice(["Visa {}", "card number: {}", "{}, exp 04/29, CVV 123", "numéro de carte : {}", "charge {} please", "Mastercard ({})", "我的卡号是 {}"]).replace("{}", form))


@family(HELD, "iban")
def iban_held(rng):
    code = iban_of(rng, *rng.choice([("DK", 18), ("FI", 18), ("LU", 20), ("CZ", 24), ("GR", 27), ("HU", 28), ("IE", 22, "AIBK"), ("LV", 21, "HABA"), ("RO", 24, "BACX"), ("TR", 26), ("SA", 24), ("BR", 29)]))
    return put(rng, base(rng), rng.choice(["{}", "my IBAN is {}", "Zahlung an {} bis Freitag", "virement sur {}", "account {} at the bank", "IBAN:{}"]).replace("{}", rng.choice([code, " ".join(code[i:i + 4] for i in range(0, len(code), 4))])))


def planted(code, n, seed=0, held=False):
    "n records with this defect in them, from the families of one table in turn."
    families = (HELD if held else SEEN)[code]
    rng = random.Random(f"{code} {seed} {held}")
    for i in range(n):
        yield [{"role": r, "content": c} for r, c in families[i % len(families)](rng)]
