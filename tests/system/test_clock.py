#!/usr/bin/python3
"""A clock that leaps, creeps, is set late or never, or stands in 2039, and a board that has been up
for a thousand days: no reading is lost or sent twice, every one has its place in order, and its
time is what the clock said or, where that was corrected, the true one. The daemon alone sees the
false clock (tests/fault/clock.c); the simulator's journal has the true time."""
import bisect
import mmap
import os
import random
import signal
import struct
import subprocess
import time
from collections import defaultdict

from invariant import as_sent, check_delivery
from rig import (BUILD, BUSY_MS, SOURCE, QUALITIES, Rig, free_port, grid_deviations, readings_of,
                 run_scenarios)

SYNCED, RTC, HOLDOVER, UNSET, CORRECTED = range(1, 6)
HOLD_S = 600
DAY_MS = 86400000
PERIOD_MS = 250
CRASH = 3                              # GapReason
# Between the sensor's answer and its arrival here, under load.
NEAR_MS = max(60, BUSY_MS)


class Clock:
    """The file that tests/fault/clock.c reads, and the true time beside it."""

    def __init__(self, rig, uptime_s=3600, synced=True):
        self.path = rig.write("clock", "\0" * 48)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 48)
        self.steps = [(0, 0)]          # (true ms from when on, what the wall clock was ahead)
        self.slew = (0, 0)
        self.boot(uptime_s, 1)
        self.sync(synced)

    def put(self, index, number):
        self.map[8 * index:8 * index + 8] = struct.pack("<q", int(number))

    def boot(self, uptime_s, number):
        true_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.put(1, uptime_s * 10 ** 9 - true_ns)
        self.put(3, number)
        self.wall_minus_mono_ms = time.time_ns() / 1e6 - uptime_s * 1000

    def sync(self, synced):
        self.put(2, 1 if synced else 2)

    def ahead(self, ms):
        """From now on the wall clock is so far ahead of the true time."""
        self.put(0, ms * 10 ** 6)
        self.steps.append((time.time() * 1000, ms))

    def shows(self, ms):
        self.ahead(round(ms - time.time() * 1000))

    def creep(self, ppm):
        self.put(5, time.clock_gettime_ns(time.CLOCK_MONOTONIC))
        self.put(4, ppm)
        self.slew = (time.time() * 1000, ppm)

    def ahead_at(self, true_ms):
        """What it was ahead then; near a step all may be that it was before and after."""
        times = [at for at, _ in self.steps]
        first = max(bisect.bisect_right(times, true_ms - NEAR_MS) - 1, 0)
        last = max(bisect.bisect_right(times, true_ms + NEAR_MS) - 1, 0)
        found = {ahead for _, ahead in self.steps[first:last + 1]}
        crept = max(true_ms - self.slew[0], 0) * self.slew[1] / 1e6
        return [ms + crept for ms in found]

    def environment(self):
        return {"LD_PRELOAD": os.path.join(BUILD, "fault_clock.so"), "LIFELINE_CLOCK": self.path}


def start(name, store="segment: 1s", trusted_rtc="false", **options):
    """Two sectors, a broker, a subscriber and sensors; the daemon is the caller's."""
    rig = Rig("clock-" + name)
    rig.clock = Clock(rig, **options)
    every = ", every: %dms" % PERIOD_MS
    config = rig.configure(
        ["name: one, transport: tcp, host: 127.0.0.1, port: %d" % free_port(),
         "name: two, transport: tcp, host: 127.0.0.1, port: %d" % free_port()],
        ["name: well, line: one, unit: 1, profile: rs-dip-n01" + every,
         "name: flow, line: two, unit: 1, profile: tuf-2000" + every],
        store="sync: 300ms, " + store, trusted_rtc=trusted_rtc)
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    return rig, config


def run(rig, config):
    rig.start_daemon(config, **rig.clock.environment())


def held(rig):
    return ((rig.api("/v1/status") or {}).get("store") or {}).get("held", 0)


def segments(rig):
    """(arrival, sector, segment), each once and in the order of its number; one epoch"""
    found = {}
    for _, sector, batch, _, arrival in rig.batches():
        for segment in batch.segments:
            found.setdefault((sector, segment.seq), (arrival, sector, segment))
    return [found[key] for key in sorted(found)]


def received(rig):
    """(device, point) -> (time, value, segment) in the order of (seq, row)"""
    devices, points = rig.manifests()
    epochs = {batch.epoch for _, _, batch, _, _ in rig.batches()}
    rig.check("one epoch", len(epochs) == 1, epochs)
    epoch, out = epochs.pop(), defaultdict(list)
    for _, _, segment in segments(rig):
        for device, point, t, value, quality in readings_of(segment):
            if QUALITIES[quality] == "good":
                out[devices[epoch, device].name, points[epoch, point].name].append(
                    (t, value, segment))
    return out


def check_times(rig, until, expected, kills=()):
    """What the sensors said, one reading after the other: nothing lost (but what a kill took),
    nothing twice, nothing out of order, and each at one of the times expected(segment, true_ms)."""
    answers = defaultdict(list)
    for device, point, t, value, fault in rig.emitted():
        if not fault:
            answers[device, point].append((t, as_sent(value)))
    lost, wrong, off, count, worst = [], [], [], 0, 0
    arrived = received(rig)
    for key, readings in arrived.items():
        at = iter(answers[key])
        for t, value, segment in readings:
            answer = next(at, None)
            while answer and answer[1] != value:
                if not any(kill - 1500 < answer[0] < kill + 500 for kill in kills):
                    lost.append((key, answer))
                answer = next(at, None)
            if not answer:
                wrong.append((key, t, value))
                break
            error = min((abs(t - e) for e in expected(segment, answer[0])))
            worst, count = max(worst, error), count + 1
            if error > NEAR_MS:
                off.append((key, answer[0], t, error, segment.seq, segment.clock))
        lost += [(key, rest) for rest in at if rest[0] < until - NEAR_MS]
    rig.check("every point was received", answers and set(answers) == set(arrived),
              set(answers) ^ set(arrived))
    rig.check("in the order of their numbers, none lost, none twice (%d)" % count,
              count and not lost and not wrong, (lost[:3], wrong[:3], len(lost), len(wrong)))
    rig.check("every time is right (%.0f ms at worst)" % worst, not off, (off[:4], len(off)))


def check_grid(rig, until, kills=()):
    """Polling knows nothing of the wall clock."""
    times = sorted({t for device, _, t, _, _ in rig.emitted() if device == "well" and t < until})
    parts, begun = [], times[0]
    for kill in list(kills) + [until]:
        parts.append([t for t in times if begun < t < kill])
        begun = kill + 500
    far = [d for part in parts for d in grid_deviations(part, PERIOD_MS)[0] if d > NEAR_MS]
    rig.check("polled on the grid of the period (%d)" % len(times), len(far) <= 1 + len(times) / 50,
              sorted(far)[-5:])


def clocks(rig):
    return {segment.clock for _, _, segment in segments(rig)}


def as_shown(rig):
    return lambda segment, true_ms: [true_ms + ahead for ahead in rig.clock.ahead_at(true_ms)]


def finish(rig, expected, until=None, kills=()):
    until = until or rig.drain()
    check_delivery(rig)
    check_times(rig, until, expected, kills)
    check_grid(rig, until, kills)
    rig.finish()


# ---- S18 ----

def late():
    """No clock at boot; it is set in time: the data of two lives of the daemon waits for it, and has
    the true times afterwards, whatever the clock did in between."""
    rig, config = start("late", uptime_s=60, synced=False)
    rig.clock.shows(60000)             # January 1970
    run(rig, config)
    rig.wait(lambda: held(rig) > 30, 15, "readings are held back")
    for _ in range(4):                 # too little to close a segment
        rig.clock.ahead(rig.clock.steps[-1][1] + 900)
        time.sleep(0.4)
    status = subprocess.run([os.path.join(BUILD, "lifelinectl"), "status"], capture_output=True,
                            text=True, env=dict(os.environ, LIFELINE_SOCKET=rig.path("api.sock")))
    rig.check("the status says so", "readings wait for the clock to be set, " in status.stdout and
              "clock unset" in status.stdout, status.stdout)
    kill = time.time() * 1000
    rig.end("daemon", signal.SIGKILL)
    run(rig, config)
    rig.wait(lambda: rig.api("/v1/status"), 15, "it is back")
    before = held(rig)
    rig.wait(lambda: held(rig) > before + 15, 15, "what was held is held, and more")
    rig.check("what the first life held is among it", before > 30, before)
    rig.check("nothing has gone out", not segments(rig), len(segments(rig)))
    rig.clock.ahead(0)
    time.sleep(0.7)
    set_ms = time.time() * 1000
    rig.clock.sync(True)
    rig.wait(lambda: held(rig) == 0 and segments(rig), 15, "the clock is set: all goes")
    time.sleep(3)
    until = rig.drain()
    rig.check("not before", all(arrival >= set_ms for arrival, _, _ in segments(rig)))
    rig.check("corrected, then synced", clocks(rig) == {CORRECTED, SYNCED}, clocks(rig))
    gaps = [gap for _, _, batch, _, _ in rig.batches() for gap in batch.gaps]
    rig.check("the kill is a Gap", {gap.reason for gap in gaps} == {CRASH}, gaps)
    rig.check("whose times are true, too", all(  # the steps before it moved the clock by 3.6 s
        kill - 8000 < gap.from_ms < kill + 5000 and kill - 5000 < gap.to_ms < kill + 8000
        for gap in gaps), (kill, [(gap.from_ms, gap.to_ms) for gap in gaps]))
    finish(rig, lambda segment, true_ms: [true_ms], until, [kill])


def never():
    """The hold runs out: data goes out as it stands and stays so; the true time can be worked out
    from a later state of the same boot. After a restart nothing is held again."""
    rig, config = start("never", uptime_s=HOLD_S - 8, synced=False)
    over_ms = rig.clock.wall_minus_mono_ms + HOLD_S * 1000
    rig.clock.shows(1000)
    run(rig, config)
    rig.wait(lambda: held(rig) > 0, 8, "readings are held back")
    rig.wait(lambda: segments(rig), 20, "the hold is over: they go out")
    rig.check("not before", min(arrival for arrival, _, _ in segments(rig)) >= over_ms,
              min(arrival for arrival, _, _ in segments(rig)) - over_ms)
    time.sleep(1)
    code = rig.end("daemon")
    rig.check("SIGTERM: exit 0", code == 0, code)
    kill = time.time() * 1000
    count = len(segments(rig))
    run(rig, config)
    rig.wait(lambda: len(segments(rig)) > count + 2, 8, "a restart holds nothing back")
    rig.check("they say that the clock was not set", clocks(rig) == {UNSET}, clocks(rig))
    rig.clock.ahead(0)
    rig.clock.sync(True)
    time.sleep(4)
    until = rig.drain()
    rig.check("unset, then synced", clocks(rig) - {CORRECTED} == {UNSET, SYNCED}, clocks(rig))
    states = [state for state, _, _ in rig.states() if state.clock == SYNCED]
    rig.check("a state says how to get the true time", bool(states))
    state = states[-1]

    def expected(segment, true_ms):
        if segment.clock != UNSET:
            return [true_ms]
        return [true_ms + segment.base_ms - segment.mono_ms - state.wall_minus_mono_ms]
    rig.check("and is of the same boot",
              {segment.boot for _, _, segment in segments(rig)} == {state.boot})
    finish(rig, expected, until, [kill])


def reboot():
    """The board boots again before its clock was set: what was held cannot be corrected any more."""
    rig, config = start("reboot", uptime_s=100, synced=False)
    rig.clock.shows(5000)
    run(rig, config)
    rig.wait(lambda: held(rig) > 30, 15, "readings are held back")
    code = rig.end("daemon")
    rig.check("SIGTERM: exit 0", code == 0, code)
    rig.check("nothing has gone out", not segments(rig))
    kill = time.time() * 1000
    rig.clock.boot(20, 2)
    rig.clock.ahead(0)
    run(rig, config)
    rig.wait(lambda: segments(rig), 15, "what the earlier boot left goes out at once")
    rig.check("as unset, and nothing of this boot",
              {(s.clock, s.boot) for _, _, s in segments(rig)} ==
              {(UNSET, segments(rig)[0][2].boot)}, clocks(rig))
    rig.wait(lambda: held(rig) > 15, 15, "this boot's readings are held back")
    rig.clock.sync(True)
    time.sleep(3)
    until = rig.drain()
    rig.check("two boots", len({s.boot for _, _, s in segments(rig)}) == 2)
    rig.check("only this boot's are corrected", clocks(rig) == {UNSET, CORRECTED, SYNCED} and
              len({s.boot for _, _, s in segments(rig) if s.clock == UNSET}) == 1, clocks(rig))

    def expected(segment, true_ms):
        return as_shown(rig)(segment, true_ms) if segment.clock == UNSET else [true_ms]
    finish(rig, expected, until, [kill])


def leaps():
    """A synchronised clock that leaps to and fro; LIFELINE_TRIALS of the leaps are random ones."""
    rig, config = start("leaps")
    run(rig, config)
    rig.wait(lambda: segments(rig), 15, "data flows")
    for ahead in (10 * DAY_MS, -3600000, -round(time.time() * 1000) + 5000, 0):
        time.sleep(2.3)
        rig.clock.ahead(ahead)
    for step in range(1, 6):           # just enough to close a segment, or not
        time.sleep(0.8)
        rig.clock.ahead(step * 1000)
    for step in range(6, 0, -1):
        time.sleep(0.8)
        rig.clock.ahead(step * 700)
    rig.trials = int(os.environ.get("LIFELINE_TRIALS",
                                    100 if os.environ.get("LIFELINE_LONG") else 5))
    for _ in range(rig.trials):
        time.sleep(random.uniform(0.3, 1.2))
        rig.clock.ahead(int(random.choice((-1, 1)) * 10 ** random.uniform(2, 11.5)))
    rig.clock.ahead(0)
    time.sleep(2)
    until = rig.drain()
    rig.check("all synced", clocks(rig) == {SYNCED}, clocks(rig))
    late = [kind for kind, _, batch, _, _ in rig.batches() if kind == "history" and batch.segments]
    rig.check("a leap makes nothing late: all of it is live", not late, len(late))
    finish(rig, as_shown(rig), until)


def creeps():
    """A clock that is pulled right closes no segment, and runs unset for a while."""
    rig, config = start("creeps", store="segment: 2s")
    run(rig, config)
    rig.wait(lambda: segments(rig), 15, "data flows")
    rig.clock.creep(50000)             # a hundred times what the kernel does
    time.sleep(4)
    rig.clock.sync(False)
    time.sleep(6)
    until = rig.drain()
    count = max(segment.seq for _, _, segment in segments(rig))
    rig.check("segments last as long as ever", count <= 11, count)
    rig.check("synced, then holdover", clocks(rig) == {SYNCED, HOLDOVER}, clocks(rig))
    finish(rig, as_shown(rig), until)


# ---- S19 ----

def far():
    """2039, on a board that has been up for a thousand days; also over a kill. Where qemu runs the
    daemon, its sleeps are the kernel's own, and the board has been up for as long as it has."""
    up_s = 1000 * 86400
    if os.environ.get("LIFELINE_EMULATED"):
        up_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    rig, config = start("far", uptime_s=up_s)
    rig.clock.ahead(13 * 365 * DAY_MS)
    run(rig, config)
    rig.wait(lambda: segments(rig), 15, "data flows")
    time.sleep(3)
    kill = time.time() * 1000
    rig.end("daemon", signal.SIGKILL)
    run(rig, config)
    time.sleep(4)
    until = rig.drain()
    seen = [segment for _, _, segment in segments(rig)]
    rig.check("2039 or later", all(segment.base_ms > 2 ** 31 * 1000 for segment in seen))
    rig.check("up for as long", all(-1000 < segment.mono_ms - 1000 * up_s < 120000
                                    for segment in seen))
    check_gaps(rig, kill + 13 * 365 * DAY_MS)
    finish(rig, as_shown(rig), until, [kill])


def check_gaps(rig, kill):
    gaps = [gap for _, _, batch, _, _ in rig.batches() for gap in batch.gaps]
    rig.check("the kill is in a Gap's time", gaps and
              all(gap.from_ms <= kill + 100 and gap.to_ms >= kill for gap in gaps),
              [(gap.from_ms - kill, gap.to_ms - kill) for gap in gaps])


def old():
    """The kernel's own thousand days, in a time namespace."""
    days = ["unshare", "-T", "--monotonic", str(1000 * 86400), "--boottime", str(1000 * 86400)]
    rig, config = start("old")
    if subprocess.run(days + ["true"], capture_output=True).returncode != 0:
        print("no time namespaces here: left out", flush=True)
        rig.finish()
        return
    rig.spawn("daemon", days + [os.path.join(BUILD, "lifelined"), "-c", config, "--profiles",
                                os.path.join(SOURCE, "config", "profiles")],
              LIFELINE_TEST_JOURNAL=rig.store_journal)
    rig.wait(lambda: segments(rig), 15, "data flows")
    time.sleep(3)
    until = rig.drain()
    rig.check("up for 1000 days", all(segment.mono_ms > 1000 * DAY_MS
                                      for _, _, segment in segments(rig)))
    finish(rig, lambda segment, true_ms: [true_ms], until)


if __name__ == "__main__":
    run_scenarios({f.__name__: f for f in (late, never, reboot, leaps, creeps, far, old)},
                  {"late": "S18", "never": "S18", "reboot": "S18", "leaps": "S18", "creeps": "S18",
                   "far": "S19", "old": "S19"})
