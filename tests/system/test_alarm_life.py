#!/usr/bin/python3
"""Alarms over reloads, and what is retained of them: a sector that comes, goes or is changed, a
broker that takes small messages only or never acknowledges one, what a thousand acknowledgements
leave behind, a disk that comes back."""
# Also under TSan: sector_changed disk_back
import os
import signal
import time

from proxy import Proxy
from rig import BUSY_MS, Rig, free_port, run_scenarios
from sensors import Sensors
from stub_broker import NEVER, Stub
from test_alarms import CLEARED, RAISED, TOPIC, active, configuration, events, life_of, wait_steps


def configure(rig, port, devices):
    """devices: (number, its sector)."""
    config = configuration(rig, port, 0)
    with open(config, encoding="utf-8") as f:
        text = f.read()
    entries = "".join(
        "  - { name: d%d, line: plc, unit: %d, profile: wide, sector: %s, every: 100ms,"
        " points: { p0: { alarms: { hot: { above: { 3: 20, 1: 40 } } } } } }\n" % (n, n, sector)
        for n, sector in devices)
    rig.write("profiles/wide.yaml", "profile: wide\ntitle: { zh: 宽, en: wide }\n"
              "sector: waterlogging\nstatus: beta\nsource: \"a test's own\"\npoints:\n"
              "  - { name: p0, quantity: depth, function: holding, address: 0, type: u16 }\n")
    return rig.write("gateway.yaml", text.replace("devices:\n", "devices:\n" + entries))


def begin(name, devices):
    rig = Rig(name)
    port = free_port()
    sensors = Sensors(port)
    rig.start_broker()
    rig.subscribe()
    config = configure(rig, port, devices)
    rig.start_daemon(config)
    rig.wait_connected()
    return rig, sensors, config, port


def reload(rig):
    reloads = rig.api("/v1/status")["gateway"]["reloads"]
    rig.processes["daemon"].send_signal(signal.SIGHUP)
    rig.wait(lambda: rig.api("/v1/status")["gateway"]["reloads"] > reloads, 20, "it reloads")


def up(rig, sector):
    newest = active(rig, sector)
    return None if newest is None else [a.key for a in newest.alarms]


def sector_added():
    """A sector that a reload brings has its list at once, on the connection that there is."""
    rig, sensors, config, port = begin("sector-added", [(1, "waterlogging")])
    rig.wait(lambda: up(rig, "waterlogging") == [], 10, "the list of the first sector")
    configure(rig, port, [(1, "waterlogging"), (2, "tunnel")])
    reload(rig)
    rig.wait(lambda: up(rig, "tunnel") == [], 10, "the list of the second, empty")
    sensors.set(2, 0, 45)
    wait_steps(rig, "d2.p0/hot", 1, "it is raised")
    rig.wait(lambda: up(rig, "tunnel") == ["d2.p0/hot"], 10, "and in the list")
    rig.finish()


def sector_gone():
    """The last device of a sector goes while its alarm is up: the alarm ends, and the list with it;
    by a reload, and by a restart."""
    for restart in (False, True):
        rig, sensors, config, port = begin("sector-gone-%d" % restart, [(1, "waterlogging"), (2, "tunnel")])
        sensors.set(2, 0, 45)
        wait_steps(rig, "d2.p0/hot", 1, "it is raised")
        rig.wait(lambda: up(rig, "tunnel") == ["d2.p0/hot"], 10, "it is in the list")
        if restart:
            rig.end("daemon")
        configure(rig, port, [(1, "waterlogging")])
        if restart:
            rig.start_daemon(config)
        else:
            reload(rig)
        wait_steps(rig, "d2.p0/hot", 2, "it ends")
        rig.check("CLEARED", life_of(rig, "d2.p0/hot")[1:] == [(2, CLEARED, 0, 1)],
                  life_of(rig, "d2.p0/hot"))
        rig.wait(lambda: up(rig, "tunnel") == [], 10, "and so does the list")
        rig.finish()


def sector_changed():
    """A device goes over to another sector: its alarm ends there and begins here."""
    for restart in (False, True):
        rig, sensors, config, port = begin("sector-changed-%d" % restart, [(1, "waterlogging"), (2, "tunnel")])
        sensors.set(2, 0, 45)
        wait_steps(rig, "d2.p0/hot", 1, "it is raised")
        rig.wait(lambda: up(rig, "tunnel") == ["d2.p0/hot"], 10, "it is in the list")
        if restart:
            rig.end("daemon")
        configure(rig, port, [(1, "waterlogging"), (2, "corridor"), (3, "tunnel")])
        if restart:
            rig.start_daemon(config)
        else:
            reload(rig)
        rig.wait(lambda: up(rig, "corridor") == ["d2.p0/hot"], 10, "it is in the other list")
        rig.wait(lambda: up(rig, "tunnel") == [], 10, "and in the first no longer")
        wait_steps(rig, "d2.p0/hot", 3, "three steps")
        steps = [(e.sector, e.status) for e, _ in events(rig) if e.key == "d2.p0/hot"]
        rig.check("it ended where it began", len(steps) == 3 and steps[0][0] == steps[1][0] and steps[1][1] == CLEARED and
                  steps[2][0] != steps[0][0] and steps[2][1] == RAISED, steps)
        rig.finish()


def small_packets():
    """A broker that takes small messages only gets a shorter list, not none."""
    rig = Rig("small-packets")
    port = free_port()
    sensors = Sensors(port)
    rig.start_broker("max_packet_size 2000\n")
    rig.subscribe()
    config = configuration(rig, port, 1, points=40)
    rig.start_daemon(config)
    rig.wait_connected()
    rig.wait(lambda: up(rig, "waterlogging") == [], 10, "an empty list")
    for address in range(40):
        sensors.set(1, address, 12 if address else 45)
    rig.wait(lambda: active(rig).omitted + len(active(rig).alarms) == 40, 15, "all are counted")
    rig.check("the worst is in it, and some more", up(rig, "waterlogging")[:1] == ["d1.p0/hot"] and
              active(rig).omitted > 0 and len(active(rig).alarms) > 3, active(rig))
    rig.finish()


def disk_back():
    """A start without the disk, which comes back: what is owed there goes out at once; of two
    alarms under one key the older one ends with the next start, and what is up is up once."""
    rig = Rig("disk-back")
    port = free_port()
    sensors = Sensors(port)
    rig.start_broker()
    rig.subscribe()
    config = configuration(rig, port, 3)
    os.makedirs(rig.path("disk"))
    with open(config, encoding="utf-8") as f:
        text = f.read()
    rig.write("gateway.yaml", text.replace(rig.path("store.db"), rig.path("disk/store.db")))
    rig.start_daemon(config)
    rig.wait_connected()
    sensors.set(1, 0, 25)
    sensors.set(2, 0, 25)
    for key in ("d1.p0/hot", "d2.p0/hot"):
        wait_steps(rig, key, 1, "%s is raised" % key)
    rig.end("mosquitto")
    sensors.set(3, 0, 25)
    time.sleep(1)
    sensors.set(3, 0, 0)
    time.sleep(1.5)
    rig.end("daemon")
    os.rename(rig.path("disk"), rig.path("elsewhere"))
    rig.write("disk", "")               # no directory: nothing can be opened there
    rig.start_broker()
    rig.start_daemon(config)
    rig.wait_connected()
    wait_steps(rig, "d1.p0/hot", 2, "raised anew: nothing is known")
    sensors.set(2, 0, 0)
    wait_steps(rig, "d2.p0/hot", 3, "the second is over")
    rig.check("nothing of the third", life_of(rig, "d3.p0/hot") == [], life_of(rig, "d3.p0/hot"))
    os.unlink(rig.path("disk"))
    os.rename(rig.path("elsewhere"), rig.path("disk"))
    rig.wait(lambda: rig.api("/v1/status")["store"]["mode"] == "ok", 80, "the disk is back")
    wait_steps(rig, "d3.p0/hot", 2, "what is owed on the disk goes out when it is back")
    rig.end("daemon")
    rig.start_daemon(config)
    rig.wait_connected()
    wait_steps(rig, "d1.p0/hot", 3, "the older of the first ends")
    wait_steps(rig, "d2.p0/hot", 4, "and that of the second")
    first, second = ([(e.id, e.status) for e, _ in events(rig) if e.key == key]
                     for key in ("d1.p0/hot", "d2.p0/hot"))
    rig.check("under their own ids", first[2] == (first[0][0], CLEARED) and
              second[3] == (second[0][0], CLEARED), (first, second))
    sensors.set(1, 0, 0)
    wait_steps(rig, "d1.p0/hot", 4, "the newer one, too")
    rig.wait(lambda: up(rig, "waterlogging") == [], 10, "nothing is up any more")
    rig.finish()


def unanswered():
    """A broker that never acknowledges one alarm, but those that come after it: on a new connection
    it goes out again."""
    rig = Rig("unanswered")
    port = free_port()
    sensors = Sensors(port)
    never = []

    def judge(publish):
        if "/alarm/" not in publish.topic or never:
            return 0
        never.append(publish.payload)
        return NEVER
    stub = Stub(rig.broker_port, judge)
    config = configuration(rig, port, 2)
    rig.start_daemon(config)
    rig.wait_connected()
    sensors.set(1, 0, 45)
    rig.wait(lambda: never, 10, "it is raised")
    begun = time.monotonic()

    def taken():
        with stub.lock:
            return [p.payload for p in stub.published if "/alarm/" in p.topic]

    def again():
        sensors.set(2, 0, 0 if int(time.monotonic() - begun) // 10 % 2 else 25)
        return taken().count(never[0]) > 1
    rig.wait(again, 80, "it goes out again")
    rig.check("after a minute, others had been taken meanwhile", time.monotonic() - begun > 50 and
              len(set(taken())) > 3, len(set(taken())))
    rig.finish()


def settled():
    """What a thousand acknowledgements over a slow link leave behind: nothing is owed, nothing goes
    out again after a restart."""
    rig = Rig("settled")
    port = free_port()
    sensors = Sensors(port)
    rig.start_broker()
    rig.subscribe()
    link = Proxy(rig.broker_port)
    link.delay_s = 0.005
    config = configuration(rig, port, 20, points=50, every="500ms")
    with open(config, encoding="utf-8") as f:
        text = f.read()
    rig.write("gateway.yaml", text.replace(":%d" % rig.broker_port, ":%d" % link.port))
    rig.start_daemon(config)
    rig.wait_connected()
    rig.wait(lambda: len(sensors.answered) == 20, 30, "all are polled")
    for unit in range(1, 21):
        for address in range(50):
            sensors.set(unit, address, 12 if address % 10 else 45)
    rig.wait(lambda: len(events(rig)) >= 1000, 40 + BUSY_MS / 100, "all thousand come")
    time.sleep(7)
    rig.check("none is owed any more", rig.uplink()["backlog"].get("alarms", 0) == 0,
              rig.uplink()["backlog"])

    def arrived():
        return sum(topic.startswith(TOPIC + "alarm/") for topic, *_ in rig.subscriber.all())
    before = arrived()
    rig.end("daemon")
    rig.start_daemon(config)
    rig.wait_connected()
    time.sleep(5)
    rig.check("none again after a restart", arrived() == before, arrived() - before)
    rig.finish()


if __name__ == "__main__":
    scenarios = {"sector_added": sector_added, "sector_gone": sector_gone,
                 "sector_changed": sector_changed, "small_packets": small_packets,
                 "settled": settled, "disk_back": disk_back}
    if os.environ.get("LIFELINE_LONG"):     # a minute of waiting
        scenarios["unanswered"] = unanswered
    run_scenarios(scenarios)
