"""The engine of the schedule grammar: a seeded speaker, phrasing families, words and cron fields.

A *family* is one way of saying one thing ("clock.half_past", "window.dash24"). A family is either
a template, expanded by `expand`, or a function that returns a text, or None where it does not fit
(nobody says "half past" at 17:20). `Talk.say` picks a family that fits and notes its name, so that
every example knows the families it was made from and whole families can be held out.
"""
import re

FAMILIES = {}     # group -> {name: (weight, core, text or function)}


class Talk:
    "A speaker: one random stream, the families it may not use, and those it used."

    def __init__(self, rng, banned=frozenset(), wanted=frozenset()):
        self.rng, self.banned, self.wanted = rng, banned, wanted
        self.used, self.terse = [], False

    def pick(self, options):
        "One of `options`. Only random() is used: the same on every version of Python."
        return options[int(self.rng.random() * len(options))]

    def weighted(self, options):
        "One key of a dict {key: weight}."
        x = self.rng.random() * sum(options.values())
        for key, weight in options.items():
            x -= weight
            if x < 0:
                return key
        return key

    def chance(self, p):
        return self.rng.random() < p

    def sample(self, options, n):
        "n different ones, in the order of `options`."
        left, out = list(range(len(options))), []
        for _ in range(n):
            out.append(left.pop(int(self.rng.random() * len(left))))
        return [options[i] for i in sorted(out)]

    def say(self, group, *args, **words):
        "A text by one fitting family of the group; notes its name in `used`."
        left = {f"{group}.{name}": w for name, (w, _, _) in FAMILIES[group].items()
                if f"{group}.{name}" not in self.banned}
        for name in left:
            if name in self.wanted:
                left[name] *= 6
        while left:
            name = self.weighted(left)
            del left[name]
            body, mark = FAMILIES[group][name.split(".", 1)[1]][2], len(self.used)
            text = self.expand(body, words) if isinstance(body, str) else body(self, *args, **words)
            if text is not None:
                self.used.insert(mark, name)
                return text
            del self.used[mark:]
        raise LookupError(f"no family of {group} fits {args} {words}")

    def expand(self, text, words=None):
        "Fill `{name}` from words (a callable is called), then choose among `[a|b|]`."
        for key, value in (words or {}).items():
            while "{" + key + "}" in text:
                text = text.replace("{" + key + "}", value() if callable(value) else str(value), 1)
        while "[" in text:
            text = re.sub(r"\[([^\[\]]*)\]", lambda m: self.pick(m[1].split("|")), text, count=1)
        return re.sub(r" +", " ", text).strip()


def family(group, weight=1.0, core=False):
    "Register a function as a family; `core`: never held out (a meaning is taught only here)."
    def register(fn):
        FAMILIES.setdefault(group, {})[fn.__name__.strip("_")] = (weight, core, fn)
        return fn
    return register


def templates(group, text):
    """Register one family a line: `name weight: template`; a `!` after the name marks it core.
    Lines with the same name form one family with several templates."""
    found = {}
    for line in filter(None, map(str.strip, text.strip().splitlines())):
        head, body = line.split(":", 1)
        name, _, weight = head.partition(" ")
        core, name = name.endswith("!"), name.rstrip("!")
        w, c, bodies = found.get(name, (0, False, []))
        found[name] = (w + float(weight or 1), c or core, bodies + [body.strip()])
    for name, (w, core, bodies) in found.items():
        many = bodies[0] if len(bodies) == 1 else _one_of(bodies)
        FAMILIES.setdefault(group, {})[name] = (w, core, many)


def _one_of(bodies):
    def say(talk, /, *args, **words):
        return talk.expand(talk.pick(bodies), words)
    return say


# ---------------------------------------------------------------- words

def words(text):
    "The words of a text; an underscore is a space within one."
    return [w.replace("_", " ") for w in text.split()]


ONES = words("""
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
""")
TENS = {20: "twenty", 30: "thirty", 40: "forty", 50: "fifty"}
ORD = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth",
       20: "twentieth", 30: "thirtieth"}
DAYS = words("""
sunday monday tuesday wednesday thursday friday saturday
""")
DAYS3 = [["sun"], ["mon"], ["tue", "tues"], ["wed", "weds"], ["thu", "thur", "thurs"],
         ["fri"], ["sat"]]
MONTHS = words("""
january february march april may june july august september october november december
""")


def word(n):
    "7 -> seven, 45 -> forty-five"
    if n < 20:
        return ONES[n]
    return TENS[n // 10 * 10] + (f"-{ONES[n % 10]}" if n % 10 else "")


def ordinal(n):
    "21 -> 21st"
    return f"{n}{'th' if 10 < n < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def ordinal_word(n):
    "21 -> twenty-first"
    if n in ORD:
        return ORD[n]
    if n < 20:
        return ONES[n] + "th"
    return f"{TENS[n // 10 * 10]}-{ordinal_word(n % 10)}"


def num(t, n, p=0.3):
    "Digits, or words with probability p."
    text = word(n) if t.chance(p) else str(n)
    return text.replace("-", " ") if t.chance(0.3) else text


def month(t, m, style=None):
    "march, mar, mar."
    style = style or t.weighted({"full": 5, "short": 4, "dot": 0.3})
    if style == "full" or m == 5:
        return MONTHS[m - 1]
    short = "sept" if m == 9 and t.chance(0.6) else MONTHS[m - 1][:3]
    return short + ("." if style == "dot" else "")


def day(t, d, style=None):
    "monday, mon, mo (styles full, plural, short, two)"
    style = style or t.weighted({"full": 5, "short": 4})
    if style == "full":
        return DAYS[d]
    if style == "plural":
        return DAYS[d] + "s"
    if style == "two":
        return DAYS[d][:2]
    return t.pick(DAYS3[d])


templates("join", """
and! 5: {a} and {b}
amp 2: {a} & {b}
slash 1.6: {a}/{b}
plus 1: {a}+{b}
plus 1: {a} + {b}
comma 1.6: {a}, {b}
tight 0.8: {a},{b}
also 0.8: {a} and also {b}
well 0.7: {a} as well as {b}
plusword 0.7: {a} plus {b}
again 0.4: {a} then {b}
n 0.4: {a} n {b}
both 0.5: both {a} and {b}
""")


def join(t, items):
    "A list of texts in one of the ways people write lists."
    items = list(items)
    if len(items) == 1:
        return items[0]
    style = t.weighted({"last": 6, "same": 2.4, "space": 2.5 if len(items) > 2 else 0})
    if style == "space":
        return " ".join(items)
    if len(items) == 2:
        return t.say("join", a=items[0], b=items[1])
    if style == "same":
        return t.pick([", ", ", ", ",", "/", " and ", " & ", "+", " + ", " / ", "; "]).join(items)
    head, last = ", ".join(items[:-1]), items[-1]
    if t.chance(0.15):
        head = head.replace(", ", ",")
    return head + t.weighted({" and ": 6, ", and ": 2, " & ": 1.5, " plus ": 0.4,
                              " and also ": 0.4, " + ": 0.4}) + last



# ---------------------------------------------------------------- cron fields

def field(values):
    "Values as a field: sorted, three or more in a row as a range, the rest listed."
    values, parts = sorted(set(values)), []
    while values:
        run = 1
        while run < len(values) and values[run] == values[0] + run:
            run += 1
        parts += [f"{values[0]}-{values[run - 1]}"] if run > 2 else [str(v) for v in values[:run]]
        values = values[run:]
    return ",".join(parts)


def around(a, b, low, high):
    "a, a+1, ... b, going on at `low` after `high`: Friday to Monday, November to March."
    return list(range(a, b + 1)) if a <= b else [*range(low, b + 1), *range(a, high + 1)]
