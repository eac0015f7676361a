"""Times of day, intervals and hour windows: what they mean and the many ways to say them."""
from grammar import family, field, join, num, templates, word

# ---------------------------------------------------------------- sampling


def an_hour(t):
    return t.weighted({h: w for h, w in enumerate(
        [1.6, 1.2, 1.4, 1.4, 1.4, 1.8, 2.6, 3, 3, 3, 2.2, 2, 2.6, 2, 2, 2, 2.2, 2.8, 3, 2.6, 2.4,
         2.2, 2.2, 1.8])})


def a_minute(t, p0=0.4):
    if t.chance(p0):
        return 0
    return t.weighted({30: 5, 15: 3, 45: 3, 5 * int(t.rng.random() * 12): 4,
                       int(t.rng.random() * 60): 4})


def twelve(h):
    return (h - 1) % 12 + 1


def half(t, h, dots=True):
    "am or pm, as people write it."
    return t.weighted({"{}": 5, " {}": 4, "up": 1, " up": 1, "dot": 0.8 * dots, " dot": 0.8 * dots
                       }).format("am" if h < 12 else "pm").replace(
        "up", "AM" if h < 12 else "PM").replace("dot", "a.m." if h < 12 else "p.m.")


def part(t, h):
    "in the morning / at night: the part of the day that an hour of twelve belongs to"
    if h < 1:
        return "at night"
    if h < 4:
        return t.pick(["in the morning", "in the morning", "at night", "early in the morning",
                       "in the night"])
    if h < 12:
        return t.weighted({"in the morning": 6, "in the am": 0.5, "of the morning": 0.2,
                           "early morning": 0.4 if h < 7 else 0, "in the mornin": 0.3})
    if h < 17:
        return t.weighted({"in the afternoon": 6, "afternoon": 0.4, "of the afternoon": 0.2, "in the arvo": 0.2,
                           "arvo": 0.1})
    if h == 17:
        return t.pick(["in the afternoon", "in the evening", "in the evening"])
    if h < 21:
        return t.weighted({"in the evening": 6, "evening": 0.4, "of an evening": 0.2,
                           "at night": 2 if h > 18 else 0})
    return t.weighted({"at night": 6, "in the evening": 2.5, "in the night": 0.5})


def spoken(t, h, p=0.5):
    "The hour of twelve, as a word or digits."
    return num(t, twelve(h), p)


def minute_word(t, m):
    return "oh " + word(m) if m < 10 else word(m).replace("-", t.pick([" ", "-"]))


# ---------------------------------------------------------------- one time of day
# A leading ~ says: only clear after "at".

@family("clock", 4, core=True)
def h24(t, h, m):
    return t.pick([f"{h}:{m:02d}", f"{h:02d}:{m:02d}"])


@family("clock", 0.8, core=True)
def compact(t, h, m):
    return f"{h:02d}{m:02d}" + t.pick(["", "", " hrs", "hrs", " hours", "h"])


@family("clock", 0.7)
def hours_unit(t, h, m):
    return f"{h}:{m:02d}" + t.pick(["h", " h", " hrs", " hours"])


@family("clock", 0.8, core=True)
def h_mark(t, h, m):
    return f"{h}{t.pick(['h', 'h', ' h', 'H'])}" + (f"{m:02d}" if m else "")


@family("clock", 0.9, core=True)
def dot(t, h, m):
    return t.pick([f"{h}.{m:02d}", f"{h}.{m:02d}", f"{h:02d}.{m:02d}"])


@family("clock", 0.6)
def dot12(t, h, m):
    return f"{twelve(h)}.{m:02d}{half(t, h, False)}"


@family("clock", 6, core=True)
def ampm(t, h, m):
    return f"{twelve(h)}" + (f":{m:02d}" if m else "") + half(t, h)


@family("clock", 0.7)
def ampm_full(t, h, m):
    return f"{twelve(h):{t.pick(['', '02d'])}}:{m:02d}{half(t, h)}"


@family("clock", 0.6)
def ampm_run(t, h, m):
    return f"{twelve(h)}{m:02d}{half(t, h, False)}" if m else None


@family("clock", 0.4)
def letter(t, h, m):
    return f"{twelve(h)}" + (f":{m:02d}" if m else "") + ("a" if h < 12 else "p")


@family("clock", 1.2, core=True)
def bare(t, h, m):
    return f"~{h}" if not m else None


@family("clock", 0.7)
def oclock(t, h, m):
    if m:
        return None
    text = t.pick([" o'clock", " o'clock", " oclock", " o clock"])
    if h < 13 and h and t.chance(0.5):
        return t.pick([str(h), word(h)]) + text
    return f"{h}{text}" if h > 12 else None


@family("clock", 1.0, core=True)
def oclock_part(t, h, m):
    if m:
        return None
    return spoken(t, h) + t.pick([" o'clock", " o'clock", " oclock"]) + " " + part(t, h)


@family("clock", 2.0, core=True)
def with_part(t, h, m):
    return f"{twelve(h)}" + (f":{m:02d}" if m else "") + " " + part(t, h)


@family("clock", 0.7, core=True)
def part_first(t, h, m):
    if h in (0, 12):
        return None
    name = part(t, h).split()[-1]
    if name not in ("morning", "afternoon", "evening", "night"):
        return None
    at = "at night" if name == "night" else f"in the {name}"
    return f"{at} at {twelve(h)}" + (f":{m:02d}" if m else "")


@family("clock", 1.5, core=True)
def words_ampm(t, h, m):
    return word(twelve(h)) + (f" {minute_word(t, m)}" if m else "") + t.pick(
        [" ", " ", " "]) + half(t, h).strip()


@family("clock", 1.2, core=True)
def words_part(t, h, m):
    return word(twelve(h)) + (f" {minute_word(t, m)}" if m else "") + " " + part(t, h)


@family("clock", 0.6, core=True)
def words_bare(t, h, m):
    return "~" + word(h) + (f" {minute_word(t, m)}" if m else "") if 0 < h < 13 else None


@family("clock", 0.7, core=True)
def words24(t, h, m):
    if h < 13 and (h > 9 or not h):
        return None
    hour = t.pick(["oh ", "zero ", "o "]) + word(h) if h < 10 else word(h)
    tail = minute_word(t, m) if m else "hundred" + t.pick(["", "", " hours"])
    return f"{hour} {tail}"


def _to(t):
    return t.weighted({"to": 6, "before": 1.5, "till": 1, "til": 1, "of": 0.4})


def _past(t):
    return t.weighted({"past": 6, "after": 2})


def _named(t, h, words=0.5):
    "The hour that 'half past' and the like lean on: 6 pm, six in the evening, noon, midnight."
    if h in (0, 12) and t.chance(0.6):
        return "midnight" if not h else t.pick(["noon", "midday"])
    name = spoken(t, h, words)
    return f"{name} {part(t, h)}" if t.chance(0.5) else name + (
        " " if name.isalpha() else "") + half(t, h).strip()


@family("clock", 1.5, core=True)
def half_past(t, h, m):
    return f"{t.pick(['half past', 'half past', 'half-past', 'half after'])} {_named(t, h)}" \
        if m == 30 else None


@family("clock", 7, core=True)
def quarter(t, h, m):
    a = t.pick(["", "", "a "])
    if m == 15:
        return f"{a}quarter {_past(t)} {_named(t, h)}"
    return f"{a}quarter {_to(t)} {_named(t, (h + 1) % 24)}" if m == 45 else None


@family("clock", 2, core=True)
def past(t, h, m):
    if not 0 < m < 30 or m == 15:
        return None
    unit = " minutes" if m % 5 and t.chance(0.6) or t.chance(0.15) else ""
    return f"{num(t, m, 0.6)}{unit} {_past(t)} {_named(t, h)}"


@family("clock", 4.5, core=True)
def to(t, h, m):
    if m < 31 or m == 45:
        return None
    unit = " minutes" if m % 5 and t.chance(0.6) or t.chance(0.15) else ""
    return f"{num(t, 60 - m, 0.6)}{unit} {_to(t)} {_named(t, (h + 1) % 24)}"


@family("clock", 0.7, core=True)
def past_bare(t, h, m):
    "quarter past 17, ten past six: no am or pm, so as on a 24-hour clock"
    if not 0 < m < 31 or not h:
        return None
    lead = {15: "quarter", 30: "half"}.get(m) or num(t, m, 0.5)
    return f"{lead} past {num(t, h, 0.4) if h < 13 else h}"


@family("clock", 0.8, core=True)
def to_bare(t, h, m):
    if m < 35 or h > 22 or m % 5:
        return None
    lead = "quarter" if m == 45 else num(t, 60 - m, 0.5)
    return f"{lead} to {num(t, h + 1, 0.4) if h < 12 else h + 1}"


@family("clock", 1.0, core=True)
def half_five(t, h, m):
    "British: half five is half past five"
    if m != 30 or h in (0, 12):
        return None
    return f"half {spoken(t, h, 0.6)}{t.pick([' ' + part(t, h), ' ' + part(t, h), half(t, h)])}"


@family("clock", 6, core=True)
def noon_midnight(t, h, m):
    if m or h not in (0, 12):
        return None
    return t.pick(["midnight", "midnight", "12 midnight", "twelve midnight", "12 at night"] if not h
                  else ["noon", "noon", "midday", "12 noon", "twelve noon", "high noon"])


@family("clock", 1.2, core=True)
def near_noon(t, h, m):
    "minutes around noon and midnight: ten minutes before midnight"
    if h in (0, 12) and m and m <= 45:
        name = "midnight" if not h else t.pick(["noon", "midday"])
        lead = {15: "quarter", 30: "half"}.get(m) if t.chance(0.7) else None
        tail = f"{lead} past" if lead else num(t, m, 0.5) + t.pick(
            [" minutes past", " minutes after", " past", " min after", " mins past"])
        return f"{tail} {name}"
    if h in (11, 23) and m >= 30:
        name = "midnight" if h == 23 else t.pick(["noon", "midday"])
        if m == 59:
            return t.pick(["a minute to ", "one minute to ", "a minute before ", "1 min before "]) + name
        lead = "quarter to" if m == 45 and t.chance(0.7) else num(t, 60 - m, 0.5) + t.pick(
            [" minutes to", " minutes before", " to", " min before", " mins to"])
        return f"{lead} {name}"
    return None


@family("clock", 0.5, core=True)
def half_hour_after(t, h, m):
    if m != 30:
        return None
    if t.chance(0.5):
        return f"[half an hour|30 minutes|thirty minutes] after {_named(t, h, 0.3)}".replace(
            "[half an hour|30 minutes|thirty minutes]", t.pick(
                ["half an hour", "30 minutes", "thirty minutes", "30 min"]))
    return t.pick(["half an hour", "30 minutes", "30 mins"]) + f" before {_named(t, (h+1)%24, 0.3)}"


@family("clock", 1.0, core=True)
def double(t, h, m):
    "5pm (17:00)"
    if not h:
        return None
    a, b = f"{twelve(h)}" + (f":{m:02d}" if m else "") + half(t, h, False), f"{h}:{m:02d}"
    if t.chance(0.3):
        a, b = b, a
    return t.pick([f"{a} ({b})", f"{a} ({b})", f"{a} / {b}", f"{a}, i.e. {b}", f"{a} aka {b}",
                   f"{a} = {b}", f"{a} [{b}]"])


@family("clock", 0.8, core=True)
def clarified(t, h, m):
    "half past six in the evening, thats 18:30"
    said = t.say("clock_long", h, m)
    tail = f"{h}:{m:02d}" if t.chance(0.7) else f"{twelve(h)}" + (
        f":{m:02d}" if m else "") + half(t, h, False)
    return said + t.pick([", thats {}", " (thats {})", ", so {}", " ({})", " ({})", ", i.e. {}",
                          " - {}", ", meaning {}", " so {}"]).format(tail)


@family("clock_long")
def plain(t, h, m):
    return words_part(t, h, m) if m in (0,) or t.chance(0.3) else None


@family("clock_long", core=True)
def other(t, h, m):
    for fn in (half_past, quarter, past, to, words_part):
        text = fn(t, h, m)
        if text:
            return text


@family("clock", 0.5)
def verbose(t, h, m):
    if not m and t.chance(0.3):
        return t.pick([f"hour {h}", f"{h} hours"])
    return t.pick([f"hour {h} minute {m}", f"hour {h}, minute {m}", f"minute {m} of hour {h}",
                   f"hour {h}, min {m}", f"h{h} m{m}", f"hour {h} min {m}",
                   f"minute {m}, hour {h}", f"{h} hours {m} minutes", f"{h} hours and {m} minutes"])


@family("clock", 0.9, core=True)
def sharp(t, h, m):
    text = t.pick([h24, ampm, ampm_full, with_part])(t, h, m)
    if t.chance(0.12):
        strike = t.pick([with_part, oclock_part, ampm])(t, h, m) if not m else None
        if strike:
            return "when the clock strikes " + strike
    return t.pick([f"{text} sharp", f"exactly {text}", f"{text} on the dot", f"{text} exactly",
                   f"precisely {text}", f"bang on {text}", f"{text} prompt", f"{text} on the nose"])


@family("clock", 0.3)
def gap(t, h, m):
    "17 30"
    return t.pick([f"~{h} {m:02d}", f"{twelve(h)} {m:02d} {'am' if h < 12 else 'pm'}"]) if m else None


@family("clock", 1.6, core=True)
def occasion(t, h, m):
    "lunchtime 12:30, crack of dawn at 5: the occasion says which half of the day"
    fits = [name for name, low, high in OCCASIONS if low <= h <= high]
    if not fits:
        return None
    name = t.pick(fits)
    digits = f"{twelve(h)}" + (f":{m:02d}" if m else "")
    clear = t.pick([digits + half(t, h), f"{h}:{m:02d}", digits + half(t, h)])
    plain = digits if t.chance(0.7) else (
        spoken(t, h) if not m else f"half past {spoken(t, h)}" if m == 30 else digits)
    return t.pick(["{} at {}", "{}, {}", "{} ({})", "{}: {}"]).format(
        name, t.pick([plain, clear, clear]))


OCCASIONS = [(name, int(low), int(high)) for name, low, high in (
    line.rsplit(maxsplit=2) for line in """
the crack of dawn 4 6
crack of dawn 4 6
dawn 5 6
before sunrise 4 6
sunrise 5 7
breakfast time 6 9
breakfast 6 9
before breakfast 5 8
first thing in the morning 5 9
bright and early 5 8
wake up time 5 8
before work 6 9
start of business 7 9
start of the workday 7 9
when the office opens 7 9
early morning 4 8
late morning 10 11
mid morning 9 11
coffee break 9 11
lunchtime 12 13
lunch time 12 13
lunch 12 13
after lunch 13 14
early afternoon 13 14
mid afternoon 14 16
late afternoon 16 17
teatime 16 17
after school 14 16
close of business 16 18
end of business 16 18
end of the business day 16 18
end of the workday 16 18
end of day 16 18
eod 16 18
cob 16 18
after work 17 19
dinner time 17 20
dinnertime 17 20
dinner 17 20
after dinner 19 21
supper 18 20
sunset 18 20
early evening 17 19
late evening 21 23
prime time 20 21
bedtime 20 23
before bed 21 23
late at night 22 23
late night 22 23
dead of night 2 4
the dead of night 2 4
the middle of the night 1 4
middle of the night 1 4
the small hours 1 4
the wee hours 1 4
in the early hours 2 4
early hours 2 4
daybreak 5 6
sunup 5 7
sundown 18 20
nightfall 18 21
dusk 17 20
the morning commute 7 8
school drop-off 7 8
rush hour 8 8
opening time 8 10
elevenses 11 11
coffee time 9 10
brunch 10 11
noon-ish lunch 12 12
siesta 13 15
nap time 13 14
school pickup 14 15
tea time 16 17
happy hour 17 18
home time 15 17
knock-off time 17 17
closing time 17 22
the kids' bedtime 19 20
supper time 18 19
movie night 19 21
curfew 21 23
lights out 21 23
the witching hour 3 3
graveyard shift 1 4
the night shift 22 23
shift change 6 7
start of day 7 9
the end of the day 16 18
beginning of the workday 7 9
""".strip().splitlines())]


def clock(t, h, m):
    "One time of day, without 'at' (or ~ in front where it needs one)."
    return t.say("clock", h, m)


def at(t, text, must=False):
    "Put 'at' in front, or @, or nothing where the text is clear alone."
    if text.startswith(("in the", "at night", "first thing", "hour ", "hours ", "minute", "before ",
                        "after ", "bright and", "late ", "early ", "mid ", "when ", "once ",
                        "morning", "afternoon", "evening", "night", "exactly", "precisely")):
        return text
    if text.startswith(tuple(name for name, _, _ in OCCASIONS)):
        return t.weighted({"at ": 2, "": 4}) + text if text[:4] in ("dinn", "lunc", "brea", "bedt",
                                                                   "suns", "sunr", "dawn") else text
    if text.startswith("~"):
        must, text = True, text[1:]
    if t.terse and not must:
        return text
    lead = t.weighted({"at ": 7, "@ ": 0.8, "@": 0.8, "": 0 if must else 5})
    return lead + text


# the twelve-hour clock where the part of the day has been said: "every evening at {half past 6}"

@family("clock12", 3, core=True)
def c_digits(t, h, m):
    return f"{twelve(h)}" + (f":{m:02d}" if m else "")


@family("clock12", 1.2, core=True)
def c_words(t, h, m):
    return word(twelve(h)) + (f" {minute_word(t, m)}" if m else "")


@family("clock12", 1, core=True)
def c_oclock(t, h, m):
    return None if m else f"{spoken(t, h)} o'clock"


@family("clock12", 2, core=True)
def c_past(t, h, m):
    if not 0 < m < 31:
        return None
    return ({15: "quarter", 30: "half"}.get(m) or num(t, m, 0.6)) + f" past {spoken(t, h)}"


@family("clock12", 3, core=True)
def c_to(t, h, m):
    if m < 35:
        return None
    return ("quarter" if m == 45 else num(t, 60 - m, 0.6)) + f" to {spoken(t, (h + 1) % 24)}"


@family("clock12", 0.5, core=True)
def c_half(t, h, m):
    return f"half {spoken(t, h)}" if m == 30 else None


@family("clock12", 0.5)
def c_dot(t, h, m):
    return f"{twelve(h)}.{m:02d}" if m else None


@family("clock12", 2)
def c_ampm(t, h, m):
    return f"{twelve(h)}" + (f":{m:02d}" if m else "") + half(t, h)


@family("clock12", 1)
def c_24(t, h, m):
    return f"{h}:{m:02d}"


# ---------------------------------------------------------------- several times a day

def hours_list(t, n=None):
    n = n or t.weighted({2: 6, 3: 3, 4: 1.2, 5: 0.3})
    return t.sample(list(range(24)) if t.chance(0.3) else list(range(5, 24)), n)


@family("times", 4, core=True)
def same_style(t, hs, m):
    "6:30 and 18:30, 8am, noon and 5pm"
    style = t.pick([h24, h24, ampm, ampm, ampm, with_part, h_mark, dot, compact, ampm_full,
                    words_ampm, words_part, letter])
    if style is ampm:
        am, pm = half(t, 1), half(t, 13)
        style = lambda t, h, m: (
            f"{twelve(h)}" + (f":{m:02d}" if m else "") + (am if h < 12 else pm))
    texts = [noon_midnight(t, h, m) if h in (0, 12) and not m and style not in (h24, compact, dot)
             and t.chance(0.6) else style(t, h, m) for h in hs]
    return join(t, texts)


@family("times", 0.8)
def mixed_style(t, hs, m):
    texts = [t.pick([h24, ampm, with_part, words_part, half_past, quarter, past, to,
                     noon_midnight])(t, h, m) or h24(t, h, m) for h in hs]
    return join(t, texts)


@family("times", 2, core=True)
def bare_hours(t, hs, m):
    if m:
        return None
    texts = join(t, [str(h) for h in hs])
    return t.pick([f"~{texts}", f"~{texts}", f"~{texts} o'clock", f"hours {texts}", f"{texts}h",
                   f"~{texts} hours"])


@family("times", 2, core=True)
def shared_half(t, hs, m):
    "8 and 11 am"
    if len({h // 12 for h in hs}) > 1 or 0 in hs:
        return None
    order = [12] * (12 in hs) + [h for h in hs if h != 12]
    return join(t, [f"{twelve(h)}" + (f":{m:02d}" if m else "") for h in order]) + t.pick(
        [half(t, hs[0]), half(t, hs[0]), " " + part(t, max(hs) if max(hs) < 17 else 20)
         if all(h < 12 for h in hs) or all(12 <= h < 17 for h in hs) else half(t, hs[0])])


@family("times", 4, core=True)
def am_and_pm(t, hs, m):
    "8:15am and pm"
    if len(hs) != 2 or hs[1] - hs[0] != 12 or not hs[0]:
        return None
    x = f"{hs[0]}" + (f":{m:02d}" if m else "")
    return t.expand(t.pick([f"{x}am and [{x}|]pm", f"{x} am [&|and|/|+] pm", f"~{x} [both |]am and pm",
                            f"~{x} in the morning and [again |]{x} in the evening",
                            f"~{x} in the morning and evening" if 4 < hs[0] < 10 else f"{x}am/{x}pm",
                            f"{x}am/pm", f"~{x} morning and {'evening' if 4 < hs[0] < 9 else 'night'}"
                            if 4 < hs[0] else f"{x} am and pm"]))


@family("times", 1.5, core=True)
def half_past_each(t, hs, m):
    if m not in (15, 30, 45) or m == 45 and 23 in hs:
        return None
    lead = {15: t.pick(["quarter past", "a quarter past"]), 30: "half past", 45: "quarter to"}[m]
    nums = [str(h + (m == 45)) for h in hs]
    if t.chance(0.5):
        nums = [f"{twelve(h + (m == 45))}{'am' if h + (m == 45) < 12 else 'pm'}" for h in hs]
    if t.chance(0.3):
        return join(t, [f"{lead} {x}" for x in nums])
    return f"{lead} {', '.join(nums[:-1])} {t.pick(['and', '&', 'and'])} {nums[-1]}"


@family("times", 1.2)
def minutes_past_each(t, hs, m):
    if not m:
        return None
    nums = join(t, [f"{twelve(h)}{'am' if h < 12 else 'pm'}" for h in hs] if t.chance(0.5)
                else [str(h) for h in hs])
    return t.expand(t.pick([f"{m} [minutes |mins |]past {nums}", f"minute {m} of hours {nums}",
                            f"{num(t, m, 0.5)} [past|minutes past|after] {nums}",
                            f"{nums}, [all |each |]at [:{m:02d}|{m} past|minute {m}]"]))


@family("times", 1.5, core=True)
def parts(t, hs, m):
    "7 in the morning and 9 in the evening; morning (7) and evening (9)"
    if len(hs) > 3 or any(h in (0, 12) for h in hs):
        return None
    x = [f"{twelve(h)}" + (f":{m:02d}" if m else "") for h in hs]
    name = [part(t, h).split()[-1] for h in hs]
    if len(set(name)) < len(name) or not set(name) <= {"morning", "afternoon", "evening", "night"}:
        return None
    shape = t.pick(["{1} at {0}", "{1} ({0})", "{0} in the {1}", "in the {1} at {0}", "{1}: {0}"])
    return join(t, [shape.format(a, b).replace("in the night", "at night") for a, b in zip(x, name)])


@family("times", 2, core=True)
def shared_part_list(t, hs, m):
    "7, 8 and 9 in the evening"
    name = {tuple(range(1, 12)): "in the morning", tuple(range(13, 18)): "in the afternoon",
            tuple(range(17, 22)): "in the evening", tuple(range(19, 24)): "at night"}
    fits = [v for k, v in name.items() if set(hs) <= set(k)]
    if not fits:
        return None
    p = t.pick([0, 0, 1])
    return join(t, [num(t, twelve(h), p) + (f":{m:02d}" if m and not p else f" {minute_word(t, m)}"
                                            if m else "") for h in hs]) + " " + t.pick(fits)


@family("times", 9, core=True)
def noon_and_midnight(t, hs, m):
    if hs != [0, 12] or m:
        return None
    a, b = t.pick(["midnight", "midnight", "12am", "0:00"]), t.pick(["noon", "noon", "midday", "12pm"])
    a, b = (b, a) if t.chance(0.5) else (a, b)
    return t.pick([f"{a} and {b}", f"{a} and {b}", f"{a} & {b}", f"both {a} and {b}", f"{a}/{b}",
                   f"{a} and again at {b}", f"{a}, {b}"])


@family("times", 1)
def again(t, hs, m):
    if len(hs) != 2:
        return None
    a, b = (t.pick([h24, ampm, ampm])(t, h, m) for h in hs)
    return t.expand(t.pick([f"{a} and [again |then |once more ]at {b}", f"once at {a} and once at {b}",
                            f"{a} and then {b}", f"first at {a}, then at {b}", f"{a} + again {b}"]))


templates("per_day", """
xday 2: {d}x [a|per] day
xday 1: {d}x/day
xday 1: {d}x daily
times! 3: {n} times [a|per|each] day
times 1: {n} times every day
daily! 2: {n} times daily
twice! 3: {tw} [a|per|each] day
twice 2: {tw} daily
""")


def per_day(t, n):
    text = t.say("per_day", n=num(t, n, 0.4), d=n, tw={2: "twice", 3: "thrice", 1: "once"}.get(n, f"{n}x"))
    return text


def several(t):
    "(minute, hour, text): one minute of several hours"
    n = t.weighted({2: 6, 3: 3, 4: 0.9, 5: 0.15})
    if t.chance(0.2):
        hs = t.pick([[0, 6, 12, 18], [6, 12, 18], [8, 12, 16], [8, 12, 18], [9, 12, 15], [7, 12, 19],
                     [8, 16], [9, 17], [8, 20], [6, 18], [7, 19], [0, 8, 16], [7, 15, 23], [6, 14, 22],
                     [9, 13, 17], [8, 14, 20], [10, 16], [7, 13, 21], [9, 21], [0, 12], [6, 22],
                     [10, 14, 18], [8, 12, 16, 20], [9, 12, 15, 18], [6, 12, 18, 22], [1, 13]])
    elif n == 2 and t.chance(0.25):
        h = 1 + int(t.rng.random() * 11)
        hs = [h, h + 12]
    elif n == 2 and t.chance(0.2):
        hs = [0, 12]
    elif t.chance(0.2):
        h = int(t.rng.random() * (24 - n))
        hs = list(range(h, h + n))
    else:
        hs = hours_list(t, n)
    m = a_minute(t, 0.55)
    text = at(t, t.say("times", hs, m), must=False)
    if t.chance(0.3):
        text = f"{per_day(t, len(hs))}{t.pick([' ', ', ', ': ', ' ', ' - '])}{text}"
    return str(m), field(hs), text


@family("same_hour", 3, core=True)
def full_each(t, h, ms):
    style = t.pick([h24, ampm, ampm, dot])
    if style is ampm:
        s = half(t, h)
        style = lambda t, h, m: f"{twelve(h)}:{m:02d}{s}"
        if t.chance(0.3):
            return join(t, [f"{twelve(h)}:{m:02d}" for m in ms]) + s
    return join(t, [style(t, h, m) for m in ms])


@family("same_hour", 1)
def tail_minutes(t, h, ms):
    if t.chance(0.5):
        return join(t, [f"{h}:{ms[0]:02d}"] + [f":{m:02d}" for m in ms[1:]])
    return f"{h}:" + "/".join(f"{m:02d}" for m in ms)


@family("same_hour", 1.5)
def past_hour(t, h, ms):
    if 0 in ms:
        return None
    return join(t, [num(t, m, 0.2) for m in ms]) + t.pick([" past ", " minutes past ", " mins past "]
                                                         ) + _named(t, h)


@family("same_hour", 1)
def minutes_of_hour(t, h, ms):
    lst = join(t, [str(m) for m in ms])
    return t.pick([f"minutes {lst} of hour {h}", f"hour {h}, minutes {lst}",
                   f"minutes {lst} of the {twelve(h)}{'am' if h < 12 else 'pm'} hour"])


@family("same_hour", 0.8)
def oclock_and_half(t, h, ms):
    if ms != [0, 30] or not h:
        return None
    n = f"{twelve(h)}{'am' if h < 12 else 'pm'}"
    return t.pick([f"{n} and half past", f"{n} and half past {n}", f"{n} and {twelve(h)}:30",
                   f"{n} and again at half past", f"{n} and 30 minutes later"])


def same_hour(t):
    h, n = an_hour(t), t.weighted({2: 5, 3: 2, 4: 0.6})
    ms = t.weighted({(0, 30): 3, (15, 45): 1.5, tuple(t.sample(range(0, 60, 5), n)): 4,
                     tuple(t.sample(range(60), n)): 1.5})
    return field(ms), str(h), at(t, t.say("same_hour", h, list(ms)))
