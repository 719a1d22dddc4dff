#!/usr/bin/python3
"""A bus that keeps its pace whatever hangs on it: dead, flapping and late units, one that comes back,
registers that a sensor does not have, more than a line can do, a read in the middle of that, servers
with one connection, devices that are not there yet, and an end with nothing answering."""
import collections
import json
import os
import pty
import shutil
import signal
import socket
import statistics
import subprocess
import threading
import time
import tty

from invariant import check_delivery, match
from rig import BUILD, SOURCE, Rig, block_times, free_port, grid_deviations, now_ms, run_scenarios


def line_of(rig, name):
    return next(line for line in rig.api("/v1/lines")["lines"] if line["name"] == name)


def units_of(rig, name):
    return {unit["name"]: unit for unit in line_of(rig, name)["units"]}


def log_lines(rig, words):
    return [line for line in rig.log("daemon").splitlines() if words in line]


def good_rows(rig):
    """device -> times of its good rows"""
    rows = collections.defaultdict(set)
    for device, _, t, _, quality, _ in rig.readings():
        if quality == "good":
            rows[device].add(t)
    return rows


def deliver(rig, tolerance_ms):
    """Ends the sensors, waits for all that is stored and compares it with what they said. Frozen
    meanwhile: who rests is asked once a minute, and each such row would be one too young. Returns
    what `match` does, and the moment before which every answer must have arrived."""
    until = rig.drain()
    rig.processes["daemon"].send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    check_delivery(rig)
    missing, _ = match(rig, tolerance_ms, until)
    rig.processes["daemon"].send_signal(signal.SIGCONT)
    return missing, until


# ---- 31 units on one line, 13 of them sick ----

UNITS, DEAD, FLAPPING = 31, 10, 2
TIMEOUT_MS, RETRIES, PERIOD_MS, BUS_S = 150, 1, 1200, 60


def bus():
    """Two lines of the same configuration in one run; on `sick` ten units are dead, two flap and one
    answers after its timeout. What the 18 others deliver, against the same 18 on `well`."""
    rig = Rig("line-bus")
    config = rig.configure(
        ["name: %s, transport: rtu, device: %s, serial: 9600 8N1, timeout: %dms, retries: %d"
         % (name, rig.path(name), TIMEOUT_MS, RETRIES) for name in ("well", "sick")],
        ["name: %s-%02d, line: %s, unit: %d, profile: sht20, every: %dms"
         % (name, unit, name, unit, PERIOD_MS) for name in ("well", "sick")
         for unit in range(1, UNITS + 1)])
    dead = ["sick-%02d" % (3 * i + 2) for i in range(DEAD)]
    flapping, late = ["sick-03", "sick-18"], "sick-09"
    script = ["- { device: %s, fault: mute }" % device for device in dead]
    script += ["- { at: %ds, for: 5s, repeat: 10s, device: %s, fault: mute }" % (5 * i, device)
               for i, device in enumerate(flapping)]
    script += ["- { device: %s, fault: late, delay: %dms }" % (late, 2 * TIMEOUT_MS + 100)]
    live = [unit for unit in range(1, UNITS + 1)
            if "sick-%02d" % unit not in dead + flapping + [late]]
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config, "--script", rig.write("script.yaml", "\n".join(script) + "\n"))
    rig.start_daemon(config)
    time.sleep(12)
    start, before = now_ms(), units_of(rig, "sick")
    time.sleep(BUS_S)
    end, after = now_ms(), units_of(rig, "sick")
    loads = [line_of(rig, name)["load_percent"] for name in ("well", "sick")]
    deliver(rig, 500)               # the journal is ahead of a sensor that the machine froze
    rows = good_rows(rig)

    def count(name):
        return {unit: sum(start <= t < end for t in rows["%s-%02d" % (name, unit)])
                for unit in live}

    well, sick = count("well"), count("sick")
    share = 100 * sum(sick.values()) / max(sum(well.values()), 1)
    nominal = 100 * sum(sick.values()) * PERIOD_MS / (len(live) * (end - start))
    rig.check("a line that is busy for %d %% of the time when all are well" % loads[0],
              50 <= loads[0] <= 80, loads)
    rig.check("the %d live units keep %.1f %% of their readings (%.1f %% of what is asked; the line "
              "is busy for %d %%)" % (len(live), share, nominal, loads[1]),
              len(live) == 18 and share >= 95, (well, sick))
    worst = min(100 * sick[unit] / max(well[unit], 1) for unit in live)
    rig.check("the one that loses most keeps %.1f %%" % worst, worst >= 90, (well, sick))
    asked = sum(after[device]["counts"]["timeout"] - before[device]["counts"]["timeout"]
                for device in dead)
    share = 100 * asked * TIMEOUT_MS / (end - start)
    rig.check("the dead are still asked, %d times, for %.1f %% of the line" % (asked, share),
              asked >= DEAD and share <= 6, after[dead[0]])
    flapped = [sum(start <= t < end for t in rows[device]) for device in flapping]
    # Who rests with eleven others waits for his turn in their twentieth of the line.
    rig.check("those that flap are heard when their turn meets them well: %s of %d rows"
              % (flapped, BUS_S * 500 / PERIOD_MS), max(flapped) >= 1, flapped)
    rig.check("the dead and the late one never have a value",
              not any(rows[device] for device in dead + [late]))
    said = log_lines(rig, "%s (unit" % late)
    rig.check("the log has few words for the late one", 1 <= len(said) <= 6, said)
    rig.finish()


# ---- one that comes back ----

def comeback():
    rig = Rig("line-comeback")
    config = rig.configure(
        ["name: bus, transport: rtu, device: %s, serial: 9600 8N1, timeout: 150ms" %
         rig.path("bus")],
        ["name: unit-%d, line: bus, unit: %d, profile: rs-dip-n01, every: 500ms" % (i, i)
         for i in (1, 2, 3, 4)])
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config, "--script", rig.write("script.yaml", "[]\n"))
    rig.start_daemon(config)
    time.sleep(4)
    rig.write("script.yaml", "- { for: 20s, device: unit-2, fault: mute }\n")
    rig.processes["sim"].send_signal(signal.SIGHUP)
    mute, mute_ms, steps, seen = time.monotonic(), now_ms(), [], None
    while time.monotonic() < mute + 40 and seen is None:
        unit = units_of(rig, "bus")["unit-2"]
        at = time.monotonic() - mute
        if unit["resting"] and at < 20:
            steps.append(unit["next_ms"])
        if at > 20 and unit["outcome"] == "ok":
            seen = at - 20
        time.sleep(0.05)
    back = now_ms()
    step_s = max(steps, default=0) / 1000
    rig.check("it rests while it is silent, up to %.1f s" % step_s, 0.5 < step_s < 60, steps)
    rig.check("back: seen after %s s, within one step" % (seen and round(seen, 1)),
              seen is not None and seen <= step_s + 0.5, (seen, steps[-3:]))
    time.sleep(6)
    rig.check("it rests no more", not units_of(rig, "bus")["unit-2"]["resting"])
    deliver(rig, 60)
    rows = good_rows(rig)
    bad = sorted({t - mute_ms for device, _, t, _, quality, _ in rig.readings()
                  if device == "unit-2" and quality == "timeout"})
    stale = [t - mute_ms for t in rows["unit-2"] if 100 < t - mute_ms < 19900]
    rig.check("its silence is told after %s ms, and no value after it" % (bad and bad[0]),
              bad and 0 < bad[0] <= 3 * 500 and not stale, (bad[:3], stale[:3]))
    times = [t for t in rows["unit-2"] if back + 500 <= t < back + 5500]
    rig.check("and has its old pace (%d rows in 5 s)" % len(times), 9 <= len(times) <= 11,
              sorted(times))
    rig.finish()


# ---- what else is heard on a bus ----

GARBAGE = ["noise", "foreign", "twin", "garbled", "wrong-unit", "short"]


def garbage():
    """One unit's answers spoilt in six ways, 3 s each: never a wrong value, the neighbours lose
    nothing, and the unit is well again within three cycles."""
    rig = Rig("line-garbage")
    period_ms, timeout_ms, fault_s, turn_s = 300, 60, 3, 6
    config = rig.configure(
        ["name: bus, transport: rtu, device: %s, serial: 19200 8N1, timeout: %dms" %
         (rig.path("bus"), timeout_ms)],
        ["name: %s, line: bus, unit: %d, profile: rs-dip-n01, every: %dms" % (name, unit, period_ms)
         for unit, name in ((1, "sick"), (2, "next"), (3, "well"))])
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config, "--script", rig.write("script.yaml", "[]\n"))
    rig.start_daemon(config)
    time.sleep(3)
    rig.write("script.yaml", "".join(
        "- { at: %ds, for: %ds, device: sick, fault: %s }\n" % (i * turn_s, fault_s, fault)
        for i, fault in enumerate(GARBAGE)))
    rig.processes["sim"].send_signal(signal.SIGHUP)
    start = now_ms()
    time.sleep(turn_s * len(GARBAGE))
    counts = {name: unit["counts"] for name, unit in units_of(rig, "bus").items()}
    deliver(rig, 60)
    rows = good_rows(rig)
    for i, fault in enumerate(GARBAGE):
        begin, end = start + i * turn_s * 1000, start + (i * turn_s + fault_s) * 1000
        after = [t - end for t in rows["sick"] if end <= t < end + 3000]
        read = sum(begin + 100 <= t < end for t in rows["sick"])
        rig.check("%s: well again %d ms after it (good rows in it: %d of %d)"
                  % (fault, min(after, default=9999), read, fault_s * 1000 / period_ms),
                  min(after, default=9999) <= 3 * period_ms + 300, sorted(after)[:3])
    spoilt = counts["sick"]["garbled"] + counts["sick"]["foreign"] + counts["sick"]["late"]
    rig.check("what was heard is counted", spoilt >= 30 and
              counts["sick"]["requests"] > counts["sick"]["good"], counts)
    # Not every answer is a reading: who is heard uninvited is asked for a proof, too.
    polls = turn_s * len(GARBAGE) * 1000 / period_ms
    kept = {name: sum(start <= t < start + turn_s * len(GARBAGE) * 1000 for t in rows[name])
            for name in ("next", "well")}
    rig.check("the neighbours lose nothing: %s of %d rows" % (kept, polls),
              min(kept.values()) >= 0.95 * polls and
              all(counts[name]["good"] >= 0.97 * counts[name]["requests"] for name in kept), counts)
    rig.finish()


# ---- registers that a sensor does not have ----

def holes_profile(rig, name, addresses):
    os.makedirs(rig.path("profiles"), exist_ok=True)
    points = "".join("  - { name: r%02d, quantity: raw, unit: \"1\", function: holding, address: %d,"
                     " type: u16, wrap: 65536 }\n" % (a, a) for a in addresses)
    rig.write("profiles/%s.yaml" % name, "profile: %s\ntitle: { zh: 测试, en: test }\n"
              "sector: corridor\nstatus: beta\nsource: made for this test\npoints:\n%s"
              % (name, points))


def holes():
    rig = Rig("line-holes")
    holes_profile(rig, "whole", range(12))
    holes_profile(rig, "gap", [0, 1, 2, 6, 7, 8])
    config = rig.configure(
        ["name: plc, transport: tcp, host: 127.0.0.1, port: %d, timeout: 150ms" % free_port(),
         "name: bus, transport: rtu, device: %s, serial: 9600 8N1, timeout: 150ms"
         % rig.path("bus")],
        ["name: %s-%s, line: %s, unit: %d, profile: %s, every: 500ms" % (line, name, line, unit,
                                                                        profile)
         for line in ("plc", "bus")
         for unit, (name, profile) in enumerate([("refused", "whole"), ("bridged", "gap"),
                                                 ("silent", "gap"), ("fine", "whole")], 1)])
    script = ""
    for line in ("plc", "bus"):
        script += ("- { device: %s-refused, fault: hole, address: 5, count: 2 }\n"
                   "- { device: %s-bridged, fault: hole, address: 3, count: 3 }\n"
                   "- { device: %s-silent, fault: hole, address: 4, silent: true }\n"
                   % (line, line, line))
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config, "--script", rig.write("script.yaml", script))
    rig.start_daemon(config)
    time.sleep(20)
    _, until = deliver(rig, 400)    # parts of a row are asked one after the other
    rows = collections.defaultdict(dict)        # (device, point) -> time -> quality
    for device, point, t, _, quality, _ in rig.readings():
        if t < until:
            rows[device, point][t] = quality
    for line in ("plc", "bus"):
        check_holes(rig, line, rows)
    rig.finish()


def check_holes(rig, line, rows):
    def failed(device, point):
        """How many of its rows are bad, and how many there are."""
        qualities = rows[line + device, "r%02d" % point].values()
        return sum(q != "good" for q in qualities), len(qualities)

    for device, points, bad_rows in (("-refused", [p for p in range(12) if p not in (5, 6)], 1),
                                     ("-bridged", [0, 1, 2, 6, 7, 8], 1),
                                     ("-silent", [0, 1, 2, 6, 7, 8], 6), ("-fine", range(12), 0)):
        bad = {p: failed(device, p) for p in points}
        rig.check("%s%s: what it has is read, after at most %d polls" % (line, device, bad_rows),
                  all(n <= bad_rows and count > 10 for n, count in bad.values()), bad)
        said = [s for s in log_lines(rig, line + device) if "does not have all" in s]
        rig.check("%s%s: and said once" % (line, device),
                  len(said) == (device != "-fine"), said)
    for point in (5, 6):
        qualities = set(rows[line + "-refused", "r%02d" % point].values())
        rig.check("%s-refused: register %d is an exception for ever" % (line, point),
                  qualities == {"exception"}, qualities)


# ---- more than a line can do, and a read in the middle of it ----

def overload():
    rig = Rig("line-overload")
    units = range(1, 11)
    config = rig.configure(
        ["name: bus, transport: rtu, device: %s, serial: 4800 8N1" % rig.path("bus")],
        ["name: unit-%02d, line: bus, unit: %d, profile: rs-dip-n01, every: 630ms" % (i, i)
         for i in units])
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config, "--turnaround", "40", "--script", rig.write("script.yaml", "[]\n"))
    rig.start_daemon(config)
    time.sleep(8)
    start = now_ms()
    took = []
    for i in units:
        begin = time.monotonic()
        answer = subprocess.run(["curl", "-s", "-m", "5", "-X", "POST", "--unix-socket",
                                 rig.path("api.sock"),
                                 "http://localhost/v1/devices/unit-%02d/read" % i],
                                capture_output=True, text=True)
        took.append(round(1000 * (time.monotonic() - begin)))
        rig.check("read of unit-%02d answers" % i, "tilt_x" in answer.stdout, answer.stdout)
        time.sleep(0.3)
    # Two requests may be under way or due: the one on the line and its own.
    rig.check("a read goes before the backlog (%d … %d ms; a round takes 940)"
              % (min(took), max(took)), statistics.median(took) < 300 and max(took) < 500, took)
    time.sleep(17)
    end, line = now_ms(), line_of(rig, "bus")
    stretches = [unit["stretch"] for unit in line["units"]]
    rig.check("the line says that all of its devices slip, %.2f to %.2f times their period"
              % (min(stretches), max(stretches)), line["slipping"] == 10 and
              1.2 < min(stretches) and max(stretches) < 1.9 and
              all(unit["slipped"] > 0 for unit in line["units"]), line)
    rig.check("and is busy for %d %%" % line["load_percent"], line["load_percent"] > 90)
    rig.check("the log says so once, with names", len(log_lines(rig, "too much to do")) == 1 and
              "unit-" in log_lines(rig, "too much to do")[0], log_lines(rig, "line bus"))
    rig.write("script.yaml", "".join("- { device: unit-%02d, fault: mute }\n" % i
                                     for i in range(6, 11)))
    rig.processes["sim"].send_signal(signal.SIGHUP)
    rig.wait(lambda: log_lines(rig, "keeps its periods again"), 40, "and says when it is over")
    rig.check("nothing that answers slips any more",
              all(unit["stretch"] < 1.2 for unit in line_of(rig, "bus")["units"][:5]),
              line_of(rig, "bus"))
    deliver(rig, 120)
    counts = [sum(start <= t < end for t in times) for _, times in sorted(good_rows(rig).items())]
    rig.check("every unit has its turn (%s rows)" % counts,
              max(counts) <= 1.2 * min(counts), counts)
    rig.finish()


# ---- what is not there yet ----

def absent():
    """A serial device that is a directory, and then none, and then one; the same without a restart of
    the daemon."""
    rig = Rig("line-absent")
    config = rig.configure(
        ["name: bus, transport: rtu, device: %s, serial: 9600 8N1" % rig.path("tty")],
        ["name: air, line: bus, unit: 1, profile: sht20, every: 500ms"])
    os.mkdir(rig.path("tty"))
    rig.start_daemon(config)
    time.sleep(3)
    line = line_of(rig, "bus")
    rig.check("a device that cannot be opened: the line is closed, and counts",
              not line["open"] and line["units"][0]["outcome"] == "link", line)
    os.rmdir(rig.path("tty"))
    time.sleep(3)
    rig.check("the log has one line for each reason", len(log_lines(rig, "line bus: /")) <= 2,
              log_lines(rig, "line bus"))
    rig.start_sim(config)
    rig.wait(lambda: line_of(rig, "bus")["units"][0]["outcome"] == "ok", 12,
             "it works when the device is there")
    rig.check("and the log says so", len(log_lines(rig, "line bus: works again")) == 1,
              log_lines(rig, "line bus"))
    rig.finish()


# ---- servers that allow one connection ----

class Narrow:
    """In front of a server: one connection at a time, a second one is hung up and counted."""

    def __init__(self, port, behind):
        self.behind = behind
        self.connections = self.refused = self.open = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with self.lock:
                if self.open:
                    self.refused += 1
                    connection.close()
                    continue
                self.open += 1
                self.connections += 1
            threading.Thread(target=self.relay, args=(connection,), daemon=True).start()

    def relay(self, connection):
        try:
            with socket.create_connection(("127.0.0.1", self.behind)) as server:
                while True:
                    request = connection.recv(300)
                    if not request:
                        break
                    server.sendall(request)
                    connection.sendall(server.recv(300))
        except OSError:
            pass
        with self.lock:
            self.open -= 1
        connection.close()


def narrow():
    rig = Rig("line-narrow")
    fronts, behinds = [free_port(), free_port()], [free_port(), free_port()]
    names = ["polite", "hogged"]

    def configure(ports, name):
        return rig.configure(
            ["name: %s, transport: tcp, host: 127.0.0.1, port: %d, close_between_polls: %s"
             % (line, port, "true" if line == "polite" else "false")
             for line, port in zip(names, ports)],
            ["name: %s-%d, line: %s, unit: %d, profile: rs-dip-n01, every: 500ms"
             % (line, i, line, i) for line in names for i in (1, 2, 3)], name=name)

    rig.start_broker()
    rig.subscribe()
    rig.start_sim(configure(behinds, "sim.yaml"), "--connections", "1")
    polite = Narrow(fronts[0], behinds[0])
    hog = socket.create_connection(("127.0.0.1", behinds[1]))
    pid = rig.start_daemon(configure([fronts[0], behinds[1]], "gateway.yaml")).pid
    time.sleep(4)
    descriptors = len(os.listdir("/proc/%d/fd" % pid))
    rig.check("a server whose one connection somebody else has: `link`",
              line_of(rig, "hogged")["units"][0]["outcome"] == "link", line_of(rig, "hogged"))
    hog.close()
    rig.wait(lambda: all(unit["outcome"] == "ok" for unit in line_of(rig, "hogged")["units"]), 15,
             "it works when that one has gone")
    start, before = polite.connections, line_of(rig, "polite")["counts"]
    time.sleep(8)
    connects = polite.connections - start
    counts = line_of(rig, "polite")["counts"]
    asked = counts["requests"] - before["requests"]
    rig.check("closed between polls: %d connections for %d requests" % (connects, asked),
              asked >= 40 and asked / 4 <= connects <= asked + 1, counts)
    rig.check("never two at a time, nothing fails",
              polite.refused == 0 and counts["good"] == counts["requests"], counts)
    now = len(os.listdir("/proc/%d/fd" % pid))
    rig.check("and no descriptor is left behind (%d, %d)" % (descriptors, now),
              abs(now - descriptors) <= 2)
    missing, _ = deliver(rig, 60)
    lost = [entry for entries in missing.values() for entry in entries]
    rig.check("every answer is a reading", not lost, lost[:5])
    rig.finish()


# ---- sample times ----

def jitter():
    """10 devices x 100 registers on TCP, each 100 ms and each second: when they are sampled, against
    a grid of their period. The bench prints what is aimed at; here ten times looser."""
    rig = Rig("line-jitter")
    os.makedirs(rig.path("profiles"))
    shutil.copy(os.path.join(SOURCE, "tests", "bench", "profiles", "bench-100.yaml"),
                rig.path("profiles"))
    ports = [free_port() for _ in range(20)]
    periods = [100] * 10 + [1000] * 10
    config = rig.configure(
        ["name: l%02d, transport: tcp, host: 127.0.0.1, port: %d" % (i, port)
         for i, port in enumerate(ports)],
        ["name: d%02d, line: l%02d, unit: 1, profile: bench-100, every: %dms" % (i, i, period)
         for i, period in enumerate(periods)])
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    rig.start_daemon(config)
    time.sleep(25)
    rig.drain(quiet_s=1)
    times = block_times(rig)
    for period in (100, 1000):
        off, drift = [], []
        for i in range(20):
            if periods[i] == period:
                mine, moved = grid_deviations(times["d%02d" % i][3:], period)
                off += mine
                drift.append(abs(moved))
        off.sort()
        p99 = off[len(off) * 99 // 100]
        rig.check("each %d ms: p50 %d, p99 %d, worst %d ms off the grid, drift %.1f ms"
                  % (period, statistics.median(off), p99, off[-1], max(drift)),
                  len(off) > 150 and p99 <= 50 and max(drift) <= 5, (len(off), off[-20:], drift))
    rig.finish()


# ---- an end with nothing answering ----

def full_listener():
    """A port on which a connect never completes: its queue is full. Returns what holds it so."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    held = [listener]
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        held.append(client)
    time.sleep(0.2)
    with socket.socket() as probe:
        probe.settimeout(0.3)
        try:
            probe.connect(listener.getsockname())
            raise RuntimeError("the queue of the listener is not full")
        except TimeoutError:
            return held


def ending():
    """SIGTERM while every device is down in its own way: exit status 0 within a second."""
    rig = Rig("line-ending")
    full = full_listener()
    silent = socket.create_server(("127.0.0.1", 0))
    dtu = socket.create_server(("127.0.0.1", 0))
    master, slave = pty.openpty()
    tty.setraw(master)
    os.symlink(os.ttyname(slave), rig.path("nobody"))
    long = "timeout: 60s"
    config = rig.configure(
        ["name: refused, transport: tcp, host: 127.0.0.1, port: %d, %s" % (free_port(), long),
         "name: silent, transport: tcp, host: 127.0.0.1, port: %d, %s"
         % (silent.getsockname()[1], long),
         "name: full, transport: tcp, host: 127.0.0.1, port: %d, %s"
         % (full[0].getsockname()[1], long),
         "name: dtu, transport: rtu-over-tcp, host: 127.0.0.1, port: %d, %s"
         % (dtu.getsockname()[1], long),
         "name: bus, transport: rtu, device: %s, serial: 9600 8N1, %s" % (rig.path("nobody"), long),
         "name: gone, transport: rtu, device: %s, serial: 9600 8N1, %s" % (rig.path("no"), long)],
        ["name: %s-%d, line: %s, unit: %d, profile: rs-dip-n01, every: 1s" % (line, unit, line, unit)
         for line in ("refused", "silent", "full", "dtu", "bus", "gone") for unit in (1, 2)])
    for wait_s in (0.5, 2, 5):
        daemon = rig.start_daemon(config)
        time.sleep(wait_s)
        alive = daemon.poll() is None
        begin = time.monotonic()
        code = rig.end("daemon")
        took_ms = 1000 * (time.monotonic() - begin)
        rig.check("after %.1f s: ends with %s in %d ms" % (wait_s, code, took_ms),
                  alive and code == 0 and took_ms <= 1000, rig.log("daemon"))
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"bus": bus, "comeback": comeback, "garbage": garbage, "holes": holes, "overload": overload,
                   "absent": absent, "narrow": narrow, "jitter": jitter, "ending": ending})
