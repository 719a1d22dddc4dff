#!/usr/bin/python3
"""Alarms over reloads, and what is retained of them: a sector that comes, goes or is changed, a
broker that takes small messages only, what thousands of acknowledgements leave behind."""
import signal
import time

from proxy import Proxy
from rig import BUSY_MS, Rig, free_port, run_scenarios
from sensors import Sensors
from test_alarms import CLEARED, TOPIC, active, configuration, events, life_of, wait_steps


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
    run_scenarios({"sector_added": sector_added, "sector_gone": sector_gone,
                   "small_packets": small_packets, "settled": settled})
