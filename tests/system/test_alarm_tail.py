#!/usr/bin/python3
"""What people and machines at the gateway see of alarms: the life of one out of the store, those of
a time, a tail that misses nothing, counts in the status and for Prometheus."""
import json
import os
import signal
import subprocess
import time
import unicodedata

from metrics import Metrics
from rig import BUILD, BUSY_MS, now_ms, run_scenarios
from test_alarms import events, life_of, make, wait_steps


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def start_ctl(rig, *words, lang="C.UTF-8", stdout=subprocess.PIPE):
    return subprocess.Popen([os.path.join(BUILD, "lifelinectl"), "--socket", rig.path("api.sock"),
                             *words], stdout=stdout, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "LC_ALL": lang, "TZ": "UTC0"})


def ctl(rig, *words, lang="C.UTF-8"):
    run = start_ctl(rig, *words, lang=lang)
    out, err = run.communicate(timeout=30)
    rig.check("%s: in 80 columns" % " ".join(words[:2]), "--json" in words or
              all(columns(line) <= 80 for line in out.splitlines()), out)
    return run.returncode, out, err


def steps_of(rig, query):
    """What /v1/alarms/history answers: the steps, and the last line."""
    done = subprocess.run(["curl", "-s", "-m", "10", "--unix-socket", rig.path("api.sock"),
                           "http://localhost/v1/alarms/history" + query], capture_output=True)
    *steps, last = [json.loads(line) for line in done.stdout.splitlines()]
    return [(s["key"], s["step"], s["status"]) for s in steps], last


def past():
    """Out of the store: after an alarm is over, and after a restart."""
    rig, sensors, config, port = make("past", devices=3)
    begun = now_ms()
    for value, count in ((12, 1), (45, 2), (0, 3)):
        sensors.set(1, 0, value)
        wait_steps(rig, "d1.p0/hot", count, "a step at %d" % value)
    between = now_ms()
    sensors.set(2, 0, 25)
    wait_steps(rig, "d2.p0/hot", 1, "another alarm")
    rig.end("daemon", signal.SIGKILL)
    rig.start_daemon(config)
    rig.wait(lambda: rig.api("/v1/status"), 10, "it answers")
    first, second = events(rig)[0][0].id, events(rig)[3][0].id
    life = [("d1.p0/hot", 1, "raised"), ("d1.p0/hot", 2, "escalated"), ("d1.p0/hot", 3, "cleared")]
    other = ("d2.p0/hot", 1, "raised")
    for query, wanted in (("", life + [other]), ("?id=" + first, life), ("?id=" + first[-8:], life),
                          ("?id=" + second, [other]), ("?id=" + "Z" * 40, []),
                          ("?since_ms=%d" % between, [other]),
                          ("?since_ms=%d&until_ms=%d" % (begun, between), life),
                          ("?level=1", life[1:]), ("?level=3", life[1:] + [other]),
                          ("?sector=gas", []), ("?sector=waterlogging", life + [other])):
        got, last = steps_of(rig, query)
        rig.check("history%s" % query, got == wanted and last ==
                  {"end": True, "steps": len(wanted), "damaged_rows": 0}, (got, last))
    for query in ("?level=0", "?level=9", "?sector=sea", "?since_ms=now"):
        rig.check("history%s is refused" % query, "error" in rig.api("/v1/alarms/history" + query))
    code, out, _ = ctl(rig, "alarms", "show", first[-6:])
    lines = out.splitlines()
    rig.check("show: the whole life", code == 0 and lines[0].startswith("red ") and
              " cleared, for " in lines[0] and first in out and "threshold 40 mm" in out, out)
    marks = [line.split()[1:] for line in lines if line[:4] == "    " and line[4:5].isdigit() and
             ":" in line]
    rig.check("show: every step with level and value", marks ==
              [["raised", "blue", "12", "mm"], ["escalated", "red", "45", "mm"],
               ["cleared", "red", "0", "mm"]], marks)
    rig.check("show: what was measured before", sum("  d1.p0 " in line and line.endswith("  good")
                                                    for line in lines) > 3, out)
    code, out, _ = ctl(rig, "alarms", "show", first, lang="zh_CN.UTF-8")
    rig.check("show: in Chinese", code == 0 and "升级" in out and "已解除" in out, out)
    code, _, err = ctl(rig, "alarms", "show", "ZZZZZZ")
    rig.check("show: there is none", code == 1 and "no alarm ZZZZZZ" in err, err)
    code, out, _ = ctl(rig, "alarms", "--since", "1h")
    heads = [line for line in out.splitlines() if not line.startswith(" ")]
    rig.check("since: one of each, as it stands", code == 0 and len(heads) == 2 and
              "d1.p0/hot cleared" in heads[0] and "d2.p0/hot raised" in heads[1], out)
    code, out, _ = ctl(rig, "alarms", "--since", "1h", "--level", "1")
    rig.check("since: of a level", "d1.p0/hot" in out and "d2.p0" not in out, out)
    rig.check("since: none", ctl(rig, "alarms", "--since", "1h", "--sector", "gas")[:2] ==
              (0, "no alarm in that time\n"))
    rig.check("since: no time", ctl(rig, "alarms", "--since", "soon")[0] == 2)
    code, out, _ = ctl(rig, "alarms", "--since", "1h", "--json")
    rig.check("since: every step for machines", [json.loads(line)["step"] for line in
                                                 out.splitlines()] == [1, 2, 3, 1], out)
    rig.finish()


def follow():
    """-f: what is up first, then every step once, also the end of an alarm."""
    rig, sensors, config, port = make("follow", devices=3)
    sensors.set(1, 0, 12)
    wait_steps(rig, "d1.p0/hot", 1, "one is up before")
    machine = start_ctl(rig, "alarms", "-f", "--json")
    people = start_ctl(rig, "alarms", "-f", "--level", "3")
    time.sleep(1 + BUSY_MS / 500)
    for unit, value, count in ((2, 25, 1), (2, 0, 2), (1, 45, 2), (1, 0, 3), (3, 12, 1)):
        sensors.set(unit, 0, value)
        wait_steps(rig, "d%d.p0/hot" % unit, count, "unit %d at %d" % (unit, value))
    time.sleep(1)
    ended = time.monotonic()
    for process in (machine, people):
        process.send_signal(signal.SIGINT)
    out, shown = machine.communicate(timeout=20)[0], people.communicate(timeout=20)[0]
    rig.check("it ends with 0 on Ctrl-C", (machine.returncode, people.returncode) == (0, 0) and
              time.monotonic() - ended < 5)
    got = [(a["key"], a["step"], a["status"]) for line in out.splitlines()
           for a in json.loads(line)["alarms"]]
    rig.check("every step once", got == [
        ("d1.p0/hot", 1, "raised"), ("d2.p0/hot", 1, "raised"), ("d2.p0/hot", 2, "cleared"),
        ("d1.p0/hot", 2, "escalated"), ("d1.p0/hot", 3, "cleared"), ("d3.p0/hot", 1, "raised")], got)
    heads = [line for line in shown.splitlines() if line and not line.startswith(" ")]
    rig.check("of the level that is asked for", len(heads) == 4 and
              [" ".join(h.split()[2:4]).rstrip(",") for h in heads] ==
              ["d2.p0/hot raised", "d2.p0/hot cleared", "d1.p0/hot escalated", "d1.p0/hot cleared"],
              heads)
    rig.check("in 80 columns", all(columns(line) <= 80 for line in shown.splitlines()), shown)
    rig.finish()


def flood():
    """A tail beside 1 500 alarms at once, one that does not read, and the daemon as before."""
    devices, points = 15, 100
    rig, sensors, config, port = make("flood", devices=devices, points=points)
    file = open(rig.path("tail"), "w+", encoding="utf-8")
    quick = start_ctl(rig, "alarms", "-f", "--json", stdout=file)
    stuck = subprocess.Popen(["curl", "-sN", "--unix-socket", rig.path("api.sock"),
                              "http://localhost/v1/events?alarms=only"], stdout=subprocess.PIPE)
    time.sleep(1)
    stuck.send_signal(signal.SIGSTOP)
    wanted = devices * points
    for unit in range(1, devices + 1):
        for point in range(points):
            sensors.set(unit, point, 45)
    rig.wait(lambda: len(events(rig)) >= wanted, 30, "all of them reach the broker")
    time.sleep(4)
    quick.send_signal(signal.SIGINT)
    err = quick.communicate(timeout=20)[1]
    file.seek(0)
    got = {(a["id"], a["step"]) for line in file for a in json.loads(line)["alarms"]}
    rig.check("the tail has all of them (%d)" % len(got),
              got == {(e.id, e.step) for e, _ in events(rig)}, err)
    rig.check("the status counts them", rig.api("/v1/status")["alarms"]["red"] == wanted)
    stuck.kill()
    stuck.wait()
    rig.finish()


def counts():
    """Levels, what waits for a broker that is away, and the same for Prometheus."""
    rig, sensors, config, port = make("counts", devices=3)

    def status():
        return rig.api("/v1/status")

    def page():
        done = subprocess.run(["curl", "-s", "--unix-socket", rig.path("api.sock"),
                               "http://localhost/metrics"], capture_output=True, text=True)
        return Metrics(done.stdout)
    rig.check("none", status()["alarms"] == {"red": 0, "orange": 0, "yellow": 0, "blue": 0,
                                             "events": 0, "lost": 0}, status()["alarms"])
    sensors.set(1, 0, 12)
    wait_steps(rig, "d1.p0/hot", 1, "one is raised")
    rig.wait(lambda: rig.uplink()["backlog"]["alarms"] == 0 and rig.uplink()["alarms"] == 1, 5,
             "it is delivered, and nothing waits")
    rig.end("mosquitto")
    rig.wait(lambda: not rig.uplink()["connected"], 10, "the broker is away")
    sensors.set(2, 0, 45)
    sensors.set(3, 0, 45)
    rig.wait(lambda: rig.uplink()["backlog"]["alarms"] == 2, 10, "two wait for it")
    now = status()["alarms"]
    rig.check("by level", (now["red"], now["blue"], now["events"]) == (2, 1, 3), now)
    text = subprocess.run([os.path.join(BUILD, "lifelinectl"), "--socket", rig.path("api.sock"),
                           "status"], capture_output=True, text=True).stdout
    rig.check("lifelinectl status says so", "alarms: red 2, blue 1" in text and
              "2 events of alarms wait" in text, text)
    metrics = page()
    rig.check("and Prometheus", (metrics.get("lifeline_alarms", level="red"),
                                 metrics.get("lifeline_alarm_events_total"),
                                 metrics.get("lifeline_uplink_backlog_alarms", uplink="city"),
                                 metrics.get("lifeline_uplink_published_alarms_total",
                                             uplink="city")) == (2, 3, 2, 1))
    rig.start_broker()
    rig.wait(lambda: rig.uplink()["backlog"]["alarms"] == 0, 60, "nothing waits any more")
    rig.check("every step is there", [len(life_of(rig, "d%d.p0/hot" % u)) for u in (1, 2, 3)] ==
              [1, 1, 1])
    rig.finish()


SCENARIOS = {f.__name__: f for f in (past, follow, flood, counts)}

if __name__ == "__main__":
    run_scenarios(SCENARIOS)
