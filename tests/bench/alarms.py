"""How long an alarm takes from the sensor's reply to a subscriber: on a calm gateway, beside a
backlog that drains, and beside a disk that stalls."""
import os
import random
import subprocess
import sys
import threading
import time

from parts import PROFILES, configure, start_broker, start_sim, tell
from rig import BUILD, SOURCE, Rig, free_port

sys.path.insert(0, os.path.join(SOURCE, "tests", "system"))
from sensors import Sensors             # noqa: E402 (its folder is named above)

UNITS, POINTS, PAUSE_S = 100, 50, 0.02
RULE = "hot: { above: { 4: 10, 3: 20, 1: 40 }, hysteresis: 2, source: \"the bench\" }"


class Alarms(threading.Thread):
    """A subscriber of its own process, in C: it only notes when what came."""

    def __init__(self, port, root="lifeline/v1/140502/gw-bench/"):
        super().__init__(daemon=True)
        self.command = subprocess.Popen(
            ["mosquitto_sub", "-p", str(port), "-q", "1", "-t", root + "alarm/+", "-F", "%U %x"],
            stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.start()

    def run(self):
        for line in self.command.stdout:
            at, payload = line.split()
            self.lines.append((float(at), payload))

    def stop(self):
        self.command.terminate()
        self.join()


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
    start_broker(rig)
    rig.subscriber.stop()
    rig.subscriber = None
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


def stall(rig, until):
    """Two seconds of five the disk stands still."""
    while time.time() < until:
        rig.write("hang", "store fdatasync")
        time.sleep(2)
        os.remove(rig.path("hang"))
        time.sleep(3)


def alarm_case(name, seconds, stalls=False):
    rig = Rig("bench")
    config, sensors = make(rig)
    hang = {"LD_PRELOAD": os.path.join(BUILD, "hang.so"), "HANG_FILE": rig.path("hang")}
    daemon(rig, config, **(hang if stalls else {}))
    alarms = Alarms(rig.plain_port)
    time.sleep(3)
    until = time.time() + max(seconds, 60)
    if stalls:
        threading.Thread(target=stall, args=(rig, until), daemon=True).start()
    flip(sensors, until)
    time.sleep(5)
    tell_waits(name, waits(rig, alarms))
    alarms.stop()
    rig.finish()


def alarm_drain_case(seconds):
    """A backlog of ten devices as fast as they answer drains as fast as it can, again and again."""
    rig = Rig("bench")
    start_broker(rig)
    rig.subscriber.stop()
    rig.subscriber = None
    ports = [free_port() for _ in range(10)]
    config = configure(rig, ports, "0s", "1s")
    start_sim(rig, config)
    sensors = add_sensors(rig, config)
    alarms, ages, backlog = Alarms(rig.plain_port), [], 0
    for _ in range(4):
        rig.end("mosquitto")
        rig.spawn("daemon", [os.path.join(BUILD, "lifelined"), "-c", config, "--profiles", PROFILES])
        time.sleep(min(seconds, 15))
        status = rig.uplink()
        backlog += status["backlog"]["readings"] if status else 0
        rig.end("daemon")
        rig.spawn("mosquitto", ["/usr/sbin/mosquitto", "-c", rig.path("mosquitto.conf")])
        rig.wait_port(rig.broker_port)
        time.sleep(2)
        begin = time.time()
        daemon(rig, config)
        until = time.time() + 20
        threading.Thread(target=flip, args=(sensors, until), daemon=True).start()
        while rig.uplink()["backlog"]["readings"] > 50000 and time.time() < until:
            time.sleep(0.02)
        end = time.time()
        time.sleep(2)
        ages += waits(rig, alarms, begin + 0.5, end)
        rig.end("daemon")
    tell("alarm-drain-backlog", backlog, "readings")
    tell_waits("alarm-drain", sorted(ages))
    alarms.stop()
    rig.finish()
