#!/usr/bin/python3
# Also under TSan
"""SIGHUP while everything runs: what changed begins anew, what did not never stops. Lines hang on
relays that count connections and keep a copy of nothing; the simulator knows all devices from the
start. After every step: nothing of what a sensor answered is missing, lines and uplinks that were not
touched kept their connection and their grid, ids are what they were, and a bad file changes nothing."""
import collections
import multiprocessing
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time

import paho.mqtt.client as paho

from invariant import check_delivery, match
from rig import (BUILD, SECTORS, SOURCE, Rig, block_times, free_port, grid_deviations, now_ms,
                 run_scenarios)

SLOW = 4 if "tsan" in BUILD else 1


class Relay:
    """Passes bytes on between the daemon and a line of the simulator, counts connections, and makes
    answers late. A process of its own: what the test computes must not delay an answer."""

    def __init__(self, target):
        self.target = target
        self.count, self.delay = multiprocessing.Value("i", 0), multiprocessing.Value("d", 0)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        multiprocessing.Process(target=self.listen, daemon=True).start()
        self.server.close()

    @property
    def accepted(self):
        return self.count.value

    def listen(self):
        while True:
            near, _ = self.server.accept()
            self.count.value += 1
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            for a, b in ((near, far), (far, near)):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pump, args=(a, b, b is near), daemon=True).start()

    def pump(self, a, b, is_answer):
        try:
            while data := a.recv(4096):
                if is_answer and self.delay.value:
                    time.sleep(self.delay.value)
                b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Listener:
    """A second platform with a broker of its own: sequence numbers by sector."""

    def __init__(self, rig, root):
        self.rig, self.seqs, self.states, self.devices = rig, collections.defaultdict(set), [], {}
        self.client = paho.Client(client_id="listener")
        self.client.on_connect = lambda c, u, f, rc: c.subscribe(root + "/#", qos=1)
        self.client.on_message = self.on_message
        self.client.connect("127.0.0.1", rig.second_port)
        self.client.loop_start()

    def on_message(self, _client, _user, message):
        kind = message.topic.split("/")[-2]
        if kind in ("data", "history"):
            batch = self.rig.wire.DataBatch()
            batch.ParseFromString(message.payload)
            self.seqs[SECTORS[batch.sector]] |= {segment.seq for segment in batch.segments}
        elif message.topic.endswith("/state"):
            state = self.rig.wire.GatewayState()
            state.ParseFromString(message.payload)
            self.states.append(state.online)

    def stop(self):
        self.client.loop_stop()
        self.client.disconnect()


class World(Rig):
    """The rig with a configuration that is told as dictionaries and written anew for each reload."""

    store_name = "store.db"

    def begin(self, lines, devices):
        """lines: name -> extra keys; devices: name -> (line, unit, profile, every)."""
        self.ports = {line: free_port() for line in lines}
        self.relays = {line: Relay(port) for line, port in self.ports.items()}
        self.line_extra, self.known = dict(lines), dict(devices)
        self.profiles = self.path("profiles")
        shutil.copytree(os.path.join(SOURCE, "config", "profiles"), self.profiles)
        self.start_broker()
        self.subscribe()
        self.start_sim(self.put("sim.yaml", list(lines), list(devices), self.ports))

    def put(self, name, lines, devices, ports=None, every=None, **rest):
        every = every or {}
        ports = ports or {line: relay.port for line, relay in self.relays.items()}
        config = self.configure(
            ["name: %s, transport: tcp, host: 127.0.0.1, port: %d, %s"
             % (line, ports[line], self.line_extra[line]) for line in lines],
            ["name: %s, line: %s, unit: %d, profile: %s, every: %s"
             % (device, *self.known[device][:3], every.get(device, self.known[device][3]))
             for device in devices], name=name, **rest)
        with open(config, encoding="utf-8") as f:
            text = f.read()
        return self.write(name, text.replace("/store.db", "/" + self.store_name))

    def run(self, *args, **rest):
        config = self.put("gateway.yaml", *args, **rest)
        self.spawn("daemon", [os.path.join(BUILD, "lifelined"), "-c", config, "--profiles",
                              self.profiles], LIFELINE_TEST_JOURNAL=self.store_journal)
        self.wait(lambda: self.api("/v1/status"), 20, "the daemon is up")

    def counts(self):
        gateway = (self.api("/v1/status") or {"gateway": {}})["gateway"]
        return gateway.get("reloads"), gateway.get("reloads_refused")

    def reload(self, *args, refused=False, settle_s=1.0, **rest):
        """Writes the configuration, reloads and lives with it for a while."""
        if args:
            self.put("gateway.yaml", *args, **rest)
        done, not_done = self.counts()
        self.processes["daemon"].send_signal(signal.SIGHUP)
        wanted = (done, not_done + 1) if refused else (done + 1, not_done)
        ok = self.wait(lambda: self.counts() == wanted, 10 * SLOW, "a reload comes to its end")
        time.sleep(settle_s)
        return ok

    def line_counts(self, name):
        return next(line for line in self.api("/v1/lines")["lines"] if line["name"] == name)

    def ids(self):
        """(sector, name) -> ids it was ever given; all ids"""
        devices, _ = self.manifests()
        names = collections.defaultdict(set)
        for (_, number), device in devices.items():
            names[device.name].add(number)
        return names

    def deliver(self, tolerance_ms):
        until = self.drain()
        self.processes["daemon"].send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        check_delivery(self)
        missing, _ = match(self, tolerance_ms, until)
        self.check("nothing that a sensor answered is missing", not missing,
                   {sector: entries[:3] for sector, entries in missing.items()})
        self.processes["daemon"].send_signal(signal.SIGCONT)
        return until


def check_grid(rig, device, period_ms, until):
    """A line that began anew would have another grid. A busy machine leaves out some periods."""
    times = [t for t in block_times(rig)[device] if t <= until][2:]  # then the grid is found
    deviations, drift = grid_deviations(times, period_ms)
    periods = round((times[-1] - times[0]) / period_ms) + 1
    late = sorted(deviations)[len(deviations) * 9 // 10]
    rig.check("%s kept its grid over every reload (%d rows, nine of ten within %d ms)"
              % (device, len(times), late),
              0.94 * periods <= len(times) <= periods and late < period_ms / 3 and
              abs(drift) < period_ms / 5, (len(times), periods, late, drift))


LINES = {"keep": "timeout: 1s", "work": "timeout: 1s", "more": "timeout: 1s"}
DEVICES = {"steady": ("keep", 1, "press-level-a", "100ms"),
           "second": ("keep", 2, "rs-dip-n01", "200ms"),
           "pump": ("work", 1, "press-level-b", "150ms"),
           "tilt": ("work", 2, "rs-dip-n01", "150ms"),
           "extra": ("more", 1, "rs-dip-n01", "150ms")}


def second_uplink(rig, sectors):
    """On a broker of its own; behind the other one, which keeps its client id by being the first."""
    return ["name: city, urls: [ \"mqtt://127.0.0.1:%d\" ]" % rig.broker_port,
            "name: water, urls: [ \"mqtt://127.0.0.1:%d\" ], root: other/v1, sectors: [%s]"
            % (rig.second_port, sectors)]


def changes():
    rig = World("reload-changes")
    rig.begin(LINES, DEVICES)
    base = ["keep", "work"], ["steady", "second", "pump"]
    rig.run(*base)
    time.sleep(1.5)
    stream = threading.Thread(target=lambda: rig.spawn(
        "tail", ["curl", "-sN", "-m", "60", "--unix-socket", rig.path("api.sock"),
                 "http://localhost/v1/events?point=steady"]).wait(), daemon=True)
    stream.start()

    # devices and lines; each new one stands before the others, so that every index moves
    rig.reload(["keep", "work"], ["tilt", "steady", "second", "pump"])
    with_tilt = {name: set(numbers) for name, numbers in rig.ids().items()}
    rig.reload(["work", "keep"], ["steady", "second", "pump"])
    devices, points = rig.manifests()
    retired = [device.retired for device in devices.values() if device.name == "tilt"]
    rig.check("a device that is gone is retired, with its points", retired == [True] and all(
        point.retired for (_, _), point in points.items()
        if point.device in with_tilt["tilt"]), retired)
    rig.reload(["more", "work", "keep"], ["extra", "pump", "steady", "second"])
    rig.reload(["keep", "work", "more"], ["tilt", "pump", "steady", "second", "extra"])
    rig.check("a device that comes back has its id, a new one has another",
              rig.ids()["tilt"] == with_tilt["tilt"] and
              not any(rig.ids()["extra"] & numbers for numbers in with_tilt.values()), rig.ids())
    accepted = rig.relays["work"].accepted, rig.relays["more"].accepted
    kept = ["keep", "work"], ["pump", "steady", "second"]
    rig.reload(*kept, every={"pump": "100ms"})
    rig.check("a line that changed was opened again, once",
              rig.relays["work"].accepted == accepted[0] + 1 and
              rig.relays["more"].accepted == accepted[1])
    every = {point["device"]: point["every_ms"] for point in rig.api("/v1/points")["points"]}
    rig.check("its new period is in force", every["pump"] == 100, every)

    # a profile that only one line uses
    profile = os.path.join(rig.profiles, "press-level-b.yaml")
    with open(profile, encoding="utf-8") as f:
        text = f.read()
    with open(profile, "w", encoding="utf-8") as f:
        f.write(text.replace("{ name: pressure,",
                             "{ name: pressure, title: { zh: 新, en: another word },", 1))
    before = rig.relays["work"].accepted
    rig.reload()
    rig.check("a line whose profile changed begins anew", rig.relays["work"].accepted == before + 1)
    titles = {point.title_en for point in rig.manifests()[1].values()}
    rig.check("and its manifest says what is new", "another word" in titles, titles)
    check = rig.line_counts("work")["counts"]["requests"]

    # uplinks
    rig.second_port = free_port()
    conf = rig.write("second.conf", "listener %d 127.0.0.1\nallow_anonymous true\nuser root\n"
                     % rig.second_port)
    rig.spawn("second", [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", conf])
    rig.wait_port(rig.second_port)
    listener = Listener(rig, "other/v1")
    connects = rig.uplink()["connects"]
    rig.reload(*kept, every={"pump": "100ms"}, uplinks=second_uplink(rig, "water"), settle_s=2.5)
    newest = {SECTORS[batch.sector]: max(s.seq for s in batch.segments)
              for _, _, batch, _, _ in rig.batches() if batch.segments}
    rig.wait(lambda: listener.seqs["water"] >= set(range(1, newest["water"] + 1)), 10,
             "a new uplink sends all that there is")
    rig.check("of its sectors only", set(listener.seqs) == {"water"}, dict(listener.seqs))
    rig.reload(*kept, every={"pump": "100ms"}, uplinks=second_uplink(rig, "water, manhole, bridge"),
               settle_s=2.5)
    rig.wait(lambda: len(listener.seqs) > 1, 10, "sectors that it gets anew are sent")
    last = {sector: max(seqs) for sector, seqs in listener.seqs.items()}
    rig.check("without a hole", all(listener.seqs[sector] == set(range(1, last[sector] + 1))
                                    for sector in last), last)
    rig.check("an uplink that was changed comes when the one before is gone", rig.log("second").count(
        " as gw-test-1-") == 2 and "already connected" not in rig.log("second"), rig.log("second"))
    rig.reload(*kept, every={"pump": "100ms"})
    rig.check("an uplink that is gone says goodbye", listener.states and not listener.states[-1],
              listener.states)
    rig.check("the other uplink kept its connection", rig.uplink()["connects"] == connects and
              rig.log("mosquitto").count("as gw-test-1 ") == 1, rig.log("mosquitto"))
    listener.stop()

    # what changes nothing
    lines = rig.api("/v1/lines")
    rig.reload()
    rig.write("gateway.yaml", open(rig.path("gateway.yaml"), encoding="utf-8").read() + "nonsense: 1\n")
    rig.reload(refused=True)
    rig.check("a bad file is told at its place", re.search(
        r"gateway.yaml:\d+:\d+: error: .*nonsense", rig.log("daemon")) is not None)
    for key, line in (("store.sync", "segment: 2s, sync: 2s"), ("store.path", None)):
        rig.put("gateway.yaml", *kept, every={"pump": "100ms"}, store=line or "segment: 2s")
        if line is None:
            rig.write("gateway.yaml", open(rig.path("gateway.yaml"), encoding="utf-8").read()
                      .replace("store.db", "other.db").replace("gw-test-1", "gw-test-2"))
        rig.reload(refused=True)
        rig.check("%s needs a restart, and it says so" % key,
                  re.search(r"reload refused: only a restart can change .*" + key,
                            rig.log("daemon")) is not None)
    rig.check("and nothing changed", [line["name"] for line in lines["lines"]] ==
              [line["name"] for line in rig.api("/v1/lines")["lines"]] and
              not os.path.exists(rig.path("other.db")))
    rig.check("a line that nobody touched counts on",
              rig.line_counts("work")["counts"]["requests"] > check)
    rig.check("the line that was not touched kept its connection",
              rig.relays["keep"].accepted == 1, rig.relays["keep"].accepted)
    rig.end("tail", signal.SIGKILL)
    rig.check("an event stream went on over all of it", rig.log("tail").count("steady") >
              rig.line_counts("keep")["counts"]["good"] / 4)
    until = rig.deliver(300 * SLOW)
    if SLOW == 1:
        check_grid(rig, "steady", 100, until)
        check_grid(rig, "second", 200, until)
    numbers = [number for numbers in rig.ids().values() for number in numbers]
    rig.check("no id was given twice", len(numbers) == len(set(numbers)) == len(rig.ids()),
              rig.ids())
    rig.finish()


def black_hole():
    """A port where a connect hangs: nobody accepts, and the queue is full."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    crowd = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(server.getsockname())
        crowd.append(one)
    return server, crowd


def storm():
    """20 reloads in a row under load; one line hangs in its connect, the broker goes and comes."""
    rig = World("reload-storm")
    rig.begin(LINES, DEVICES)
    for line in ("work", "more"):  # some answer is always on its way
        rig.relays[line].delay.value = 0.03
    server, crowd = black_hole()
    rig.relays["dead"] = type("Hole", (), {"port": server.getsockname()[1]})
    rig.line_extra["dead"] = "timeout: 3s"
    rig.known["ghost"] = ("dead", 1, "press-level-a", "200ms")
    rig.run(["dead", "keep", "work"], ["ghost", "steady", "second", "pump"])
    time.sleep(1.5)
    slowest = 0
    for i in range(20):
        if i == 5:
            rig.end("mosquitto")
        if i == 10:
            rig.start_broker()
        lines, devices = ["keep", "work"], ["steady", "second", "pump"]
        if i % 2:
            devices.insert(0, "tilt")
        if i % 3:
            lines.insert(0, "more")
            devices.insert(0, "extra")
        if i % 7 != 6:
            lines.insert(1, "dead")
            devices.insert(1, "ghost")
        begun = time.monotonic()
        rig.reload(lines, devices, settle_s=random_pause(i))
        slowest = max(slowest, time.monotonic() - begun - random_pause(i))
    rig.check("a line that hangs in its connect holds up nobody (slowest reload %.2f s)" % slowest,
              slowest < 3 * SLOW, slowest)
    rig.check("20 reloads, none refused", rig.counts() == (20, 0), rig.counts())
    rig.check("the line that was not touched kept its connection",
              rig.relays["keep"].accepted == 1, rig.relays["keep"].accepted)
    rig.wait_connected()
    until = rig.deliver(300 * SLOW)
    if SLOW == 1:
        check_grid(rig, "steady", 100, until)
        check_grid(rig, "second", 200, until)
    rig.finish()
    for one in (*crowd, server):
        one.close()


def no_disk():
    """Without a disk nothing is registered: ids that it knows could be given again."""
    rig = World("reload-no-disk")
    rig.begin(LINES, DEVICES)
    missing = rig.path("missing")

    def mode():
        return (rig.api("/v1/status") or {"store": {}})["store"].get("mode")

    rig.store_name = "missing/store.db"
    rig.run(["keep", "work"], ["steady", "pump"])
    rig.wait(lambda: mode() == "memory", 10, "the store is in memory")
    rig.reload(["keep", "work"], ["steady", "pump", "tilt"], refused=True)
    os.mkdir(missing)
    rig.wait(lambda: mode() == "ok", 20, "the store is on the disk")
    rig.reload()
    rig.check("then the reload is taken", len(rig.api("/v1/devices")["devices"]) == 3)
    rig.deliver(300 * SLOW)
    rig.finish()


def random_pause(i):
    """None, short, longer: the same in every run."""
    return (0.0, 0.3, 0.05, 0.6)[i % 4]


def at_once():
    """Signals faster than reloads, a client whose line goes, and the end in the middle of a reload."""
    rig = World("reload-at-once")
    rig.begin(LINES, DEVICES)
    rig.run(["keep", "work"], ["steady", "pump"])
    time.sleep(1)
    rig.relays["work"].delay.value = 5  # it is given up after a second
    read = rig.spawn("read", ["curl", "-s", "-m", "8", "-XPOST", "-w", " %{http_code}",
                              "--unix-socket", rig.path("api.sock"),
                              "http://localhost/v1/devices/pump/read"])
    time.sleep(0.1)
    rig.reload(["keep"], ["steady"])
    read.wait(10)
    rig.check("a read of a device that is gone is answered with an error",
              "has changed" in rig.log("read") and "503" in rig.log("read"), rig.log("read"))
    rig.relays["work"].delay.value = 0
    for i in range(30):
        rig.put("gateway.yaml", ["keep", "work"], ["tilt", "steady", "pump"] if i % 2 else
                ["steady", "second", "pump"])
        rig.processes["daemon"].send_signal(signal.SIGHUP)
        time.sleep(0.01)
    rig.wait(lambda: {unit["name"] for line in rig.api("/v1/lines")["lines"]
                      for unit in line["units"]} == {"tilt", "steady", "pump"}, 10,
             "the last file is in force")
    rig.put("gateway.yaml", ["work", "more"], ["extra", "pump"])
    rig.processes["daemon"].send_signal(signal.SIGHUP)
    time.sleep(0.005)
    begun = time.monotonic()
    code = rig.end("daemon")
    rig.check("it ends in the middle of a reload", code == 0 and time.monotonic() - begun < 2 * SLOW,
              (code, time.monotonic() - begun))
    rig.run(["work", "more"], ["extra", "pump"])
    time.sleep(2)
    rig.drain()
    check_delivery(rig)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"changes": changes, "storm": storm, "no_disk": no_disk, "at_once": at_once})
