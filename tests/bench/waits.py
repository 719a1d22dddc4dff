"""What data waits: a backlog that drains, live data beside it, live data beside a disk that stalls."""
import os
import sqlite3
import subprocess
import threading
import time

from parts import (PROFILES, configure, memory_kib, start_broker, start_daemon, start_sim,
                   tell)
from proxy import Proxy
from rig import BUILD, Rig, free_port, grid_deviations, readings_of, row_crc


class Arrivals(threading.Thread):
    """A subscriber of its own process, in C: it only notes when what came. (Python alone could not
    read as fast as a backlog drains.)"""

    def __init__(self, port, root="lifeline/v1/140502/gw-bench/"):
        super().__init__(daemon=True)
        self.command = subprocess.Popen(
            ["mosquitto_sub", "-p", str(port), "-q", "1", "-t", root + "data/+", "-t",
             root + "history/+", "-F", "%U %t %l %x"], stdout=subprocess.PIPE, text=True)
        self.lines = []     # (arrival, topic kind, bytes, payload in hex)
        self.start()

    def run(self):
        for line in self.command.stdout:
            at, topic, length, payload = line.split()
            self.lines.append((float(at), topic.split("/")[-2], int(length), payload))

    def stop(self):
        self.command.terminate()
        self.join()


def live_ms(rig, arrivals, begin, end):
    """The age of the newest row of each batch of live data that was sampled and arrived meanwhile:
    what a reading waits beside its segment's time."""
    out = []
    for at, kind, _, payload in arrivals.lines:
        if kind != "data" or not begin <= at <= end:
            continue
        batch = rig.wire.DataBatch()
        batch.ParseFromString(bytes.fromhex(payload))
        newest = max(s.base_ms + max(sum(b.dt_ms) for b in s.blocks) for s in batch.segments)
        if newest > begin * 1000:
            out.append(at * 1000 - newest)
    return sorted(out)


def tell_live(name, ages):
    if ages:
        for part in (50, 99):
            tell("%s-live-p%d" % (name, part), ages[min(len(ages) - 1, len(ages) * part // 100)],
                 "ms")


def drain_case(seconds):
    """A backlog, gathered as fast as ten devices answer while the broker is away, drains to a local
    broker."""
    rig = Rig("bench")
    ports = [free_port() for _ in range(10)]
    start_broker(rig, subscriber=False)  # for its certificate
    rig.end("mosquitto")
    start_sim(rig, configure(rig, ports, "0s", "1s"))
    start_daemon(rig, rig.path("gateway.yaml"))
    time.sleep(min(seconds, 30))
    backlog = rig.uplink()["backlog"]["readings"]
    rig.end("daemon")
    start_broker(rig, subscriber=False)
    pid = start_daemon(rig, configure(rig, ports, "100ms", "1s", sync="100ms"))
    while not rig.uplink():
        time.sleep(0.01)
    before = memory_kib(pid)[0]
    while rig.uplink()["backlog"]["readings"] > 20000:
        time.sleep(0.01)
    uplink, after = rig.uplink(), memory_kib(pid)[0]
    took = uplink["since_age_ms"] / 1000
    tell("drain-backlog", backlog, "readings")
    tell("drain", uplink["readings"] / took, "readings/s")
    tell("drain-bytes", uplink["bytes"] / took / 1e6, "MB/s")
    tell("drain-times-live", uplink["readings"] / took / 10000, "x")
    tell("drain-rss-growth", (after - before) / 1024, "MiB")
    rig.finish()


def drain_small_case(seconds):
    """A backlog of small rows, 60 readings in 600 bytes each as of points polled once a minute,
    written into the store by hand."""
    rig = Rig("bench")
    port, rows = free_port(), 2000 * min(seconds, 60)
    start_broker(rig, subscriber=False)
    config = configure(rig, [port], "1s", "1s", "bench-10", sync="100ms")
    start_sim(rig, config)
    start_daemon(rig, config)
    while not rig.uplink():
        time.sleep(0.01)
    rig.end("daemon")
    store = sqlite3.connect(rig.path("store.db"))
    ordinal, epoch = store.execute("SELECT ordinal,number FROM epoch").fetchone()
    for seq in range(1, rows + 1):
        batch = rig.wire.DataBatch()
        segment = batch.segments.add(seq=seq, base_ms=1790000000000 + seq * 60000, clock=1)
        for device in range(1, 7):
            block = segment.blocks.add(device=device, dt_ms=[device * 997])
            for point in range(10):
                block.columns.add(point=device * 10 + point, decimals=1, steps=[seq + point * 1000])
        row = batch.SerializeToString()
        store.execute("INSERT INTO segment VALUES(?,?,?,60,?,?)",
                      (ordinal << 48 | 1 << 40 | seq, segment.base_ms, segment.base_ms,
                       row_crc(epoch, 1, seq, row), row))
    store.execute("INSERT OR REPLACE INTO stream VALUES(?,1,?,?)", (ordinal, rows, segment.base_ms))
    store.execute("INSERT INTO unacked SELECT id,?,1,1,? FROM uplink", (ordinal, rows))
    store.commit()
    store.close()
    start_daemon(rig, config)
    while not rig.uplink() or rig.uplink()["backlog"]["readings"] > 1000:
        time.sleep(0.01)
    uplink = rig.uplink()
    took = uplink["since_age_ms"] / 1000
    tell("drain-small-rows", uplink["readings"] / took, "readings/s")
    tell("drain-small-rows-bytes", uplink["bytes"] / took / 1e6, "MB/s")
    tell("drain-small-rows-batches", uplink["batches"] / took, "1/s")
    rig.finish()


def drain_link_case(name, bytes_s, every, seconds):
    """What live data, ten readings a second, waits while a backlog drains over such a link."""
    rig = Rig("bench")
    port = free_port()
    start_broker(rig, subscriber=False)
    arrivals = Arrivals(rig.plain_port)
    proxy = Proxy(rig.broker_port)
    proxy.rate = bytes_s
    proxy.refuse()
    rig.broker_port = proxy.port
    start_sim(rig, configure(rig, [port], every, "1s", "bench-10"))
    start_daemon(rig, rig.path("gateway.yaml"))
    time.sleep(min(seconds, 30))
    rig.end("daemon")
    proxy.accept()
    start_daemon(rig, configure(rig, [port], "1s", "1s", "bench-10", sync="100ms"))
    begin = time.time()
    time.sleep(1)
    backlog = rig.uplink()["backlog"]["readings"]
    while rig.uplink()["backlog"]["readings"] > 20 and time.time() < begin + 60:
        time.sleep(0.1)
    end = time.time()
    tell(name + "-backlog", backlog, "readings")
    tell(name + "-took", end - begin, "s")
    tell_live(name, live_ms(rig, arrivals, begin + 1, end))
    begin = time.time()
    time.sleep(15)
    tell_live(name + "-without", live_ms(rig, arrivals, begin, time.time()))
    arrivals.stop()
    rig.finish()


def sampled(rig, arrivals, begin, end):
    """(device, sampled at, arrived at) of each reading sampled meanwhile, in milliseconds."""
    for at, _, _, payload in arrivals.lines:
        batch = rig.wire.DataBatch()
        batch.ParseFromString(bytes.fromhex(payload))
        for segment in batch.segments:
            for device, _, t, _, _ in readings_of(segment):
                if begin * 1000 <= t < end * 1000:
                    yield device, t, at * 1000


def stalls_ms(rig, seconds, stalls):
    """Two seconds of seven the disk stands still; returns how old the latest values were meanwhile,
    as the local interface says."""
    begin, ages = time.time(), []
    while time.time() < begin + seconds:
        if stalls:
            rig.write("hang", "store fdatasync")
        for _ in range(4):
            time.sleep(0.5)
            ages += [point["age_ms"] for point in rig.api("/v1/latest")["points"]]
        if stalls:
            os.remove(rig.path("hang"))
        time.sleep(5)
    return ages


def stall_case(seconds):
    """What a reading waits from sample to subscriber beside a disk that stands still for 2 s every
    7 s (live data is sent when it is stored, here in segments of 1 s), and what polling and the
    latest values do; then the same without stalls."""
    rig = Rig("bench")
    start_broker(rig, subscriber=False)
    arrivals = Arrivals(rig.plain_port)
    config = configure(rig, [free_port() for _ in range(10)], "1s", "1s", "bench-10")
    start_sim(rig, config)
    time.sleep(0.5)
    rig.spawn("daemon", [os.path.join(BUILD, "lifelined"), "-c", config, "--profiles", PROFILES],
              LD_PRELOAD=os.path.join(BUILD, "hang.so"), HANG_FILE=rig.path("hang"))
    time.sleep(3)
    for name, stalls in (("stall", True), ("stall-none", False)):
        begin = time.time()
        latest = stalls_ms(rig, min(seconds, 70), stalls)
        end = time.time()
        time.sleep(5)
        got = list(sampled(rig, arrivals, begin, end))
        waits = sorted(arrived - t for _, t, arrived in got)
        polls = sorted({(device, t) for device, t, _ in got})
        off = sorted(d for device in {device for device, _ in polls}
                     for d in grid_deviations([t for of, t in polls if of == device], 1000)[0])
        tell(name + "-readings-share", 100 * len(waits) / ((end - begin) * 100), "%")
        tell(name + "-live-p50", waits[len(waits) // 2], "ms")
        tell(name + "-live-p99", waits[len(waits) * 99 // 100], "ms")
        tell(name + "-live-max", waits[-1], "ms")
        tell(name + "-latest-age-max", max(latest), "ms")
        tell(name + "-jitter-p99", off[len(off) * 99 // 100], "ms")
    arrivals.stop()
    rig.finish()
