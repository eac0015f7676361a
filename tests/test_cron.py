"""The grader of the worked task: croniter's opinion, near misses, respellings, bad input."""
import random
import subprocess
import sys
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab.cron import Cron, correct, fires, never, parse, same

croniter = pytest.importorskip("croniter")

MONDAY = datetime(2026, 6, 1)          # 00:00 on a Monday, the first of a month
FIELDS = [(0, 59, ""), (0, 23, ""), (1, 31, ""),
          (1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
          (0, 6, "sun mon tue wed thu fri sat")]


def random_item(rng, low, high, names):
    """One list item. Left out, as croniter reads them in its own way: a-a, b-a, `*` in a list."""
    def name(v):
        if names and rng.random() < .5: return rng.choice([names[v-low], names[v-low].upper()])
        return rng.choice([str(v)]*5 + [f"{v:02}"])

    a = rng.randint(low, high - 1)
    b = rng.randint(a + 1, high)
    step = rng.randint(1, high - low)
    span = f"{name(a)}-{name(b)}"
    return rng.choice([name(b), name(b), span, f"{span}/{step}", f"{a}/{step}"])


def random_field(rng, field, star):
    low, high, names = field
    if rng.random() < star: return "*"
    if rng.random() < .15: return f"*/{rng.randint(1, high - low + 3)}"
    if names.startswith("sun") and rng.random() < .1:
        return rng.choice(["7", "fri-sun", "5-7", "0,7", "sat-SUN"])
    count = rng.choice([1, 1, 1, 2, 3])
    return ",".join(random_item(rng, low, high, names.split()) for _ in range(count))


def random_expr(rng):
    stars = (.2, .3, .35, .6, .35)     # both day fields are often restricted: the OR rule
    return " ".join(random_field(rng, f, s) for f, s in zip(FIELDS, stars))


def theirs(expr, start, n, **kw):
    it = croniter.croniter(expr, start, implement_cron_bug=True, **kw)
    return [it.get_next(datetime) for _ in range(n)]


def test_fires_like_croniter():
    """700 expressions, 6 firings each. `implement_cron_bug=True` is croniter's name for what cron
    does: a day field that starts with `*`, also `*/2`, does not take part in the OR rule."""
    rng = random.Random(0)
    either = starred = 0
    for _ in range(700):
        expr = random_expr(rng)
        start = datetime(1970, 1, 1) + timedelta(
            minutes=rng.randrange(60*24*365*80), seconds=rng.choice([0, 0, 59]))
        cron = parse(expr)
        if never(expr):
            with pytest.raises(croniter.CroniterBadDateError): theirs(expr, start, 1)
        else: assert fires(expr, start, 6) == theirs(expr, start, 6), (expr, start)
        either += cron.either
        starred += "*/" in expr.split()[2] + expr.split()[4]
    assert either > 100 and starred > 50, "the sample must hold what is easy to get wrong"


def test_the_or_rule_is_crons_and_not_an_and():
    """The two ways to break it, and croniter's own default, which differs from cron for `*/n`."""
    both, start = "0 0 13 * fri", datetime(2026, 7, 1)
    days = [datetime(2026, 7, d) for d in (3, 10, 13, 17)]
    assert fires(both, start, 4) == theirs(both, start, 4) == days
    friday_13th = croniter.croniter(both, start, day_or=False).get_next(datetime)
    assert friday_13th == datetime(2026, 11, 13) and friday_13th != fires(both, start, 1)[0]

    star = "0 0 */2 * mon"
    days = [datetime(2026, 6, 15), datetime(2026, 6, 29)]
    assert fires(star, MONDAY, 2) == theirs(star, MONDAY, 2) == days
    default = croniter.croniter(star, MONDAY)
    assert [default.get_next(datetime).day for _ in range(3)] == [3, 5, 7]
    assert same("0 0 */2 * *", "0 0 1-31/2 * *") and not same(star, "0 0 1-31/2 * mon")
    assert not same("0 0 1 * */2", "0 0 1 * 0-6/2")


# Where we are with cron(8) and not with croniter 7: ours, and what croniter does instead
DIFFERENT_FROM_CRONITER = [
    ("5-5 * * * *", {"minute": {5}}),                    # croniter: every minute
    ("0 0 * * fri-fri", {"dow": {5}}),                   # croniter: every day
    ("0 0 * * 1-1", {"dow": {1}}),
    ("0 0 1,* * mon", {"dom": set(range(1, 32)), "either": True}),   # croniter: Mondays only
]


@pytest.mark.parametrize("expr,ours", DIFFERENT_FROM_CRONITER)
def test_known_differences(expr, ours):
    cron = parse(expr)
    assert {k: getattr(cron, k) for k in ours} == ours
    assert fires(expr, MONDAY, 6) != theirs(expr, MONDAY, 6), "croniter agrees now: drop the line"


# a, b, start, k: the next k firings after start are the same, the meaning is not
NEAR_MISSES = [
    ("* * * * *", "* 9-17 * * *", MONDAY.replace(hour=9), 10),
    ("* * * * *", "0-58 * * * *", MONDAY, 10),
    ("*/5 * * * *", "*/5 8-18 * * *", MONDAY.replace(hour=9), 10),
    ("*/15 * * * *", "*/15 * * * 1-5", MONDAY.replace(hour=9), 10),
    ("*/7 * * * *", "7,14,21,28,35,42,49 * * * *", MONDAY, 7),
    ("*/40 * * * *", "0,40 */1 * * mon-sat", MONDAY, 5),
    ("0 * * * *", "0 9-17 * * *", MONDAY.replace(hour=9), 5),
    ("0 * * * *", "0 * * * 1-5", MONDAY, 5),
    ("0 */2 * * *", "0 8-18/2 * * *", MONDAY.replace(hour=7), 5),
    ("0 */5 * * *", "0 0,5,10,15 * * *", MONDAY, 3),
    ("0 9 * * *", "0 9 * * mon-fri", MONDAY, 5),
    ("0 9 * * *", "0 9 * * mon-sat", MONDAY, 5),
    ("0 9 * * *", "0 9 * 6 *", MONDAY, 5),
    ("0 9 * * *", "0 9 1-30 * *", MONDAY, 5),
    ("0 9 * * *", "0 9 1-28 * *", MONDAY, 5),
    ("0 9 * * 1-5", "0 9 * * 1-6", MONDAY, 5),
    ("0 9 * * 1-5", "0 9 * 1-6 1-5", MONDAY, 5),
    ("0 9 * * mon", "0 9 1-30/7 * *", MONDAY - timedelta(1), 5),
    ("0 9 * * mon", "0 9 * 6,7,8 mon", MONDAY, 5),
    ("0 9 */2 * *", "0 9 1-29/2 * *", MONDAY, 5),
    ("0 9 */2 * *", "0 9 * * mon,wed,fri", datetime(2026, 5, 31, 12), 3),
    ("0 9 */10 * *", "0 9 1,11,21 * *", datetime(2026, 5, 31, 12), 3),
    ("0 9 13 * fri", "0 9 * * fri", datetime(2026, 7, 13, 12), 4),
    ("0 9 1 * mon", "0 9 * * mon", MONDAY - timedelta(1), 4),
    ("0 9 1 * *", "0 9 1 1-11 *", MONDAY - timedelta(1), 5),
    ("0 9 1 */3 *", "0 9 1 1,4,7 *", datetime(2025, 12, 31), 3),
    ("0 0 31 * *", "0 0 31 1,3,5,7,8,10 *", datetime(2026, 1, 1), 5),
    ("0 0 28-31 * *", "0 0 28-30 * *", datetime(2026, 2, 1), 4),
    ("0 0 28 2 *", "0 0 28,29 2 *", datetime(2028, 3, 1), 3),
    ("0 0 * 2 *", "0 0 1-28 2 *", datetime(2026, 1, 1), 5),
    ("0 0 29 2 *", "0 0 29 2 */2", datetime(2044, 3, 1), 4),
    ("30 6 * * 6,0", "30 6 * 5-9 6,0", MONDAY, 5),
    ("0 0 1 1 *", "0 0 1 1 */2", datetime(2031, 6, 1), 3),
    ("0 0 1-31 * mon", "0 0 * * 0-5", MONDAY - timedelta(1), 5),
]


def test_there_are_enough_near_misses():
    assert len({(a, b) for a, b, *_ in NEAR_MISSES}) >= 30 and min(k for *_, k in NEAR_MISSES) >= 3


@pytest.mark.parametrize("a,b,start,k", NEAR_MISSES)
def test_near_misses_are_not_the_same(a, b, start, k):
    assert fires(a, start, k) == fires(b, start, k) == theirs(a, start, k) == theirs(b, start, k)
    assert not same(a, b) and not same(b, a) and not correct(a, b)


EQUAL = [
    ("0 9 * * mon-fri", "0 9 * * 1-5"), ("0 9 * * MON-Fri", "00 09 * * 5,4,3,2,1"),
    ("*/30 * * * *", "0,30 * * * *"), ("*/60 * * * *", "0 * * * *"), ("0 */24 * * *", "0 0 * * *"),
    ("0-59 * * * *", "* * * * *"), ("*/1 */1 */1 */1 */1", "* * * * *"),
    ("5/20 * * * *", "5,25,45 * * * *"), ("0 0 * * 0", "0 0 * * 7"), ("0 0 * * sun", "0 0 * * 7-7"),
    ("0 0 * * sat-sun", "0 0 * * 6,0"), ("0 0 * * mon-sun", "0 0 * * *"),
    ("0 0 * * 0-7", "0 0 * * *"), ("0 0 1-31 * *", "0 0 * 1-12 *"),
    ("0 0 31 * *", "0 0 31 1,3,5,7,8,10,12 *"), ("0 0 31 feb,mar *", "0 0 31 3 *"),
    ("0 0 29-31 2 *", "0 0 29 feb *"), ("0 0 30 2 mon", "0 0 * 2 mon"),
    ("0 0 1-31 * mon", "0 0 * * *"), ("0 0 13 * 0-6", "0 0 * * *"),  # the OR rule
    ("0 0 13 * fri", "0 0 13,13 * 5"), ("0 0 */2 * 0-6", "0 0 1-31/2 * *"),
    ("0 0 */1 * mon", "0 0 * * mon"), ("0 0 * */3 *", "0 0 * 1,4,7,10 *"),
    (" 0\t9  * * * \n", "0 9 * * *"), ("0,0,0 9 * * *", "0 9-9 * * *"),
]


@pytest.mark.parametrize("a,b", EQUAL)
def test_equal(a, b): assert same(a, b) and same(b, a) and correct(a, b) and a != b


NEVER = ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 31 apr */2", "0 0 30,31 feb *"]


@pytest.mark.parametrize("expr", NEVER)
def test_never(expr):
    assert never(expr) and not same(expr, expr) and not any(same(expr, other) for other in NEVER)
    assert not correct(expr, "0 0 1 3 *")
    with pytest.raises(ValueError, match="never fires"): fires(expr, MONDAY, 1)
    with pytest.raises(ValueError, match="never fires"): correct("0 0 1 3 *", expr)


# What came, what the message must say. croniter also takes backwards ranges and 7/2; we do not.
BAD = [
    ("", "expected 5 fields"), ("   ", "got 0"), ("0 9 * *", "got 4"), ("0 0 9 * * *", "got 6"),
    ("@daily", "got 1"), ("0 9 * * 1-5 /bin/true", "got 6"), ("0 9 * * 1 - 5", "got 7"),
    ("0 9 * * 1, 5", "got 6"), ("60 * * * *", "minute: cannot read '60'; use 0-59"),
    ("-1 * * * *", "minute: cannot read '-1'"), ("* 24 * * *", "hour: cannot read '24'; use 0-23"),
    ("* 9am * * *", "hour: cannot read '9am'"), ("* 9:30 * * *", "hour"),
    ("* 22-2 * * *", "hour: cannot read '22-2'"), ("* 5-0 * * *", "hour"),
    ("* * 0 * *", "day of month: cannot read '0'; use 1-31"), ("* * 32 * *", "day of month"),
    ("* * L * *", "day of month: cannot read 'L'"), ("* * 15W * *", "day of month"),
    ("* * ? * *", "day of month"), ("* * 1st * *", "day of month"), ("* * mon * *", "day of month"),
    ("* * * 0 *", "month: cannot read '0'; use 1-12"), ("* * * 13 *", "month"),
    ("* * * january *", "month: cannot read 'january'; use 1-12 or jan-dec"),
    ("* * * nov-feb *", "month: cannot read 'nov-feb'"), ("* * * mon *", "month"),
    ("* * * * 8", "day of week: cannot read '8'; use 0-7 or sun-sat"),
    ("* * * * monday", "day of week"), ("* * * * jan", "day of week"),
    ("* * * * fri-mon", "day of week: cannot read 'fri-mon'"), ("* * * * fri#2", "day of week"),
    ("* * * * 5L", "day of week"), ("* * * * 7/2", "day of week"),
    ("*/0 * * * *", "minute: cannot read '*/0'"), ("*/ * * * *", "minute"),
    ("*/x * * * *", "minute"), ("/5 * * * *", "minute"), ("5/ * * * *", "minute"),
    ("1/2/3 * * * *", "minute"), ("*-5 * * * *", "minute"), ("5- * * * *", "minute"),
    ("1-2-3 * * * *", "minute"), ("1,,2 * * * *", "minute: cannot read ''"),
    ("1, * * * *", "minute"), (",1 * * * *", "minute"), ("** * * * *", "minute"),
    ("+5 * * * *", "minute"), ("5.0 * * * *", "minute"), ("H * * * *", "minute"),
    ("5~10 * * * *", "minute"), ("٣ * * * *", "minute"), ("５ * * * *", "minute"),
    ("0\n9 * * * *", "minute"), ("`0 9 * * *`", "minute: cannot read '`0'"),
    ('"0 9 * * *"', "minute"), ("0 9 * * *.", "day of week"), ("9"*5000 + " * * * *", "minute"),
    ("*/" + "9"*5000 + " * * * *", "minute"),
]


@pytest.mark.parametrize("expr,message", BAD, ids=lambda v: v[:30])
def test_bad_input_says_which_field(expr, message):
    with pytest.raises(ValueError) as e: parse(expr)
    assert message in str(e.value) and len(str(e.value)) < 300
    assert correct(expr, "0 9 * * *") is False
    with pytest.raises(ValueError): never(expr)
    with pytest.raises(ValueError): fires(expr, MONDAY, 1)
    with pytest.raises(ValueError): same(expr, "0 9 * * *")
    with pytest.raises(ValueError): same("0 9 * * *", expr)
    with pytest.raises(ValueError, match="is no schedule"): correct("0 9 * * *", expr)


def test_a_cron_is_a_value():
    cron = parse("0 9 * * mon-fri")
    assert isinstance(cron, Cron) and len({cron, parse("0 9 * * 1-5")}) == 1
    with pytest.raises(AttributeError): cron.minute = frozenset()
    with pytest.raises(TypeError, match="is a str, got int"): parse(5)


def test_fires_is_strictly_after_start_and_local():
    assert fires("0 9 * * *", MONDAY.replace(hour=9), 1) == [datetime(2026, 6, 2, 9)]
    just_before = MONDAY.replace(hour=8, minute=59, second=59)
    assert fires("0 9 * * *", just_before, 1) == [datetime(2026, 6, 1, 9)]
    with pytest.raises(ValueError, match="without a time zone"):
        fires("0 9 * * *", MONDAY.astimezone(), 1)
    with pytest.raises(ValueError, match="1901 to 2099"):
        fires("0 9 * * *", datetime(2099, 12, 31, 9), 1)


values = [st.lists(st.integers(low, high), min_size=1, max_size=4, unique=True)
          for low, high, _ in FIELDS]


def respell(found, low, names, rng):
    """The same set of values in other words: shuffled, named, runs as ranges, sometimes twice."""
    word = lambda v: rng.choice([str(v), names[v-low].title() if names else f"{v:02}"])
    items = [word(v) for v in found] + [word(rng.choice(found))]
    first, last = min(found), max(found)
    if set(range(first, last + 1)) == set(found): items = [f"{word(first)}-{word(last)}"]
    rng.shuffle(items)
    return ",".join(items)


@settings(max_examples=150, deadline=None)
@given(st.tuples(*values), st.integers(0, 4), st.randoms(use_true_random=False))
def test_any_respelling_is_the_same_and_any_other_time_is_not(fields, which, rng):
    def write(fields):
        return " ".join(respell(values, low, names.split(), rng)
                        for values, (low, _, names) in zip(fields, FIELDS))

    a, b = write(fields), write(fields)
    assert same(a, b) is not never(a)
    assert same(a, b) == (not never(b))
    low, high, _ = FIELDS[which]
    spare = sorted(set(range(low, high + 1)) - set(fields[which]))
    if which < 2 and spare and not never(a):      # another minute or hour always shows
        other = list(fields)
        other[which] = fields[which] + [rng.choice(spare)]
        assert not same(a, write(other)) and not same(write(other), b)


def test_same_days_as_a_slow_walk_over_28_years():
    """For all pairs: equal by `same` if and only if equal day by day."""
    rng = random.Random(1)
    calendar = [date(2003, 1, 1) + timedelta(i) for i in range(365*28 + 7)]   # another 28 years

    def walk(expr):
        _, _, dom, _, dow = expr.split()
        c = parse(expr)
        star = dom.startswith("*") or dow.startswith("*")
        return frozenset(d for d in calendar if d.month in c.month and
                         (all if star else any)((d.day in c.dom, d.isoweekday() % 7 in c.dow)))

    parts = (["*", "*/2", "1-31", "31", "30-31", "1-31/2"], ["*", "1-12", "2", "4,6", "1"],
             ["*", "0-6", "*/7", "7", "sun,sat"])
    exprs = sorted({"0 0 " + " ".join(rng.choice(p) for p in parts) for _ in range(90)})
    days = {e: walk(e) for e in exprs}
    found = [same(a, b) for a in exprs for b in exprs]
    assert found == [days[a] == days[b] != frozenset() for a in exprs for b in exprs]
    assert len(exprs) < sum(found) < len(found) / 2 and any(not d for d in days.values())


def test_light_import():
    code = "import sys, ftlab.cron; print({'torch', 'numpy', 'transformers'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
