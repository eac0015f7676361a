"""Whole requests: a meaning of each kind, its parts put in some order, a purpose, and haste."""
import re

import say_clock as clocks
import say_day as days
import say_interval as times
import say_month as dates
from grammar import DAYS, FAMILIES, MONTHS, around, day, field, month, templates, words

# ---------------------------------------------------------------- "sunday nights at 10"

templates("habit", """
every! 5: every {slot} at {c}
each 1.5: each {slot} at {c}
plural! 2: {slot}s at {c}
in_the! 2: in the {slot} at {c}[ every day| daily|, every day]
in_plural 1: in the {slot}s at {c}
first 2: {c} every {slot}
first_in 1: {c} in the {slot}, [every day|daily]
noat! 2: every {slot} {c}
noat_plural 1: {slot}s {c}
day_in_the 1.5: [every day|daily|each day] in the {slot} at {c}
comma 1: every {slot}, {c}
colon 0.4: {slot}s: {c}
ly 2: {ly} at {c}
single 0.5: every single {slot} at {c}
""")

templates("habit_day", """
plural! 4: {d} {slot}s at {c}
every! 4: every {d} {slot} at {c}
on! 2: on {d} {slot} at {c}
on_plural 2: on {d} {slot}s at {c}
first 2: {c} on {d} {slot}s
first_every 1: {c} every {d} {slot}
noat! 3: {d} {slot}[s|] {c}
the_noat 0.8: on {d} {slot}s {c}
comma 1: {d} {slot}s, {c}
in_the 1.5: {d}s in the {slot} at {c}
in_the_every 1: every {d} in the {slot} at {c}
each 1: each {d} {slot} at {c}
at_in 1: every {d} at {c} in the {slot}
""")


def habit(t, h, m, dow=None):
    "(day of week, text)"
    slot = days.slot(h)
    if h in (19, 20, 21) and t.chance(0.4):
        slot = "night"
    if slot == "afternoon" and t.chance(0.08):
        slot = "arvo"
    if dow is None and h in (1, 2, 3, 4) and t.chance(0.5):
        slot = "night"
    c = t.say("clock12", h, m)
    if dow is None:
        ly = {"night": "nightly"}.get(slot, f"every {slot}")
        return None, _nights(t.say("habit", slot=slot, c=c, ly=ly))
    d = int(t.rng.random() * 7)
    if dow == "wide":
        return habit_wide(t, slot, c)
    if dow == "one":
        name, value = day(t, d), str(d)
    elif dow == "list":
        x = t.sample([1, 2, 3, 4, 5, 6, 0], 2)
        style = t.pick(["full", "short"])
        name = t.pick(["{} and {}", "{} & {}", "{}/{}"]).format(*(day(t, d, style) for d in x))
        value = field(x)
    else:
        name, value = t.pick([("weekday", "1-5"), ("weekday", "1-5"), ("week", "1-5"),
                              ("weekend", "0,6"), ("workday", "1-5")])
        if name == "week" and slot != "night":
            name = "weekday"
        if name == "week" and t.chance(0.5):
            return value, t.expand(f"[weeknights|week nights|on weeknights|every weeknight|weeknights] [at |at |]{c}")
    return value, _nights(t.say("habit_day", d=name, slot=slot, c=c))


templates("habit_except", """
except! 4: every {slot} except {d} at {c}
excepts 2: every {slot} except {ds} at {c}
but 2: every {slot} but {d} at {c}
last 2: {c} every {slot} except {d}
last_on 1: every {slot} at {c}, except [on |]{ds}
last_not 1: every {slot} at {c} but not [on |]{ds}
paren 0.7: {slot}s at {c} (except {ds})
""")

templates("habit_range", """
slots! 3: {a} [to|through|thru] {b} {slot}s at {c}
dash! 2: {a}-{b} {slot}s at {c}
every 1: every {slot} {a} to {b} at {c}
first 1.5: {c} {a}-{b} {slot}s
in_the! 2: {a} to {b} in the {slot} at {c}
comma 1: {slot}s, {a}-{b}, {c}
from 1: {slot}s from {a} to {b} at {c}
""")


def habit_wide(t, slot, c):
    "every night except friday at 9; sunday to thursday evenings at 8"
    style = t.pick(["full", "short"])
    if t.chance(0.5):
        d = int(t.rng.random() * 7)
        return field(set(range(7)) - {d}), t.say(
            "habit_except", slot=slot, c=c, d=day(t, d, style), ds=day(t, d, "plural"))
    a, n = t.pick([1, 1, 0, 0, 2, 3, 4, 5]), t.pick([2, 3, 4, 4])
    b = (a + n) % 7
    return field(around(a, b, 0, 6)), _nights(t.say(
        "habit_range", slot=slot, c=c, a=day(t, a, style), b=day(t, b, style)))


def _nights(text):
    return text.replace("in the nights", "at night").replace("in the night", "at night").replace(
        "ss in", "s in")


# ---------------------------------------------------------------- what for

DO = """back up the database|backup the db|run the backup|send the newsletter|email the report
send the daily numbers to the team|restart nginx|restart the server|reboot the router|ping the server
check the disk space|clean up temp files|delete old logs|rotate the logs|sync the files|pull from git
run the etl|refresh the cache|clear the cache|update the dashboard|generate invoices|run payroll
charge subscriptions|post to slack|post a tweet|fetch the rss feed|fetch new emails|import the csv
export the data|rebuild the index|reindex the search|renew the certificates|run the tests
deploy to staging|start the build|scrape the prices|poll the api|check for updates|vacuum the db
take a snapshot|copy files to s3|upload the photos|feed the fish|feed the cat|feed the dog
water the plants|water the lawn|turn on the lights|turn off the heating|turn on the ac
start the coffee machine|open the blinds|close the garage|start the robot vacuum|run the dishwasher
lock the doors|ring the bell|play music|wake me up|check the mail|archive old orders|recalculate scores
send reminders|notify the team|warm up the cache|run cleanup.sh|run sync.py|run backup.sh|execute job.py
kill stale sessions|purge the trash|compress the logs|resync the clock|send invoices|order groceries
run the health check|log the temperature|measure the humidity|download the podcast|mow the lawn
charge the batteries|test the alarm|scan for viruses|train the model|retrain the model|run db2 cleanup
run script7|trigger the webhook|flush the queue|drain the queue|close the tickets|publish the post
empty the recycle bin|update the exchange rates|save the game|empty the bins|air the rooms"""

JOB = """db backup|backup|the backup|backup job|database dump|newsletter|report|the report|sales report
status report|log rotation|cleanup|cleanup job|temp cleanup|health check|heartbeat|sync|file sync
data sync|etl|etl job|the import|price scraper|cache refresh|cache clear|index rebuild|cert renewal
payroll|invoice run|billing|reminder email|standup|team standup|team meeting|yoga class|gym|piano lesson
garbage pickup|trash day|medication|pills|vitamins|coffee|lunch break|alarm|school run|church bells
irrigation|sprinklers|lawn watering|fish feeding|cat feeding|plant watering|lights off|heating on
security scan|virus scan|snapshot|deploy|build|test suite|smoke tests|regression tests|metrics export
billing job|audit|inventory count|stock check|server restart|router reboot|disk check|queue flush
board meeting|rent reminder|tax reminder|water meter reading|bell|shift change|tweet|db3 backup
job #12|task42|the script|my script|this job|the job|cron job|batch job|it|the bot|the worker"""

ME = """take out the trash|take my pills|call mom|water the plants|pay rent|pay the bills|stand up
stretch|drink water|submit my timesheet|submit timesheets|check the oven|walk the dog|feed the cat
go to the gym|send the invoice|check emails|do the laundry|clean the kitchen|change the filters
buy milk|call grandma|back up my laptop|review the budget|read the meter|take a break|go to bed
join the call|do yoga|order food|renew the parking permit|put the bins out|practice piano"""

EVENT = """the cats eat|the cat gets fed|payroll runs|the job should fire|job should run|job fires|job runs
the alarm goes off|the sprinklers come on|lights go on|lights should go off|the report goes out
the newsletter goes out|the backup starts|backups run|the bell rings|we have standup|we meet
the team meets|i take my pills|i go running|i water the plants|we order lunch|the heating comes on
the script runs|it runs|it should run|the sync kicks off|the server restarts|the store opens
the bus leaves|invoices go out|logs get rotated|kids have practice|the gym class is|bins go out
the batch job starts|cleanup happens|the bakery delivers|the dog gets walked|the shop closes"""

DO, JOB, ME, EVENT = ([x.strip() for line in text.splitlines() for x in line.split("|")]
                      for text in (DO, JOB, ME, EVENT))

templates("skel", """
plain! 75: {s}
do_first! 9: {do} {s}
do_last 5: {s} {do}
do_last_comma 3: {s}, {do}
do_colon 1.5: {do}: {s}
colon_do 2: {s}: {do}
do_dash 1.2: {do} - {s}
dash_do 1: {s} - {do}
do_comma 1.2: {do}, {s}
arrow_do 0.6: {s} -> {do}
paren_do 0.8: {s} ({do})
do_paren 0.7: {do} ({s})
job_first! 5: {job} {s}
job_last 1.5: {s} {job}
job_colon 2: {job}: {s}
job_comma 1: {job}, {s}
job_dash 1: {job} - {s}
for_job 1: {s} for [the |]{job}
dash_job 0.8: {s} - {job}
remind_to! 1.6: remind me to {me} {s}
remind_at 1.2: remind me {s} to {me}
remind_last 1.2: {s} remind me to {me}
reminder 0.8: [reminder|set a reminder] to {me} {s}
i_need_to 0.7: i [need|have|want] to {me} {s}
want 1: i want [to |you to ]{do} {s}
want_job 0.8: i[ would|'d|d] like [the |]{job} {s}
we_need 0.6: we [need|want] [to |]{do} {s}
can_you! 1.4: [can you|could you|would you|can u|could u] {do} {s}
can_schedule 0.8: [can|could] you schedule {job} [for |]{s}
need_cron 1: need a [cron|cronjob|job|task] [to|that will] {do} {s}
need_job 0.7: [need|needs] {job} {s}
cron_for! 1.4: [cron|crontab|cron expression|cron job|cron line|cronjob] for {s}
cron_colon 0.8: [cron|crontab|schedule|when|timing|frequency|runs|interval]: {s}
whats 0.7: [whats|what's|what is] the cron for {s}
schedule! 1.2: schedule [{job}|it|this|the job|a job] [for |]{s}
set! 0.8: set [{job}|it|this|the job] to run {s}
setup 0.5: [set up|setup|create|add|make] [a job|a task|{job}|a cron] {s}
run! 4: [run|execute|trigger|fire|start|launch|kick off|do it|do this] {s}
run_it! 2: [run|execute|trigger|start] [it|this|that|the job|my script|the script] {s}
should 2: [it|this|job|the job|script|{job}] [should|must|needs to|has to] [run|fire|go off|start|execute] {s}
make_it 0.8: [make|have|let|get] [it|this|the job] run {s}
event! 3: {event} {s}
event_last 1: {s} {event}
event_comma 0.8: {s}, {event}
i_want_it 0.8: i want [it|this|the job] to [run|fire|go off] {s}
needs_be 0.4: [{job}|it] [needs|has] to be done {s}
wants_done 0.4: get {job} done {s}
so_that 0.4: {s} so that {event}
make_sure 0.5: make sure [to |you ]{do} {s}
runs 1: [runs|fires|goes off|happens] {s}
scheduled 0.5: [{job}|this|task] scheduled {s}
please_have 0.4: please have {job} [run|running] {s}
every_time 0.3: [ok so|so|ok|right so|alright,] {do} {s}
how 0.4: how do i [schedule|run] [something|a job|it] {s}
every_ask 0.4: [is there a way to|how to|i'm trying to|trying to] {do} {s}
""")

# skeletons that put the task between the days and the time (they need both)
templates("skel_mid", """
day_do_time! 4: {d} {do} {f}
time_do_day 2.5: {f} {do} {d}
day_comma_do_time 1.5: {d}, {do} {f}
day_event_time 1.5: {d} {event} {f}
time_event_day 1: {f} {event} {d}
time_comma_do_day 1: {f}, {do} {d}
day_job_time 2: {d} {job} {f}
day_remind_time 1: {d} remind me {f} to {me}
time_remind_day 0.7: {f} remind me to {me} {d}
day_dash_do 0.6: {d} - {do} {f}
do_time_on_day 1: {do} {f}, {d}
run_day_time 1: run {d} {f}
run_time_day 1: run {f} {d}
job_day_colon_time 0.7: {job} {d}: {f}
job_time_paren_day 0.7: {job} {f} ({d})
""")

templates("adjective", """
adj! 3: {adj} {job} {rest}
the_adj 1.5: [the|our|my|a] {adj} {job} {rest}
adj_colon 1: {adj} {job}: {rest}
send_adj 1: [send|run|do|start] the {adj} {job} {rest}
adj_comma 0.6: {adj} {job}, {rest}
""")

ADJ_JOB = """backup|report|sync|digest|newsletter|cleanup|meeting|check-in|summary|review|export|import
build|scan|health check|standup|email|invoice run|audit|reminder|restart|maintenance|db dump|refresh
call|update|billing|inventory|reset|snapshot"""
ADJ_JOB = [x.strip() for line in ADJ_JOB.splitlines() for x in line.split("|")]

templates("order", """
time_day! 8: {f} {d}
day_time! 6: {d} {f}
time_comma 2.5: {f}, {d}
day_comma 2.5: {d}, {f}
day_colon 1: {d}: {f}
time_paren 1: {f} ({d})
day_paren 0.8: {d} ({f})
time_dash 0.8: {f} - {d}
day_dash 0.8: {d} - {f}
time_semicolon 0.4: {f}; {d}
day_slash 0.4: {d} / {f}
time_only 0.3: {f} but only {d}
time_dots 0.4: {f}... {d}
""")

templates("order_days", """
a_b! 5: {a} {b}
b_a! 4: {b} {a}
a_comma_b 1.5: {a}, {b}
b_comma_a 1.5: {b}, {a}
a_paren_b 0.8: {a} ({b})
but_only 0.7: {a} but only {b}
""")


VERBS = words("""
run check start stop restart update refresh sync clean back_up archive test print send email
post upload download copy move delete rotate rebuild scan inspect log record measure count
review open close lock feed water wash fill empty turn_on turn_off charge call text ping message
remind notify wake play record dump export import publish sort sweep vacuum mop walk brush pay
order buy collect pick_up drop_off fetch pull push deploy trigger reboot reload purge trim
compress verify audit poll query crawl index resize encode
""")
OBJECTS = words("""
db database server logs report reports cache queue backups website router printer camera sensors
pump heater boiler fan lights alarm gate door windows garden plants dog cats chickens fish kids
team boss client customers invoices orders stock prices rates weather_data metrics dashboard
wiki inbox calendar playlist photos videos files folders temp_dir docker_images containers certs
tokens repo branch docs slides newsletter slack_msg sms tweets feed podcast car bike laundry
dishes trash bins rent bills mail parcels groceries meds vitamins thermostat pool aquarium
coffee_machine dishwasher robot sprinkler greenhouse
""")
MODIFIERS = words("""
team kids staff sales office water data file log price stock news weather disk mail web api
cloud server garden pool dog cat school gym yoga swim choir band piano german family client
vendor ops dev qa finance tax legal security safety fire half_marathon first_aid second_level
happy_hour spring_cleaning
""")
NOUNS = words("""
check review report sync backup cleanup meeting call lunch class lesson practice training run
scan audit import export update reminder alert digest summary standup retro planning demo test
drill feed batch job task script bot pipeline dump snapshot refresh reset restart story walk
break pickup delivery inspection
""")


def task(t):
    "An order: from the list, or some verb with some object."
    if t.chance(0.5):
        return t.pick(DO)
    the = t.pick(["", "", "the ", "the ", "my ", "our ", "all "])
    return f"{t.pick(VERBS)} {the}{t.pick(OBJECTS)}".replace("_", " ")


def job(t):
    "A thing to do: from the list, or some noun with some other in front."
    if t.chance(0.5):
        return t.pick(JOB)
    return f"{t.pick(MODIFIERS)} {t.pick(NOUNS)}".replace("_", " ")


def arrange(t, f, parts):
    "f: the time; parts: texts of days and months -> the whole schedule, and the text of the days."
    parts = [p for p in parts if p]
    if not parts:
        return f, ""
    if len(parts) == 2:
        if f and t.chance(0.3):
            a, b = parts if t.chance(0.5) else parts[::-1]
            t.used.append("order.around")
            return f"{a}{t.pick([' ', ' ', ', '])}{f}{t.pick([' ', ' ', ', '])}{b}", ""
        d = t.say("order_days", a=parts[0], b=parts[1])
    else:
        d = parts[0]
    if not f:
        return d, ""
    if re.search(r"\d$", f) and re.match(r"\d", d) or re.search(r"\d$", d) and re.match(r"\d", f):
        return (f"{f}, {d}" if t.chance(0.5) else f"{d}, {f}"), ""
    return t.say("order", f=f, d=d), d


# the first words a hurried person leaves out
LEAD = re.compile(r"^(?:(?:on|in|during) (?!a )|from (?=the \d|\w+ (?:to|till|until|thru|through) )|(?:every|each) (?="
                  + "|".join([*DAYS, *MONTHS, *(f"{x[:3]}\\b" for x in DAYS + MONTHS)])
                  + "|week(?:day|end)|workday|business|working))(?:the (?=\\d))?")


def request(t, f, parts, adj=None):
    "Put the schedule in a request, with or without a purpose."
    if adj and t.chance(0.1):
        rest, _ = arrange(t, f, parts if adj[1] else [])
        return t.say("adjective", adj=adj[0], job=t.pick(ADJ_JOB), rest=rest)
    if t.terse:
        parts = [LEAD.sub("", x) for x in parts]
        f = re.sub(r"^(at|from) ", "", f) if not re.match(r"at \d+($|[ ,/&+](?!past|am|pm|min))", f) else f
        s, _ = arrange(t, f, parts)
        return s
    slots = {"do": lambda: task(t), "job": lambda: job(t), "me": lambda: t.pick(ME),
             "event": lambda: t.pick(EVENT)}
    mark = len(t.used)
    s, d = arrange(t, f, parts)
    if d and f and t.chance(0.14):
        del t.used[mark:]
        return t.say("skel_mid", f=f, d=d, **slots)
    return t.say("skel", s=s, **slots)


# ---------------------------------------------------------------- what it means, by kind

class Part:
    "What was sampled: the five fields and the texts."

    def __init__(self):
        self.minute, self.hour, self.dom, self.month, self.dow = "0", "0", None, None, None
        self.f, self.parts, self.adj = "", [], None

    def time(self, minute, hour, text):
        self.minute, self.hour, self.f = minute, hour, text

    def days(self, found):
        dom, month, dow, text = found
        self.dom, self.month, self.dow = self.dom or dom, self.month or month, self.dow or dow
        self.parts.append(text)

    def answer(self):
        return " ".join(x or "*" for x in (self.minute, self.hour, self.dom, self.month, self.dow))


def one_time(t, p, only=None):
    h, m = clocks.an_hour(t), clocks.a_minute(t)
    if t.chance(0.09):
        h, m = t.pick([0, 12]), 0
    p.time(str(m), str(h), clocks.at(t, clocks.clock(t, h, m)))


def interval(t, p):
    which = t.weighted({"min": 4.5, "hourly": 3, "hours": 3})
    if which == "min":
        m, text = times.every_minutes(t)
        p.time(m, "*", text)
    elif which == "hourly":
        m, text = times.hourly(t)
        p.time(m, "*", text)
    else:
        p.time(*times.every_hours(t))


def any_time(t, p, several=0.25, gap=0.15):
    x = t.rng.random()
    if x < several:
        p.time(*(clocks.several(t) if t.chance(0.75) else clocks.same_hour(t)))
    elif x < several + gap:
        interval(t, p)
    else:
        one_time(t, p)


def daily(t, p, prob):
    if t.chance(prob):
        many = not (p.minute.isdigit() and p.hour.isdigit())
        p.parts.append(t.say("all_day" if many and ("*" in p.minute + p.hour) else "daily"))
        if many and "once" in p.parts[-1]:
            p.parts[-1] = "every day"
        p.adj = ("daily", False)


def habitual(t, p, dow=None):
    while True:
        h, m = clocks.an_hour(t), clocks.a_minute(t)
        if h and not (dow and h < 5):
            break
    p.minute, p.hour = str(m), str(h)
    p.dow, p.f = habit(t, h, m, dow)


def k_times(t, p):
    which = t.weighted({"one": 5, "several": 2.6, "same": 1, "habit": 1.6})
    if which == "habit":
        return habitual(t, p)
    if which == "one":
        one_time(t, p)
    else:
        p.time(*(clocks.several(t) if which == "several" else clocks.same_hour(t)))
    daily(t, p, 0.5)


def k_weekdays(t, p):
    if t.chance(0.18):
        return habitual(t, p, t.weighted({"one": 4, "list": 1.5, "week": 3, "wide": 2.5}))
    p.days(t.weighted({days.one_day: 4, days.day_list: 4, days.weekdays: 3, days.weekend: 2.5,
                       days.day_except: 3, days.day_range: 1.5, days.days_plus: 1})(t))
    if p.dow in list("0123456"):
        p.adj = ("weekly", True)
    if not t.chance(0.04):
        any_time(t, p, 0.15, 0.1)


def k_ranges(t, p):
    which = t.weighted({"hours": 3.5, "minutes": 3, "dow": 2, "dom": 1.2, "month": 1.2})
    if which in ("hours", "minutes"):
        p.time(*(times.hourly_window if which == "hours" else times.minutes_window)(t))
        if t.chance(0.35):
            p.days(days.some_days(t))
        elif t.chance(0.12):
            daily(t, p, 1)
    else:
        p.days({"dow": days.day_range, "dom": dates.dom_range, "month": dates.month_range}[which](t))
        any_time(t, p, 0.12, 0.2)


def k_intervals(t, p):
    interval(t, p)
    daily(t, p, 0.12)
    if p.parts and t.chance(0.5):
        p.adj = None
    elif not p.parts and t.chance(0.1):
        p.days(days.some_days(t, 0.5))


def k_months(t, p):
    which = t.weighted({"some": 5.5, "doms": 2.5, "step": 2, "date": 2})
    p.days({"some": dates.some_months, "doms": dates.doms_in_months, "step": dates.month_steps,
            "date": dates.date}[which](t))
    if which != "step" or not t.chance(0.12):
        any_time(t, p, 0.12, 0.15 if which == "some" else 0.04)
    if which == "step" and p.month == "1,4,7,10":
        p.adj = ("quarterly", True)


def k_days(t, p):
    found = t.weighted({dates.some_doms: 6, dates.date: 4.5, dates.dates: 1, dates.date_span: 0.8,
                        dates.either: 0.8})(t)
    p.days(found)
    if found[0] and found[0].isdigit() and not found[2]:
        p.adj = ("yearly" if found[1] else "monthly", True)
    if not t.chance(0.04):
        any_time(t, p, 0.12, 0.06)


def k_combinations(t, p):
    which = t.weighted({"several dow": 2, "interval dow": 2, "window dow": 3, "dow month": 3,
                        "several dom": 1.2, "interval month": 1.2, "window dow month": 1.2,
                        "either": 1.8, "several month": 1, "dom month": 1.5, "window month": 0.8,
                        "window dom": 0.5, "interval dom": 0.8, "date several": 0.6})
    if "window" in which:
        p.time(*(times.hourly_window if t.chance(0.5) else times.minutes_window)(t))
    elif "interval" in which:
        interval(t, p)
    elif "several" in which:
        p.time(*(clocks.several(t) if t.chance(0.75) else clocks.same_hour(t)))
    else:
        any_time(t, p, 0.2, 0.1)
    if which == "dom month":
        p.days(t.pick([dates.doms_in_months, dates.doms_in_months, dates.month_steps])(t))
        return
    if "either" in which:
        p.days(dates.either(t))
        if t.chance(0.15):
            p.days(dates.some_months(t))
    if "dow" in which and "month" in which and t.chance(0.35):
        return p.days(dates.day_in_month(t)) if t.chance(0.7) else season_days(t, p)
    if "dow" in which:
        p.days(days.some_days(t))
    if "dom" in which:
        p.days(dates.some_doms(t))
    if "date" in which:
        p.days(dates.date(t))
    if "month" in which:
        found = dates.some_months(t)
        while p.dow and re.search("daily|day", found[3]):      # not "tuesdays daily in august"
            found = dates.some_months(t)
        p.days(found)


def season_days(t, p):
    "summer sundays (jun-aug), weekdays in winter"
    season = t.pick(sorted(dates.SEASONS))
    ms = dates.SEASONS[season]
    d = int(t.rng.random() * 7)
    name, p.dow = t.pick([("weekday", "1-5"), ("weekend", "0,6"), (DAYS[d], str(d)), (DAYS[d], str(d))])
    a, b = month(t, ms[0], "short"), month(t, ms[2], "short")
    p.month = field(ms)
    p.parts.append(t.pick([f"{season} {name}s ({a}-{b})", f"{name}s in {season} ({a}-{b})", f"{season} {name}s",
                           f"on {season} {name}s ({a} to {b})", f"every {name} in {season} ({a}-{b})",
                           f"every {season} {name} ({a}-{b})", f"{name}s in the {season}"]))
    t.used.append("season.days")


LOOSE = {"half_five", "occasion", "half_past", "quarter", "past", "to", "words_part", "oclock_part",
         "noon_midnight", "near_noon", "half_hour_after", "clarified", "sharp", "with_part",
         "part_first", "words_bare", "past_bare"}


def k_colloquial(t, p):
    x = t.rng.random()
    if x > 0.94:
        return holiday_part(t, p) if t.chance(0.6) else first_thing(t, p)
    if x < 0.2:
        return habitual(t, p, t.weighted({None: 3, "one": 2, "week": 2, "list": 0.6, "wide": 1}))
    kept = t.banned
    t.banned = kept | {f"clock.{n}" for n in FAMILIES["clock"] if n not in LOOSE}
    if x < 0.85:
        h, m = clocks.an_hour(t), clocks.a_minute(t, 0.2)
        h, m = (t.pick([0, 12]), 0) if t.chance(0.12) else (h, m)
        p.time(str(m), str(h), clocks.at(t, clocks.clock(t, h, m)))
    else:
        interval(t, p)
    t.banned = kept
    which = t.weighted({"daily": 4, "week": 3, "end": 1.5, "days": 2, "nick": 1, "date": 1.5, "dom": 1, None: 3})
    if which == "daily":
        daily(t, p, 1)
    elif which:
        p.days({"week": days.weekdays, "end": days.weekend, "days": days.some_days,
                "nick": days.nickname, "date": dates.date, "dom": dates.one_dom}[which](t))


def holiday_part(t, p):
    "christmas morning at 7"
    m, d = t.pick([(12, 25), (12, 24), (12, 31), (1, 1), (10, 31), (2, 14), (7, 4), (12, 26)])
    name = t.pick([x for x in dates.HOLIDAYS[m, d] if "(" not in x and not x[-1].isdigit()])
    h, minute = t.pick([6, 7, 8, 9, 10, 11, 14, 15, 17, 18, 19, 20, 21, 22, 23]), clocks.a_minute(t, 0.6)
    p.minute, p.hour, p.dom, p.month = str(minute), str(h), str(d), str(m)
    name, c = name.removeprefix("the "), t.say("clock12", h, minute)
    p.f = t.pick([f"{name} {days.slot(h)} at {c}", f"on {name} {days.slot(h)} at {c}",
                  f"every {name} {days.slot(h)} at {c}", f"{c} on {name} {days.slot(h)}",
                  f"{name} {days.slot(h)}, {c}"])
    t.used.append("date.holiday_part")


def first_thing(t, p):
    "first thing monday morning, 8am"
    h, minute = t.pick([5, 6, 7, 8, 9]), clocks.a_minute(t, 0.6)
    c = t.say("clock12", h, minute)
    found = t.pick([days.one_day, days.one_day, days.weekdays, days.day_list])(t)
    name = found[3].removeprefix("every ") if t.chance(0.5) else found[3]
    p.minute, p.hour, p.dow = str(minute), str(h), found[2]
    p.f = t.pick([f"first thing {name}, {c}", f"first thing {name} at {c}", f"{name} first thing, {c}",
                  f"first thing in the morning {found[3]}, {c}", f"{found[3]} first thing in the morning at {c}"])
    t.used.append("habit.first_thing")


def k_alone(t, p):
    "@daily and its like: no time said means midnight"
    which = t.pick(["daily", "weekly", "monthly", "yearly"])
    p.dom, p.month, p.dow, p.parts = {
        "daily": (None, None, None, ["[once a day|daily, at midnight|every day at the stroke of midnight]"]),
        "weekly": (None, None, "0", ["[weekly on sunday|once a week, on sunday]"]),
        "monthly": ("1", None, None, ["[monthly|once a month|every month|each month]"]),
        "yearly": ("1", "1", None, ["[yearly|once a year|annually|every year]"])}[which]
    p.parts = [t.expand(x) for x in p.parts]
    t.used.append("alone." + which)


KINDS = {"times": (k_times, 11.8), "weekdays": (k_weekdays, 12.1), "ranges": (k_ranges, 13.5),
         "intervals": (k_intervals, 10), "months": (k_months, 16), "days": (k_days, 13),
         "combinations": (k_combinations, 21), "colloquial": (k_colloquial, 10.5)}


# ---------------------------------------------------------------- haste

MISSPELT = {
    "wednesday": ["wensday", "wednsday", "wendesday", "wedesday", "wedensday"],
    "thursday": ["thrusday", "thurday", "thursdy", "thusday"], "tuesday": ["tuseday", "teusday", "tusday"],
    "saturday": ["saterday", "satruday", "saturdy"], "monday": ["mondy", "moday", "monady"],
    "friday": ["firday", "fridy"], "sunday": ["sundy", "suday"], "february": ["febuary", "feburary"],
    "september": ["septmber", "setpember"], "december": ["decmber", "decemeber"],
    "january": ["janurary", "januray"], "august": ["agust", "augst"], "october": ["ocotber", "octobre"],
    "november": ["novmber", "novemeber"], "minutes": ["minuets", "mintues", "minuts", "minites"],
    "minute": ["mintue", "minuet"], "every": ["evry", "evrey", "ever", "eveyr", "eevry"],
    "weekdays": ["wekdays", "week days", "weekdys", "weekday"], "weekends": ["wekends", "weeknds", "week ends"],
    "weekday": ["week day", "wekday"], "midnight": ["midnite", "mid night", "midnigth"],
    "through": ["thru", "throught", "trough"], "morning": ["mornign", "morining", "mornin"],
    "afternoon": ["aftrnoon", "afternon", "after noon"], "evening": ["evenign", "evning", "eveing"],
    "between": ["betwen", "beetween", "bewteen"], "hour": ["huor", "hr", "hou"], "hours": ["huors", "hrs", "houres"],
    "until": ["untill", "till", "til"], "quarter": ["quater", "qarter", "quartr"], "month": ["mounth", "moth"],
    "except": ["excpet", "exept", "execpt"], "hourly": ["houlry", "hourley"], "daily": ["dailly", "daly"],
    "night": ["nite", "nigth"], "schedule": ["shedule", "schedual"], "noon": ["nooon"], "half": ["hlaf"],
    "during": ["durring", "duing"], "please": ["plese", "plz"], "remind": ["remnid"], "first": ["frist"],
    "twice": ["twise"], "only": ["olny"], "from": ["form", "frm"], "and": ["nad", "adn", "n"],
    "o'clock": ["oclock", "o clock"], "past": ["psat"], "quarterly": ["quaterly"]}
KEEP = frozenset(words("""
three seven eight eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty
thirty forty fifty third fourth fifth sixth seventh eighth ninth tenth other second
"""))


def misspell(t, text):
    "One slip: a known misspelling, or two letters swapped, one dropped or one doubled."
    found = [m for m in re.finditer(r"[a-z']+", text) if m[0] in MISSPELT or len(m[0]) > 4
             and m[0] not in KEEP and not any(m[0].startswith(k) for k in KEEP)]
    if not found:
        return text
    m = t.pick(found)
    w = m[0]
    if w in MISSPELT and t.chance(0.7):
        new = t.pick(MISSPELT[w])
    else:
        i = 1 + int(t.rng.random() * (len(w) - 2))
        new = t.weighted({w[:i] + w[i + 1] + w[i] + w[i + 2:]: 3, w[:i] + w[i + 1:]: 3,
                          w[:i] + w[i] + w[i:]: 2})
    return text[:m.start()] + new + text[m.end():]


def capitals(t, text):
    names = r"\b(" + "|".join(DAYS + MONTHS[:4] + MONTHS[5:] + [d[:3] for d in DAYS] +
                              [m[:3] for m in MONTHS if m != "may"]) + r")(?=s?\b)"
    style = t.weighted({"as is": 60, "lower": 8, "sentence": 16, "first": 6, "names": 5, "title": 3.5,
                        "upper": 3})
    if style in ("sentence", "names"):
        text = re.sub(names, lambda m: m[0].capitalize(), text)
        text = re.sub(r"\bi\b(?!\.)", "I", text)
    if style in ("sentence", "first"):
        text = text[0].upper() + text[1:]
    if style == "lower":
        text = text.lower()
    if style == "title":
        text = re.sub(r"(?<![\w'])[a-z]{3,}", lambda m: m[0].capitalize(), text)
    return text.upper() if style == "upper" else text


templates("polite", """
pls 3: pls {s}
please 3: please {s}
pls_end 3: {s} pls
please_end 3: {s}[ please|, please]
thx 1.5: {s} [thx|thanks|ty]
hey 1: [hey|hi|hello|hey,|yo|ok|so] {s}
""")


templates("fluff", """
fail 1: {s} without fail
clockwork 0.7: {s} like clockwork
always 0.8: always {s}
usual 0.5: {s} as usual
rain 0.4: {s}, rain or shine
possible 0.5: {s} if possible
ideally 0.4: ideally {s}
thats_it 0.4: {s}, thats it
only 0.4: {s}, nothing else
just 0.8: just {s}
say 0.4: lets say {s}
""")


def haste(t, text):
    "What a hurry does to a text: politeness, slips, capitals, punctuation, lost words and spaces."
    if t.chance(0.04) and not t.terse:
        text = t.say("fluff", s=text)
    if t.chance(0.07) and not t.terse:
        text = t.say("polite", s=text)
    if t.chance(0.08):
        text = t.pick([text.replace(" the ", " ", 1), text.replace(" on ", " ", 1),
                       text.replace("every day", "everyday", 1), text.replace(" of the month", " of month"),
                       text.replace(" minutes", " mins"), text.replace(" hours", " hrs"),
                       text.replace(" and ", " & ", 1), text.replace(", ", ","), text.replace(", ", " "),
                       text.replace(" and ", " n ", 1), text.replace("every ", "evry ", 1)])
    if t.chance(0.03):
        text = re.sub(r"\b(at|every|on|from) (?=\d)", r"\1", text, count=1)
    if t.chance(0.06):
        text = misspell(t, text)
    text = capitals(t, glue_numbers(text))
    if t.chance(0.08):
        text += t.weighted({".": 5, "!": 1.5, "...": 1, "?": 0.7, "!!": 0.3, " .": 0.3})
    if t.chance(0.02):
        text = text.replace(" ", "  ", 1)
    return text


def glue_numbers(text):
    return text.replace("  ", " ").replace(" ,", ",") if " xx" not in text else text


def example(t):
    "(kind, text, answer), made from one meaning"
    t.used.clear()
    t.terse = t.chance(0.14)
    kind = t.weighted({k: w for k, (_, w) in KINDS.items()})
    p = Part()
    if kind == "days" and t.chance(0.03):
        k_alone(t, p)
    else:
        KINDS[kind][0](t, p)
    text = request(t, p.f, p.parts, p.adj).replace(" for at ", " for ").replace(" for on ", " for ")
    text = haste(t, text)
    return kind, text, p.answer()
