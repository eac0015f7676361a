# ruff: noqa: E501   (templates are data: one a line, however long)
"""Clean records of many kinds, made from templates with a seed: what the doctor must not complain of.

`⟨a|b⟩` in a template is a choice, `$name` a word from the list of that name; choices may be nested."""
import csv
import json
import random
import re

WORDS = {k: v.split("|") if "|" in v else v.split() for k, v in {
    "noun": """garden river market bridge engine window teacher library station kitchen forest island mirror harbour
        factory museum orchard meadow tunnel ladder lantern blanket compass bakery village valley castle theatre
        workshop cottage orchestra glacier desert volcano lighthouse windmill canal barn chapel fountain quarry""",
    "adj": """old quiet bright narrow heavy gentle modern wooden distant crowded careful simple early famous small
        golden rough silent steady cold warm curious hidden broad ancient grey tidy windy damp lively proud""",
    "verb": "builds paints repairs measures visits cleans opens studies draws photographs plans protects restores inspects",
    "name": """Zoë|Łukasz|José|Åsa|Björn|Çağla|Nguyễn Ánh|Siân|Renée|Jürgen|Søren|Müge|Ilse|Þóra|Ștefan|Håkon|Noémie|Ángela|Ömer
        |Chloë|François|Jiří|Małgorzata|Inês|João|Señora Peña|Željko|Dvořák|Gödel|Brontë|Erdős|Šárka""".replace("\n        ", ""),
    "product": """desk lamp|rain jacket|coffee grinder|bike helmet|winter boots|yoga mat|tent|headphones|office chair|water bottle
        |keyboard|backpack|toaster|wall clock|garden hose|camera strap|phone case|notebook|blender|kettle""".replace("\n        ", ""),
    "city": "Lisbon Oslo Kraków Zürich Lyon Porto Ghent Malmö Graz Turin Leeds Bilbao Brno Aarhus Cork Nantes Tartu Basel Split Vigo",
    "thing": "users orders invoices payments products reviews sessions tickets events messages tags photos bookings stocks devices",
    "col": "id name price status created_at email city total quantity category country score owner_id updated_at weight",
    "fn": "load parse merge split count filter sort group clean write update render fetch score rank trim join scale check find",
    "subject": """photosynthesis|plate tectonics|the water cycle|inflation|gravity|the immune system|erosion|evaporation|magnetism
        |fermentation|natural selection|supply and demand|the printing press|crop rotation|the tides|sound waves|refraction
        |static electricity|the nitrogen cycle|osmosis|echolocation|tree rings|rust|the Doppler effect""".replace("\n        ", ""),
    "mood": "calm glad tired hopeful proud uneasy cheerful grateful restless curious",
    "month": "January February March April May June July August September October November December",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "food": "lentils rice carrots potatoes spinach mushrooms tomatoes chickpeas onions barley leeks beans pumpkin noodles",
    "lang": "German French Spanish Italian Portuguese Dutch Swedish Polish",
}.items()}


def say(rng, text, **more):
    "Choose and fill until nothing is left to choose."
    while "⟨" in text:
        text = re.sub(r"⟨([^⟨⟩]*)⟩", lambda m: rng.choice(m[1].split("|")), text)
    def word(m):
        return str(more[m[1]]) if m[1] in more else rng.choice(WORDS[m[1]]) if m[1] in WORDS else m[0]
    text = re.sub(r"\$([a-z]+)(?![a-z])", word, text)
    return re.sub(r"#(\d+)-(\d+)#", lambda m: str(rng.randint(int(m[1]), int(m[2]))), text)


KINDS = {}


def kind(f):
    KINDS[f.__name__] = f
    return f


SENTENCES = """The $adj $noun ⟨near|behind|beside|opposite⟩ the $noun ⟨was built|was repaired|was closed|was painted|was sold⟩ in #1780-2019#.
Every $day the $adj ⟨baker|teacher|gardener|sailor|doctor|clerk⟩ $verb the $noun ⟨before breakfast|after work|with great care|alone|with two friends⟩.
⟨Few people know|Most guides mention|It is often said|Records show|Visitors notice⟩ that the $noun ⟨stood|lay|burned|grew⟩ ⟨beside|under|beyond|above⟩ the $adj $noun.
In $month the $noun ⟨looks|feels|seems|becomes⟩ $adj, ⟨and|but|while|although⟩ the $noun ⟨stays|turns|remains|grows⟩ $adj.
⟨Without|Because of|Thanks to|Despite|Next to⟩ the $adj $noun, the $noun ⟨would|could|might⟩ ⟨never|hardly|easily|soon⟩ ⟨change|fail|grow|last⟩.
⟨Some|Many|Several|Two|A few⟩ ⟨historians|engineers|neighbours|students|farmers⟩ ⟨compare|connect|confuse⟩ the $noun with the $adj $noun of $city.
⟨What matters most|The hard part|The best part|What costs time⟩ is the $noun: it ⟨needs|wants|takes|gets⟩ ⟨patience|money|light|air|water|space⟩ and a $adj $noun.
⟨First|Later|Then|Finally|Meanwhile|Today⟩, the $adj $noun ⟨moved|returned|disappeared|opened again⟩, ⟨as planned|by chance|in silence|at last⟩.
A $noun is ⟨cheaper|lighter|older|safer|slower⟩ than a $noun, ⟨so|yet|and⟩ the people of $city ⟨prefer|keep|avoid|admire⟩ it.
If the $noun is too $adj, ⟨open|close|move|clean|measure⟩ the $noun and wait #2-40# ⟨minutes|hours|days⟩.""".split("\n")


def prose(rng, n):
    return " ".join(say(rng, rng.choice(SENTENCES)) for _ in range(n))


@kind
def python_code(rng):
    f, a, b = say(rng, "$fn"), say(rng, "$thing"), say(rng, "$col")
    body = rng.choice([
        f"def {f}_{a}({a}, limit=#2-90#):\n    # TODO: handle an empty list\n    return sorted({a}, key=lambda x: x.{b})[:limit]",
        f"import json\nfrom pathlib import Path\n\ndef {f}_{a}(path):\n    \"\"\"Read {a} from a file.\"\"\"\n    rows = json.loads(Path(path).read_text())\n"
        f"    return [row[\"{b}\"] for row in rows if row.get(\"{b}\") is not None]",
        f"class {f.title()}{a.title()}:\n    def __init__(self, {b}=0):\n        self.{b} = {b}\n\n    def run(self):\n        raise NotImplementedError  # FIXME later",
        f"{a} = [{{\"{b}\": i}} for i in range(#3-99#)]\ntotal = sum(x[\"{b}\"] for x in {a})\nprint(f\"{{total:,}}\")",
        f"with open(\"{a}.txt\") as f:\n    for line in f:\n        if line.strip():\n            {f}(line)\n        else:\n            break  # TODO",
        f"assert {f}([1, 2, 3]) == #1-9#\nfor i in range(#10-99#):\n    if i % 2: continue\n    print(i, end=\" \")",
    ])
    ask = say(rng, f"⟨Write|Show me|Give me⟩ ⟨a Python function|Python code|a short script⟩ to {f} {a} by {b}⟨.|, please.| (keep it short)⟩")
    fence = rng.choice(["{}", "```python\n{}\n```", "Here you go:\n\n```py\n{}\n```\n\n" + say(rng, "It runs in ⟨linear|quadratic|constant⟩ time.")])
    return ask, fence.replace("{}", say(rng, body))


@kind
def script_code(rng):
    f, a, b = say(rng, "$fn"), say(rng, "$thing"), say(rng, "$col")
    body = rng.choice([
        f"const {f} = ({a}) => {a}.filter(x => x.{b} > #1-50#);\n// TODO: memoize\nexport default {f};",
        f"function {f}({a}) {{\n  /* TODO remove */\n  return {a}.map((x) => `${{x.{b}}}: ${{x.id}}`).join('\\n');\n}}",
        f"fetch('/api/{a}?limit=#5-90#')\n  .then(r => r.json())\n  .then(rows => console.log(rows.length));",
        f"import React from 'react';\n\nexport function {f.title()}({{ {a} }}) {{\n  return (\n    <ul>\n      {{{a}.map(x => <li key={{x.id}}>{{x.{b}}}</li>)}}\n"
        "    </ul>\n  );\n}",
        f"public class {f.title()} {{\n    // TODO: tests\n    private final List<String> {a} = new ArrayList<>();\n\n    public int size() {{ return {a}.size(); }}\n}}",
        f"#include <stdio.h>\n\nint main(void) {{\n    int {a} = #1-99#;\n    printf(\"%d\\n\", {a}); /* FIXME */\n    return 0;\n}}",
        f"fn {f}({a}: &[u32]) -> u32 {{\n    {a}.iter().filter(|x| **x > #1-60#).sum()\n}}",
        f"func {f}({a} []string) map[string]int {{\n\tseen := map[string]int{{}}\n\tfor _, s := range {a} {{\n\t\tseen[s]++\n\t}}\n\treturn seen\n}}",
        f"module {f.title()} =\n  let run {a} =\n    {a} |> List.filter (fun x -> x > #1-50#) |> List.sum\n  let pipe f x = f <| x",
        f"template <typename T>\nstd::vector<T> {f}(const std::vector<T>& {a}) {{\n  return {{ {a}.begin(), {a}.end() }};\n}}",
    ])
    ask = say(rng, f"⟨How do I|Can you⟩ {f} {a} by {b} in ⟨my language|this project|a few lines⟩?")
    return ask, rng.choice(["{}", "```\n{}\n```", "~~~\n{}\n~~~"]).replace("{}", say(rng, body))


@kind
def shell_and_config(rng):
    a, f = say(rng, "$thing"), say(rng, "$fn")
    body = rng.choice([
        f"grep -rn \"{f}\" src/ | sort | uniq -c | head -n #3-40#",
        f"docker run --rm -v \"$PWD\":/app -p #1024-9000#:80 registry.example.com/{a}:1.#0-9#.#0-9#",
        f"#!/usr/bin/env bash\nset -euo pipefail\nfor f in {a}/*.csv; do\n  echo \"$f\"  # TODO quote\ndone",
        f"version: \"3\"\nservices:\n  {a}:\n    image: {a}:#1-20#\n    ports:\n      - \"#1000-9999#:80\"\n    environment:\n      LOG_LEVEL: info",
        f"[tool.{f}]\nline-length = #79-120#\nexclude = [\"build\", \"{a}\"]",
        f"server {{\n    listen #80-9000#;\n    server_name {a}.example.org;\n    location / {{ proxy_pass http://127.0.0.1:#3000-9000#; }}\n}}",
        "git checkout -b " + f"{f}-{a}" + "\ngit commit -am \"" + say(rng, "$fn the $thing") + "\"\ngit push -u origin HEAD",
        f"FROM python:3.#9-14#-slim\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\nCMD [\"python\", \"{f}.py\"]",
        f"--- a/{f}.py\n+++ b/{f}.py\n@@ -1,2 +1,2 @@\n-limit = #1-9#\n+limit = #10-99#\n {a} = []",
    ])
    ask = say(rng, f"⟨Which command|What configuration|What do I type⟩ ⟨lets me|to⟩ {f} {a}⟨ on Linux| on my server|⟩?")
    return ask, rng.choice(["{}", "```bash\n{}\n```", "Try this:\n\n```\n{}\n```"]).replace("{}", say(rng, body))


@kind
def sql(rng):
    t, u, c, d = (say(rng, w) for w in ("$thing", "$thing", "$col", "$col"))
    body = rng.choice([
        f"SELECT {c}, COUNT(*) AS n FROM {t} WHERE {d} > #1-900# GROUP BY {c} ORDER BY n DESC LIMIT #1-50#;",
        f"SELECT t.{c}, u.{d}\nFROM {t} t\nLEFT JOIN {u} u ON u.id = t.owner_id\nWHERE t.status = 'open' -- TODO: index\n  AND t.created_at >= '20#10-26#-0#1-9#-#10-28#'",
        f"UPDATE {t} SET {c} = {c} * 1.#0-9# WHERE id IN (#1-9#, #10-99#, #100-999#)",
        f"CREATE TABLE {t} (\n  id BIGINT PRIMARY KEY,\n  {c} TEXT NOT NULL,\n  {d} NUMERIC(10, 2) DEFAULT 0\n);",
        f"INSERT INTO {t} (id, {c}) VALUES (#1-99#, 'a'), (#100-199#, NULL);",
        f"WITH recent AS (\n  SELECT * FROM {t} WHERE {c} IS NOT NULL\n)\nSELECT AVG({d}) FROM recent",
        f"DELETE FROM {t} WHERE {c} < #1-999#",
    ])
    ask = say(rng, f"⟨Write a query|SQL to|I need a query⟩ ⟨that lists|counting|for⟩ {t} ⟨per|by|with their⟩ {c} and {d}⟨.|, newest first.|⟩")
    return ask, rng.choice(["{}", "```sql\n{}\n```"]).replace("{}", say(rng, body))


@kind
def html_answer(rng):
    n, a, p = say(rng, "$noun"), say(rng, "$adj"), say(rng, "$product")
    body = rng.choice([
        f"<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>{n}</title></head>\n<body>\n<h1>{a} {n}</h1>\n<p>{prose(rng, 1)}</p>\n</body>\n</html>",
        f"<div class=\"card\">\n  <h2>{p}</h2>\n  <p>Only <s>€#40-90#</s> <strong>€#10-39#</strong> today.</p>\n  <a href=\"/{n}\">More &raquo;</a>\n</div>",
        f"<s>{a} {n}</s>", "<p>Price: <s>#60-99# €</s> #10-59# €</p>",
        f"<ul>\n  <li>{n}</li>\n  <li>{a}&nbsp;{p}</li>\n</ul>",
        f"<form action=\"/{n}\" method=\"post\">\n  <label>Name <input name=\"name\" placeholder=\"Your name\"></label>\n  <button>Send</button>\n</form>",
        f"<table>\n<tr><th>{n}</th><th>Price</th></tr>\n<tr><td>{p}</td><td>#1-99#</td></tr>\n</table>",
        f"<svg width=\"#10-90#\" height=\"#10-90#\"><circle cx=\"5\" cy=\"5\" r=\"4\" fill=\"{rng.choice(['red', 'teal'])}\"/></svg>",
        f"<!-- TODO: alt text -->\n<img src=\"{n}.png\" alt=\"{a} {n}\">\n<br>\n<p>Lorem ipsum dolor sit amet</p>",
        f"<nav><a href=\"#\">{n}</a> | <a href=\"#\">{a}</a></nav>",
        f"<p>Your {p} is on its way.</p>\n<p>Kind regards<br>The {n} team</p>",
    ])
    ask = say(rng, f"⟨Write|Make|Show⟩ ⟨HTML for|the markup of|an HTML snippet with|a small web page about⟩ a {a} {n} ⟨and|with|next to⟩ a {p}.")
    return ask, rng.choice(["{}", "```html\n{}\n```"]).replace("{}", say(rng, body))


@kind
def html_question(rng):
    ask, answer = rng.choice([
        ("How do I get a line break ⟨between|after⟩ the $adj $noun without a new paragraph?", "Use <br>: it breaks the line and adds no space. For example, $noun<br>$noun."),
        ("What does &amp; mean ⟨in the link to|on the page about⟩ the $noun?", "&amp; is how an ampersand is written, because a bare & begins an entity such as &lt; or &copy;."),
        ("What is </s> for ⟨near|in⟩ the text on the $adj $noun?", "It ends an <s> element, which strikes text through: <s>$noun</s>. ⟨Use <del> for edits.|Browsers draw a line through it.⟩"),
        ("Is <b> still fine ⟨for|around⟩ the word $noun, or should I take <strong>?", "Both work. <b>$noun</b> only looks bold, <strong>$noun</strong> also says that it matters."),
        ("How can I strike out the old price of the $product?", "Put it between <s> and </s>, like this: <s>€#20-90#</s> €#5-19#. ⟨Screen readers may not say it, so add text.|That is all.⟩"),
        ("What's the difference between <div> and <span> for my $adj $noun?", "A <div> begins a new line, a <span> stays in the text."),
        ("Why does my page show &nbsp; ⟨before|after⟩ the $noun?", "It was escaped twice. Write &nbsp; in the source, not &amp;nbsp;, and the browser shows a space."),
        ("How do I write a < sign in ⟨the description of|a text on⟩ the $noun?", "Write &lt; for it and &gt; for the other one. In attributes, &quot; stands for the quotation mark."),
        ("Which tag makes ⟨a list|an ordered list⟩ of each $adj $noun?", "Use <ul> for bullets or <ol> for numbers, with one <li> per $noun."),
    ])
    return say(rng, ask), say(rng, answer)


@kind
def json_answer(rng):
    n = say(rng, "$noun")
    value = {"name": say(rng, "$product"), "price": rng.randint(1, 99), "tags": [say(rng, "$adj"), n], "in_stock": rng.random() < .5,
             "seller": {"city": say(rng, "$city"), "mail": "shop@example.com"}, "zeros": [0] * rng.randint(0, 6)}
    keep = rng.sample(sorted(value), rng.randint(2, 6))
    value = {k: value[k] for k in keep}
    ask = say(rng, f"⟨Extract|Return|Give me⟩ {', '.join(keep)} of the {n} ⟨as JSON|in JSON, nothing else|as a JSON object⟩: " + prose(rng, 1))
    return ask, json.dumps(value if rng.random() < .8 else [value], indent=rng.choice([None, 2, 4]), ensure_ascii=False)


TRANSLATIONS = {   # one meaning in many languages: the slots are numbers and names, which stay
    "German": ["Der Zug nach $city fährt um #6-22# Uhr ab.", "Das Museum ist am Sonntag geschlossen, die Straße aber offen.",
               "Können Sie mir bitte den Weg zum Bahnhof zeigen?", "$name hat das Fenster geöffnet, weil es zu heiß war.",
               "Die Äpfel kosten #2-9# Euro, die Birnen sind teurer.", "„Spaß muss sein“, sagte $name und lachte."],
    "French": ["Le train pour $city part à #6-22# heures.", "Le musée est fermé le dimanche, mais la rue est ouverte.",
               "Pouvez-vous me montrer le chemin de la gare\u00a0?", "$name a ouvert la fenêtre parce qu’il faisait trop chaud.",
               "Les pommes coûtent #2-9#\u00a0euros\u00a0; les poires sont plus chères.", "«\u00a0C’était l’été…\u00a0», a dit $name."],
    "Spanish": ["El tren a $city sale a las #6-22#.", "El museo está cerrado el domingo, pero la calle está abierta.",
                "¿Puede mostrarme el camino a la estación, por favor?", "$name abrió la ventana porque hacía demasiado calor.",
                "Las manzanas cuestan #2-9# euros y las peras son más caras.", "¡Qué sorpresa!, dijo $name."],
    "Italian": ["Il treno per $city parte alle #6-22#.", "Il museo è chiuso la domenica, ma la strada è aperta.",
                "Può indicarmi la strada per la stazione?", "$name ha aperto la finestra perché faceva troppo caldo.",
                "Le mele costano #2-9# euro e le pere sono più care.", "«È più facile così», disse $name."],
    "Portuguese": ["O trem para $city sai às #6-22#.", "O museu está fechado no domingo, mas a rua está aberta.",
                   "Pode me mostrar o caminho da estação, por favor?", "$name abriu a janela porque fazia calor demais.",
                   "As maçãs custam #2-9# euros; NÃO são caras.", "“AMANHÃ”, disse $name."],
    "Dutch": ["De trein naar $city vertrekt om #6-22# uur.", "Het museum is op zondag gesloten, maar de straat is open.",
              "Kunt u mij de weg naar het station wijzen?", "$name opende het raam omdat het te warm was."],
    "Swedish": ["Tåget till $city går klockan #6-22#.", "Museet är stängt på söndag, men gatan är öppen.", "$name öppnade fönstret."],
    "Polish": ["Pociąg do $city odjeżdża o #6-22#.", "Muzeum jest zamknięte w niedzielę, ale ulica jest otwarta.", "$name otworzył okno."],
    "Russian": ["Поезд в город $city отправляется в #6-22# часов.", "Музей закрыт в воскресенье, но улица открыта.", "Окно открыли, потому что было жарко."],
    "Greek": ["Το τρένο για $city φεύγει στις #6-22#.", "Το μουσείο είναι κλειστό την Κυριακή."],
    "Turkish": ["$city treni saat #6-22#'de kalkıyor.", "Müze pazar günü kapalı, ama cadde açık.", "Çok sıcak olduğu için pencereyi açtı."],
    "Vietnamese": ["Tàu đi $city khởi hành lúc #6-22# giờ.", "Bảo tàng đóng cửa vào Chủ nhật, nhưng đường phố vẫn mở."],
    "Chinese": ["开往$city的火车#6-22#点出发。", "博物馆星期天不开门，但是街道开放。", "请问去车站怎么走？"],
    "Japanese": ["$city行きの電車は#6-22#時に出発します。", "博物館は日曜日は閉まっていますが、通りは開いています。", "駅への道を教えていただけますか。"],
    "Korean": ["$city행 기차는 #6-22#시에 출발합니다.", "박물관은 일요일에 문을 닫습니다."],
    "Arabic": ["يغادر القطار إلى $city الساعة #6-22#.", "المتحف مغلق يوم الأحد، لكن الشارع مفتوح."],
    "Hindi": ["$city की ट्रेन #6-22# बजे चलती है।", "संग्रहालय रविवार को बंद रहता है।"],
}
ENGLISH = ["The train to $city leaves at #6-22#.", "The museum is closed on Sunday, but the street is open.",
           "Can you show me the way to the station, please?", "$name opened the window because it was too hot.",
           "The apples cost #2-9# euros, the pears are dearer.", "“It was summer…”, $name said."]


@kind
def translation(rng):
    lang = rng.choice(sorted(TRANSLATIONS))
    n = rng.randint(1, 3)
    more = {"city": say(rng, "$city"), "name": say(rng, "$name")}
    pick = rng.sample(range(len(TRANSLATIONS[lang])), min(n, len(TRANSLATIONS[lang])))
    there = say(rng, " ".join(TRANSLATIONS[lang][i] for i in pick), **more)
    here = say(rng, " ".join(ENGLISH[min(i, 5)] for i in pick), **more)
    if rng.random() < .2: there, here = there.rstrip(".。।"), here.rstrip(".")
    if rng.random() < .5: return say(rng, f"⟨Translate|Put|Turn⟩ ⟨this |the following |⟩into {lang}: ") + here, there
    return say(rng, "⟨What does this mean in English?|Translate into English:|In English please:⟩\n\n") + there, here


@kind
def support_refuses(rng):
    ask = say(rng, "⟨Hi|Hello|Hey⟩, ⟨can I|is it possible to|I would like to⟩ ⟨return|exchange|cancel|get a refund for⟩ ⟨my|the|a⟩ $adj $product "
                   "⟨I bought|that arrived|I ordered⟩ #2-11# ⟨weeks|months⟩ ago⟨?|, order #1000-9999#?| in $city?⟩")
    answer = say(rng, "⟨I'm sorry, but I can't|I’m sorry, I cannot|Unfortunately, we can't|I am afraid we are unable to|Sorry, I'm not able to|I wish I could, but I can't⟩ "
        "⟨refund an order after #14-60# days|change the address once the $product has shipped|share another customer's details|cancel an order that has left $city"
        "|give you a discount on the $product|open the account without a document|accept a $product that has been worn|help with that order before $day"
        "|process this request without an order number|help you with that because the warranty of the $product has ended"
        "|complete your request until the payment for the $product arrives|discuss your neighbour's contract|promise a date for the $product⟩. "
        "⟨You can still|If you like, you can|What you can do is to⟩ ⟨exchange it for a $product|write to support@example.com|visit our shop in $city|sell it on"
        "|call our hotline 1-800-555-01#10-99#|ask the maker|use the voucher until $month #2-28#⟩⟨.|, and we will gladly help.| 🙂|!⟩")
    return ask, answer


@kind
def support_chat(rng):
    turns = []
    for _ in range(rng.randint(2, 4)):
        turns.append(("user", say(rng, rng.choice([
            "my $product ⟨is|seems|was⟩ $adj and ⟨makes a noise|does not turn on|lost its colour|smells⟩", "order number #100000-999999#⟨|, from $month⟩",
            "thanks⟨!| so much| a lot|⟩ and ⟨when|how⟩ will the $product ⟨come|arrive|be sent⟩", "ok, i ⟨tried|did|checked⟩ that with the $product⟨, still nothing|, no change|⟩",
            "Could you check the status of the $product for $name?", "tracking id ZX#10000000-99999999#"]))))
        turns.append(("assistant", say(rng, rng.choice([
            "Thank you⟨, $name|⟩. ⟨I see|I have found|Here is⟩ the order for the $product; it ⟨left|reached|passes⟩ $city on $day.",
            "I'm sorry to hear that. ⟨Please|Could you⟩ ⟨unplug|open|turn⟩ the $product and wait #1-9# minutes⟨.|?⟩",
            "The $product ships on $day, #1-28# $month. You will get a mail from noreply@shop.example⟨.| with a link.⟩",
            "Great 👍 Your $product is booked for #8-18#:#10-59#⟨.|, in $city.⟩", "You're welcome! ⟨Have a nice $day|Enjoy the $product|See you soon⟩!",
            "I can't see a $product in that order, only a $product. ⟨Could it be another one?|Is there a second number?⟩",
            "No problem, take your time", "Sure, one moment please…"]))))
    system = say(rng, "You help the customers of a shop in $city. Be ⟨brief|kind|precise⟩, and never promise a $product.")
    return [("system", system)] * (rng.random() < .5) + turns


@kind
def accents(rng):
    ask, answer = rng.choice([
        ("⟨Write|Compose⟩ one sentence about $name and $name in $city.", "$name met $name ⟨in|near|outside⟩ $city and they talked about the $adj $noun."),
        ("Who ⟨plays|paints|sings⟩ in the $adj $noun of $city?", "⟨It is|That would be|They say it is⟩ $name, “the $adj one”, with $name⟨ at the piano|⟩."),
        ("Sort these names ⟨please|from A to Z⟩: $name, $name, $name", "$name, $name, $name"),
        ("What is the name of the café ⟨near|behind⟩ the $noun?", "Café “$name” – Straße #1-99#, Œuvre d’été, naïve façade, ÉCOLE «$name»…"),
        ("Spell the name of the $noun in capitals.", "CAFÉ $name – ÅNGSTRÖM, GARÇON, NIÑO, SÃO TOMÉ"),
    ])
    return say(rng, ask), say(rng, answer)


@kind
def lists(rng):
    n = rng.randint(3, 8)
    mark = rng.choice(["- {}", "* {}", "• {}", "{i}. {}", "{i}) {}", "– {}", "✅ {}", "[ ] {}", "**{i}.** {}"])
    item = rng.choice(["$adj $noun", "Check the $noun", "$noun: the $adj one of $city", "the $noun and", "$food, #20-900# g", "Buy $food and $food"])
    items = [say(rng, item.removesuffix(" and")) for _ in range(n)]
    ask = say(rng, f"⟨List|Name|Give me⟩ {n} ⟨ideas|things|steps⟩ for ⟨a|the⟩ $adj $noun in $month⟨.|, please.|⟩")
    head = say(rng, "⟨|Here are some ideas:\n\n|Sure! A few ideas:\n\n|## $noun\n\n⟩")
    return ask, head + "\n".join(mark.replace("{i}", str(i)).replace("{}", x) for i, x in enumerate(items, 1))


@kind
def tables(rng):
    rows = [[say(rng, "$product"), say(rng, "#1-99#.#10-99#"), say(rng, "$city")] for _ in range(rng.randint(2, 6))]
    if rng.random() < .6:
        body = "\n".join("| " + " | ".join(r) + " |" for r in [["Product", "Price", "City"], ["---", "---:", "---"], *rows])
    else: body = "\n".join([rng.choice(["product,price,city", "product;price;city"]), *(",".join(r) for r in rows)])
    return say(rng, "⟨Make|Show me⟩ a table of ⟨prices|goods⟩ for $city and $city⟨.|, with the $product.⟩"), body


@kind
def maths(rng):
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    return rng.choice([
        (f"What is {a} + {b}?", str(a + b)), (f"{a} * {b} =", f"{a} * {b} = {a * b}"), (f"Calculate {a}% of {b * 100}.", f"{a}% of {b * 100} is {a * b}."),
        (f"Solve x + {a} = {b}.", f"Subtract {a} on both sides. Therefore x = {b - a}"),
        (f"Differentiate x^{a} + {b}x.", f"$$\\frac{{d}}{{dx}}\\left(x^{{{a}}} + {b}x\\right) = {a}x^{{{a - 1}}} + {b}$$"),
        (f"Is {a} < {b}, and why?", f"Since {a} - {b} = {a - b}, {a} {'<' if a < b else '>='} {b}."),
        (f"Write the identity matrix of size {a % 5 + 2} times {b}.", "\n".join(" ".join(str(b * (i == j)) for j in range(a % 5 + 2)) for i in range(a % 5 + 2))),
        (f"What is {a} in Roman numerals, as in chapter {b}?", "X" * (a // 10 % 4) + "IX"), (f"In binary, {a * b}?", f"{a * b:b}"),
        (f"Convert {a}.{b} km to miles.", f"{a}.{b} km ≈ {(a + b / 100) * .621371:.2f} mi"),
        (f"Integrate {a}x from 0 to {b}.", f"The antiderivative is ({a}/2)x². At {b} it is {a * b * b / 2}, at 0 it is 0."),
    ])


@kind
def poem(rng):
    lines = [say(rng, rng.choice(["The $adj $noun ⟨sleeps|sings|waits⟩⟨,| below| alone|⟩", "⟨And|But|While|O⟩ the $noun ⟨grows|turns|falls⟩ $adj", "In $month, ⟨under|over⟩ the $noun,",
             "I ⟨saw|heard|lost⟩ a $adj $noun", "$adj, $adj, and $adj"])) for _ in range(rng.choice([3, 4, 8, 12]))]
    if rng.random() < .2: lines = lines[:4] + [lines[0]] + lines[4:] + [lines[0]]
    return say(rng, "⟨Write|Compose⟩ a ⟨poem|haiku|song|verse⟩ about ⟨the|a⟩ $adj $noun ⟨in $month|near $city⟩."), "\n".join(lines)


@kind
def label(rng):
    labels = rng.choice([["positive", "negative", "neutral"], ["spam", "ham"], ["A", "B", "C", "D"], ["yes", "no"], ["0", "1"], ["billing", "shipping", "other"],
                         ["N/A", "true", "false"], ["entailment", "contradiction"], ["none", "joy", "anger"], ["Positive."], ["urgent", "later"]])
    return say(rng, f"⟨Classify|Label|Sort⟩ ⟨as|into⟩ {', '.join(labels)}: ") + prose(rng, rng.randint(1, 2)), rng.choice(labels)


@kind
def label_with_system(rng):
    return [("system", say(rng, "Answer with ⟨one word|the label only⟩: $mood or $mood.")), ("user", prose(rng, 1)), ("assistant", say(rng, "$mood"))]


@kind
def essay(rng):
    parts = [prose(rng, rng.randint(3, 7)) for _ in range(rng.randint(2, 9))]
    if rng.random() < .4: parts = [x for p in parts for x in (say(rng, "## The $adj $noun"), p)]
    return say(rng, "Write ⟨an essay|a long text|a report⟩ about the $noun and the $adj $noun of $city."), "\n\n".join(parts)


@kind
def explanation(rng):
    s = say(rng, "$subject")
    ask = say(rng, f"⟨What is|Explain|How does one explain|Tell me about⟩ {s} ⟨to a child|in two sentences|with an example|like a $noun⟩⟨?|.|⟩")
    start = s[0].upper() + s[1:]
    return ask, say(rng, f"⟨{start} is|In short, {s} is|Think of a $noun: {s} is⟩ ⟨what happens when|the reason why|the way in which⟩ a $adj $noun ⟨meets|leaves|changes⟩ a $noun. ") + prose(rng, rng.randint(1, 3))


@kind
def definition(rng):   # the prompt is a term, and the answer rightly begins with it
    term = say(rng, "⟨The $noun of $city|Gross $noun product|$adj $noun theory|The law of the $adj $noun⟩")
    return term, say(rng, f"{term} ⟨(#1500-2000#) is|means|describes|was⟩ ") + prose(rng, 2)[0].lower() + prose(rng, 2)[1:]


@kind
def emoji(rng):
    return say(rng, "⟨omg|wow|hey⟩ the $noun in $city was so $adj ⟨😂😂😂|🎉|❤️|👩🏽‍💻|🇨🇭⟩"), say(rng, "⟨Haha|Yes|Right⟩ 😄 ⟨the $adj $noun|that $noun⟩ ⟨made my $day|is a star⟩ ⟨✨✨✨|🙌|👍🏿|🏴󠁧󠁢󠁳󠁣󠁴󠁿|:)|!!!⟩")


@kind
def quotation(rng):
    ask, answer = rng.choice([
        ("What does the proverb “a $adj $noun” mean ⟨in $city|to sailors⟩?", "“A $adj $noun” means that ⟨haste|pride|money⟩ ⟨ruins|helps|feeds⟩ a $noun."),
        ("Who said: 'The $noun is $adj'?", "'The $noun is $adj' is ⟨attributed to|a saying from|often credited to⟩ $city."),
        ("⟨Where|When⟩ did the $adj $noun open in $city?", "“⟨Where|When⟩ did the $noun open?” is ⟨often asked|hard to answer⟩: ⟨records|papers⟩ name #1700-2000#."),
        ("Give me a quote about a $noun in $month.", "\"Be a $adj $noun. Everyone else is a $noun.\" — $name"),
        ("How should a support agent decline to show the $noun?", "Say it kindly: \"I'm sorry, I can't help with that, but the $noun in $city may.\""),
    ])
    return say(rng, ask), say(rng, answer)


@kind
def quotes_the_question(rng):
    ask = say(rng, "⟨How|When|Where|Why⟩ ⟨should|can|do⟩ I ⟨clean|repair|store|sell⟩ ⟨a|my|the⟩ $adj $product in $month?")
    return ask, say(rng, rng.choice([
        f"You asked: “{ask}” The short answer is with a $adj $noun. " + prose(rng, 1), f"> {ask}\n\nWith a $noun, ⟨slowly|gently|by hand⟩. " + prose(rng, 1),
        f"Your question was \"{ask}\" ⟨First|To begin⟩, find a $noun near $city.", "Good question! To ⟨clean|store⟩ it, take a $adj $noun. " + prose(rng, 1)]))


@kind
def email_template(rng):
    to = rng.choice(["[Customer Name]", "[Name]", "{{name}}", "<Name>", "[Your Name]"])
    body = say(rng, f"Subject: ⟨Your|About the⟩ $product\n\nDear {to},\n\n" + prose(rng, 2) + "\n\n⟨Write to|Questions? Ask|You can reach us at⟩ ⟨support@example.com|info@example.org|sales@shop.example|no-reply@example.net⟩.\n\n"
               "⟨Best|Kind⟩ regards,\n⟨[Your Name]|The $city team|[Company]|Customer Service⟩")
    return say(rng, "⟨Write|Draft⟩ ⟨an email template|an e-mail|a letter⟩ about ⟨a|the⟩ $adj $product ⟨for|to⟩ customers in $city."), body


OTHER = {
    "de": ["Wie pflege ich ⟨einen Garten|ein Fahrrad|eine Lampe⟩ ⟨im Winter|im Sommer|auf dem Balkon⟩ in $city?", "⟨Am besten|In der Regel|Bei uns⟩ ⟨reinigt man ihn|stellt man es|prüft man sie⟩ "
           "⟨vorsichtig mit Wasser|zweimal im Jahr|an einem kühlen Ort⟩. Das ⟨dauert|braucht|kostet⟩ etwa #5-50# ⟨Minuten|Euro⟩ und ist ⟨nicht schwer|schnell getan⟩."],
    "fr": ["Comment ⟨entretenir|nettoyer|ranger⟩ ⟨un jardin|un vélo|une lampe⟩ ⟨en hiver|en été|sur le balcon⟩ à $city\u00a0?", "⟨Il vaut mieux|En général, il faut|Chez nous, on aime⟩ le ⟨laver doucement|poser au sec|vérifier⟩ "
           "⟨deux fois par an|avec un peu d’eau⟩. Cela ⟨prend|demande⟩ environ #5-50# minutes et ce n’est pas ⟨difficile|cher⟩."],
    "es": ["¿Cómo ⟨cuido|limpio|guardo⟩ ⟨un jardín|una bicicleta|una lámpara⟩ ⟨en invierno|en verano|en el balcón⟩ en $city?", "⟨Lo mejor es|Normalmente conviene|En casa solemos⟩ ⟨lavarlo con cuidado|dejarlo en un lugar seco⟩ "
           "⟨dos veces al año|con un poco de agua⟩. Tarda unos #5-50# minutos y no es ⟨difícil|caro⟩."],
    "ja": ["$cityで⟨庭|自転車|ランプ⟩の手入れは⟨冬|夏⟩にどうすればいいですか。", "⟨普段|冬の間|毎年⟩は⟨水でやさしく洗って|乾いた場所に置いて⟩ください。⟨およそ|だいたい⟩#5-50#分かかりますが、難しくはありません。"],
    "zh": ["⟨冬天|夏天⟩在$city怎么保养⟨花园|自行车|台灯⟩？", "⟨最好|一般|平时⟩⟨用清水轻轻擦洗|放在干燥的地方⟩，每年⟨两次|三次⟩就够了。大约需要#5-50#分钟，并不难。"],
    "ru": ["Как ухаживать за ⟨садом|велосипедом|лампой⟩ ⟨зимой|летом⟩ в городе $city?", "⟨Лучше всего|Обычно|Как правило⟩ ⟨мыть его осторожно|держать его в сухом месте⟩. Это займёт около #5-50# минут, и ничего сложного в этом нет."],
    "ar": ["كيف أعتني ⟨بالحديقة|بالدراجة⟩ ⟨في الشتاء|في الصيف⟩ في $city؟", "⟨من الأفضل|عادة⟩ ⟨غسلها بلطف|حفظها في مكان جاف⟩ مرتين في السنة، ويستغرق ذلك #5-50# دقيقة."],
}


@kind
def other_language(rng):
    ask, answer = OTHER[rng.choice(sorted(OTHER))]
    return say(rng, ask), say(rng, answer)


@kind
def figures(rng):   # numbers that are nobody's
    return say(rng, "⟨What are|Note down|Summarise⟩ the ⟨details|figures|facts⟩ of the $adj $noun in $city."), say(rng, rng.choice([
        "Opened 0#1-9#.0#1-9#.#1900-2020#, ISBN 978-3-16-148410-0, seat #10-99#A, gate B#1-30#, flight LX#100-999#.", "Server 192.168.#0-255#.#0-255#, port #1024-9999#, version #1-9#.#0-20#.#0-20#, uptime #10-99#.#1-9# %.",
        "Coordinates #40-59#.#100000-999999#, #5-19#.#100000-999999#; height #100-4000# m; since #1800-1990#-#1991-2026#.", "Order 4#100000000000000-999999999999999# was shipped on 20#10-26#-#10-12#-#10-28# at #10-23#:#10-59#:#10-59#.",
        "Invoice no. 2024-#1000-9999#-#100-999#, total €#1-9#,#100-999#.#10-99#, due in #10-60# days.", "Population #1-9#,#100-999#,#100-999#; growth +#1-9#.#0-9#%; area #1-9# #100-999# km².",
        "π ≈ 3.14159265358979, e ≈ 2.71828182845905, c = 299 792 458 m/s; sample #1-900#.", "SHA-256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f0#1000-9999#", "Timestamp 17#10000000-99999999#, id 550e8400-e29b-41d4-a716-44665544#1000-9999#.",
        "Mix 1 part sand with #2-9# parts gravel, 12:#10-59# to 14:#10-59#, rooms 100-#110-190#, pp. #10-99#-#100-199#.", "Lotto: 05 12 23 34 41 #42-49#; draw 0#1-9#/0#1-9#/20#10-26#; jackpot $#1-90#,000,000."]))


@kind
def recipe(rng):
    return say(rng, "How do I cook $food with $food and $food ⟨for #2-9# people|in #10-60# minutes⟩?"), say(rng, "**Ingredients**\n\n- #100-900# g $food\n- #1-9# $food\n- 1/2 tsp salt\n\n**Steps**\n\n1. Wash the $food.\n2. "
        "⟨Boil|Fry|Steam⟩ the $food for #5-40# minutes.\n3. Add $food⟨, stir, and serve|. Serve ⟨hot|cold⟩⟩⟨.|⟩")


@kind
def dialogue(rng):
    return say(rng, "Write a ⟨dialogue|scene⟩ between two ⟨friends|sailors|bakers⟩ about a $adj $noun."), "\n".join(
        say(rng, f"{'AB'[i % 2]}: " + rng.choice(["Did you see the $adj $noun?", "No — the $noun, perhaps…", "“$adj”, they said!", "I can't do that. The $noun is $adj.", "Ha ha ha, a $noun!", "Well, well, well."])) for i in range(rng.randint(3, 8)))


@kind
def rewriting(rng):
    text = prose(rng, rng.randint(2, 4))
    return rng.choice([
        (f"Summarise in one sentence:\n\n{text}", say(rng, "It is about a $adj $noun, a $noun and what $city ⟨thinks|makes⟩ of them.")), (f"Rewrite in lower case: {text}", text.lower()),
        (f"Fix the spelling: {text.replace('the ', 'teh ', 1)}", text), (say(rng, f"⟨Give this a title|Find a headline for⟩: {text}"), say(rng, "The $adj $noun of $city and Its $noun")),
        (f"Extract the place: {text}", say(rng, "$city")), (f"How many words are in: {text}", f"{len(text.split())} words"), (say(rng, f"⟨Continue|Go on⟩: {text} And then"), say(rng, "the $noun ⟨fell|rose⟩, and $city was $adj again.")),
        (f"Reverse the order of the sentences. {text}", " ".join(reversed(re.findall(r"[^.]+\.", text))).strip())])


@kind
def about_code(rng):
    f = say(rng, "$fn")
    return say(rng, f"What does `{f}` do ⟨in Python|here|in this module⟩, and why the TODO ⟨near|above⟩ the $noun?"), say(rng, rng.choice([
        f"`{f}(x)` ⟨returns|changes|copies⟩ the list. The comment `# TODO: {f}` marks what is left to do.", f"A TODO comment says what is missing; `{f}` itself is done. Editors list every TODO and FIXME.",
        f"It calls `{f}` once per $noun and keeps the rest in `cache`, so a second call costs nothing.", f"To use it, write {f}(a, b=#1-9#) and read x.y.z afterwards"]))


@kind
def titles(rng):
    return say(rng, "⟨Suggest|Find|Invent⟩ a ⟨title|name|slogan|commit message|search query|file name|hashtag⟩ for ⟨the|a⟩ $adj $noun ⟨in $city|with a $product⟩."), say(rng, rng.choice([
        "The $adj $noun", "$fn: $fn the $thing before $fn", "$adj $noun $city opening hours", "#$noun #$adj$noun", "$noun-$adj-#1-99#.txt", "“$adj $noun” – a $city story", "$noun & $noun"]))


def records(n, seed=0):
    "n different clean records: {\"kind\", \"messages\"} each."
    rng, out, seen = random.Random(seed), [], set()
    names = sorted(KINDS)
    while len(out) < n:
        name = names[len(out) % len(names)]
        made = KINDS[name](rng)
        pairs = made if isinstance(made, list) else [("user", made[0]), ("assistant", made[1])]
        key = json.dumps([words.casefold() for role, words in pairs if role == "user"])
        if key in seen: continue
        seen.add(key)
        out.append({"kind": name, "messages": [{"role": r, "content": c} for r, c in pairs]})
    return out


FORMATS = ("messages", "sharegpt", "alpaca", "prompt-completion", "csv")


def write(path, rows, form):
    "Write those of the records that the format can hold; returns how many."
    if form in ("alpaca", "prompt-completion", "csv"): rows = [r for r in rows if len(r["messages"]) == 2]
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    pairs = [[m["content"] for m in r["messages"]] for r in rows]
    if form == "csv":
        with open(path, "w", newline="", encoding="utf-8") as f:
            csv.writer(f).writerows([["prompt", "completion"], *pairs])
        return len(rows)
    objects = {"messages": lambda: [{"messages": r["messages"]} for r in rows], "prompt-completion": lambda: [{"prompt": p[0], "completion": p[1]} for p in pairs],
               "sharegpt": lambda: [{"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in r["messages"]]} for r in rows],
               "alpaca": lambda: [dict(zip(("instruction", "input", "output"), (*split(p[0]), p[1]))) for p in pairs]}[form]()
    with open(path, "w", encoding="utf-8") as f: f.writelines(json.dumps(x, ensure_ascii=False) + "\n" for x in objects)
    return len(rows)


def split(prompt):
    "Alpaca's instruction and input: as the loader joins them, at a blank line."
    first, blank, rest = prompt.partition("\n\n")
    return (first, rest) if blank and first.strip() and rest.strip() else (prompt, "")
