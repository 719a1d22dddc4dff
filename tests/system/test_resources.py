#!/usr/bin/python3
"""What the gateway does when the machine gives it less: a thread that hangs, memory that is short or
refused, descriptors that run out, a tenth of a core, half a minute of standing still, a broker that
is away for days. Rows S11 and S28 to S32 of the scorecard; LIFELINE_LONG=1 runs more of each.

    tests/system/test_resources.py [SCENARIO...]
"""
import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

from invariant import check_delivery, check_missing, check_open_rows, match
from rig import BUILD, PAUSE_S, SOURCE, Rig, delivers, free_port, now_ms, run_scenarios
from supervise import (HANG, MALLOCFAIL, Cgroup, Supervisor, cpu_s, descriptors, memory, slope)

LONG = bool(os.environ.get("LIFELINE_LONG"))
SYNC_MS, SLACK_MS, TOLERANCE_MS = 1000, 700, 150
STOP_FEEDING_S = 30                     # S30: nobody is fed longer than this by a process that hangs
DIP = "profile: rs-dip-n01, every: 300ms"
WIDE = """profile: wide
title: { zh: 宽, en: wide }
sector: water
status: beta
source: "made for this test"
serial: 9600 8N1
points:
""" + "".join("  - { name: p%02d, quantity: raw, unit: \"1\", function: holding, address: %d,"
              " type: u16 }\n" % (i, i) for i in range(50))


def tcp_line(name):
    return "name: %s, transport: tcp, host: 127.0.0.1, port: %d" % (name, free_port())


def two_lines(rig, store="segment: 1s"):
    return rig.configure([tcp_line("one"), tcp_line("two")],
                         ["name: d%d, line: %s, unit: %d, %s" % (i, line, i, DIP)
                          for i, line in enumerate(("one", "one", "two", "two"), 1)], store=store)


def wide_lines(rig, devices=10, every="100ms", store="segment: 1s", uplink=""):
    """Devices of 50 points, two of them on a line."""
    os.makedirs(rig.path("profiles"), exist_ok=True)
    rig.write("profiles/wide.yaml", WIDE)
    lines = [tcp_line("line-%d" % i) for i in range((devices + 1) // 2)]
    return rig.configure(lines, ["name: d%d, line: line-%d, unit: %d, profile: wide, every: %s"
                                 % (i, i // 2, i % 2 + 1, every) for i in range(devices)],
                         store=store, uplink=uplink)


def invariant(rig, until, kills_ms=(), sync_ms=SYNC_MS, unread_ms=(), open_rows=True):
    """All of I. What is missing may only be of `sync_ms` before a kill, and one answer of a device
    whose line stood still, at one of `unread_ms`, and never read it."""
    _, gaps = check_delivery(rig)
    if open_rows:
        check_open_rows(rig)
    missing, _ = match(rig, TOLERANCE_MS, until)
    missing = {sector: [(key, t) for key, t in entries
                        if not any(abs(t - unread) < 400 for unread in unread_ms)]
               for sector, entries in missing.items()}
    check_missing(rig, missing, gaps, list(kills_ms), sync_ms, SLACK_MS)


def finish(rig, row, trials=1):
    rig.score(row, trials, ["see above"] * rig.failures)
    rig.finish()


# ---- S30: a thread hangs ----

def hang_once(rig, supervisor, thread, call, says):
    """That thread stands still in that call until the supervisor has ended the process. Returns from
    when to when, UTC milliseconds."""
    told, kills = rig.log("daemon").count("%s hangs" % says), len(supervisor.kills_ms)
    begun, begun_ms = time.monotonic(), now_ms()
    rig.write("hang", "%s %s" % (thread, call))
    if says:
        rig.wait(lambda: rig.log("daemon").count("%s hangs" % says) > told, STOP_FEEDING_S,
                 "the log says who")
        answer = rig.api("/v1/status")   # None when it holds a lock that others need
        rig.check("the status says who", answer is None or
                  says in answer["watchdog"]["hanging"], answer and answer["watchdog"])
        rig.check("the supervisor is told who", supervisor.heard("STATUS=%s hangs" % says))
    killed = rig.wait(lambda: len(supervisor.kills_ms) > kills, STOP_FEEDING_S + 10,
                      "the supervisor ends it")
    os.remove(rig.path("hang"))
    fed_s = supervisor.starved_s[-1] - begun if killed else 99
    rig.check("fed for %.1f s after it hung" % fed_s, fed_s <= STOP_FEEDING_S)
    delivers(rig, "delivers after the restart")
    if says:
        rig.check("one line said so", rig.log("daemon").count("%s hangs" % says) == told + 1)
    time.sleep(2)
    return begun_ms, supervisor.kills_ms[-1] if killed else now_ms()


def hang_of(thread, call, says, all_since=False):
    """`all_since`: readings are lost from when it hung, and not only those of the last `sync`."""
    trials = 6 if LONG else 1
    rig = Rig("hang-%s" % thread)
    config = two_lines(rig)
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    supervisor = Supervisor(rig, config, 4, abstract=thread == "store", LD_PRELOAD=HANG,
                            HANG_FILE=rig.path("hang"))
    delivers(rig, "delivers before")
    time.sleep(2)
    spans = [hang_once(rig, supervisor, thread, call, says) for _ in range(trials)]
    until = rig.drain()
    rig.check("each time it was restarted once", len(supervisor.kills_ms) == trials,
              supervisor.kills_ms)
    supervisor.stop()
    sync_ms = SYNC_MS + (max(b - a for a, b in spans) if all_since else 0)
    invariant(rig, until, [b for _, b in spans], sync_ms,
              [a for a, _ in spans] if thread == "one" else [],
              open_rows=thread != "store")  # what its last commit closed was not yet journalled
    rig.check("STOPPING=1", rig.end("daemon") == 0 and
              b"STOPPING=1" in supervisor.socket.recv(4096 * 16) or supervisor.heard("STOPPING=1"))
    finish(rig, "S30", trials)


def hang_line():
    hang_of("one", "ppoll", "line one")


def hang_store():
    hang_of("store", "fdatasync", "store", True)


def hang_pipeline():
    hang_of("pipeline", "clock_gettime", "pipeline", True)


def hang_uplink():
    hang_of("uplink", "poll", "uplink city")


def hang_main():
    hang_of("lifelined", "clock_gettime", None)


# ---- S29: standing still, no descriptors, a tenth of a core ----

def freeze():
    """Longer than any thread may be silent; the supervisor itself is patient."""
    trials = 30 if LONG else 1
    rig = Rig("freeze")
    config = two_lines(rig)
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    supervisor = Supervisor(rig, config, 45)
    delivers(rig, "delivers before")
    for seconds in [30] * trials:
        pid = supervisor.process.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        fed = len(supervisor.messages)
        os.kill(pid, signal.SIGCONT)
        delivers(rig, "delivers after %d s of standing still" % seconds)
        time.sleep(20)
        rig.check("it is the same process", supervisor.process.pid == pid and
                  not supervisor.kills_ms)
        rig.check("and is fed again", len(supervisor.messages) > fed)
    rig.check("the watchdog was not fooled", "hangs" not in rig.log("daemon"), rig.log("daemon"))
    until = rig.drain()
    supervisor.stop()
    invariant(rig, until)
    finish(rig, "S29", trials)


def limit_descriptors(process, number):
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (number, hard))


def eat_descriptors(rig, count):
    """Clients of the API that connect and say nothing."""
    clients = []
    for _ in range(count):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(1)
        try:
            client.connect(rig.path("api.sock"))
        except OSError:
            break                       # its backlog is full
        clients.append(client)
    return clients


def exhaust(rig, config, supervisor):
    process = supervisor.process
    before = descriptors(process)
    limit_descriptors(process, before + random.randrange(5))
    clients = eat_descriptors(rig, 60)
    time.sleep(1)
    rig.end("sim")
    rig.end("mosquitto")
    time.sleep(1)
    clients += eat_descriptors(rig, 60)
    busy, log = cpu_s(process), len(rig.log("daemon"))
    rig.start_sim(config)
    rig.start_broker()
    time.sleep(12)
    busy, log = cpu_s(process) - busy, len(rig.log("daemon")) - log
    rig.check("it does not spin (%.1f s of CPU in 12 s)" % busy, busy < 3)
    rig.check("nor fill the log (%d bytes)" % log, log < 4000, rig.log("daemon")[-2000:])
    rig.check("it is fed", not supervisor.kills_ms)
    for client in clients:
        client.close()
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    limit_descriptors(process, hard)
    delivers(rig, "delivers again", PAUSE_S)
    rig.wait_connected()
    time.sleep(3)
    now = descriptors(process)
    rig.check("no descriptor is left behind (%d, %d before)" % (now, before), now <= before + 2)


def exhausted():
    """No descriptor is to be had while the sensors and the broker come back."""
    trials = 30 if LONG else 1
    rig = Rig("descriptors")
    config = two_lines(rig)
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    supervisor = Supervisor(rig, config, 8)
    delivers(rig, "delivers before")
    for _ in range(trials):
        exhaust(rig, config, supervisor)
    until = rig.drain()
    supervisor.stop()
    invariant(rig, until)
    finish(rig, "S29", trials)


def slow_cpu():
    """A tenth of a core, and an outage to catch up with."""
    trials = 30 if LONG else 1
    rig = Rig("slow-cpu")
    group = Cgroup("cpu", "slow", **{"cfs_period_us": 100000, "cfs_quota_us": 10000})
    if not group.ok:
        rig.finish()
        return
    config = wide_lines(rig, 4, "200ms")
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    supervisor = Supervisor(rig, config, 10)
    delivers(rig, "delivers before")
    group.add(supervisor.process)
    time.sleep(5)
    for _ in range(trials):
        rig.end("mosquitto")
        time.sleep(15)
        rig.start_broker()
        delivers(rig, "delivers after an outage", PAUSE_S)
        time.sleep(10)
    until = rig.drain(60)
    rig.check("throttled %s" % group.read("cpu.stat").split()[3], True)
    rig.check("the watchdog was fed, nobody hangs", not supervisor.kills_ms and
              "hangs" not in rig.log("daemon"), rig.log("daemon"))
    supervisor.stop()
    invariant(rig, until)
    rig.end("daemon")
    group.remove()
    finish(rig, "S29", trials)


# ---- S28: memory ----

def small_memory():
    """64 MiB, page cache included; ten devices of 50 points ten times a second, broker away and
    back."""
    rig = Rig("small-memory")
    group = Cgroup("memory", "small", limit_in_bytes=64 << 20)
    config = wide_lines(rig)
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    process = rig.start_daemon(config)
    if group.ok:
        group.add(process)
    else:
        resource.prlimit(process.pid, resource.RLIMIT_AS, (512 << 20, 512 << 20))
    delivers(rig, "delivers before")
    time.sleep(5)
    rss, anonymous = memory(process)
    rig.end("mosquitto")
    time.sleep(15 if not LONG else 600)
    away = memory(process)
    rig.start_broker()
    delivers(rig, "delivers after an outage", PAUSE_S)
    until = rig.drain(60)
    back = memory(process)
    print("figure small-memory-rss %d %d %d KiB (before, away, back)" % (rss, away[0], back[0]))
    print("figure small-memory-anonymous %d %d %d KiB" % (anonymous, away[1], back[1]))
    rig.check("memory is flat", away[1] - anonymous < 1024 and back[1] - anonymous < 6 * 1024,
              (anonymous, away, back))
    if group.ok:
        control = group.read("memory.oom_control")
        rig.check("nothing was killed", "oom_kill 0" in control and process.poll() is None, control)
    invariant(rig, until)
    rig.end("daemon")
    group.remove()
    finish(rig, "S28")


def mallocs(rig, config):
    """How many calls a start takes until it is ready, and one second of running more."""
    log = rig.path("malloc.log")
    process = rig.start_daemon(config, LD_PRELOAD=MALLOCFAIL, MALLOC_LOG=log,
                               MALLOC_FAIL="4000000000")
    rig.wait(lambda: rig.api("/v1/status"), 10, "it starts")
    time.sleep(1)
    rig.check("counts", rig.end("daemon") == 0, process.returncode)
    with open(log, encoding="ascii") as f:
        total = int(f.read().split()[1])
    os.remove(log)
    return total


def crash_of(rig):
    """Where it crashed: the name of the program or library, and the calls that led there; "" when it
    did not."""
    path = rig.path("malloc.log")
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    os.remove(path)
    frames = [line.split("/")[-1] for line in text.splitlines()
              if "mallocfail" not in line and "libc.so" not in line]
    at = next((i for i, frame in enumerate(frames) if frame.startswith("signal ")), None)
    if at is None:
        return ""
    frames.append("nowhere")            # what crashes may have lost its way
    return "%s: %s" % (frames[at + 1].split("(")[0], " ".join(frames[at + 1:at + 5]))


def fail_check(rig, config, numbers):
    """`--check` with one refusal: says so or goes on, but never crashes."""
    crashes = []
    for number in numbers:
        for last in (number, number + 50):
            run = subprocess.run([os.path.join(BUILD, "lifelined"), "--check", "-c", config,
                                  "--profiles", os.path.join(SOURCE, "config", "profiles")],
                                 env=dict(os.environ, LD_PRELOAD=MALLOCFAIL,
                                          MALLOC_FAIL="%d-%d" % (number, last),
                                          MALLOC_LOG=rig.path("malloc.log")),
                                 capture_output=True, timeout=60)
            how = crash_of(rig)
            if run.returncode not in (0, 1) or how:
                crashes.append((number, last, run.returncode, how))
    return crashes


def fail_run(rig, config, first, last, seconds):
    """One life of the daemon with refusals: (exit status, how it crashed). Every other time its API
    is asked meanwhile: the answers take more memory than everything else that runs."""
    ask = random.random() < 0.5
    starts = rig.log("daemon").count("devices on")
    process = rig.start_daemon(config, LD_PRELOAD=MALLOCFAIL, MALLOC_FAIL="%d-%d" % (first, last),
                               MALLOC_LOG=rig.path("malloc.log"))
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if answers(rig) if ask else rig.log("daemon").count("devices on") > starts:
            end = min(end, time.monotonic() + 1)
        time.sleep(0.05)
    ran = process.poll() is None
    if ran:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "hung", "does not end"
    del rig.processes["daemon"]
    return process.returncode, crash_of(rig)


def answers(rig):
    try:
        return rig.api("/v1/status")
    except ValueError:
        return True                     # less than an answer, for want of memory


def intact(path):
    with closing(sqlite3.connect("file:%s?mode=ro" % path, uri=True)) as db:
        return db.execute("PRAGMA integrity_check").fetchone()[0]


def refused_memory():
    """The Nth request for memory is refused, once or fifty times in a row, N over start and running.
    libevent and libfyaml crash of it in places; then the store is what a kill leaves."""
    rig = Rig("refused-memory")
    os.nice(10 if LONG else 0)          # it keeps a processor busy, the other scenarios wait
    config = two_lines(rig)
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    total = mallocs(rig, config)
    ends_ms, crashes, statuses, trials = [now_ms()], [], {}, 0
    numbers = [int(random.uniform(1, total)) for _ in range(1000 if LONG else 25)]
    numbers += [total - int(random.uniform(0, 1500)) for _ in range(500 if LONG else 25)]
    for number in numbers:
        last = random.choice((number, number + 50))
        status, how = fail_run(rig, config, number, last, 5)
        trials += 1
        ends_ms.append(now_ms())
        statuses[status] = statuses.get(status, 0) + 1
        if status not in (0, 1) or how:
            crashes.append((number, last, status, how))
    rig.check("the store is whole", intact(rig.path("store.db")) == "ok")
    aside = [name for name in os.listdir(rig.folder) if "corrupt" in name]
    rig.check("and was never taken for damaged", not aside, aside)
    checks = [int(random.uniform(1, total)) for _ in range(2000 if LONG else 100)]
    crashes += fail_check(rig, config, checks)
    print("figure refused-memory-calls %d; %d lives, exit statuses %s; %d checks"
          % (total, trials, statuses, 2 * len(checks)))
    for crash in crashes:
        print("crash %s" % (crash,), flush=True)
    rig.start_daemon(config)
    delivers(rig, "delivers with memory again")
    until = rig.drain(30)
    _, gaps = check_delivery(rig)
    match(rig, 600, until)              # who tells of a refusal is not quick
    rig.check("nothing was lost as corrupt", not any(gap.reason == 5 for list_ in gaps.values()
                                                     for gap in list_), dict(gaps))
    ours = [crash for crash in crashes if not crash[3].startswith("lib")]
    rig.check("no crash of ours (%d of libraries)" % (len(crashes) - len(ours)), not ours, ours[:3])
    finish(rig, "S28", trials + 2 * len(checks))


# ---- S11, S31, S32: days ----

def outage():
    """A broker that is away for days, time-scaled: what 10 s bring comes in 100 ms. Then it is back."""
    rig = Rig("outage")
    config = wide_lines(rig, 6, "100ms", store="segment: 1s")
    rig.expect_subscriber()
    rig.start_sim(config)
    process = rig.start_daemon(config)
    rig.wait(lambda: rig.api("/v1/status"), 10, "it starts")
    time.sleep(10)
    samples = []
    seconds = 20 if not LONG else 2592  # 72 h
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        samples.append((time.monotonic() - begin, *memory(process), descriptors(process)))
        time.sleep(seconds / 90)
    rss, anonymous = (slope([(t, s[i]) for t, *s in samples]) for i in (0, 1))
    polls = rig.api("/v1/status")["pipeline"]["samples"]
    print("figure outage: %d polls; RSS %d KiB, %+.2f KiB/s; anonymous %d KiB, %+.3f KiB/s"
          % (polls, samples[-1][1], rss, samples[-1][2], anonymous))
    rig.check("anonymous memory is flat", samples[-1][2] - samples[0][2] < 256, samples[::10])
    rig.check("resident memory is bounded", samples[-1][1] - samples[0][1] < 3000, samples[::10])
    rig.check("descriptors are constant", samples[-1][3] <= samples[0][3] + 1, samples[::10])
    rig.start_broker()
    rig.wait_connected()
    invariant(rig, rig.drain(60))
    rig.score("S11", 1, ["see above"] * rig.failures)
    finish(rig, "S31")


def written(process):
    with open("/proc/%d/io" % process.pid, encoding="ascii") as f:
        return int(next(line for line in f if line.startswith("write_bytes")).split()[1])


def wear():
    """What the status says of the flash is what the kernel counts, and is little beside the data."""
    rig = Rig("wear")
    config = wide_lines(rig, 2, "1s", store="segment: %ds" % (60 if LONG else 20))
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    process = rig.start_daemon(config)
    rig.wait_connected()
    time.sleep(5)
    before, begin = written(process), time.monotonic()
    time.sleep(62 if not LONG else 600)   # the status knows a rate after a minute
    day = (written(process) - before) / (time.monotonic() - begin) * 86400
    store = rig.api("/v1/status")["store"]
    text = subprocess.run([os.path.join(BUILD, "lifelinectl"), "status"], capture_output=True,
                          env=dict(os.environ, LIFELINE_SOCKET=rig.path("api.sock"), LC_ALL="C"),
                          encoding="utf-8").stdout
    said = store["flash_bytes_day"]
    rig.check("the status says %.0f MB a day, the kernel %.0f" % (said / 1e6, day / 1e6),
              0.8 * day < said < 1.25 * day)
    readings = 100.0 * 86400
    print("figure wear %.0f bytes/day, %.0f a reading; card %s" % (day, day / readings,
                                                                   store["card"]))
    card = next(line for line in text.splitlines() if line.startswith("card "))
    rig.check("and how long the card lasts, or that it is not known: %s" % card,
              "not known" in card if store["card"]["years"] is None else "years" in card, text)
    rig.check("the open segment is not rewritten beyond measure", day / readings < 400)
    rig.drain()
    check_delivery(rig)
    finish(rig, "S32")


SCENARIOS = {scenario.__name__: scenario for scenario in (
    hang_line, hang_store, hang_pipeline, hang_uplink, hang_main, freeze, exhausted, slow_cpu,
    small_memory, refused_memory, outage, wear)}

if __name__ == "__main__":
    run_scenarios(SCENARIOS)
