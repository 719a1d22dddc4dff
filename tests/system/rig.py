"""Real parts for the system tests: mosquitto, lifeline-sim, lifelined, and a subscriber that decodes
with Python's protobuf and knows nothing of our own decoder.

A test is a script: it makes a Rig, does things to it and ends with rig.finish(). Every check prints
`ok NAME` or `FAIL NAME: why`. LIFELINE_BUILD names the build folder; everything else lies in a folder
under /tmp that goes when the test passes and stays when it fails.
"""
import atexit
import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import paho.mqtt.client as paho

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("LIFELINE_BUILD", os.path.join(SOURCE, "build"))
# How far times may lie apart on a machine that is kept busy, as the scorecard's long form does.
BUSY_MS = int(os.environ.get("LIFELINE_BUSY_MS", 0))
CURL_LATE = 28                          # its exit status
PAUSE_S = 75                            # a pause between two tries to connect lasts up to a minute
SECTORS = ["", "gas", "water", "drainage", "heat", "manhole", "waterlogging", "sponge", "bridge",
           "tunnel", "corridor"]
QUALITIES = {0: "good", 1: "uncertain", 2: "spike", 3: "warmup", 4: "calibrating",
             16: "out_of_range", 17: "invalid", 18: "sensor_fault", 19: "timeout", 20: "exception",
             21: "garbled", 22: "link", 23: "stale"}


def load_wire(folder):
    """protoc's Python of our .proto: the independent decoder."""
    out = os.path.join(folder, "python")
    os.makedirs(out, exist_ok=True)
    subprocess.run(["protoc", "--python_out=" + out, "-I", os.path.join(SOURCE, "proto"),
                    "lifeline/v1/lifeline.proto"], check=True)
    sys.path.insert(0, out)
    from lifeline.v1 import lifeline_pb2
    return lifeline_pb2


def free_port(held={}):
    """Below the ports that connections leave from, or one of those takes it before its server does;
    ours until this process ends, among all tests that run at the same time."""
    folder = os.path.join(tempfile.gettempdir(), "lifeline-ports")
    os.makedirs(folder, exist_ok=True)
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        mine = open(os.path.join(folder, str(port)), "w", encoding="ascii")
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) != 0:
                held[port] = mine
                return port


def now_ms():
    return int(time.time() * 1000)


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


ZSTD = ctypes.CDLL("libzstd.so.1")
for name, result in (("ZSTD_getFrameContentSize", ctypes.c_uint64), ("ZSTD_isError", ctypes.c_uint),
                     ("ZSTD_findFrameCompressedSize", ctypes.c_size_t),
                     ("ZSTD_decompress", ctypes.c_size_t)):
    getattr(ZSTD, name).restype = result
ZSTD_CONTENT_MAX = 4 << 20


def undo_zstd(frame):
    """The content of a DataBatch.zstd: exactly one frame, which says its size."""
    size = ZSTD.ZSTD_getFrameContentSize(frame, ctypes.c_size_t(len(frame)))
    assert 0 < size <= ZSTD_CONTENT_MAX, "no content size, or too large: %d" % size
    assert ZSTD.ZSTD_findFrameCompressedSize(frame, ctypes.c_size_t(len(frame))) == len(frame)
    out = ctypes.create_string_buffer(size)
    got = ZSTD.ZSTD_decompress(out, ctypes.c_size_t(size), frame, ctypes.c_size_t(len(frame)))
    assert not ZSTD.ZSTD_isError(ctypes.c_size_t(got)) and got == size, "a damaged frame"
    return out.raw


def undo_compression(wire, payload):
    """The DataBatch as if it had not been compressed, and its payload likewise."""
    batch = wire.DataBatch()
    batch.ParseFromString(payload)
    if not batch.zstd:
        return batch, payload
    assert not batch.segments and not batch.gaps, "rows beside zstd"
    rows = undo_zstd(batch.zstd)
    inner = wire.DataBatch()
    inner.ParseFromString(rows)
    assert not (inner.gateway or inner.epoch or inner.sector or inner.zstd), "more than rows in zstd"
    batch.ClearField("zstd")
    payload = batch.SerializeToString() + rows
    batch.ParseFromString(payload)
    return batch, payload


def segment_rows(payload):
    """The `segments` fields of a DataBatch as they stand on the wire, tag and length included."""
    rows, at = [], 0
    while at < len(payload):
        start = at
        tag, at = read_varint(payload, at)
        kind = tag & 7
        if kind == 0:
            _, at = read_varint(payload, at)
        elif kind == 1:
            at += 8
        elif kind == 5:
            at += 4
        else:
            length, at = read_varint(payload, at)
            at += length
            if tag >> 3 == 8:
                rows.append(payload[start:at])
    return rows


def undo_runs(pairs, length):
    if not pairs:
        return [0] * length
    out = []
    for i in range(0, len(pairs), 2):
        out += [pairs[i + 1]] * pairs[i]
    assert len(out) == length, "quality runs do not sum to the column's length"
    return out


def readings_of(segment):
    """(device, point, time, value, quality) of every row, deltas undone."""
    for block in segment.blocks:
        times, t = [], segment.base_ms
        for dt in block.dt_ms:
            t += dt
            times.append(t)
        for column in block.columns:
            if column.steps:
                values, sum_ = [], 0
                for step in column.steps:
                    sum_ += step
                    values.append(sum_)
            else:
                values = list(column.floats)
            assert len(values) == len(times), "a column is not as long as dt_ms"
            for i, quality in enumerate(undo_runs(list(column.quality), len(times))):
                yield block.device, column.point, times[i], values[i], quality


class Subscriber:
    """Everything that arrives under the root, in order, with the time of arrival. A lasting session,
    so that a broker that comes back still knows it."""

    def __init__(self, port, username=None, password=None, cafile=None):
        self.messages = []
        self.lock = threading.Lock()
        self.client = paho.Client(client_id="subscriber-%d" % random.getrandbits(30),
                                  clean_session=False)
        if username:
            self.client.username_pw_set(username, password)
        if cafile:
            self.client.tls_set(ca_certs=cafile)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda c, u, f, rc: c.subscribe("lifeline/#", qos=1)
        self.client.on_message = self.on_message
        self.subscribed = threading.Event()
        self.client.on_subscribe = lambda *a: self.subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.subscribed.wait(10), "the subscriber could not subscribe"

    def on_message(self, client, userdata, message):
        with self.lock:
            self.messages.append((message.topic, bytes(message.payload), now_ms(), message.retain))

    def all(self):
        with self.lock:
            return list(self.messages)

    def stop(self):
        self.client.loop_stop()
        self.client.disconnect()


class Rig:
    def __init__(self, name):
        self.name = name
        self.seed = int(os.environ.get("LIFELINE_SEED", random.getrandbits(31)))
        random.seed(self.seed)
        self.begun = time.monotonic()
        print("%s: seed %d (LIFELINE_SEED repeats it)" % (name, self.seed), flush=True)
        self.folder = tempfile.mkdtemp(prefix="lifeline-%s-" % name, dir="/tmp")
        # the packs lie beside the configuration, wherever the profiles come from
        os.symlink(os.path.join(SOURCE, "config", "alarms"), self.path("alarms"))
        self.wire = load_wire(self.folder)
        self.broker_port = free_port()
        self.processes = {}
        self.stops = []                # of the daemon: told to end, started again; ms
        self.failures = 0
        self.subscriber = None
        self.row, self.trials = os.environ.get("LIFELINE_ROW"), 1
        self.sim_journal = self.path("sim.jsonl")
        self.store_journal = self.path("stored.log")
        atexit.register(self.kill_all)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """For our eyes only: a password that others can read is refused."""
        with open(self.path(name), "w", encoding="utf-8",
                  opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(text)
        return self.path(name)

    def spawn(self, name, command, **environment):
        log = open(self.path(name + ".log"), "ab")
        env = dict(os.environ, **environment)
        self.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=env,
                                                stdin=subprocess.DEVNULL)
        return self.processes[name]

    def log(self, name):
        with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def end(self, name, sig=signal.SIGTERM, timeout=15):
        process = self.processes.pop(name, None)
        if not process:
            return None
        if name == "daemon" and sig == signal.SIGTERM:
            self.stops.append((now_ms(), float("inf")))
        process.send_signal(sig)
        return process.wait(timeout)

    def kill_all(self):
        """A test that broke off leaves nobody behind."""
        for process in self.processes.values():
            if process and process.poll() is None:
                process.kill()

    # ---- the parts ----

    def start_broker(self, extra="", anonymous=True, listener=None):
        conf = self.write("mosquitto.conf", "%s\nallow_anonymous %s\npersistence true\n"
                          "persistence_location %s/\nautosave_interval 0\nmax_queued_messages 0\n"
                          "user root\n%s\n"
                          % (listener or "listener %d 127.0.0.1" % self.broker_port,
                             "true" if anonymous else "false", self.folder, extra))
        self.spawn("mosquitto", [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", conf])
        self.wait_port(self.broker_port)

    def wait_port(self, port, seconds=10):
        for _ in range(int(seconds * 20)):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError("nobody listens on %d" % port)

    def subscribe(self, **options):
        self.subscriber = Subscriber(self.broker_port, **options)

    def expect_subscriber(self):
        """Before a daemon that finds its broker only later: the broker gets to know the
        subscriber's session and goes again. What then reaches it waits for the subscriber."""
        self.start_broker()
        self.subscribe()
        self.end("mosquitto")

    def start_sim(self, config, *options):
        read, write = os.pipe()
        log = open(self.path("sim.log"), "ab")
        self.processes["sim"] = subprocess.Popen(
            [os.path.join(BUILD, "lifeline-sim"), "-c", config, "--profiles",
             os.path.join(SOURCE, "config", "profiles"), "--journal", self.sim_journal,
             "--ready-fd", str(write), *options],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as f:
            assert "ready" in f.read(), "the simulator did not start:\n" + self.log("sim")

    def configure(self, lines, devices, store="segment: 2s", uplink="", uplinks=None,
                  name="gateway.yaml", trusted_rtc="true"):
        """A configuration; lines and devices are the insides of their { }, uplink what the one to
        our broker has more than its address. The clock counts as set: on a machine that has just
        booted readings would be held back for minutes otherwise."""
        uplinks = uplinks or ["name: city, urls: [ \"mqtt://127.0.0.1:%d\" ]%s"
                              % (self.broker_port, ", " + uplink if uplink else "")]
        uplinks = [u if "spread:" in u else u + ", spread: 1s" for u in uplinks]
        if BUSY_MS:                     # an answer that the machine holds up is not lost
            lines = [line if "timeout:" in line else "%s, timeout: %dms" % (line, 3 * BUSY_MS)
                     for line in lines]
        return self.write(name, """gateway: { id: gw-test-1, region: "140502", name: test, trusted_rtc: %s }
store: { path: %s, %s }
lines:
%sdevices:
%suplinks:
%sapi: { socket: %s }
""" % (trusted_rtc, self.path("store.db"), store, *("".join("  - { %s }\n" % entry for entry in entries)
                                       for entries in (lines, devices, uplinks)),
            self.path("api.sock")))

    def api(self, path):
        """What the daemon's local interface says; None while it says nothing."""
        for _ in range(3):              # a busy machine may once take longer
            answer = subprocess.run(["curl", "-s", "-m", "2", "--unix-socket", self.path("api.sock"),
                                     "http://localhost" + path], capture_output=True)
            if answer.returncode != CURL_LATE:
                break
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def start_daemon(self, config, name="daemon", **environment):
        if name == "daemon" and self.stops:
            self.stops[-1] = self.stops[-1][0], min(self.stops[-1][1], now_ms())
        return self.spawn(name, [os.path.join(BUILD, "lifelined"), "-c", config, "--profiles",
                                 os.path.join(SOURCE, "config", "profiles")],
                          LIFELINE_TEST_JOURNAL=self.store_journal, **environment)

    def uplink(self, name="city"):
        """How that uplink does, by the daemon's local interface; {} while it does not answer."""
        status = self.api("/v1/status") or {"uplinks": []}
        return next((u for u in status["uplinks"] if u["name"] == name), {})

    def wait_connected(self, name="city"):
        return self.wait(lambda: self.uplink(name).get("connected"), PAUSE_S,
                         "uplink %s is connected" % name)

    def drain(self, seconds=15, quiet_s=5):
        """Ends the sensors and waits until all that was stored is acknowledged. Returns a moment
        before which every answer must have arrived. In quiet_s every device is asked once more and
        the rows of these failed polls close too. The uplink may be in a pause."""
        until = now_ms() - 100
        self.end("sim")
        time.sleep(quiet_s)
        self.wait(lambda: self.uplink().get("backlog", {}).get("readings") == 0,
                  PAUSE_S + seconds, "all that is stored is acknowledged")
        return until

    # ---- what arrived ----

    def batches(self, since_ms=0):
        """(topic kind, sector, DataBatch, payload, arrival) in order of arrival"""
        for topic, payload, arrival, _ in self.subscriber.all():
            kind = topic.split("/")[-2]
            if arrival >= since_ms and kind in ("data", "history"):
                batch, payload = undo_compression(self.wire, payload)
                yield kind, topic.split("/")[-1], batch, payload, arrival

    def manifests(self):
        """(epoch, device id) -> name; (epoch, point id) -> Point"""
        devices, points = {}, {}
        for topic, payload, _, _ in self.subscriber.all():
            if "/manifest/" in topic and payload:
                manifest = self.wire.Manifest()
                manifest.ParseFromString(payload)
                for device in manifest.devices:
                    devices[manifest.epoch, device.id] = device
                for point in manifest.points:
                    points[manifest.epoch, point.id] = point
        return devices, points

    def states(self):
        for topic, payload, arrival, retained in self.subscriber.all():
            if topic.endswith("/state"):
                state = self.wire.GatewayState()
                state.ParseFromString(payload)
                yield state, arrival, retained

    def readings(self):
        """Every reading once: (device name, point name, time, value, quality, sector)"""
        devices, points = self.manifests()
        seen = set()
        for _, sector, batch, _, _ in self.batches():
            for segment in batch.segments:
                key = (batch.gateway, batch.epoch, batch.sector, segment.seq)
                if key in seen:
                    continue
                seen.add(key)
                for device, point, t, value, quality in readings_of(segment):
                    yield (devices[batch.epoch, device].name, points[batch.epoch, point].name, t,
                           value, QUALITIES[quality], sector)

    def emitted(self):
        """What the simulator answered: (device, point, time, value, fault)"""
        with open(self.sim_journal, encoding="utf-8") as f:
            for line in f:
                answer = json.loads(line)
                for point, value in answer.get("points", {}).items():
                    yield answer["device"], point, answer["t"], value, answer.get("fault")

    def wait(self, condition, seconds, what):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.1)
        self.check(what, False, "not within %d s" % seconds)
        return False

    # ---- the end ----

    def check(self, name, passed, why=""):
        print("%s %s/%s%s" % ("ok" if passed else "FAIL", self.name, name,
                              "" if passed else ": " + str(why)), flush=True)
        self.failures += not passed
        return passed

    def score(self, row, trials, violations):
        """A row of the scorecard (tests/fault/scorecard adds them up): how many trials, and what went
        against the invariant in them."""
        print("score %s %d %d" % (row, trials, len(violations)), flush=True)
        self.check("%s: %d trials" % (row, trials), trials > 0 and not violations, violations[:5])

    def finish(self):
        """The scenario's end; one that stands for a row of the scorecard says how it went."""
        if self.row:
            print("score %s %d %d" % (self.row, self.trials, self.failures), flush=True)
        for name in list(self.processes):
            try:
                code = self.end(name)
                if name == "daemon":
                    self.check("the daemon ends with 0", code == 0, code)
            except subprocess.TimeoutExpired:
                self.processes[name] = None
                self.check("%s ends" % name, False, "it hangs")
        if self.subscriber:
            self.subscriber.stop()
        print("# %s: %.0f s" % (self.name, time.monotonic() - self.begun), flush=True)
        if self.failures:
            print("--- daemon log\n" + self.log("daemon") if
                  os.path.exists(self.path("daemon.log")) else "", flush=True)
            print("kept: " + self.folder, flush=True)
            sys.exit(1)
        shutil.rmtree(self.folder)


def delivers(rig, what, seconds=20):
    """Something sampled from now on arrives."""
    start = now_ms()
    if rig.wait(lambda: any(s.base_ms > start for _, _, b, _, _ in rig.batches(start)
                            for s in b.segments), seconds, what):
        rig.check(what, True)


def block_times(rig):
    """device name -> the times of its rows that arrived, once each and in order"""
    devices, _ = rig.manifests()
    times = {}
    for _, _, batch, _, _ in rig.batches():
        for segment in batch.segments:
            for block in segment.blocks:
                t = segment.base_ms
                for dt in block.dt_ms:
                    t += dt
                    times.setdefault(devices[batch.epoch, block.device].name, set()).add(t)
    return {device: sorted(entries) for device, entries in times.items()}


def grid_deviations(times, period_ms):
    """How far each time lies from a grid of the period, and how far the grid moved from the first
    third of the run to the last; milliseconds."""
    phases = [(t - times[0] + period_ms / 2) % period_ms for t in times]
    middle = sorted(phases)[len(phases) // 2]
    third = max(len(phases) // 3, 1)
    first, last = (sorted(part)[third // 2] for part in (phases[:third], phases[-third:]))
    return [abs(phase - middle) for phase in phases], last - first


def with_port_link(rig, port):
    """What a command begins with that is to see a /dev with a link to this port, as udev makes them."""
    return ["unshare", "-m", "sh", "-ec",
            "cd %s; mkdir -p dev; mount -t tmpfs none dev; mkdir dev/pts dev/lifeline; mount --bind /dev/pts dev/pts; "
            "cp -a /dev/null /dev/tty dev; ln -s %s dev/lifeline/rs485-1-1.3; mount --rbind dev /dev; "
            "cd /; exec \"$@\"" % (rig.folder, port), "sh"]


def run_scenarios(scenarios, rows=None):
    """Runs functions that each make a Rig of their own, side by side in a process each: they mostly
    wait. With names on the command line, only those, one after the other. rows: which row of the
    scorecard a scenario stands for."""
    named = sys.argv[1:]
    if named:
        for name in named:
            row = (rows or {}).get(name)
            if row:
                os.environ["LIFELINE_ROW"] = row
            scenarios[name]()
        return
    runs = {name: subprocess.Popen([sys.executable, sys.argv[0], name], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT) for name in scenarios}
    failed = []
    for name, run in runs.items():
        output, _ = run.communicate()
        sys.stdout.buffer.write(output)
        sys.stdout.flush()
        if run.returncode:
            failed.append(name)
            if b"FAIL " not in output:
                print("FAIL %s: exit status %d" % (name, run.returncode), flush=True)
    sys.exit(bool(failed))


def modbus_crc(data):
    crc = 0xffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xa001 if crc & 1 else crc >> 1
    return bytes([crc & 0xff, crc >> 8])


def row_crc(epoch, sector, seq, row):
    """The CRC that the store keeps beside a row: over its key and its bytes."""
    return zlib.crc32(row, zlib.crc32(struct.pack("<QQQ", epoch, sector, seq)))
