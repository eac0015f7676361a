"""Days of the week, days of the month, months and dates: what they mean and how people say them.

Each function returns (day of month, month, day of week, text); a field is None where unrestricted.
"""
from grammar import around, day, field, join, templates

# ---------------------------------------------------------------- every day

templates("daily", """
every! 5: every day
daily! 5: daily
each 2: each day
everyday 1.5: everyday
single 1.5: every single day
each_every 0.7: each and every day
dayout! 0.6: day in[,|] day out
seven! 1.2: [7|seven] days a week
of_week 0.8: every day of the week
all_week 1: all week[| long]
once 1.2: once a day
once 0.6: once [daily|per day|every day]
whole 0.6: [mon-sun|monday to sunday|monday through sunday|sun-sat|mon thru sun]
basis 0.5: on a daily basis
year! 0.5: 365 days a year
every_date 0.4: [weekdays and weekends|weekdays and weekends alike|weekday or weekend]
hours24 0.4: every 24 hours
each_date 0.4: each day of the week
after 0.3: day after day
always 0.5: every day of the year
""")

templates("all_day", """
every_day! 3: every day
daily! 2: daily
all_day 2: all day[| long|, every day| every day]
clock24 1.5: 24/7
round 1: [around|round] the clock
night 0.8: day and night
seven 1: 7 days a week
each 1: each day
everyday 1: everyday
week 1: all week[| long]
nonstop 0.4: [nonstop|non stop]
""")

# ---------------------------------------------------------------- days of the week

templates("one_day", """
every! 5: every {d}
on_plural! 4: on {ds}
plural! 3: {ds}
each 1.5: each {d}
bare! 1.5: {d}
on! 1.5: on {d}
weekly_on 1: weekly on {d}[s|]
weekly 0.7: weekly, {ds}
once! 1: once a week[,| on|:] {d}
every_week 0.8: every week on {d}
week_of 0.4: on the {d} of [every|each] week
only 1: [only on|only] {ds}
only 0.6: {ds} only
come 0.4: come {d}
just 0.4: just {ds}
single 0.4: every single {d}
hit 0.3: when it's {d}
each_week 0.5: each week on {d}
""")

templates("days", """
every! 3: every {list}
on! 5: on {list}
bare! 4: {list}
each 1: each {list}
only 1: only on {list}
only 0.6: {list} only
times 1: {x} a week[,| on|:] {list}
weekly 0.5: weekly on {list}
days_colon 0.3: days: {list}
every_week 0.4: every week on {list}
just 0.4: just {list}
""")

templates("weekdays", """
weekdays! 5: weekdays
every! 3: every weekday
on! 3: on weekdays
each 1: each weekday
range! 3: [mon-fri|mon - fri|monday-friday|mon to fri|monday to friday|mon thru fri|monday through friday|m-f]
work! 2: [every |]workday[s|]
onwork 1: on [workdays|work days|working days]
business! 1.5: [every|each] business day
business 1: [on business days|business days]
week! 0.8: during the [work|working|]week
not_weekend! 1.5: [not on|no|except|except on|excluding|but not on|skip] weekends
not_weekend 1: every day [except|but not|excluding|apart from] [weekends|the weekend|sat/sun]
not_weekend 0.6: every day [except|but not|excluding|apart from] [saturday and sunday|sat and sun]
five! 0.8: [5|five] days a week[, |: | ][mon-fri|monday to friday|mon-fri]
only 0.9: [weekdays only|only on weekdays|only weekdays|workdays only]
school! 0.5: [on school days|school days|every school day]
all 0.5: all weekdays
week_day 0.5: on a weekday
working! 1: [every|each] working day
monday_every 0.5: [every day|daily] [mon-fri|monday through friday|[from |]monday to friday|mon to fri]
from 0.8: from [mon|monday] [to|till|until|through] [fri|friday]
office! 0.4: [office days only|on office days (mon-fri)]
""")

templates("weekend", """
weekends! 5: weekends
on! 4: on weekends
every 2: every weekend
the 1.5: [at|on|over] the weekend
days 1: [on |]weekend days
only 1.2: [weekends only|only on weekends|only on the weekend]
satsun! 3: [sat and sun|sat & sun|sat/sun|saturday and sunday|saturdays and sundays|sat+sun|sat-sun]
on_satsun 2: on [saturdays and sundays|saturday and sunday|sat and sun|sat/sun]
not_week! 1: [not on|no|except|excluding] weekdays
not_week 1: every day [except|but not] [weekdays|mon-fri]
both 0.5: both [weekend days|days of the weekend]
every_satsun 1: every [saturday and sunday|sat and sun|sat & sun|sat/sun]
each 0.5: each [weekend|weekend day]
""")

templates("day_range", """
dash! 4: {a}-{b}
dash 1: {a} - {b}
to! 4: {a} to {b}
from! 2: from {a} to {b}
through! 3: {a} [through|thru] {b}
from_through 1: from {a} [through|thru|until|till] {b}
arrow 0.5: {a}[->| -> |..|–]{b}
every 1: every day from {a} to {b}
on 0.8: on {a}[-| to | through ]{b}
daily 0.8: daily {a}[-| to | thru ]{b}
between 0.5: between {a} and {b}
till 1: {a} [till|til|until] {b}
only 0.4: only {a}[-| to ]{b}
inclusive 0.4: {a} to {b} inclusive
""")

templates("day_except", """
except! 5: every day except {d}
but 2: [every day|all days|daily] but {d}
not_on! 2: [daily|every day] but not [on |]{ds}
daily! 3: daily except {ds}
not 1.2: not on {ds}
all_week 1: all week except {d}
excluding 1: [every day|daily] excluding {ds}
apart 1: every day [apart from|aside from|besides|other than] {d}
skip 1: [every day|daily], [skip|skipping|no] {ds}
never 0.5: every day, never on {ds}
minus! 0.5: [every day|daily] minus {ds}
bar! 0.5: every day bar {d}
paren 0.8: [daily|every day] (except {ds})
off! 0.4: every day, {d} off
unless! 0.5: every day unless it's {d}
any 0.5: any day but {d}
save! 0.3: every day save {d}
without! 0.4: every day without {d}
six 0.5: 6 days a week, [not|no] {ds}
""")

templates("week_except", """
except! 4: [weekdays|every weekday|mon-fri|workdays] except {d}
but 2: [weekdays|workdays|mon-fri|monday to friday] but not {ds}
skip 1: [weekdays|workdays], [skip|no] {ds}
paren 1: [weekdays|mon-fri] (except {d})
excluding 1: [weekdays|business days] excluding {d}
apart 0.7: [every weekday|weekdays] [apart from|other than|besides] {d}
""")

templates("days_except", """
except! 4: every day except {list}
but 2: [all days|every day] but {list}
daily! 2: daily except {list}
not_on 1.5: [daily|every day] but not on {list}
skip 1: [every day|daily], [skip|skipping|no] {list}
excluding 1: [every day|daily] excluding {list}
apart 1: every day [apart from|other than|besides] {list}
""")

SPECIAL_DAYS = {"mwf": (1, 3, 5), "m/w/f": (1, 3, 5), "m,w,f": (1, 3, 5), "m-w-f": (1, 3, 5),
                "tth": (2, 4), "t/th": (2, 4), "tu/th": (2, 4), "mon/wed/fri": (1, 3, 5),
                "tue/thu": (2, 4), "tues/thurs": (2, 4), "m w f": (1, 3, 5), "t & th": (2, 4),
                "m & w": (1, 3), "mw": (1, 3), "m/w": (1, 3), "w/f": (3, 5)}


def one_day(t, d=None):
    d = int(t.rng.random() * 7) if d is None else d
    style = t.weighted({"full": 6, "short": 4, "two": 0.15})
    plain = lambda: day(t, d, style)
    plural = lambda: day(t, d, "plural" if style == "full" else style) + (
        "s" if style == "short" and t.chance(0.15) else "")
    return None, None, str(d), t.say("one_day", d=plain, ds=plural)


def day_list(t, days=None, n=None):
    if days is None and t.chance(0.1):
        name = t.pick(sorted(SPECIAL_DAYS))
        t.used.append("days.letters")
        return None, None, field(SPECIAL_DAYS[name]), t.pick(["", "", "on ", "every "]) + name
    if days is None and t.chance(0.15):
        days = t.pick([[1, 3, 5], [1, 3, 5], [2, 4], [2, 4, 6], [1, 3], [1, 4], [3, 5], [2, 5], [5, 6]])
    days = days or t.sample([1, 2, 3, 4, 5, 6, 0], n or t.weighted({2: 6, 3: 4, 4: 1.5, 5: 0.3}))
    if t.chance(0.1):
        days = days[::-1]
    style = t.weighted({"full": 4, "plural": 3, "short": 5, "two": 0.5})
    names = [day(t, d, style) for d in days]
    texts = " ".join(names) if style == "short" and t.chance(0.15) else join(t, names)
    x = {2: ["twice", "two times", "2x"], 3: ["three times", "3x", "3 times"]}.get(
        len(days), [f"{len(days)}x", f"{len(days)} times"])
    return None, None, field(days), t.say("days", list=texts, x=t.pick(x))


NICKNAMES = {1: ["start of the week (monday)", "start of the work week, monday", "beginning of the week (mon)",
                 "first day of the work week (monday)"],
             3: ["midweek (wednesday)", "mid-week, wed", "hump day (wednesday)",
                 "in the middle of the week (wednesday)"],
             5: ["end of the work week (friday)", "at the end of the work week, friday",
                 "last workday of the week (fri)", "before the weekend, on friday"],
             0: ["day of rest (sunday)", "end of the weekend (sunday)"], 6: ["start of the weekend, saturday"]}


def nickname(t):
    d = t.pick([1, 3, 5, 5, 1, 0, 6])
    t.used.append("one_day.nickname")
    return None, None, str(d), t.pick(NICKNAMES[d])


RANGE_LETTERS = {"m-th": (1, 4), "m-thu": (1, 4), "t-f": (2, 5), "tu-fr": (2, 5), "m-sat": (1, 6),
                 "su-th": (0, 4), "t-th": (2, 4), "w-f": (3, 5), "mo-th": (1, 4)}


def weekdays(t):
    return None, None, "1-5", t.say("weekdays")


def weekend(t):
    return None, None, "0,6", t.say("weekend")


def day_range(t):
    if t.chance(0.05):
        name = t.pick(sorted(RANGE_LETTERS))
        a, b = RANGE_LETTERS[name]
        t.used.append("day_range.letters")
        return None, None, f"{a}-{b}", name
    a = t.weighted({1: 4, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2, 0: 3})
    n = t.weighted({2: 4, 3: 4, 4: 3, 1: 0.6, 5: 1.5})
    b = (a + n) % 7
    if (a, b) == (1, 5):
        b = 4
    style = t.weighted({"full": 4, "short": 5, "plural": 0.5, "two": 0.15})
    return None, None, field(around(a, b, 0, 6)), t.say(
        "day_range", a=day(t, a, style), b=day(t, b, style))


def day_except(t):
    d = int(t.rng.random() * 7)
    style = t.pick(["full", "full", "short"])
    one, many = day(t, d, style), day(t, d, "plural" if style == "full" else style)
    if t.chance(0.3):
        one = many
    if t.chance(0.2) and 0 < d < 6:
        return None, None, field({1, 2, 3, 4, 5} - {d}), t.say("week_except", d=one, ds=many)
    if t.chance(0.2):
        e = (d + 1 + int(t.rng.random() * 5)) % 7
        if {d, e} != {0, 6}:
            two = sorted([d, e], key=lambda x: x or 7)
            style = t.pick(["full", "plural", "short"])
            return None, None, field(set(range(7)) - {d, e}), t.say(
                "days_except", list=f"{day(t, two[0], style)} {t.pick(['and', '&', 'and', 'or'])} "
                                    f"{day(t, two[1], style)}")
    return None, None, field(set(range(7)) - {d}), t.say("day_except", d=one, ds=many)


def days_plus(t):
    "weekdays and saturday, weekends plus friday"
    base = t.pick(["week", "week", "end", "end", "range"])
    style = t.pick(["full", "plural", "short"])
    if base == "week":
        values, d = {1, 2, 3, 4, 5}, t.pick([0, 6])
        name = t.pick(["weekdays", "mon-fri", "workdays", "every weekday", "monday to friday"])
    elif base == "end":
        values, d = {0, 6}, 1 + int(t.rng.random() * 5)
        name = t.pick(["weekends", "on weekends", "the weekend", "every weekend", "sat/sun"])
    else:
        a = 1 + int(t.rng.random() * 2)
        values, d = {a, a + 1, a + 2}, t.pick([6, 0, a + 4])
        name = f"{day(t, a, 'short')}{t.pick(['-', ' to ', ' thru '])}{day(t, a + 2, 'short')}"
        d %= 7
    extra = day(t, d, style)
    text = t.pick(["{} and {}", "{} plus {}", "{} + {}", "{} & {}", "{} and also {}",
                   "{} as well as {}"]).format(name, extra)
    if base == "end" and t.chance(0.3):
        text = f"{day(t, d, style)} {t.pick(['and', '&', 'plus'])} {name.removeprefix('on ')}"
    t.used.append(f"days_plus.{base}")
    return None, None, field(values | {d}), text


def some_days(t, hard=1.0):
    "Any set of weekdays."
    return t.weighted({one_day: 4, day_list: 4, weekdays: 3, weekend: 2.2, day_range: 2.4 * hard,
                       day_except: 2.4 * hard, days_plus: 0.8 * hard})(t)


# parts of the day that carry the weekday: "sunday nights at {10}"

def slot(h):
    "The part of the day an hour belongs to, as in 'friday nights'."
    return "morning" if 1 <= h < 12 else "afternoon" if 12 <= h < 17 else \
        "evening" if 17 <= h < 21 else "night"
