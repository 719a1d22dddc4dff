#!/usr/bin/python3
"""The store on a disk that is full, read-only, broken or damaged, with a real file system (tmpfs, or
ext4 on a loop device), or slow: what is measured goes on to arrive, `state` says how the store does, what was
lost has a Gap, and all is well again without a restart."""
import fcntl
import os
import random
import sqlite3
import struct
import subprocess
import time

from invariant import check_delivery, match
from rig import (BUILD, BUSY_MS, SECTORS, Rig, block_times, delivers, free_port, grid_deviations,
                 now_ms, readings_of, run_scenarios)

MODES = {"ok": 1, "memory": 2, "read-only": 3, "full": 4}
CORRUPT = 5                                                  # GapReason
EXT4_SHUTDOWN, NO_FLUSH = 0x8004587d, 2                      # ioctl _IOR('X', 125, __u32)
STALL_S = 2
DIP = "profile: rs-dip-n01, every: 300ms"


class Disk:
    """A small file system under the rig's folder."""

    def __init__(self, rig, kind="tmpfs", size="2m"):
        self.rig, self.kind, self.size = rig, kind, size
        self.folder, self.image = rig.path("disk"), rig.path("disk.img")
        self.store = os.path.join(self.folder, "store.db")
        os.mkdir(self.folder)
        if kind == "ext4":
            subprocess.run(["truncate", "-s", size, self.image], check=True)
            subprocess.run(["mkfs.ext4", "-q", self.image], check=True)
        self.there = os.geteuid() == 0 and self.mount()
        if not self.there:
            print("skipped %s: cannot mount %s here" % (rig.name, kind), flush=True)

    def mount(self):
        what = (["-t", "tmpfs", "-o", "size=" + self.size, "tmpfs"] if self.kind == "tmpfs" else
                ["-o", "loop,errors=remount-ro", self.image])
        return subprocess.run(["mount", *what, self.folder], capture_output=True).returncode == 0

    def unmount(self, lazy=False):
        return subprocess.run(["umount", *(["-l"] if lazy else []), self.folder],
                              capture_output=True).returncode == 0

    def repair(self):
        """As a person would: unmounted, checked, mounted again; the daemon is not asked."""
        self.rig.check("nothing holds the sick disk", self.unmount())
        subprocess.run(["e2fsck", "-fy", self.image], capture_output=True)
        self.rig.check("it is mounted again", self.mount())

    def fill(self):
        """Takes the last byte."""
        with open(os.path.join(self.folder, "ballast"), "ab", buffering=0) as f:
            for size in (1 << 16, 4096, 1):
                try:
                    while f.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def clear(self):
        os.remove(os.path.join(self.folder, "ballast"))

    def shut_down(self):
        fd = os.open(self.folder, os.O_RDONLY)
        fcntl.ioctl(fd, EXT4_SHUTDOWN, struct.pack("I", NO_FLUSH))
        os.close(fd)

    def turn_read_only(self):
        """As ext4 does when it finds an error: at once, under open files."""
        device = subprocess.run(["findmnt", "-no", "SOURCE", self.folder], capture_output=True,
                                text=True).stdout.strip()
        with open("/sys/fs/ext4/%s/trigger_fs_error" % os.path.basename(device), "w") as f:
            f.write("test")


def tcp_line(name):
    return "name: %s, transport: tcp, host: 127.0.0.1, port: %d" % (name, free_port())


def configure(rig, path, store="segment: 1s", devices=("name: well, line: one, unit: 1, " + DIP,)):
    config = rig.configure([tcp_line("one")], devices, store=store)
    with open(config, encoding="utf-8") as f:
        text = f.read().replace(rig.path("store.db"), path)
    return rig.write("gateway.yaml", text)


def on_disk(name, body, **options):
    """Runs body(rig, disk); afterwards nothing is left mounted."""
    rig = Rig("disk-" + name)
    disk = Disk(rig, **options)
    try:
        if disk.there:
            body(rig, disk)
        if "daemon" in rig.processes:
            rig.check("the daemon ends with 0", rig.end("daemon") == 0)
    finally:
        rig.kill_all()
        rig.processes.clear()
        while disk.unmount(lazy=True):
            pass
    rig.finish()


def mode(rig):
    return ((rig.api("/v1/status") or {}).get("store") or {}).get("mode")


def wait_mode(rig, *wanted, seconds=20):
    rig.wait(lambda: mode(rig) in wanted, seconds, "the status says " + " or ".join(wanted))
    name = mode(rig)
    rig.wait(lambda: any(s.store.mode == MODES.get(name) for s, _, _ in list(rig.states())[-3:]), 15,
             "and so does the state on the broker")


def begin(rig, config, what="delivers at first"):
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    rig.start_daemon(config)
    delivers(rig, what)


def check_whole(rig, until, reasons=()):
    """Nothing is missing, and a Gap has only these reasons."""
    first, gaps = check_delivery(rig)
    missing, _ = match(rig, 60, until)
    told = {gap.reason for entries in gaps.values() for gap in entries}
    rig.check("not one reading is missing", not missing, missing)
    rig.check("and no Gap says otherwise", told <= set(reasons), dict(gaps))
    return first, gaps


def logged(rig, text):
    return rig.log("daemon").count(text)


# ---- full ----

def creeping(rig, disk):
    config = configure(rig, disk.store)
    begin(rig, config)
    good = rig.api("/v1/status")["lines"][0]["counts"]["good"]
    disk.fill()
    wait_mode(rig, "full", "memory", seconds=60)
    time.sleep(6)
    during = rig.api("/v1/status")
    rig.check("polling goes on", during["lines"][0]["counts"]["good"] >= good + 15)
    rig.check("the newest value is at hand",
              rig.api("/v1/latest")["points"][0]["age_ms"] < 2000)
    delivers(rig, "delivers while the disk is full")
    rig.check("the log says so once", logged(rig, "store: the disk is full") +
              logged(rig, "store: the disk cannot be used") == 1, rig.log("daemon"))
    disk.clear()
    wait_mode(rig, "ok", seconds=70)
    delivers(rig, "delivers afterwards")
    check_whole(rig, rig.drain())
    rig.start_sim(config)
    time.sleep(2)
    disk.fill()
    time.sleep(2)
    begun = time.monotonic()
    code = rig.end("daemon")
    took = time.monotonic() - begun
    rig.check("SIGTERM on a full disk: exit 0 (%.1f s)" % took, code == 0 and took < 6,
              (code, took))


def full():
    on_disk("full", creeping)


def full_ext4():
    on_disk("full-ext4", creeping, kind="ext4", size="8M")


def started_full(rig, disk):
    """Once with nothing there, once with a store and its reserve."""
    config = configure(rig, disk.store)
    disk.fill()
    begin(rig, config, "delivers from a disk that was full before it came")
    wait_mode(rig, "memory", "full")
    disk.clear()
    wait_mode(rig, "ok", seconds=70)
    delivers(rig, "delivers from the disk")
    rig.end("daemon")
    disk.fill()
    rig.start_daemon(config)
    delivers(rig, "delivers from a store on a full disk")
    disk.clear()
    wait_mode(rig, "ok", seconds=70)
    delivers(rig, "delivers afterwards")
    first, _ = check_delivery_after(rig)
    rig.check("three epochs at most", len({epoch for epoch, _, _ in first}) <= 3, first.keys())


def check_delivery_after(rig):
    rig.drain()
    return check_delivery(rig)


def full_at_start():
    on_disk("full-at-start", started_full)


# ---- broken ----

def breaks_and_is_repaired(rig, disk, breaks, *modes):
    config = configure(rig, disk.store)
    begin(rig, config)
    before = rig.api("/v1/status")["store"]
    breaks()
    wait_mode(rig, *modes)
    delivers(rig, "delivers without the disk")
    during = rig.api("/v1/status")["store"]
    rig.check("a new epoch", during["epoch"] != before["epoch"], during)
    states = [s for s, _, _ in rig.states()]
    rig.check("the state names both", (states[-1].epoch, states[-1].previous_epoch) ==
              (during["epoch"], before["epoch"]), states[-1])
    rig.check("the log says so once", logged(rig, "store: the disk cannot be used") == 1,
              rig.log("daemon"))
    disk.repair()
    wait_mode(rig, "ok", seconds=70)
    rig.check("the epoch stays", rig.api("/v1/status")["store"]["epoch"] == during["epoch"])
    delivers(rig, "delivers from the disk again")
    check_whole(rig, rig.drain())
    rig.end("daemon")
    rig.start_sim(config)
    rig.start_daemon(config)
    delivers(rig, "and after a restart")
    rig.check("under the same epoch",
              rig.api("/v1/status")["store"]["epoch"] == during["epoch"])


def read_only():
    on_disk("read-only", lambda rig, disk: breaks_and_is_repaired(
        rig, disk, disk.turn_read_only, "read-only", "memory"), kind="ext4", size="8M")


def io_error():
    on_disk("io-error", lambda rig, disk: breaks_and_is_repaired(
        rig, disk, disk.shut_down, "memory", "read-only"), kind="ext4", size="8M")


def absent():
    """The card is not there at the start, and put in later; it holds a store from before."""
    def body(rig, disk):
        config = configure(rig, os.path.join(disk.folder, "deep", "store.db"))
        os.mkdir(os.path.join(disk.folder, "deep"))
        begin(rig, config)
        rig.drain()
        rig.end("daemon")
        disk.unmount()
        rig.start_sim(config)
        rig.start_daemon(config)
        delivers(rig, "delivers without a disk")
        wait_mode(rig, "memory")
        disk.mount()
        wait_mode(rig, "ok", seconds=70)
        delivers(rig, "delivers with it")
        first, gaps = check_delivery_after(rig)
        rig.check("two epochs", len({epoch for epoch, _, _ in first}) == 2, first.keys())
        rig.check("no Gap", not any(gaps.values()), dict(gaps))
    on_disk("absent", body, kind="ext4", size="8M")


# ---- damaged ----

def numbers(batches, corrupt):
    """(epoch, sector, seq) that arrived, or that a Gap calls corrupt."""
    if corrupt:
        return {(b.epoch, b.sector, n) for _, _, b, _, _ in batches for gap in b.gaps
                if gap.reason == CORRUPT for n in range(gap.first_seq, gap.last_seq + 1)}
    return {(b.epoch, b.sector, s.seq) for _, _, b, _, _ in batches for s in b.segments}


def check_damage(rig, most):
    """All that was stored arrived, or a Gap calls it corrupt; returns how much of that there was."""
    batches = list(rig.batches())
    arrived, corrupt = numbers(batches, False), numbers(batches, True)
    with open(rig.store_journal, encoding="ascii") as f:
        stored = {(int(epoch), SECTORS.index(sector), int(seq)) for epoch, sector, _, seq, *_, state
                  in map(str.split, f) if state == "closed"}
    rig.check("what was stored arrived, or a Gap calls it corrupt (%d, %d)"
              % (len(arrived), len(corrupt)), stored <= arrived | corrupt,
              sorted(stored - arrived - corrupt)[:5])
    rig.check("no more is corrupt than was damaged", len(corrupt - arrived) <= most,
              sorted(corrupt - arrived)[:5])
    return corrupt - arrived


def store_a_backlog(rig, config, seconds=8):
    """Nobody takes it; the file holds all of it, the log nothing."""
    rig.expect_subscriber()
    rig.start_sim(config)
    rig.start_daemon(config)
    time.sleep(seconds)
    rig.check("SIGTERM: exit 0", rig.end("daemon") == 0)


def flipped_bit():
    rig = Rig("disk-flipped-bit")
    config = configure(rig, rig.path("store.db"))
    store_a_backlog(rig, config)
    with sqlite3.connect(rig.path("store.db")) as db:
        row = db.execute("SELECT row FROM segment ORDER BY id LIMIT 1 OFFSET 3").fetchone()[0]
    with open(rig.path("store.db"), "r+b") as f:
        at = f.read().index(row) + len(row) // 2
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 4]))
    rig.start_broker()
    rig.start_daemon(config)
    delivers(rig, "delivers")
    rig.drain()
    rig.check("one segment is told as corrupt", len(check_damage(rig, 1)) == 1)
    rig.check("the store is in order", mode(rig) == "ok")
    rig.finish()


def damaged_while_running():
    """Zeros over all pages but the first while the daemon has the file open."""
    rig = Rig("disk-damaged-running")
    config = configure(rig, rig.path("store.db"))
    store_a_backlog(rig, config)
    rig.start_daemon(config)
    time.sleep(2)
    size = os.path.getsize(rig.path("store.db"))
    with open(rig.path("store.db"), "r+b") as f:
        f.seek(4096)
        f.write(bytes(size - 4096))
    rig.start_broker()
    delivers(rig, "delivers all the same", 30)
    time.sleep(5)
    rig.drain()
    check_damage(rig, 100)
    rig.check("the daemon ends with 0", rig.end("daemon") == 0)
    rig.start_sim(config)
    rig.start_daemon(config)
    delivers(rig, "and after a restart")
    rig.check("the store is in order", mode(rig) == "ok")
    rig.finish()


def stalls():
    """A card that takes two seconds for its housekeeping now and then: nobody but the storage thread
    waits. Live data, which is sent when it is stored, comes that much later and no more."""
    library = os.path.join(BUILD, "hang.so")
    if not os.path.exists(library):     # no preloading under a sanitizer
        return
    rig = Rig("disk-stalls")
    config = configure(rig, rig.path("store.db"), devices=(
        "name: main, line: one, unit: 1, profile: press-level-a, every: 200ms",
        "name: well, line: one, unit: 2, profile: rs-dip-n01, every: 500ms"))
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    rig.start_daemon(config, LD_PRELOAD=library, HANG_FILE=rig.path("stall"))
    delivers(rig, "delivers at first")
    oldest_ms = 0
    for _ in range(5):
        rig.write("stall", "store fdatasync")
        time.sleep(STALL_S)
        points = rig.api("/v1/latest")["points"]
        oldest_ms = max(oldest_ms, *(p["age_ms"] for p in points))
        os.remove(rig.path("stall"))
        time.sleep(random.uniform(1, 3))
    rig.check("the latest values go on while the disk stands still (%d ms old)" % oldest_ms,
              oldest_ms < 1000 * STALL_S - 100 + BUSY_MS, points)
    rig.check("it is no broken disk, and no lost broker", mode(rig) == "ok" and
              rig.uplink()["connects"] == 1, (mode(rig), rig.uplink()))
    until = rig.drain()
    check_delivery(rig)
    missing, _ = match(rig, 60, until)
    rig.check("every answer is a reading", not missing, {k: v[:3] for k, v in missing.items()})
    off = sorted(d for name, every in (("main", 200), ("well", 500)) for d in
                 grid_deviations([t for t in block_times(rig)[name][3:] if t < until], every)[0])
    rig.check("polling does not slip (p99 %d ms)" % off[len(off) * 99 // 100],
              off[len(off) * 99 // 100] < 90 + BUSY_MS, off[-9:])
    waited = sorted(arrival - t for kind, _, batch, _, arrival in rig.batches() if kind == "data"
                    for s in batch.segments for _, _, t, _, _ in readings_of(s) if t < until)
    limit_ms = 1000 * (1 + 1 + STALL_S)    # segment, sync and the stall
    rig.check("live data waits for the disk and no longer (p50 %d ms, at most %d ms)"
              % (waited[len(waited) // 2], waited[-1]), waited[-1] < limit_ms + 1000 + BUSY_MS,
              waited[-9:])
    rig.check("none of it has become history", not any(
        batch.segments for kind, _, batch, _, _ in rig.batches() if kind == "history"))
    rig.finish()


if __name__ == "__main__":
    run_scenarios({f.__name__: f for f in (full, full_ext4, full_at_start, read_only, io_error,
                                           absent, flipped_bit, damaged_while_running,
                                           stalls)},
                  {"full": "S8", "full_ext4": "S8", "full_at_start": "S8", "read_only": "S9",
                   "io_error": "S9", "absent": "S9", "flipped_bit": "S10",
                   "damaged_while_running": "S10"})
