#!/usr/bin/python3
"""The main job: simulator -> line -> pipeline -> store -> uplink -> mosquitto -> subscriber, with the
broker away for 15 s and three kill -9 at random moments. First three TCP devices of two sectors, then
the same beside an RTU device at 9600 on a pty and one with RTU frames over TCP."""
import random
import signal
import time

from invariant import check_delivery, check_missing, check_open_rows, match
from rig import Rig, free_port, now_ms, run_scenarios

SYNC_MS = 1000


def configure(rig, serial):
    lines = ["- { name: plc-1, transport: tcp, host: 127.0.0.1, port: %d }" % free_port(),
             "- { name: plc-2, transport: tcp, host: 127.0.0.1, port: %d }" % free_port()]
    devices = ["- { name: main-pressure, line: plc-1, unit: 1, profile: press-level-a, every: 200ms }",
               "- { name: well-017, line: plc-1, unit: 2, profile: rs-dip-n01, every: 500ms }",
               "- { name: main-flow, line: plc-2, unit: 1, profile: tuf-2000, every: 1s }"]
    if serial:
        lines += ["- { name: rs485-1, transport: rtu, device: %s, serial: 9600 8N1 }" % rig.path("tty"),
                  "- { name: dtu-3, transport: rtu-over-tcp, host: 127.0.0.1, port: %d }" % free_port()]
        devices += ["- { name: rain-roof, line: rs485-1, unit: 5, profile: xm9505-rain, every: 500ms }",
                    "- { name: corridor-air, line: dtu-3, unit: 6, profile: sht20, every: 500ms }"]
    return rig.write("gateway.yaml", """
gateway: { id: gw-test-1, region: "140502", name: 泽州路泵站, trusted_rtc: true }
store: { path: %s, sync: %dms, segment: 2s }
lines:
  %s
devices:
  %s
uplinks:
  - { name: city, urls: [ "mqtt://127.0.0.1:%d" ], spread: 1s }
api: { socket: %s }
""" % (rig.path("store.db"), SYNC_MS, "\n  ".join(lines), "\n  ".join(devices), rig.broker_port,
       rig.path("api.sock")))


def kill_and_restart(rig, config, kills):
    time.sleep(random.uniform(4, 8))
    kills.append(now_ms())
    rig.end("daemon", signal.SIGKILL)
    time.sleep(random.uniform(0, 1.5))
    rig.start_daemon(config)


def closed_per_sector(first):
    counts = {}
    for _, sector, _ in first:
        counts[sector] = counts.get(sector, 0) + 1
    return counts


def settled(rig):
    """The newest state says that all it counted is settled."""
    states = [s for s, _, _ in rig.states()]
    return states and all(e.settled_seq == e.last_seq for e in states[-1].ends)


def run(name, serial):
    rig = Rig(name)
    config = configure(rig, serial)
    rig.expect_subscriber()
    rig.start_sim(config)
    rig.start_daemon(config)           # the broker is not there yet: as after a power cut in the city
    time.sleep(2)
    rig.start_broker()
    kills = []
    kill_and_restart(rig, config, kills)
    time.sleep(3)
    rig.end("mosquitto")               # 15 s without a broker, one kill inside
    away = time.monotonic()
    kill_and_restart(rig, config, kills)
    time.sleep(max(0, 15 - (time.monotonic() - away)))
    rig.start_broker()
    time.sleep(5)
    kill_and_restart(rig, config, kills)
    time.sleep(22)                     # enough for 20 segments a sector
    until = rig.drain()
    first, gaps = check_delivery(rig)
    counts = closed_per_sector(first)
    rig.check("20 segments a sector", counts and min(counts.values()) >= 20, counts)
    check_open_rows(rig)
    missing, _ = match(rig, 100 if serial else 60, until)
    check_missing(rig, missing, gaps, kills, SYNC_MS, 150)
    states = list(rig.states())
    rig.check("the retained state says online", any(s.online for s, _, _ in states))
    rig.check("the will said offline", any(not s.online for s, _, _ in states))
    rig.check("one epoch through all kills", len({s.epoch for s, _, _ in states}) == 1)
    code = rig.end("daemon")
    rig.check("SIGTERM: exit 0", code == 0, code)
    time.sleep(0.5)
    rig.check("the last word is offline", not list(rig.states())[-1][0].online)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"tcp": lambda: run("main-job-tcp", False),
                   "serial": lambda: run("main-job-serial", True)})
