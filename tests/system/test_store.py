#!/usr/bin/python3
"""The store over restarts and mishaps: identities go on, a damaged file is set aside, nobody opens
it twice, a full quota costs what it must and says so."""
# Beside others: it measures no time
import glob
import os
import shutil
import sqlite3
import time

from invariant import check_delivery, match
from rig import SECTORS, Rig, delivers, free_port, now_ms, run_scenarios

QUOTA = 2                              # GapReason
DIP = "profile: rs-dip-n01, every: 300ms"


def tcp_line(name):
    return "name: %s, transport: tcp, host: 127.0.0.1, port: %d" % (name, free_port())


def newest_manifest(rig, sector):
    """device name -> Device, (device id, point name) -> Point, of the newest part 1."""
    manifest = rig.wire.Manifest()
    for topic, payload, _, _ in rig.subscriber.all():
        if topic.endswith("/manifest/%s/1" % sector):
            manifest.ParseFromString(payload)
    return manifest, {d.name: d for d in manifest.devices}


def run_for(rig, config, seconds):
    """One life of the daemon: starts, delivers, ends by SIGTERM with nothing left to send."""
    rig.start_sim(config)
    rig.start_daemon(config)
    delivers(rig, "delivers")
    time.sleep(seconds)
    rig.drain()
    code = rig.end("daemon")
    rig.check("SIGTERM: exit 0", code == 0, code)


def restarts():
    """A device goes, one gets another name, one moves to another line, one comes back."""
    rig = Rig("store-restarts")
    lines = [tcp_line("one"), tcp_line("two")]
    stays = "name: stays, line: one, unit: 1, " + DIP
    gone = "name: gone, line: one, unit: 2, " + DIP
    old_name = "name: old-name, line: one, unit: 3, " + DIP
    new_name = "name: new-name, line: one, unit: 3, " + DIP
    moves = "name: moves, line: one, unit: 4, " + DIP
    moved = "name: moves, line: two, unit: 9, " + DIP
    rig.start_broker()
    rig.subscribe()
    lives = []
    for name, devices in (("1", [stays, gone, old_name, moves]), ("2", [stays, new_name, moved]),
                          ("3", [gone, stays, moved, old_name])):
        config = rig.configure(lines, devices, store="segment: 1s", name=name + ".yaml")
        run_for(rig, config, 2)
        lives.append(newest_manifest(rig, "manhole"))
    ids = [{name: d.id for name, d in devices.items()} for _, devices in lives]
    retired = [{name for name, d in devices.items() if d.retired} for _, devices in lives]
    rig.check("who stays or moves keeps its id",
              all(ids[0][n] == ids[1][n] == ids[2][n] for n in ("stays", "moves")), ids)
    rig.check("the moved one says where it is now",
              (lives[1][1]["moves"].line, lives[1][1]["moves"].modbus_unit) == ("two", 9))
    rig.check("who is gone or has lost its name is retired, with its id",
              retired[1] == {"gone", "old-name"} and
              all(ids[0][n] == ids[1][n] for n in retired[1]), (ids, retired))
    rig.check("a new name is a new id", ids[1]["new-name"] not in ids[0].values(), ids)
    rig.check("who comes back has its id again",
              retired[2] == {"new-name"} and all(ids[0][n] == ids[2][n] for n in ids[0]),
              (ids, retired))
    rig.check("points of the retired are retired", all(
        p.retired == (p.device in {ids[2]["new-name"]}) for p in lives[2][0].points),
        lives[2][0].points)
    rig.check("every change is another revision", len({m.revision for m, _ in lives}) == 3)
    first, gaps = check_delivery(rig)
    rig.check("one epoch", len({epoch for epoch, _, _ in first}) == 1)
    rig.check("no Gap over clean ends", not any(gaps.values()), dict(gaps))
    segments = [s for _, _, b, _, _ in rig.batches() for s in b.segments]
    rig.check("every segment says how far its clock can be believed, and its boot",
              all(1 <= s.clock <= 5 and s.boot and s.mono_ms > 0 for s in segments))
    rig.check("one boot", len({s.boot for s in segments}) == 1)
    rig.finish()


def deadbands():
    """What does not move is not kept, but for a heartbeat; a second daemon is turned away."""
    rig = Rig("store-deadband")
    wide = "deadband: 1000"
    points = "points: { tilt_x: { %s }, tilt_y: { %s }, tilt_z: { %s } }"
    config = rig.configure([tcp_line("one")], [
        "name: calm, line: one, unit: 1, %s, %s" % (DIP, points % (wide, wide, wide)),
        "name: half, line: one, unit: 2, %s, points: { tilt_x: { %s } }" % (DIP, wide),
        "name: exact, line: one, unit: 3, %s, %s" % (DIP, points % ((wide,) * 2 + ("deadband: 0",)))
    ], store="segment: 1s, heartbeat: 3s")
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    rig.start_daemon(config)
    delivers(rig, "delivers")

    second = rig.start_daemon(config, "second")
    rig.check("a second daemon on one store is turned away", second.wait(5) == 1, second.returncode)
    del rig.processes["second"]
    rig.check("and told why", "store.db is in use by process" in rig.log("second"),
              rig.log("second"))

    time.sleep(10)
    until = rig.drain()
    times = {}
    for device, _, t, _, quality, _ in rig.readings():
        if t < until and quality == "good":
            times.setdefault(device, set()).add(t)
    calm = sorted(times["calm"])
    steps = [b - a for a, b in zip(calm, calm[1:])]
    rig.check("a calm device: one row a heartbeat", len(steps) >= 2 and
              all(2900 <= step <= 3500 for step in steps), steps)
    for device in ("half", "exact"):
        rows = sorted(times[device])
        steps = [b - a for a, b in zip(rows, rows[1:])]
        rig.check("%s: every poll is a row" % device, len(steps) > 25 and max(steps) < 450, steps)
    check_delivery(rig)
    rig.finish()


def damage_nothing_like_it(path):
    with open(path, "wb") as f:
        f.write(os.urandom(50000))


def damage_inside(path):
    """Zeros over all pages but the first, as a card that forgot does it."""
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        f.seek(4096)
        f.write(bytes(size - 4096))


def damage_cut(path):
    os.truncate(path, os.path.getsize(path) // 4096 // 2 * 4096)


def damaged():
    """A store.db that is damaged: kept for a person, a new epoch begins, the work goes on."""
    rig = Rig("store-damaged")
    config = rig.configure([tcp_line("one")], ["name: well, line: one, unit: 1, " + DIP],
                           store="segment: 1s")
    rig.start_broker()
    rig.subscribe()
    run_for(rig, config, 2)
    kept = rig.path("good.db")
    shutil.copy(rig.path("store.db"), kept)
    with sqlite3.connect(kept) as db:
        epochs = [db.execute("SELECT number FROM epoch").fetchone()[0]]
    for damage in (damage_nothing_like_it, damage_inside, damage_cut):
        name = damage.__name__[7:]
        for left in glob.glob(rig.path("store.db*")):
            os.remove(left)
        shutil.copy(kept, rig.path("store.db"))
        damage(rig.path("store.db"))
        rig.start_sim(config)
        rig.start_daemon(config)
        time.sleep(1)
        alive = rig.processes["daemon"].poll() is None
        rig.check("%s: it runs" % name, alive, rig.log("daemon")[-600:])
        if not alive:
            rig.end("sim")
            del rig.processes["daemon"]
            continue
        delivers(rig, "%s: it delivers" % name)
        epochs.append(rig.api("/v1/status")["store"]["epoch"])
        aside = glob.glob(rig.path("store.db.corrupt-*"))
        rig.check("%s: the file is kept" % name, aside, os.listdir(rig.folder))
        rig.check("%s: the log says so" % name, "is damaged, kept as" in rig.log("daemon"))
        rig.drain()
        rig.end("daemon")
    rig.check("each a new epoch", len(set(epochs)) == len(epochs), epochs)
    check_delivery(rig)
    rig.finish()


# ---- no room ----

WIDE = """profile: wide
title: { zh: 宽, en: wide }
sector: water
status: beta
source: "made for this test"
serial: 9600 8N1
points:
"""


def quota():
    """The broker is away and max_size is small: the oldest rows go, and a Gap says so."""
    rig = Rig("store-quota")
    os.mkdir(rig.path("profiles"))
    rig.write("profiles/wide.yaml", WIDE + "".join(
        "  - { name: p%02d, quantity: raw, unit: \"1\", function: holding, address: %d,"
        " type: u64 }\n"
        % (i, 4 * i) for i in range(30)))
    lines = [tcp_line("line-%d" % i) for i in range(5)]
    config = rig.configure(lines, ["name: d%d, line: line-%d, unit: 1, profile: wide, every: 10ms"
                                   % (i, i) for i in range(5)] +
                           ["name: well, line: line-0, unit: 2, " + DIP],
                           store="segment: 2s, max_size: 4MiB")
    rig.expect_subscriber()
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: "above max_size" in rig.log("daemon"), 120, "it trims")
    largest = 0
    for _ in range(30):
        largest = max(largest, rig.api("/v1/status")["store"]["bytes"])
        time.sleep(0.1)
    rig.check("the quota holds (%d bytes)" % largest, largest < 4.2 * 2 ** 20)
    rig.end("sim")
    rig.start_broker()
    rig.wait_connected()
    rig.drain(30)
    dropped, readings = {}, 0
    for _, _, batch, _, _ in rig.batches():
        for gap in batch.gaps:
            if gap.reason == QUOTA:
                readings += gap.readings
                dropped.setdefault((gap.epoch, SECTORS[gap.sector]), set()).update(
                    range(gap.first_seq, gap.last_seq + 1))
                rig.check("the Gap says from when to when",
                          0 < gap.from_ms <= gap.to_ms <= now_ms(), gap)
    numbers = set().union(*dropped.values()) if dropped else set()
    rig.check("the oldest went, from the first on, and a Gap says so (%d, %d readings)"
              % (len(numbers), readings), numbers and readings and
              numbers == set(range(1, max(numbers) + 1)), sorted(numbers)[:20])
    with open(rig.store_journal, encoding="ascii") as f:
        kept = [line for line in f.read().splitlines(True) if int(line.split()[3]) not in
                dropped.get((int(line.split()[0]), line.split()[1]), ())]
    with open(rig.store_journal, "w", encoding="ascii") as f:
        f.writelines(kept)
    check_delivery(rig)
    rig.finish()


# ---- many points ----

def many():
    """12 000 points: starts soon, and its Manifest comes in parts that can each be used alone."""
    rig = Rig("store-many")
    lines = [tcp_line("line-%d" % i) for i in range(12)]
    devices = ["name: meter-%d-%d, line: line-%d, unit: %d, profile: tuf-2000%s, every: 5s"
               % (i, unit, i, unit, "-heat" if i % 2 else "") for i in range(12)
               for unit in range(1, 231)]
    config = rig.configure(lines, devices, store="segment: 2s", uplink="max_payload: 64KiB")
    rig.start_broker()
    rig.subscribe()
    begun = time.monotonic()
    rig.start_sim(config)
    sim_took, begun = time.monotonic() - begun, time.monotonic()
    rig.start_daemon(config)
    rig.wait(lambda: rig.api("/v1/status"), 20, "it answers")
    answered = time.monotonic() - begun
    rig.wait(lambda: any(True for _ in rig.batches()), 20, "the first reading arrives")
    rig.check("12 000 points: up after %.1f s, first data after %.1f s (the simulator took %.1f s)"
              % (answered, time.monotonic() - begun, sim_took), answered < 3)
    total = len(rig.api("/v1/points")["points"])
    time.sleep(3)
    found = 0
    for sector in ("water", "heat"):
        found += check_parts(rig, sector)
    rig.check("the manifests have all %d points" % total, found == total > 12000, found)
    rig.wait(lambda: len({(b.sector, block.device) for _, _, b, _, _ in rig.batches()
                          for s in b.segments for block in s.blocks}) == len(devices), 30,
             "every device has sent something")
    resident = next(int(line.split()[1]) for line in
                    open("/proc/%d/status" % rig.processes["daemon"].pid) if "VmRSS" in line)
    rig.check("resident memory %d KiB" % resident, resident < 180 << 10)
    rig.drain(30, quiet_s=10)
    check_delivery(rig)
    rig.finish()


def check_parts(rig, sector):
    parts = {}
    for topic, payload, _, _ in rig.subscriber.all():
        if "/manifest/%s/" % sector in topic:
            parts[int(topic.split("/")[-1])] = payload
    points, revisions, alone, ids = 0, set(), True, set()
    for number, payload in parts.items():
        manifest = rig.wire.Manifest()
        manifest.ParseFromString(payload)
        owners = {device.id for device in manifest.devices}
        alone &= (manifest.part, manifest.parts) == (number, len(parts)) and \
            len(payload) <= 64 << 10 and all(p.device in owners for p in manifest.points) and \
            len(owners) == len(manifest.devices) and bool(manifest.points)
        revisions.add(manifest.revision)
        ids |= {point.id for point in manifest.points}
        points += len(manifest.points)
    rig.check("%s: %d parts, each usable alone" % (sector, len(parts)), len(parts) > 2 and alone)
    rig.check("%s: of one revision, no point twice" % sector,
              len(revisions) == 1 and len(ids) == points, revisions)
    return points


if __name__ == "__main__":
    run_scenarios({f.__name__: f for f in (quota, many, restarts, damaged, deadbands)})
