"""Intervals and hour windows: every n minutes, hourly at :20, from 9am to 5pm."""
from grammar import family, field, join, num, ordinal, ordinal_word, templates, word
from say_clock import a_minute, an_hour, half, part, spoken, twelve

# ---------------------------------------------------------------- intervals

templates("every_minute", """
every! 3: every [minute|min]
each 1: each [minute|min]
once! 1: once [a|every|per] minute
single 1: [every single|each and every] minute
adverb! 0.6: minutely
one 0.7: every [1|one] [minute|min]
sixty 0.4: every 60 [seconds|sec]
nonstop 0.5: [nonstop|non-stop|constantly|continuously], [every|each] minute
interval 0.5: [at|with] [1 minute|one minute|1-minute|1 min] intervals
""")

templates("every_minutes", """
plain! 9: every {n} {min}
plain 1: every {d}min
once 1: once every {n} {min}
each 1.2: each {n} {min}
interval 1.4: [at|in|with] {n}[ |-][minute|min] intervals
interval_of 0.5: [at|with] [an interval|intervals] of {n} {min}
ordinal 1.2: every {th} [minute|min]
each_ordinal 0.5: each {th} minute
hyphen 0.7: every {d}-[min|minute|minutes]
m 0.9: every {d}[m| m]
apart 0.4: [runs|] {n} {min} apart
per 0.6: [1x|once|one time] per {n} {min}
bare 0.8: {n}[-| ][minutely|minute interval|min interval]
colon 0.5: interval: {n} {min}
everyevery 0.3: each and every {n} {min}
waiting 0.4: [with |]{n} {min} between [runs|each run]
in_every 0.3: one time every {n} {min}
repeat 0.5: [repeat|repeating|recurring|looping] every {n} {min}
after 0.3: every time {n} {min} [pass|have passed|go by]
star! 0.3: */{d} [min|minutes]
""")

templates("times_an_hour", """
times! 3: {n} times [an|per|each|every] hour
times 1: {d}x [an|per] hour
hourly! 0.6: {n} times hourly
evenly 0.6: {n} times [an|per] hour, [evenly spaced|every {gap} {min}]
""")

templates("half_hour", """
half! 4: every [half hour|half an hour|half-hour]
each 1.2: each [half hour|half-hour]
hourly! 1: half[-| ]hourly
onetwo! 0.6: every 1/2 [hour|hr|h]
twice 2: twice [an|per|every|each] hour
two 0.6: [2x|two times] [an|per] hour
hourhalf 0.8: on the hour and [the |][half hour|half past]
everyhourhalf 0.6: every hour [and|plus] half past
two_marks 0.4: on every hour and every half hour
point! 0.4: every 0.5 [hours|hrs|h]
bottom! 0.4: at the top and bottom of [the|every] hour
""")

templates("quarter_hour", """
quarter! 4: every quarter [hour|of an hour|of the hour]
quarter 1: every quarter-hour
hourly! 1.2: quarter[-| ]hourly
fourth! 0.6: every 1/4 [hour|hr]
each 1: each quarter [of an |]hour
four! 1.5: [four|4] times [an|per|each|every] hour
marks 0.8: at :00, :15, :30 and :45
on 0.6: on [the|every] quarter hour
""")

templates("every_hour", """
every! 4: every [hour|hr]
hourly! 3: hourly
each 1.2: each hour
once 1.2: once [an|every|per] hour
top 2: [at|on] the top of [the|every|each] hour
start 0.8: at the [start|beginning] of [every|each] hour
strikes 0.4: every time the clock strikes[ the hour|]
on_hour 2: [every hour |hourly |]on the hour
on_hour 0.5: every hour, on the hour
full 0.8: every full hour
sixty 0.7: every [60|sixty] [minutes|mins|min]
single 0.6: [every single|each and every] hour
one 0.8: every [1 hour|1h|1 hr|one hour]
zero 0.8: [at|on] minute [0|zero] of every hour
zero 0.5: every hour at :00
clock 0.5: [round the clock|around the clock] [every hour|hourly]
x00 0.4: [xx:00|at xx:00] every hour
interval 0.5: at [1 hour|one hour|hourly|1-hour] intervals
oclock 0.4: every hour o'clock
exact 0.4: every hour exactly on the hour
""")

templates("every_hour_m", """
past! 3: [at |]{m} past [every|each] hour
minpast! 2: [at |]{m} [minutes|mins|min] past [the hour, every hour|every hour|each hour|the hour]
hourly_past 2: [hourly|every hour] at {m} [past|minutes past]
hourly_colon! 2.5: [hourly|every hour|each hour] at :{mm}
colon_every 1.5: [at |]:{mm} [every|of every|past every|of each] hour
minute_of! 2.5: [at |on |]minute {d} of [every|each|the] hour
every_minute_of 1: every hour at minute {d}
hourly_minute 1: hourly[, |: | on | at ]minute {d}
hour_past 1: [every|each] hour, {m} [past|minutes past|minutes in]
after 1: {m} [minutes|mins] after [every hour|the hour|each hour]
xx 0.8: [at |]xx:{mm} [every hour|hourly|]
once 1: once [an|per|every] hour at [:{mm}|{m} past|minute {d}]
into 0.7: {m} minutes into [every|each] hour
mark 0.6: [every hour|hourly] [at|on] the {d}[ |-]minute mark
when 0.4: every time the clock [hits|shows|reads] :{mm}
ordinal 0.6: [at|on] the {mth} minute of [every|each] hour
""")

templates("quarter_both", """
past_to! 3: [at |]quarter past and quarter to [every|each|the] hour
to_past 2: [at |]quarter to and quarter past [every|each|the] hour
hourly 2: [hourly|every hour] at quarter past and quarter to
twice 1: twice an hour, at quarter past and quarter to
""")

templates("quarter_past", """
every! 3: [at |][a |]quarter past [every|each] hour
hourly 2: [hourly|every hour] at quarter past
the 1: quarter past the hour[, every hour|]
after 0.7: [a |]quarter after [every hour|the hour]
hour_comma 0.7: every hour, quarter past
""")

templates("half_every", """
every! 3: [at |]half past [every|each] hour
hourly 2: [hourly|every hour] at half past
the 1: half past the hour[, every hour|]
on_half 1.5: [every hour |hourly |]on the half[-| ]hour
bottom 0.7: at the bottom of [every|each|the] hour
hour_comma 0.7: every hour, half past
""")

templates("quarter_to", """
every! 3: [at |][a |]quarter to [every|each] hour
hourly 2: [hourly|every hour] at quarter to
the 1: quarter to the hour[, every hour|]
before 0.8: 15 [min|minutes] before [every|each] hour
""")

templates("before_hour", """
to! 3: [at |]{k} to [every|each] hour
minto 2: {k} [minutes|mins] [to|before] [every hour|each hour|the hour]
hourly 1.5: [hourly|every hour] at {k} to
before 1: {k} [minutes|min] before the [top of the hour|full hour]
""")

templates("minute_list", """
past! 3: [at |]{list} [past|minutes past|mins past] [every|each|the] hour
colons! 3: [at |]{colons} [every hour|of every hour|each hour|past every hour|]
minutes! 3: [at |on |]minutes {list} of [every|each|the] hour
hourly 2: [hourly|every hour|each hour] at [{colons}|minutes {list}]
xx 0.7: [at |]{xx}
hourly_comma 1: [hourly|every hour], [at |on |]minutes {list}
after 0.8: {list} [minutes|min] after [the|every] hour
times 1.2: {x} an hour[,| at|:] [{colons}|minutes {list}]
times 0.6: {x} hourly[,| at| -] {list} [past|minutes past]
past_hourly 1: every hour at {list} past
""")

templates("every_hours", """
plain! 8: every {n} [hours|hrs|hours]
plain 1.5: every {d}[h| h|hrs|hr]
once! 1: once every {n} [hours|hrs]
each 1: each {n} hours
interval 1.2: [at|in|with] {n}[ |-]hour intervals
ordinal 2: every {th} hour
each_ordinal 0.5: each {th} hour
hourly! 0.9: {n}[-| ]hourly
hyphen 0.5: every {d}-hours
times 1.4: {x} [a|per] day, every {n} [hours|hrs]
from_midnight 1: every {n} [hours|hrs] [starting at|starting|from|beginning at] [midnight|12am|00:00]
divisible! 0.3: at hours divisible by {d}
apart 0.4: [runs|] {n} hours apart
day_paren 0.5: every {n} [hours|hrs] ({x} a day)
day_paren 0.4: {x} a day (every {n} [hours|hrs])
per 0.4: once per {n} hours
round 0.5: every {n} hours [around|round] the clock
on_hour 0.8: every {n} hours[,|] on the hour
repeat 0.4: repeat every {n} hours
star! 0.25: */{d} hours
""")

templates("other_hour", """
other! 4: every other [hour|hr]
second! 2: every [second|2nd] hour
even! 1.5: [on|at|every] even hour[s|]
even 0.6: even[-| ]numbered hours
alternate! 0.5: [alternate|alternating] hours
""")

templates("odd_hour", """
odd! 2: [on|at|every] odd hour[s|]
numbered 1: odd[-| ]numbered hours
starting 1.5: every [2|two|other|second] hour[s|] [starting at|from|beginning at] 1[am| am|:00]
""")

templates("past_tail", """
past! 3: at {m} past
past 1: at {m} past the hour
colon! 3: at :{mm}
minute! 2: at minute {d}
minute 1: on minute {d}
minpast 2: {m} [minutes|mins] past [the hour|]
after 0.6: at {m} [minutes|min] after the hour
named! 3: [at |]{named}
mark 0.5: at the {d} minute mark
xx 0.5: at xx:{mm}
in 0.5: {m} minutes into the hour
""")


def every_minutes(t, n=None):
    "(minute field, text)"
    n = n or t.weighted({5: 5, 10: 5, 15: 5, 20: 4, 30: 4, 2: 2.5, 3: 2.5, 4: 2, 6: 2, 12: 2, 1: 2})
    if n == 1:
        return "*", t.say("every_minute")
    if n == 30 and t.chance(0.5):
        return "*/30", t.say("half_hour")
    if n == 15 and t.chance(0.4):
        return "*/15", t.say("quarter_hour")
    unit = lambda: t.weighted({"minutes": 5, "min": 3, "mins": 3})
    if n >= 10 and t.chance(0.25):       # nobody asks for 30 times an hour
        return f"*/{n}", t.say("times_an_hour", d=60 // n, n=num(t, 60 // n, 0.5), gap=n, min=unit)
    return f"*/{n}", t.say("every_minutes", n=lambda: num(t, n), d=n, min=unit,
                           th="[other|second|2nd]" if n == 2 else
                           lambda: t.pick([ordinal(n), ordinal_word(n)]))


def colon_list(t, ms):
    style = t.pick([":{:02d}", ":{:02d}", ".{:02d}" if t.chance(0.2) else ":{:02d}"])
    return join(t, [style.format(m) for m in ms])


def hourly(t, m=None):
    "(minute field, text): some minute or minutes of every hour"
    if m is None and t.chance(0.3):
        if t.chance(0.1):
            return "15,45", t.say("quarter_both")
        n = t.weighted({2: 6, 3: 3, 4: 0.7})
        ms = t.sample(list(range(0, 60, 5)) if t.chance(0.6) else list(range(60)), n)
        count = {2: ["twice", "2 times", "2x"], 3: ["three times", "3x", "3 times"],
                 4: ["4 times", "four times", "4x"]}[n]
        return field(ms), t.say(
            "minute_list", list=lambda: join(t, [num(t, x, 0.1) for x in ms]),
            colons=lambda: colon_list(t, ms), x=lambda: t.pick(count),
            xx=lambda: join(t, [f"xx:{x:02d}" for x in ms]))
    m = a_minute(t, 0.35) if m is None else m
    if not m:
        return "0", t.say("every_hour")
    special = {15: "quarter_past", 30: "half_every", 45: "quarter_to"}.get(m)
    if special and t.chance(0.5):
        return str(m), t.say(special)
    if m > 30 and t.chance(0.3):
        return str(m), t.say("before_hour", k=lambda: num(t, 60 - m, 0.4))
    return str(m), t.say("every_hour_m", m=lambda: num(t, m, 0.35), d=m, mm=f"{m:02d}",
                         mth=lambda: t.pick([ordinal(m), ordinal_word(m)]))


def past_tail(t, m):
    named = {15: "quarter past", 30: "half past"}.get(m)
    if named and t.chance(0.6):
        return t.pick(["at ", ""]) + named + t.pick(["", "", " the hour", " each time"])
    return t.say("past_tail", m=lambda: num(t, m, 0.35), d=m, mm=f"{m:02d}",
                 named=named or f"{m} past")


def every_hours(t):
    "(minute, hour, text)"
    n = t.weighted({2: 5, 3: 4, 4: 4, 6: 4, 8: 3, 12: 3})
    m = a_minute(t, 0.6)
    if n == 2 and t.chance(0.15):
        start, text = "1-23/2", t.say("odd_hour")
    elif n == 2 and t.chance(0.45):
        start, text = "*/2", t.say("other_hour")
    elif t.chance(0.15):
        a = 1 + int(t.rng.random() * (n - 1))
        first = t.pick([f"{a}am", f"{a} am", f"{a}:00", f"{a:02d}:00", f"{word(a)} am"])
        if m:
            first = t.pick([f"{a}:{m:02d}", f"{a}:{m:02d}am", f"{a:02d}:{m:02d}"])
        text = t.expand(f"every {num(t, n)} [hours|hrs|hours] [starting at|starting|from|beginning at"
                        f"|start at|, first at] {first}").replace(" ,", ",")
        t.used.append("every_hours.offset")
        return str(m), f"{a}-23/{n}", text
    else:
        x = {2: "twice", 3: "three times", 4: "four times"}.get(24 // n, f"{24 // n} times")
        start, text = f"*/{n}", t.say(
            "every_hours", n=lambda: num(t, n), d=n,
            x=t.pick([x, num(t, 24 // n, 1) + " times", f"{24 // n}x", f"{24 // n} times"]),
            th=lambda: t.pick([ordinal(n), ordinal_word(n)]))
    if m:
        tail = past_tail(t, m)
        if "midnight" in text or "12am" in text or "00:00" in text:
            m = 0
        elif t.chance(0.2):
            text = f"{tail.removeprefix('at ') if t.chance(0.5) else tail} {text}"
        else:
            text = f"{text}{t.pick([' ', ' ', ', '])}{tail}"
    return str(m), start, text


# ---------------------------------------------------------------- hour windows

def _pair(t, a, b, m=0, n=None):
    "Both ends in one 12-hour style."
    n, s = m if n is None else n, t.pick(["", "", " "])
    up = t.chance(0.12)

    def end(h, m):
        if h in (0, 12) and not m and t.chance(0.5):
            return "midnight" if not h else "noon"
        text = f"{twelve(h)}" + (f":{m:02d}" if m else "") + s + ("am" if h < 12 else "pm")
        return text.upper() if up else text
    return end(a, m), end(b, n)


@family("window", 1.2, core=True)
def shared_part(t, a, b):
    "between 6 and 8 in the morning"
    if not (0 < a < b) or a // 12 != b // 12 or 12 in (a, b):
        return None
    name = "in the morning" if b < 12 else "in the afternoon" if b < 18 else \
        "in the evening" if a > 16 and b < 23 else "at night" if a > 18 else None
    if not name:
        return None
    x, y = (spoken(t, a, 0.3), spoken(t, b, 0.3)) if t.chance(0.3) else (twelve(a), twelve(b))
    return t.pick([f"between {x} and {y} {name}", f"from {x} to {y} {name}", f"{x} to {y} {name}",
                   f"{name} from {x} to {y}", f"{name} between {x} and {y}", f"{name}, {x}-{y}"])


templates("until", """
to! 6: {a} to {b}
until! 3: {a} until {b}
till 2: {a} [till|til] {b}
through 2: {a} [through|thru] {b}
upto 0.5: {a} up to {b}
untill 0.3: {a} 'til {b}
""")


def _range(t, a, b):
    return t.say("until", a=a, b=b)


@family("window", 4, core=True)
def from_ampm(t, a, b):
    x, y = _pair(t, a, b)
    return t.pick(["from ", "from ", "from ", ""]) + _range(t, x, y)


@family("window", 3, core=True)
def between_ampm(t, a, b):
    x, y = _pair(t, a, b)
    return t.pick(["between", "between", "between", "b/w", "btw"]) + f" {x} " + t.pick(
        ["and", "and", "and", "&", "to"]) + f" {y}"


@family("window", 2.5, core=True)
def dash_ampm(t, a, b):
    x, y = _pair(t, a, b)
    return x + t.pick(["-", "-", " - ", "–"]) + y


@family("window", 2, core=True)
def from_24(t, a, b):
    x, y = t.pick([(f"{a}", f"{b}"), (f"{a}:00", f"{b}:00"), (f"{a:02d}:00", f"{b:02d}:00")])
    if not 12 < b < 24 and ":" not in x and b < a:
        x, y = f"{a}:00", f"{b}:00"
    return t.pick(["from ", "from ", "from ", ""]) + _range(t, x, y)


@family("window", 1.5, core=True)
def between_24(t, a, b):
    x, y = t.pick([(f"{a}", f"{b}"), (f"{a}:00", f"{b}:00"), (f"{a:02d}:00", f"{b:02d}:00")])
    return f"between {x} and {y}"


@family("window", 2, core=True)
def dash_24(t, a, b):
    d = t.pick(["-", "-", " - ", "–"])
    return t.pick([f"{a}{d}{b}", f"{a}:00{d}{b}:00", f"{a:02d}:00{d}{b:02d}:00",
                   f"{a:02d}00{d}{b:02d}00", f"{a}h{d}{b}h", f"{a}{d}{b}h"])


@family("window", 1.2)
def hours_field(t, a, b):
    return t.pick([f"hours {a} to {b}", f"hours {a}-{b}", f"hours {a} through {b}",
                   f"from hour {a} to hour {b}", f"in hours {a}-{b}", f"during hours {a} to {b}"])


@family("window", 2, core=True)
def nine_to_five(t, a, b):
    "9 to 5: the second number is smaller, so it is in the afternoon"
    if not (4 < a < 12 < b and b - 12 < a):
        return None
    x, y = (word(a), word(b - 12)) if t.chance(0.3) else (a, b - 12)
    return t.pick(["from ", "from ", ""]) + _range(t, x, y) if t.chance(0.7) else t.pick(
        [f"between {x} and {y}", f"{a}-{b - 12}", f"{a} - {b - 12}"])


@family("window", 1)
def nine_to_five_pm(t, a, b):
    if not (4 < a < 12 < b and b - 12 < a):
        return None
    return t.pick([f"from {a} to {b - 12}pm", f"{a}-{b - 12}pm", f"{a} to {b - 12} pm",
                   f"between {a} and {b - 12}pm", f"{a} - {b - 12} pm"])


@family("window", 1.5, core=True)
def shared_suffix(t, a, b):
    "2 to 6 pm"
    if a >= b or a // 12 != b // 12 or not a:
        return None
    s = half(t, a)
    d = t.pick(["-", " - ", "–"])
    return t.pick([f"from {twelve(a)} to {twelve(b)}{s}", f"between {twelve(a)} and {twelve(b)}{s}",
                   f"{twelve(a)}{d}{twelve(b)}{s}", f"from {twelve(a)} until {twelve(b)}{s}"])


@family("window", 1.5, core=True)
def spelled(t, a, b):
    def end(h):
        return {0: "midnight", 12: "noon"}.get(h) or f"{word(twelve(h))} {part(t, h)}" if t.chance(
            0.6) or h in (0, 12) else f"{word(twelve(h))} {'am' if h < 12 else 'pm'}"
    return f"from {end(a)} {t.pick(['to', 'until', 'till', 'through'])} {end(b)}" if t.chance(
        0.7) else f"between {end(a)} and {end(b)}"


@family("window", 1)
def with_parts(t, a, b):
    if a in (0, 12) or b in (0, 12):
        return None
    x, y = f"{twelve(a)} {part(t, a)}", f"{twelve(b)} {part(t, b)}"
    return f"from {x} {t.pick(['to', 'until', 'till'])} {y}"


@family("window", 1)
def start_stop(t, a, b):
    x, y = _pair(t, a, b) if t.chance(0.6) else (f"{a}:00", f"{b}:00")
    return t.pick([f"starting at {x}, ending at {y}", f"starting {x} ending {y}",
                   f"start {x} stop {y}", f"starts at {x} and stops at {y}", f"start {x} end {y}",
                   f"starting at {x} until {y}", f"beginning at {x} and ending at {y}",
                   f"first at {x}, last at {y}", f"first run {x}, last run {y}"])


@family("window", 0.6)
def letters(t, a, b):
    x, y = (f"{twelve(h)}{'a' if h < 12 else 'p'}" for h in (a, b))
    return t.pick([f"{x}-{y}", f"{x} to {y}", f"from {x} to {y}"])


@family("window", 1.6, core=True)
def labelled(t, a, b):
    names = []
    if 6 < a < 10 and 15 < b < 20:
        names += ["business hours", "office hours", "working hours", "work hours", "the workday",
                  "the working day", "opening hours", "daytime hours"] * 2
    if 3 < a < b < 13:
        names += ["the morning", "morning hours"]
    if 11 < a < b < 19:
        names += ["the afternoon", "afternoon hours"]
    if 16 < a < b:
        names += ["the evening", "evening hours"]
    if a > 18 and b < 9 or b < 9 and a < b:
        names += ["the small hours"] if a < b else []
        names += ["the night", "night hours", "overnight hours", "night time", "nights"]
    if not names:
        return None
    name, x, y = t.pick(names), *(_pair(t, a, b) if t.chance(0.5) else (a, b))
    if (x, y) == (a, b) and b - 12 < a < 12 < b and t.chance(0.4):
        y = b - 12
    if name == "nights":
        return t.pick([f"nights only ({x}-{y})", f"nights ({x} to {y})", f"only at night ({x}-{y})",
                       f"nights, {x} to {y}"])
    return t.pick([f"during {name} ({x}-{y})", f"in {name} ({x} to {y})", f"during {name}, {x} to {y}",
                   f"{name} {x}-{y}".removeprefix("the "), f"during {name} from {x} to {y}",
                   f"in {name} from {x} to {y}", f"during {name} {x}-{y}"])


@family("window", 1.2, core=True)
def overnight(t, a, b):
    if a and a <= b or b > 8:
        return None
    x, y = _pair(t, a, b) if t.chance(0.7) else (f"{a}:00", f"{b}:00")
    if not a:
        return t.pick([f"overnight, {x} to {y}", f"overnight, {x} through {y}", f"overnight from {x} to {y}",
                       f"at night from {x} until {y}", f"through the night, {x}-{y}"])
    return t.pick([f"overnight from {x} to {y}", f"overnight {x}-{y}", f"overnight, {x} to {y}",
                   f"during the night from {x} until {y}", f"through the night {x} to {y}",
                   f"all night from {x} to {y}", f"at night between {x} and {y}",
                   f"from {x} overnight to {y}", f"from {x} until {y} the next morning",
                   f"{x} to {y} next day"])


@family("window", 0.6)
def arrow(t, a, b):
    x, y = _pair(t, a, b) if t.chance(0.6) else (a, b)
    return f"{x}{t.pick(['->', ' -> ', ' → ', '..', '...', ' ~ '])}{y}"


@family("window", 0.7)
def inclusive(t, a, b):
    x, y = _pair(t, a, b) if t.chance(0.6) else (a, b)
    return t.pick([f"from {x} to {y} inclusive", f"{x}-{y} inclusive", f"{x} to {y} incl",
                   f"from {x} through {y} (both included)", f"from {x} up to and including {y}"])


# windows that stop one minute before the hour: 8:00 to 11:59 is 8-11

@family("window59", 3, core=True)
def from_59(t, a, b):
    x = t.pick([f"{a}:00", f"{a:02d}:00", f"{a}"])
    return t.pick(["from ", "from ", ""]) + _range(t, x, f"{b}:59")


@family("window59", 2)
def between_59(t, a, b):
    x = t.pick([f"{a}:00", f"{a:02d}:00", f"{a}"])
    return f"between {x} and {b}:59"


@family("window59", 2, core=True)
def from_59pm(t, a, b):
    x, y = _pair(t, a, b, 0, 59)
    return t.pick(["from ", "from ", ""]) + _range(t, x, y)


@family("window59", 1)
def between_59pm(t, a, b):
    x, y = _pair(t, a, b, 0, 59)
    return f"between {x} and {y}"


@family("window59", 1)
def dash_59(t, a, b):
    if t.chance(0.5):
        x, y = _pair(t, a, b, 0, 59)
        return x + t.pick(["-", " - ", "–"]) + y
    return t.pick([f"{a:02d}:00-{b:02d}:59", f"{a}:00 - {b}:59", f"{a:02d}00-{b:02d}59"])


@family("window59", 0.8)
def not_including(t, a, b):
    if b == 23 or a >= b:
        return None
    x, y = _pair(t, a, b + 1)
    return t.pick([f"from {x} until just before {y}", f"from {x} up to but not including {y}",
                   f"{x} to {y}, not including {y}", f"from {x} to right before {y}",
                   f"between {x} and just before {y}", f"from {x} to {y} exclusive"])


templates("one_hour", """
ampm_hour! 4: [during|in|within|throughout] the {ap} hour
oclock_hour 2: [during|in|within] the {h} o'clock hour
from_59! 3: from {h}:00 [to|until|till] {h}:59
between_59 2: between {h}:00 and {h}:59
from_ap59! 2: [from |]{t} [to|until] {t}:59 {half}
from_ap59 1: between {t} and {t}:59[ |]{half}
dash_59 1: {h}:00[-| - ]{h}:59
ap_59 2: from {ap} [to|until|till] {t}:59{half}
hour_n! 2: [during|in|within] hour {h}
only_h 1: [only |]during the {hh}:00 hour
whole 1: for the whole {ap} hour
xx 0.5: [during|within] {hh}:xx
of 1: of the {ap} hour
""")


def window(t, wrap=0.2, least=2):
    "(first hour, last hour) of a window"
    if t.chance(0.07):
        return 0, t.pick([3, 4, 5, 6, 6, 6, 7, 8, 12])
    if t.chance(wrap):
        return t.pick([18, 19, 20, 21, 22, 22, 23, 23]), t.pick([0, 1, 2, 3, 4, 5, 5, 6, 6, 7])
    while True:
        a = t.weighted({8: 4, 9: 5, 7: 3, 6: 3, int(t.rng.random() * 22): 6, 10: 2, 12: 2, 13: 1})
        b = t.weighted({17: 5, 18: 4, 16: 2, 20: 2, 22: 2, int(t.rng.random() * 24): 9, 12: 1.5})
        if b - a >= least:
            return a, b


def hours_of(a, b):
    return field(range(a, b + 1) if a <= b else [*range(a, 24), *range(b + 1)])


templates("in_window", """
after! 8: {i} {w}
before! 3: {w} {i}
comma 2: {i}, {w}
comma_before 2: {w}, {i}
paren 1: {i} ({w})
only 1.5: {i} only {w}
but 1: {i} but only {w}
only_before 0.6: only {w}, {i}
colon 0.7: {w}: {i}
dash 0.7: {i} - {w}
""")


def in_window(t, i, w):
    return t.say("in_window", i=i, w=w)


def hourly_window(t):
    "every hour (at some minute) from a to b, or every n hours of it"
    a, b = window(t)
    if b > a + 3 and t.chance(0.3):
        n = t.weighted({2: 6, 3: 3, 4: 1.5})
        m = a_minute(t, 0.85)
        i = t.expand("[every other hour|every 2 hours|every two hours|every 2h|every second hour]"
                     if n == 2 else f"[every {n} hours|every {word(n)} hours|every {ordinal_word(n)} "
                     f"hour|every {n}h|every {n} hrs|every {ordinal(n)} hour]")
        if m:
            i += " " + past_tail(t, m)
        t.used.append("window.step")
        return str(m), f"{a}-{b}/{n}", in_window(t, i, t.say("window", a, b))
    if t.chance(0.15):
        m = t.pick([30, 15, 45, 10, 5, 20])
        x, y = _pair(t, a, b, m) if t.chance(0.6) else (f"{a}:{m:02d}", f"{b}:{m:02d}")
        w = t.pick([f"from {x} to {y}", f"between {x} and {y}", f"{x}-{y}", f"from {x} until {y}"])
        t.used.append("window.half_ends")
        return str(m), hours_of(a, b), in_window(t, t.pick(
            ["hourly", "every hour", "every hour", "each hour", "once an hour"]), w)
    m, i = hourly(t, None if t.chance(0.4) else 0)
    w = t.say("window59", a, b) if t.chance(0.12) else t.say("window", a, b)
    return m, hours_of(a, b), in_window(t, i, w)


def minutes_window(t):
    "every n minutes from a to b: hours as in the hour field, both named hours count"
    m, i = every_minutes(t)
    if t.chance(0.1):
        return minutes_of_one_hour(t, m, i)
    if t.chance(0.3):
        h = an_hour(t)
        return m, str(h), in_window(t, i, t.say(
            "one_hour", h=h, hh=f"{h:02d}", t=twelve(h), half="am" if h < 12 else "pm",
            ap=lambda: {0: "midnight", 12: "noon"}[h] if h in (0, 12) and t.chance(0.5) else
            f"{twelve(h)}{t.pick(['', '', ' '])}{'am' if h < 12 else 'pm'}"))
    group = t.weighted({"window59": 5, "window": 4})
    a, b = window(t, least=1 if group == "window59" else 2)
    if m.startswith("*/") and t.chance(0.15):
        last = 60 - int(m[2:])
        x, y = _pair(t, a, b, 0, last) if t.chance(0.5) else (f"{a}:00", f"{b}:{last:02d}")
        t.used.append("window.last_run")
        return m, hours_of(a, b), in_window(t, i, t.pick(
            [f"from {x} to {y}", f"between {x} and {y}", f"{x}-{y}", f"from {x} until {y}",
             f"{x} to {y}", f"first at {x}, last at {y}"]))
    return m, hours_of(a, b), in_window(t, i, t.say(group, a, b))


def minutes_of_one_hour(t, m, i):
    "every minute from 3:00 to 3:10: a window inside an hour"
    h, a = an_hour(t), t.weighted({0: 6, 30: 3, 15: 1, 45: 1, 5 * int(t.rng.random() * 9): 2})
    b = a + t.pick([5, 10, 10, 15, 20, 30])
    if b > 59 or m != "*" and int(m[2:]) * 2 > b - a:
        m, i, b = "*", t.say("every_minute"), min(b, 59)
    x, y = _pair(t, h, h, a, b) if t.chance(0.6) else (f"{h}:{a:02d}", f"{h}:{b:02d}")
    if a == 0 and x[0] not in "mn" and ":" not in x and t.chance(0.7):
        x, y = f"{h}:00", f"{h}:{b:02d}"
    t.used.append("window.minutes")
    return f"{a}-{b}" + m[1:], str(h), in_window(t, i, t.pick(
        [f"from {x} to {y}", f"from {x} to {y}", f"between {x} and {y}", f"{x}-{y}", f"from {x} until {y}",
         f"{x} to {y}", f"from {x} through {y}", f"from {x} to {y}, both included"]))
