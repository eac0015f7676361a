"""Days of the month, months and dates: what they mean and how people say them.

Each function returns (day of month, month, day of week, text); a field is None where unrestricted.
"""
from grammar import DAYS, MONTHS, around, field, join, month, num, ordinal, ordinal_word, templates

# ---------------------------------------------------------------- days of the month

templates("one_dom", """
of_month! 5: on the {nth} of [every|each|the] month
monthly! 3: monthly on the {nth}
on! 3: on the {nth}
every_month 2: every month on the {nth}
each_month 1: each month on the {nth}
bare! 1.5: the {nth} of [every|each] month
bare 0.8: the {nth}
day_of 2: [on |]day {d} of [every|each|the] month
day 1.2: [on |]day {d}
monthly_day 0.7: monthly[,|:| on] day {d}
once! 1.2: once a month[,| on|:] the {nth}
every_nth 1.5: every {nth} of the month
month_comma 0.8: monthly, the {nth}
nth_day 1.2: [on |]the {nth} day of [every|each|the] month
only 0.6: only on the {nth}[| of the month]
when 0.3: when it's the {nth}
come 0.3: come the {nth} of the month
every_the 0.7: every {nth}
noarticle 0.7: [on |]{nth} of [every|each] month
date 0.4: on date {d}[| of each month]
once_per 0.5: once per month on the {nth}
""")

templates("first_dom", """
of_month 4: [on the |the |]first of [every|each|the] month
day! 3: [on the |the |]first day of [every|each|the] month
start 2: at the [start|beginning] of [every|each|the] month
day_one! 1: on day [1|one] of [every|each] month
starts! 0.6: when a new month starts
monthly 1.2: monthly on the first
""")

templates("doms", """
of_month! 4: on the {list} of [every|each|the] month
on! 3: on the {list}
bare! 1.5: the {list}[| of the month| of each month]
monthly! 2: monthly on the {list}
every 1.5: every {list}
every_of 1: every {list} of the month
times 1.5: {x} a month[,| on|:] the {list}
days! 1.2: [on |]days {nums}[| of the month| of each month]
each 0.8: each month on the {list}
every_month 1.2: every month on the {list}
only 0.5: only on the {list}
noarticle 0.6: {list} of [every|each] month
dates 0.4: on dates {nums}
""")

templates("dom_range", """
from! 3: from the {a} to the {b}[| of the month| of each month| of every month]
to! 3: {a} to {b} of [the|each|every] month
the_to 2: the {a} [to|through|thru] the {b}[| of each month| of every month]
dash! 2: on the {a}-{b}
dash_of 1: {a}-{b} of [the|each|every] month
days! 3: [on |]days {m} [to|through|thru|-] {n}[| of the month| of each month]
days_dash 1: [on |]days {m}-{n}[| of the month| of every month]
every 1.2: every day from the {a} [to|through|until] the {b}
between 1: between the {a} and [the |]{b}[| of the month| of each month]
thru 1: {a} [thru|through|till|until] {b}
each 0.6: each month from the {a} to the {b}
daily 0.8: daily from the {a} [through|to|till] the {b}
monthly 0.5: monthly, [the |]{a} to {b}
during 0.4: during days {m} to {n} of the month
""")


def nth(t, d, p=0.2):
    text = ordinal_word(d) if t.chance(p) else ordinal(d)
    return text.replace("-", " ") if t.chance(0.3) else text


def a_dom(t):
    return t.weighted({1: 3, 15: 3, 1 + int(t.rng.random() * 31): 9, 10: 1, 20: 1, 28: 1, 25: 1})


def one_dom(t, d=None):
    d = d or a_dom(t)
    if d == 1 and t.chance(0.5):
        return "1", None, None, t.say("first_dom")
    if t.chance(0.04):
        t.used.append("one_dom.occasion")
        name = t.pick(["payday", "rent day", "bill day", "invoice day", "billing day", "pay day"])
        return str(d), None, None, t.pick([f"{name} (the {ordinal(d)})", f"on {name}, the {ordinal(d)}",
                                           f"{name} ({ordinal(d)})", f"on {name} (the {ordinal(d)} of the month)"])
    if d == 15 and t.chance(0.2):
        t.used.append("one_dom.mid")
        return "15", None, None, t.pick(
            ["mid-month (the 15th)", "mid month on the 15th", "mid-month, the 15th",
             "middle of the month, the 15th", "mid month (15th)", "in the middle of the month (15th)"])
    return str(d), None, None, t.say("one_dom", nth=lambda: nth(t, d), d=d)


def dom_list(t):
    n = t.weighted({2: 6, 3: 3, 4: 1})
    days = [1, 15] if n == 2 and t.chance(0.25) else t.sample(list(range(1, 32)), n)
    p = t.pick([0, 0, 0, 1])
    texts = [nth(t, d, p) for d in days]
    text = join(t, texts)
    if t.chance(0.2) and n == 2:
        text = f"{texts[0]} and the {texts[1]}"
    x = {2: ["twice", "two times", "2x"], 3: ["three times", "3x"], 4: ["4 times", "four times"]}[n]
    return field(days), None, None, t.say("doms", list=text, x=t.pick(x),
                                          nums=lambda: join(t, [str(d) for d in days]))


def dom_range(t):
    if t.chance(0.2):
        t.used.append("dom_range.first_n")
        n = t.weighted({7: 5, 10: 4, 5: 3, 3: 2, 14: 1, 15: 1})
        text = t.expand(f"[on |][the |]first {num(t, n, 0.5)} days of [every|each|the] month")
        if n == 7 and t.chance(0.6):
            text = t.pick(["the first week of the month (1st-7th)", "first week of each month (1-7)",
                           "in the first week of every month", "first 7 days of the month (1-7)",
                           "during the first week of each month"])
        if n == 15 and t.chance(0.6):
            text = t.pick(["first half of the month (1-15)", "in the first half of each month (1st-15th)"])
        return f"1-{n}", None, None, text
    while True:
        a, b = sorted([t.weighted({1: 5, 10: 2, 15: 2, 20: 2, 1 + int(t.rng.random() * 31): 12}),
                       t.weighted({7: 3, 5: 2, 10: 2, 20: 2, 1 + int(t.rng.random() * 31): 12})])
        if b - a > 1:
            break
    p = t.pick([0, 0, 0, 1])
    return f"{a}-{b}", None, None, t.say("dom_range", a=nth(t, a, p), b=nth(t, b, p), m=a, n=b)


templates("dom_step", """
other! 4: every other day
every! 3: every {n} days
nth 2: every {th} day
once 1: once every {n} days
each 0.5: each {th} day
""")


def dom_step(t):
    n = t.weighted({2: 5, 3: 3, 4: 1, 5: 1.5, 10: 0.7})
    if n == 2 and t.chance(0.3):
        t.used.append("dom_step.odd_even")
        return t.pick([("1-31/2", t.pick(["on odd days", "odd days of the month", "every odd day",
                                          "on odd-numbered days", "on odd dates"])),
                       ("2-30/2", t.pick(["on even days", "even days of the month", "every even day",
                                          "on even-numbered days", "on even dates"]))])
    if n == 2:
        text = t.say("dom_step", n=lambda: num(t, 2), th=lambda: t.pick(["other", "second", "2nd"]))
    else:
        text = t.expand(t.pick([f"every {num(t, n)} days", f"every {t.pick([ordinal(n), ordinal_word(n)])} day",
                                f"once every {num(t, n)} days", f"every {num(t, n)} days"]))
        t.used.append("dom_step.n")
    return f"*/{n}", text


def dom_step4(t):
    value, text = dom_step(t)
    return value, None, None, text


def some_doms(t):
    return t.weighted({one_dom: 6, dom_list: 4, dom_range: 3.5, dom_step4: 0.9})(t)


# ---------------------------------------------------------------- months

templates("one_month", """
in! 5: in {m}
every 1.5: every {m}
during! 2: during {m}
only 1.2: [only in|in] {m}[| only]
all 1: all [of |]{m}
through 1: throughout {m}
bare! 1: {m}
month_of 1: [for|in|during] the month of {m}
daily 0.8: every day in {m}
daily_of 0.8: [daily|every day] [during|throughout|of] {m}
each 0.6: each {m}
just 0.5: just [in |]{m}
whole 0.5: the whole [of|month of] {m}
long 0.5: all {m} long
days 0.4: each day of {m}
""")

templates("months", """
in! 5: in {list}
bare! 1.5: {list}
during 1.5: during {list}
every 1: every {list}
only 1: only in {list}
only 0.6: {list} only
months 0.6: [months|in the months of] {list}
each 0.4: each {list}
""")

templates("month_range", """
from! 4: from {a} to {b}
to! 2: {a} to {b}
through! 4: {a} [through|thru] {b}
from_through 1.5: from {a} [through|thru|until|till] {b}
dash! 3: {a}-{b}
between 1.5: between {a} and {b}
in 1: in {a}[-| to | through ]{b}
during 0.8: during {a}[-| to | through ]{b}
till 1: {a} [till|until|til] {b}
only 0.6: only [from |]{a} to {b}
arrow 0.4: {a}[->| -> |..]{b}
every 0.8: every month from {a} to {b}
""")

templates("month_except", """
except! 4: every month except {m}
but 1.5: [every month|all months] but {m}
all_year! 2: all year [except|except in|but not in] {m}
not_in! 2: but not in {m}
not 1: not in {m}
except_in! 2: except [in |during |]{m}
excluding 0.8: excluding {m}
skip 0.8: [skip|skipping|no] {m}
apart 0.7: [all year|every month] [apart from|other than|besides] {m}
minus 0.3: every month minus {m}
""")

SEASONS = {"summer": [6, 7, 8], "winter": [12, 1, 2], "spring": [3, 4, 5], "autumn": [9, 10, 11],
           "fall": [9, 10, 11]}

templates("season", """
paren! 5: in [the |]{s} ({a}[-| to ]{b})
paren 1: during [the |]{s} ({a}[-| to ]{b})
comma 1.5: in {s}, {a} [to|through] {b}
months 1: in the {s} months ({a}-{b})
only 1: [only in|in] {s} [only |]({a}-{b})
list 1: in {s} ({list})
bare 1: [in|during] [the |]{s}
bare 0.5: [all|every] {s}
long 0.8: all {s} long ({a}[-| to ]{b})
over 0.8: over the {s} ({a} [to|through] {b})
colon 0.5: {s} months: {list}
""")

templates("quarter", """
q 3: in q{q}
q 1: [during|throughout] q{q}
qmonths! 1.5: in q{q} ({a}-{b})
qmonths 0.6: q{q} months
word 1.5: [in|during] the {qth} quarter
only 0.6: [only in q{q}|q{q} only]
qlist 0.6: in q{q} ({list})
""")

def a_month(t):
    return 1 + int(t.rng.random() * 12)


def one_month(t):
    m = a_month(t)
    return None, str(m), None, t.say("one_month", m=lambda: month(t, m))


def month_list(t):
    n = t.weighted({2: 6, 3: 3, 4: 1.5})
    ms = t.sample(list(range(1, 13)), n)
    style = t.pick(["full", "full", "short", "short", "short"])
    names = [month(t, m, style) for m in ms]
    text = " ".join(names) if style == "short" and t.chance(0.12) else join(t, names)
    return None, field(ms), None, t.say("months", list=text)


def month_range(t):
    a, n = a_month(t), t.weighted({2: 4, 3: 3, 4: 2, 5: 2, 6: 1, 7: 1, 1: 0.5, 8: 0.5})
    b = (a + n - 1) % 12 + 1
    style = t.pick(["full", "short"])
    return None, field(around(a, b, 1, 12)), None, t.say(
        "month_range", a=month(t, a, style), b=month(t, b, style))


def month_except(t):
    m = a_month(t)
    name, out = month(t, m), {m}
    if t.chance(0.3):
        e = m % 12 + 1
        out, name = {m, e}, f"{month(t, m, 'full')} {t.pick(['and', '&', 'or', 'and'])} {month(t, e, 'full')}"
        name = f"{MONTHS[m - 1]} and {MONTHS[e - 1]}" if t.chance(0.4) else name
    return None, field(set(range(1, 13)) - out), None, t.say("month_except", m=name)


PERIODS = [("the cold months", 11, 2), ("the cold months", 11, 3), ("hurricane season", 6, 11),
           ("the school year", 9, 6), ("tax season", 2, 4), ("the growing season", 4, 9),
           ("ski season", 12, 3), ("the holiday season", 11, 12), ("the holidays", 11, 12),
           ("the warm months", 5, 9), ("the rainy season", 10, 3), ("harvest", 8, 10),
           ("the hot months", 6, 9), ("the heating season", 10, 4), ("the off season", 11, 3)]


def season(t):
    if t.chance(0.18):
        name, a, b = t.pick(PERIODS)
        style = t.pick(["full", "short"])
        x, y = month(t, a, style), month(t, b, style)
        t.used.append("season.period")
        return None, field(around(a, b, 1, 12)), None, t.pick(["during", "in", "over"]) + f" {name} " + \
            t.pick([f"({x}-{y})", f"({x} to {y})", f"({x} through {y})", f"from {x} to {y}"])
    s = t.pick(sorted(SEASONS))
    ms, style = SEASONS[s], t.pick(["full", "short"])
    names = [month(t, m, style) for m in ms]
    return None, field(ms), None, t.say("season", s=s, a=names[0], b=names[2],
                                        list=lambda: join(t, names))


def quarter(t):
    if t.chance(0.15):
        t.used.append("quarter.halves")
        return None, *t.pick([("1-6", None, t.pick(["in the first half of the year", "january to june (h1)",
                                                    "in h1 (jan-jun)", "during the first half of the year"])),
                              ("7-12", None, t.pick(["in the second half of the year", "in h2 (jul-dec)",
                                                     "during the second half of the year (jul-dec)"]))])
    q = 1 + int(t.rng.random() * 4)
    ms, style = [3 * q - 2, 3 * q - 1, 3 * q], t.pick(["full", "short"])
    names = [month(t, m, style) for m in ms]
    qth = t.pick([ordinal_word(q), ordinal(q)]) if q < 4 else t.pick(["fourth", "4th", "last"])
    return None, field(ms), None, t.say("quarter", q=q, a=names[0], b=names[2], qth=qth,
                                        list=lambda: join(t, names))


def some_months(t):
    return t.weighted({one_month: 5, month_list: 3, month_range: 3.5, month_except: 1.6, season: 1.6,
                       quarter: 1.5})(t)


# recurring every few months, always with a day of the month

templates("step_first", """
quarterly! 4: quarterly on the {nth}
every_quarter 2: every quarter on the {nth}
each 1: each quarter on the {nth}
once 1: once a quarter on the {nth}
comma 1: quarterly, {nth} [day|of the month]
bare 0.6: quarterly ({nth})
""")

templates("step_start", """
first! 3: on the first day of [every|each] quarter
start 2: at the [start|beginning] of [every|each] quarter
quarter_on 2: quarterly on the [first|1st]
bare 1.5: quarterly
every 1: every quarter
once 0.6: once a quarter
first_short 1: first of [every|each] quarter
comma 1: quarterly, [on the |]first [day|of the month|day of the quarter]
""")

templates("nmonths", """
on! 4: every {n} on the {nth}
the 2: on the {nth} of every {n}
the 1.5: the {nth} of every {n}
comma 1: every {n}, on [day {d}|the {nth}]
once 1: once every {n} on the {nth}
""")


def month_steps(t):
    "quarterly on the 1st, every other month on the 5th"
    d = t.weighted({1: 5, 15: 2, 1 + int(t.rng.random() * 28): 6})
    n = t.weighted({"q": 5, 2: 4, 3: 3, 4: 1, 6: 2})
    if n == "q" and d == 1:
        return "1", "1,4,7,10", None, t.say("step_start")
    if n == "q":
        return str(d), "1,4,7,10", None, t.say("step_first", nth=nth(t, d))
    name = {2: ["other month", "2 months", "two months", "second month", "2nd month"],
            3: ["3 months", "three months", "third month", "3rd month"],
            4: ["4 months", "four months", "fourth month"],
            6: ["6 months", "six months", "6 months", "half year"]}[n]
    return str(d), f"*/{n}", None, t.say("nmonths", n=lambda: t.pick(name), nth=lambda: nth(t, d), d=d)


templates("day_in_month", """
plural_in! 4: {d}s in {m}
every_in! 4: every {d} in {m}
plural_of 2: {d}s of {m}
month_first 2: {m} {d}s
month_on 1.5: in {m} on {d}s
on_in 2: on {d}s in {m}
every_of 1: every {d} of {m}
all 0.8: all {d}s in {m}
each 0.8: each {d} in {m}
month_every 1: in {m} every {d}
""")


def day_in_month(t):
    "every friday in december"
    if t.chance(0.3):
        name = "between"
        while name.startswith("between"):
            _, months_, _, name = month_range(t)
        name = name.removeprefix("from ").removeprefix("in ")
    else:
        months_ = a_month(t)
        name = month(t, months_)
    d, value = t.weighted({"one": 6, ("weekday", "1-5"): 2, ("weekend", "0,6"): 1.5}), None
    if d == "one":
        value = str(int(t.rng.random() * 7))
        d = DAYS[int(value)]
    else:
        d, value = d
    return None, str(months_), value, t.say("day_in_month", d=d, m=name)


# ---------------------------------------------------------------- dates

HOLIDAYS = {(12, 25): ["christmas day", "christmas", "xmas", "xmas day", "christmas day (dec 25)",
                       "christmas (25 dec)"],
            (12, 24): ["christmas eve", "xmas eve", "christmas eve (dec 24)"],
            (12, 31): ["new year's eve", "new years eve", "nye (dec 31)", "new year's eve (dec 31)"],
            (1, 1): ["new year's day", "new years day", "new year's day (jan 1)", "jan 1st",
                     "the first day of the year", "the start of the year, january 1"],
            (10, 31): ["halloween", "halloween (oct 31)", "halloween, oct 31st"],
            (2, 14): ["valentine's day", "valentines day", "valentine's (feb 14)", "valentines"],
            (7, 4): ["the 4th of july", "4th of july", "independence day (july 4)", "july 4th",
                     "the fourth of july"],
            (4, 1): ["april fools day", "april fool's (april 1)", "april fools (1 april)"],
            (3, 17): ["st patrick's day (march 17)", "st patricks day (mar 17)"],
            (12, 26): ["boxing day", "boxing day (dec 26)"],
            (3, 14): ["pi day (march 14)", "pi day (3/14)"],
            (11, 5): ["bonfire night (5 nov)", "guy fawkes night (nov 5)"],
            (11, 11): ["veterans day (nov 11)", "armistice day (11 november)"],
            (5, 1): ["may day", "may day (1 may)", "labour day (may 1)"],
            (2, 29): ["leap day (feb 29)", "leap day, 29 february"],
            (4, 15): ["tax day (april 15)", "tax day, apr 15"], (4, 22): ["earth day (april 22)"],
            (1, 6): ["epiphany (jan 6)"], (3, 8): ["women's day (march 8)"], (10, 3): ["unity day (3 oct)"],
            (11, 1): ["all saints day (nov 1)"], (12, 6): ["st nicholas day (dec 6)"],
            (6, 19): ["juneteenth (june 19)"], (5, 5): ["cinco de mayo (may 5)"],
            (2, 2): ["groundhog day (feb 2)"], (7, 14): ["bastille day (july 14)"],
            (6, 1): ["the 1st of june", "june first"], (5, 4): ["star wars day (may 4th)"]}
LENGTH = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

templates("date", """
month_day! 4: {m} {d}
month_nth! 4: {m} {nth}
nth_of! 4: [the |]{nth} of {m}
day_month! 5: {d} {m}
nth_month 3: {nth} {m}
month_the 1: {m} the {nth}
dash 0.5: {d}-{m}
day_of 0.5: day {d} of {m}
dayth 0.4: the {nth} day of {m}
""")

templates("yearly", """
on! 5: on {x}
every! 4: every {x}
bare! 6: {x}
each 1: each {x}
every_year! 2: every year on {x}
year_on 1: each year on {x}
once! 1.5: once a year[,| on] {x}
yearly 1.5: yearly[,| on|:] {x}
annually! 1: annually[,| on|:] {x}
of_every 1: [on |]{x} of [every|each] year
after_year 1: {x} every year
only 0.5: only on {x}
date 0.4: on the date {x}
""")


def a_date(t):
    m = a_month(t)
    return m, t.weighted({1: 2, 15: 1, 1 + int(t.rng.random() * LENGTH[m - 1]): 8})


def date_text(t, m, d):
    return t.say("date", m=lambda: month(t, m), d=d, nth=lambda: nth(t, d))


def date(t):
    if t.chance(0.28):
        m, d = t.pick(sorted(HOLIDAYS))
        t.used.append("date.holiday")
        return str(d), str(m), None, t.say("yearly", x=t.pick(HOLIDAYS[m, d]))
    m, d = a_date(t)
    if t.chance(0.08):
        t.used.append("date.anniversary")
        x, who = date_text(t, m, d), t.pick(["mum", "mom", "dad", "bob", "anna", "granny", "my sister", "the boss"])
        return str(d), str(m), None, t.pick(
            ["{1}'s birthday, {0}", "{1} bday {0}", "on {1}'s birthday {0}", "{1}s birthday ({0})", "happy bday {1} {0}",
             "anniversary {0}", "on our anniversary, {0}", "wedding anniversary ({0})", "happy birthday {1}, {0}"]
        ).format(x, who)
    text = t.say("yearly", x=date_text(t, m, d))
    return str(d), str(m), None, text.replace("the the", "the").replace("every the", "every")


templates("dates", """
pair! 4: [on |]{x} and {y}
twice! 2: twice a year[,| on|:] {x} and {y}
every 2: every {x} and {y}
each 1: each year on {x} and {y}
amp 1: [on |]{x} [&|+|/] {y}
yearly 1: yearly on {x} and {y}
semi! 0.7: [semi-annually|twice yearly|half-yearly|2x a year][,| on|:] {x} [and|&] {y}
""")


def dates(t):
    "Two dates that share the day or the month: jan 1 and jul 1; the 3rd and 17th of may."
    if t.chance(0.5):
        d = t.weighted({1: 5, 15: 3, 1 + int(t.rng.random() * 28): 5})
        a = 1 + int(t.rng.random() * 6)
        a, b = (a, a + 6) if t.chance(0.35) else t.sample(list(range(1, 13)), 2)
        kind = t.pick(["short", "full"])
        shape = t.pick(["{m} {d}", "{m} {n}", "{d} {m}", "{n} {m}", "{n} of {m}", "the {n} of {m}"])
        x, y = (shape.format(m=month(t, m, kind), d=d, n=ordinal(d)) for m in (a, b))
        if t.chance(0.3):
            t.used.append("dates.shared_day")
            names = join(t, [month(t, m, kind) for m in (a, b)])
            return str(d), field([a, b]), None, t.pick(["on the {} of {}", "the {} of {}", "{} of {}"]
                                                       ).format(nth(t, d), names)
        return str(d), field([a, b]), None, t.say("dates", x=x, y=y)
    m = a_month(t)
    ds = t.sample(list(range(1, LENGTH[m - 1] + 1)), t.weighted({2: 5, 3: 2}))
    t.used.append("dates.shared_month")
    name = month(t, m)
    text = t.pick([f"on the {join(t, [ordinal(d) for d in ds])} of {name}",
                   f"on {name} {join(t, [ordinal(d) for d in ds])}",
                   f"{name} {join(t, [str(d) for d in ds])}",
                   f"every {name} {join(t, [ordinal(d) for d in ds])}",
                   f"{join(t, [ordinal(d) for d in ds])} {name}",
                   f"in {name} on the {join(t, [ordinal(d) for d in ds])}"])
    return field(ds), str(m), None, text


templates("date_span", """
to! 4: [from |]{m} {a} to {b}
dash! 3: {m} {a}-{b}
the! 3: from the {ath} to the {bth} of {m}
of 2: {ath} to {bth} of {m}
of 1: {ath}-{bth} [of |]{m}
dayfirst 1.5: {a}-{b} {m}
dayfirst 1: {a} to {b} {m}
every 1: every day from {m} {ath} to {m} {bth}
full 1.5: {m} {ath} [through|thru|until|till] {m} {bth}
between 1: between {m} {a} and {m} {b}
first 1: in {m}, [the |]{ath} to [the |]{bth}
""")


def date_span(t):
    m = a_month(t)
    while True:
        a, b = sorted(1 + int(t.rng.random() * LENGTH[m - 1]) for _ in range(2))
        a = t.pick([1, a, a])
        if b - a > 1:
            break
    kind = t.pick(["full", "short"])
    return f"{a}-{b}", str(m), None, t.say("date_span", m=month(t, m, kind), a=a, b=b,
                                           ath=ordinal(a), bth=ordinal(b))


templates("dom_in_month", """
dom_month! 4: {dom} {mon}
month_dom 2: {mon}, {dom}
comma 1.5: {dom}, {mon}
month_dom2 1.5: {mon} {dom}
paren 0.7: {dom} ({mon})
""")


def doms_in_months(t):
    "on the 1st and 15th from april to june"
    if t.chance(0.15):
        d, ms = a_dom(t), t.pick([[1, 4, 7, 10], [1, 4, 7, 10], [3, 6, 9, 12], [2, 5, 8, 11], [1, 5, 9]])
        style = t.pick(["full", "short", "short"])
        names = join(t, [month(t, m, style) for m in ms])
        t.used.append("dates.quarters")
        return str(d), field(ms), None, t.pick(
            ["on the {0} of {1}", "the {0} of {1}", "{1} {0}", "{1} on the {0}", "{0} of {1}"]).format(
            nth(t, d), names)
    a, b = t.weighted({one_dom: 4, dom_list: 3, dom_range: 2})(t), some_months(t)
    while "month" in a[3] and (len(b[1]) < 3 or t.chance(0.6)):
        a = t.weighted({one_dom: 4, dom_list: 3, dom_range: 2})(t)
    return a[0], b[1], None, t.say("dom_in_month", dom=a[3], mon=b[3])


# ---------------------------------------------------------------- either: day of month OR weekday

templates("either", """
also! 4: {a} and also {b}
or! 3: {a} or {b}
plus 2: {a} plus {b}
as_well 1.5: {a} as well as {b}
and 2: {a} and {b}
whichever 1: either {a} or {b}
both 1: both {a} and {b}
comma 1: {a}, and [also |additionally |]{b}
amp 0.7: {a} & {b}
addition 0.6: {a}, in addition {b}
besides 0.5: {a} and [besides |on top of that ]{b}
""")


def either(t):
    ds = t.weighted({1: 4, 2: 1.5, "r": 0.5})
    if ds == 1:
        d = a_dom(t)
        a, dom = t.pick(["on the {}", "the {} of the month", "on the {} of each month", "the {}",
                         "every {} of the month", "on day {}", "on the {} of every month",
                         "monthly on the {}"]), str(d)
        a = a.format(d if "day" in a else nth(t, d))
    elif ds == 2:
        x = t.sample([1, 5, 10, 15, 20, 25, 28], 2)
        a, dom = t.pick(["on the {} and {}", "the {} and {} of each month"]).format(
            *(ordinal(d) for d in x)), field(x)
    else:
        dom = "1-7"
        a = t.pick(["from the 1st to the 7th", "on days 1-7", "the first 7 days of the month"])
    w = t.weighted({1: 5, 2: 1, "end": 1, "week": 0.4})
    if w == 1:
        d = int(t.rng.random() * 7)
        dow = str(d)
        b = t.pick(["every {}", "on {}", "each {}", "any {}", "all {}", "{}"]).format(DAYS[d])
        b = b + "s" if b.startswith(("on", "all")) or b == DAYS[d] else b
    elif w == 2:
        x = t.sample([1, 2, 3, 4, 5, 6], 2)
        dow = field(x)
        b = t.pick(["every {} and {}", "on {}s and {}s", "{}s and {}s"]).format(DAYS[x[0]], DAYS[x[1]])
    elif w == "end":
        dow, b = "0,6", t.pick(["on weekends", "every weekend", "weekends", "every sat and sun"])
    else:
        dow, b = "1-5", t.pick(["every weekday", "on weekdays", "weekdays"])
    if t.chance(0.35):
        a, b = b, a
    return dom, None, dow, t.say("either", a=a, b=b)
