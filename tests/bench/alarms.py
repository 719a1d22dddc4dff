"""How long an alarm takes from the sensor's reply to a subscriber: on a calm gateway, beside a
backlog that drains (with loopback's speed, and over a LAN of 100 Mbit/s), and beside a disk that
stalls."""
import ctypes
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from parts import PROFILES, configure, start_broker, start_sim, tell
from rig import BUILD, SOURCE, Rig, free_port, row_crc

sys.path.insert(0, os.path.join(SOURCE, "tests", "system"))
from sensors import Sensors             # noqa: E402 (its folder is named above)

UNITS, POINTS, PAUSE_S = 100, 50, 0.02
EVENTS, ROUNDS = 10000, 25              # of a drain: enough, and an end in any case
DRAINED = 100000                        # readings; what is left of a backlog no longer counts as one
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, CLONE_NEWNET = 1, 0x40000000
RULE = "hot: { above: { 4: 10, 3: 20, 1: 40 }, hysteresis: 2, source: \"the bench\" }"


class Alarms(threading.Thread):
    """A subscriber of its own process, in C: it only notes when what came. It ends with the rig, and
    with us however we end."""

    def __init__(self, rig, root="lifeline/v1/140502/gw-bench/"):
        super().__init__(daemon=True)
        self.command = subprocess.Popen(
            ["mosquitto_sub", "-p", str(rig.plain_port), "-q", "1", "-t", root + "alarm/+", "-F",
             "%U %x"], stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        rig.processes["alarms"] = self.command
        self.lines = []
        self.start()

    def run(self):
        for line in self.command.stdout:
            at, payload = line.split()
            self.lines.append((float(at), payload))


def add_sensors(rig, config):
    """A line of sensors that the bench sets, each point with a rule, beside what is configured."""
    port = free_port()
    os.makedirs(rig.path("profiles"), exist_ok=True)
    rig.write("profiles/alarming.yaml", "profile: alarming\ntitle: { zh: 报警, en: alarming }\n"
              "sector: waterlogging\nstatus: beta\nsource: \"a bench's own\"\npoints:\n" + "".join(
                  "  - { name: p%d, quantity: depth, function: holding, address: %d, type: u16 }\n"
                  % (i, i) for i in range(POINTS)))
    overrides = ", ".join("p%d: { alarms: { %s } }" % (i, RULE) for i in range(POINTS))
    with open(config, encoding="utf-8") as f:
        text = f.read()
    text = text.replace("devices:\n", "  - { name: alarming, transport: tcp, host: 127.0.0.1, port: "
                        "%d }\ndevices:\n" % port + "".join(
                            "  - { name: a%d, line: alarming, unit: %d, profile: alarming, every: "
                            "500ms, points: { %s } }\n" % (unit, unit, overrides)
                            for unit in range(1, UNITS + 1)), 1)
    with open(config, "w", encoding="utf-8") as f:
        f.write(text + "alarms: { packs: [] }\n")
    return Sensors(port)


def flip(sensors, until):
    """Every point goes up once and down once, five at a time, in an order of its own."""
    count = 0
    for value in (45, 0):
        order = [(unit, address) for unit in range(1, UNITS + 1) for address in range(POINTS)]
        random.shuffle(order)
        for i in range(0, len(order), 5):
            if time.time() > until:
                return count
            for unit, address in order[i:i + 5]:
                sensors.set(unit, address, value)
            count += 5
            time.sleep(PAUSE_S)
        time.sleep(1.5)                 # the last ones are seen before they go down
    return count


def waits(rig, alarms, begin=0, end=1e12):
    out = []
    for at, payload in alarms.lines:
        event = rig.wire.AlarmEvent()
        event.ParseFromString(bytes.fromhex(payload))
        if begin * 1000 <= event.at_ms <= end * 1000:
            out.append(at * 1000 - event.at_ms)
    return sorted(out)


def tell_waits(name, ages):
    tell(name + "-events", len(ages), "events")
    for part in (50, 99, 99.9):
        tell("%s-p%g" % (name, part), ages[min(len(ages) - 1, int(len(ages) * part / 100))], "ms")
    tell(name + "-max", ages[-1], "ms")


def make(rig):
    start_broker(rig, subscriber=False)
    port = free_port()
    config = configure(rig, [port], "1s", "1s", "bench-10")
    start_sim(rig, config)
    rig.wait_port(port)
    return config, add_sensors(rig, config)


def daemon(rig, config, **environment):
    rig.spawn("daemon", [os.path.join(BUILD, "lifelined"), "-c", config, "--profiles", PROFILES],
              **environment)
    while not rig.uplink() or not rig.uplink().get("connected"):
        time.sleep(0.05)


def stall(rig, until, stalls):
    """Two seconds of five the disk stands still. Notes when, and for how long nothing was written."""
    while time.time() < until:
        begin = time.time()
        rig.write("hang", "store fdatasync")
        time.sleep(2)
        stood = time.time() - os.stat(rig.path("store.db-wal")).st_mtime
        stalls.append((begin, time.time(), stood))
        os.remove(rig.path("hang"))
        time.sleep(3)


def alarm_case(name, seconds, with_stalls=False):
    rig, stalls = Rig("bench"), []
    config, sensors = make(rig)
    hang = {"LD_PRELOAD": os.path.join(BUILD, "hang.so"), "HANG_FILE": rig.path("hang")}
    daemon(rig, config, **(hang if with_stalls else {}))
    alarms = Alarms(rig)
    time.sleep(3)
    until = time.time() + max(seconds, 60)
    if with_stalls:
        threading.Thread(target=stall, args=(rig, until, stalls), daemon=True).start()
    flip(sensors, until)
    time.sleep(5)
    tell_waits(name, waits(rig, alarms))
    if with_stalls:
        tell(name + "-disk-stood-least", min(stood for _, _, stood in stalls), "s")
        tell_waits(name + "-meanwhile", sorted(
            age for begin, end, stood in stalls for age in waits(rig, alarms, end - stood, end)))
    rig.finish()


def fill(rig, config, rows):
    """Writes a backlog of small rows, 60 readings each, into the store by hand (a gateway of a hundred
    points polled once a minute would take weeks). The daemon makes the store, and knows no alarm yet."""
    daemon(rig, config)
    rig.end("daemon")
    store = sqlite3.connect(rig.path("store.db"))
    ordinal, epoch = store.execute("SELECT ordinal,number FROM epoch").fetchone()
    segment = rig.wire.Segment(clock=1)
    for device in range(1, 7):
        block = segment.blocks.add(device=device, dt_ms=[device * 997])
        for point in range(10):
            block.columns.add(point=device * 10 + point, decimals=1, steps=[point * 100000])
    blocks = segment.SerializeToString()

    def row(seq):
        base_ms = 1790000000000 + seq * 60000
        body = rig.wire.Segment(seq=seq, base_ms=base_ms).SerializeToString() + blocks
        body = b"\x42" + bytes([len(body) & 127 | 128, len(body) >> 7]) + body
        return (ordinal << 48 | 1 << 40 | seq, base_ms, base_ms, row_crc(epoch, 1, seq, body), body)

    store.executemany("INSERT INTO segment VALUES(?,?,?,60,?,?)", map(row, range(1, rows + 1)))
    store.execute("INSERT OR REPLACE INTO stream VALUES(?,1,?,?)",
                  (ordinal, rows, 1790000000000 + rows * 60000))
    # without the check number that belongs to what is owed: the daemon says so, and owes all of it
    store.execute("DELETE FROM unacked WHERE sector=1")
    store.commit()
    store.close()
    return len(row(rows)[-1])


def backlog(rig):
    return rig.uplink()["backlog"]["readings"]


def toggle(sensors, order, over):
    """Like flip(), but goes on: every point in turn goes up, then every point down, until it is over."""
    value = 45
    while not over.is_set():
        for i in range(0, len(order), 5):
            for unit, address in order[i:i + 5]:
                sensors.set(unit, address, value)
            if over.wait(PAUSE_S):
                return
        value = 45 - value


def drain_round(rig, config, sensors, alarms):
    """One backlog drains while sensors alarm. Returns the waits of the alarms whose sensor answered
    while there was certainly more of it to drain: behind the moment at which the daemon said how much
    there was first, before the one at which it said so last; and how much went meanwhile."""
    order = [(unit, address) for unit in range(1, UNITS + 1) for address in range(POINTS)]
    random.shuffle(order)
    sensors.registers.clear()
    for suffix in ("-wal", "-shm"):
        if os.path.exists(rig.path("store.db" + suffix)):
            os.remove(rig.path("store.db" + suffix))
    shutil.copy(rig.path("backlog.db"), rig.path("store.db"))
    over = threading.Event()
    thread = threading.Thread(target=toggle, args=(sensors, order, over), daemon=True)
    thread.start()
    daemon(rig, config)
    begin, first, last = time.time(), backlog(rig), 0
    end = begin
    while time.time() < begin + 60:
        asked, left = time.time(), backlog(rig)
        if left < DRAINED:
            break
        end, last = asked, left
        time.sleep(0.1)
    over.set()
    thread.join()
    time.sleep(1)                       # what was sent last has arrived
    ages = waits(rig, alarms, begin, end)
    alarms.lines.clear()
    rig.end("daemon")
    return ages, first, last, end - begin


def slow_lan(port, mbit):
    """From here on we live in a network of our own, in which what goes to a port is no faster."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        return False
    commands = ["ip link set lo mtu 1500 up", "tc qdisc add dev lo root handle 1: htb default 1",
                "tc class add dev lo parent 1: classid 1:1 htb rate 100gbit burst 10m",
                "tc class add dev lo parent 1: classid 1:2 htb rate %dmbit burst 3k" % mbit,
                "tc filter add dev lo parent 1: protocol ip u32 match ip dport %d 0xffff flowid 1:2"
                % port]
    return all(subprocess.run(command.split(), capture_output=True).returncode == 0
               for command in commands)


def alarm_drain_case(name, seconds, mbit=None):
    """A backlog drains as fast as it can, again and again, until enough alarms were measured."""
    rig = Rig("bench")
    if mbit and not slow_lan(rig.broker_port, mbit):
        print("%s needs root and tc for a network of its own" % name, file=sys.stderr)
        return
    config, sensors = make(rig)
    with open(config, encoding="utf-8") as f:
        text = f.read().replace("segment: 1s", "segment: 1s, max_size: 4GiB")
    rig.write("gateway.yaml", text)
    row_bytes = fill(rig, config, 20000 * min(seconds, 60))
    os.rename(rig.path("store.db"), rig.path("backlog.db"))
    alarms, ages, went, took, least, rounds = Alarms(rig), [], 0, 0, 1 << 60, 0
    while len(ages) < EVENTS and rounds < ROUNDS:
        some, first, last, span = drain_round(rig, config, sensors, alarms)
        ages += some
        went, took, least, rounds = went + first - last, took + span, min(least, last), rounds + 1
    tell(name + "-rounds", rounds, "backlogs")
    tell(name + "-least-backlog", least, "readings")
    tell(name + "-drained", went / took, "readings/s")
    tell(name + "-drained-bytes", went / took / 60 * row_bytes / 1e6, "MB/s")
    tell_waits(name, sorted(ages))
    rig.check("alarms were measured while a backlog drained", ages and least > 0,
              "%d events" % len(ages))
    rig.finish()
