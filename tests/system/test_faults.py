#!/usr/bin/python3
"""Every fault that the simulator can play, on TCP and on a serial line: the subscriber sees the
quality, a counter counts, the log has one line per change of state, the neighbour on the same line
keeps its readings, no value stands under a wrong point or time, and the device comes back."""
import collections
import signal
import sys
import time

from invariant import check_delivery, match
from rig import Rig, free_port, now_ms

# fault: what the daemon calls it; the counter of the first. A unit whose late answer is heard while it
# is asked the next time speaks, at least: `garbled`.
TCP = {"mute": ["timeout"], "late": ["timeout"], "garbled": ["garbled"],
       "exception": ["exception"], "wrong-unit": ["garbled"], "short": ["garbled"],
       "drop-link": ["link"]}
RTU = {"mute": ["timeout"], "late": ["timeout", "garbled"], "garbled": ["garbled"],
       "exception": ["exception"], "wrong-unit": ["garbled"], "short": ["garbled"]}
FAULT_S, PAUSE_S = 3, 13               # a silent unit behind a network is not asked for 10 s


class Line:
    def __init__(self, name, faults, sick, well):
        self.name, self.faults, self.sick, self.well = name, faults, sick, well

    def script(self):
        for i, fault in enumerate(self.faults):
            target = "line: " + self.name if fault == "drop-link" else "device: " + self.sick
            yield "- { at: %ds, for: %ds, %s, fault: %s }" % (
                i * (FAULT_S + PAUSE_S), FAULT_S, target, fault)


LINES = [Line("plc", TCP, "main", "well"), Line("rs485", RTU, "tank", "cover"),
         Line("dtu", {"drop-link": ["link"], "mute": ["timeout"]}, "roof", "shaft")]
# a link that goes, and a unit that is silent when it is back
LONE = ["- { at: 1s, for: 3s, line: lone, fault: drop-link }",
        "- { at: 4s, for: 6s, device: loner, fault: mute }"]


def configure(rig):
    timing = "timeout: 100ms, retries: 1"
    return rig.configure(
        ["name: plc, transport: tcp, host: 127.0.0.1, port: %d, %s" % (free_port(), timing),
         "name: rs485, transport: rtu, device: %s, serial: 19200 8N1, %s"
         % (rig.path("tty"), timing),
         "name: dtu, transport: rtu-over-tcp, host: 127.0.0.1, port: %d, %s"
         % (free_port(), timing),
         "name: lone, transport: tcp, host: 127.0.0.1, port: %d, %s" % (free_port(), timing)],
        ["name: main, line: plc, unit: 1, profile: press-level-a, every: 250ms",
         "name: well, line: plc, unit: 2, profile: rs-dip-n01, every: 250ms",
         "name: tank, line: rs485, unit: 1, profile: press-level-a, every: 400ms",
         "name: cover, line: rs485, unit: 2, profile: rs-dip-n01, every: 400ms",
         "name: roof, line: dtu, unit: 1, profile: press-level-a, every: 400ms",
         "name: shaft, line: dtu, unit: 2, profile: rs-dip-n01, every: 400ms",
         "name: loner, line: lone, unit: 1, profile: press-level-a, every: 250ms"])


def device_counts(rig):
    return {unit["name"]: unit["counts"] for line in rig.api("/v1/lines")["lines"]
            for unit in line["units"]}


def log_lines(text, words):
    return [line for line in text.splitlines() if words in line]


def mark(rig):
    return now_ms(), rig.log("daemon"), device_counts(rig)


def watch(rig):
    """Starts the script and runs through it; the time, the log and the counters 0.7 s before each
    fault begins and after the last."""
    marks = [mark(rig)]
    time.sleep(0.7)
    rig.processes["sim"].send_signal(signal.SIGHUP)
    start = time.monotonic()
    for i in range(1, max(len(line.faults) for line in LINES) + 1):
        time.sleep(max(0, start + i * (FAULT_S + PAUSE_S) - 0.7 - time.monotonic()))
        marks.append(mark(rig))
    return marks


def runs_of(readings, from_ms, to_ms):
    """The qualities in their order, repetitions folded: [(quality, rows)]."""
    runs = []
    for t, quality in readings:
        if from_ms <= t < to_ms:
            if not runs or runs[-1][0] != quality:
                runs.append([quality, 0])
            runs[-1][1] += 1
    return [tuple(run) for run in runs]


def check_fault(rig, line, fault, before, after, rows):
    name = "%s %s" % (line.name, fault)
    kind = line.faults[fault][0]
    runs = runs_of(rows[line.sick], before[0], after[0])
    bad = [q for q, _ in runs[1:-1]]
    rig.check(name + ": good, one row of `%s`, good again" % "` or `".join(line.faults[fault]),
              len(runs) > 2 and runs[0][0] == runs[-1][0] == "good" and bad[0] == kind and
              set(bad) <= set(line.faults[fault]) and (len(bad) == 1 or fault == "late") and
              all(rows == 1 for _, rows in runs[1:-1]), runs)
    counted = after[2][line.sick][kind] - before[2][line.sick][kind]
    rig.check(name + ": counted (%d)" % counted, counted >= 1, (before[2], after[2]))
    text = after[1][len(before[1]):]
    again = log_lines(text, "answers again")
    if fault == "drop-link":
        mine = [entry for entry in log_lines(text, "line %s:" % line.name) if "(unit" not in entry]
        rig.check(name + ": one line when the link goes, one when it is back",
                  len(mine) == 2 and "works again" in mine[1], text)
    else:
        mine = log_lines(text, ": %s (" % line.sick)
        rig.check(name + ": one line in the log when it begins, one when it ends",
                  len(mine) == len(bad) + 1 and "answers again" in mine[-1], text)
        neighbour = runs_of(rows[line.well], before[0], after[0])
        rig.check(name + ": the neighbour keeps its readings",
                  [q for q, _ in neighbour] == ["good"] and
                  neighbour[0][1] >= 0.9 * (after[0] - before[0]) / line_period_ms(line), neighbour)
    rig.check(name + ": each device says once that it is back",
              max(collections.Counter(again).values(), default=0) <= 1, text)


def line_period_ms(line):
    return 250 if line.name == "plc" else 400


def rows_of(rig):
    """device -> [(time, quality)], one a row: all points of a row have the same time."""
    rows = collections.defaultdict(dict)
    for device, _, t, _, quality, _ in rig.readings():
        rows[device][t] = quality
    return {device: sorted(entries.items()) for device, entries in rows.items()}


def check_lone(rig, rows):
    runs = runs_of(rows["loner"], 0, now_ms())
    rig.check("a link that goes and comes back with a silent unit: told apart",
              [q for q, _ in runs][:4] == ["good", "link", "timeout", "good"], runs)
    mine = log_lines(rig.log("daemon"), "line lone:")
    rig.check("and told once each", [next((w for w in ("refused", "no answer", "works again",
                                                       "answers again") if w in entry), entry)
                                     for entry in mine][:4] ==
              ["refused", "no answer", "works again", "answers again"] and len(mine) <= 5, mine)


def check_values(rig, until):
    """No reading that the simulator did not say, and of healthy devices every one that it said."""
    missing, _ = match(rig, 60, until)
    lost = collections.Counter(key[0] for entries in missing.values() for key, _ in entries)
    # A link that is dropped takes the answer with it that was on its way (three points). Where RTU
    # is carried, an answer may be a proof that no other one is on its way, and no reading: after a
    # dropped link, and when another answered in the name of the unit.
    allowed = {"well": 2 * 3, "cover": 4 * 3, "shaft": (2 + 16) * 3}
    rig.check("every answer of a healthy device is a reading",
              all(lost[device] <= count for device, count in allowed.items()), lost)


def main():
    rig = Rig("faults")
    config = configure(rig)
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config, "--script", rig.write("none.yaml", "[]\n"))
    rig.start_daemon(config)
    time.sleep(2.5)
    script = "\n".join([entry for line in LINES for entry in line.script()] + LONE)
    rig.write("none.yaml", script + "\n")
    marks = watch(rig)
    until = rig.drain()
    time.sleep(0.5)
    rows = rows_of(rig)
    for line in LINES:
        for i, fault in enumerate(line.faults):
            check_fault(rig, line, fault, marks[i], marks[i + 1], rows)
    check_lone(rig, rows)
    check_delivery(rig)
    check_values(rig, until)
    rig.finish()


if __name__ == "__main__":
    sys.exit(main())
