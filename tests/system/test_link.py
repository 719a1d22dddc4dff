#!/usr/bin/python3
"""The way to the broker under every fault: half-open, one-way, cut anywhere, slow, a broker that is
away, drops, refuses, throws out or limits; files that are wrong for a while; several uplinks of
which one is dead. Rows S13, S14, S15 and S17 of the scorecard, in short.

LIFELINE_TRIALS=N multiplies the trials of half_open, cuts and restarts (N=1: CI; the long form is
LIFELINE_TRIALS=20, best with the scenario's name on the command line)."""
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import paho.mqtt.client as paho

from invariant import check_delivery
from proxy import Proxy
from rig import SECTORS, Rig, Subscriber, free_port, now_ms, run_scenarios
from test_uplink import (Front, check_all, check_stop, delivers, lines_and_devices, make_certificate,
                         run_openssl, simple_rig)

TRIALS = int(os.environ.get("LIFELINE_TRIALS", "1"))
KEEPALIVE_S = 5


def proxied(name, uplink="", store="segment: 1s", every=None, tls=False):
    """A rig whose daemon knows the broker only through a proxy; nothing runs but simulator, broker
    and subscriber."""
    rig = Rig(name)
    lines, devices = lines_and_devices()
    if every:
        devices = [re.sub("every: [0-9a-z]+", "every: " + every, d) for d in devices]
    rig.start_broker()
    rig.subscribe()
    proxy = Proxy(rig.broker_port)
    rig.port = proxy.port
    config = rig.configure(lines, devices, store=store, uplinks=[
        "name: city, urls: [ \"mqtt://127.0.0.1:%d\" ]%s" % (proxy.port,
                                                            ", " + uplink if uplink else "")])
    rig.start_sim(config)
    return rig, config, proxy


def connected(rig, name="city"):
    return rig.uplink(name).get("connected")


def seconds_until(condition, limit_s):
    begun = time.monotonic()
    while time.monotonic() - begun < limit_s:
        if condition():
            return time.monotonic() - begun
        time.sleep(0.05)
    return None


# ---- S13 ----

def half_open(name, limit_s, ways, uplink="keepalive: %ds" % KEEPALIVE_S, busy=None, **options):
    """The connection dies without a word: seen in time, and nothing is lost."""
    rig, config, proxy = proxied(name, uplink, **options)
    rig.start_daemon(config)
    rig.wait(lambda: connected(rig), 10, "connects")
    times = []
    for way in ways * TRIALS:
        if busy:
            busy(rig, proxy)
        else:
            time.sleep(random.uniform(1, 3))
        proxy.drop = set(way)
        begun = time.monotonic()
        took = seconds_until(lambda: not connected(rig), limit_s + 5)
        if took:                         # what was under way in the proxy came later
            took -= max(0, proxy.last["down"] - begun)
            times.append(took)
        why = rig.uplink().get("why")
        proxy.drop, proxy.rate = set(), 0
        proxy.cut()
        rig.check("%s lost in silence: seen within 1.5 keepalives (%s s), why: %s"
                  % (" and ".join(way), took and round(took, 1), why),
                  took and took <= limit_s, (took, rig.uplink()))
        if not rig.wait(lambda: connected(rig), 60, "and found again"):
            break
    rig.check("S13: %d trials, seen after %.1f to %.1f s" % (len(times), min(times, default=0),
                                                             max(times, default=0)), times)
    rig.check("at most one connect a second", proxy.shortest_pause() > 0.95, proxy.accepted)
    return rig


def half_open_live():
    rig = half_open("link-half-open", 1.5 * KEEPALIVE_S, [("up", "down"), ("up",), ("down",)])
    check_all(rig)
    rig.finish()


def half_open_idle():
    """Nothing to say but pings, and a broker that wants them more often than we would."""
    rig = Rig("link-half-open-idle")
    lines, devices = lines_and_devices()
    devices = [re.sub("every: [0-9a-z]+", "every: 60s", d) for d in devices]
    rig.start_broker("max_keepalive 10")
    proxy = Proxy(rig.broker_port)
    rig.subscribe()
    config = rig.configure(lines, devices, uplinks=[
        "name: city, urls: [ \"mqtt://127.0.0.1:%d\" ], keepalive: 5s" % proxy.port,
        "name: told, urls: [ \"mqtt://127.0.0.1:%d\" ], root: lifeline/told" % proxy.port])
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: connected(rig) and connected(rig, "told"), 10, "both connect")
    time.sleep(20)
    rig.check("pings keep two idle connections", rig.uplink()["connects"] == 1 and
              rig.uplink("told")["connects"] == 1, rig.log("daemon"))
    proxy.drop = {"up", "down"}
    took = seconds_until(lambda: not connected(rig), 10)
    rig.check("idle, keepalive 5 s: seen after %s s" % (took and round(took, 1)),
              took and took <= 7.5, rig.uplink())
    more = seconds_until(lambda: not connected(rig, "told"), 20)
    rig.check("the broker's own keepalive of 10 s counts: seen after %s s"
              % (more and round(took + more, 1)), more and took + more <= 15, rig.uplink("told"))
    rig.finish()


def half_open_backlog():
    """In the middle of a backlog that squeezes through a narrow line."""
    def backlog(rig, proxy):
        proxy.refuse()
        proxy.cut()
        time.sleep(6)
        proxy.accept()
        proxy.rate = 600
        rig.wait(lambda: connected(rig), 20, "connects")
        time.sleep(1.5)
        rig.check("a backlog is under way",
                  rig.uplink().get("backlog", {}).get("readings", 0) > 0, rig.uplink())
    rig = half_open("link-half-open-backlog", 1.5 * KEEPALIVE_S, [random.choice([("up", "down"), ("up",), ("down",)])],
                    busy=backlog)
    check_all(rig)
    rig.finish()


# ---- S14 ----

def cuts(name, at_most, tls=False):
    """Connections that end after N bytes, both ways counted, by FIN or RST. A daemon for each three:
    that is quicker than its back-off."""
    rig = Rig(name)
    lines, devices = lines_and_devices()
    scheme, rest, port = "mqtt", "", rig.broker_port
    extra = ""
    if tls:
        run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", rig.path("ca.key"), "-out", rig.path("ca.crt"), "-subj",
                    "/CN=ca", "-days", "2")
        make_certificate(rig, "broker", "ca", "IP:127.0.0.1", 2)
        scheme, rest, port = "mqtts", ", tls: { ca: %s }" % rig.path("ca.crt"), free_port()
        extra = ("listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n"
                 % (port, rig.path("broker.crt"), rig.path("broker.key")))
    rig.start_broker(extra)
    rig.subscribe()
    proxy = Proxy(port)
    config = rig.configure(lines, devices, store="segment: 1s", uplinks=[
        "name: city, urls: [ \"%s://127.0.0.1:%d\" ]%s" % (scheme, proxy.port, rest)])
    rig.start_sim(config)
    count = 18 * TRIALS
    step = at_most / count
    sweep = [(max(1, int(random.uniform(i * step, (i + 1) * step))), i % 2 == 1)
             for i in range(count)]
    random.shuffle(sweep)
    wrong = []
    for three in (sweep[i:i + 3] for i in range(0, count, 3)):
        proxy.cuts = list(three)
        before = len(proxy.accepted)
        rig.start_daemon(config)
        seconds_until(lambda: not proxy.cuts, 12)
        seconds_until(lambda: len(proxy.accepted) > before + 3, 12)
        if proxy.cuts or proxy.shortest_pause(proxy.accepted[before]) < 0.95:
            wrong.append((three, proxy.accepted[before:]))
        code = rig.end("daemon")
        if code != 0:
            wrong.append((three, code))
    rig.check("S14: %d cuts after 1 to %d bytes: the daemon lives, and connects at most once a "
              "second" % (count, at_most), not wrong, wrong[:3])
    rig.start_daemon(config)
    delivers(rig, "delivers afterwards")
    check_all(rig)
    rig.finish()


def cuts_plain():
    cuts("link-cuts", 3000)


def cuts_tls():
    cuts("link-cuts-tls", 6000, tls=True)


# ---- S15, S17 ----

def slow():
    """64 kbit/s with a second each way: no reconnect, no growth, and all of it arrives."""
    rig, config, proxy = proxied("link-slow")
    proxy.delay_s, proxy.rate = 1, 8000
    daemon = rig.start_daemon(config)
    rig.wait(lambda: connected(rig), 20, "connects")
    time.sleep(10)
    def rss():
        with open("/proc/%d/status" % daemon.pid, encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    before = rss()
    time.sleep(20)
    rig.check("one connection is enough", rig.uplink()["connects"] == 1, rig.uplink())
    rig.check("memory stays (%d -> %d KiB)" % (before, rss()), rss() < before + 1024)
    proxy.delay_s, proxy.rate = 0, 0
    check_all(rig)
    rig.finish()


def restarts():
    """A broker that comes back without its memory: the retained state is there again."""
    rig, config, proxy = proxied("link-restarts")
    rig.start_daemon(config)
    rig.wait(lambda: connected(rig), 10, "connects")
    for trial in range(3 * TRIALS):
        time.sleep(random.uniform(0.5, 2))
        rig.end("mosquitto", random.choice([signal.SIGKILL, signal.SIGTERM]))
        if os.path.exists(rig.path("mosquitto.db")):
            os.remove(rig.path("mosquitto.db"))
        begun = now_ms()
        rig.start_broker()
        rig.wait(lambda: any(arrival > begun and state.online
                             for state, arrival, _ in rig.states()), 40, "S17: back again")
        rig.wait(lambda: any(arrival > begun + 500 and batch.segments
                             for _, _, batch, _, arrival in rig.batches()), 20, "with data")
    rig.check("S17: %d restarts without memory, and each time back" % (3 * TRIALS), True)
    rig.check("at most one connect a second", proxy.shortest_pause() > 0.95, proxy.accepted)
    rig.finish()


# ---- a list of brokers ----

class Both:
    """What the subscribers of two brokers got, in order of arrival."""

    def __init__(self, *subscribers):
        self.subscribers = subscribers

    def all(self):
        return sorted((m for s in self.subscribers for m in s.all()), key=lambda m: m[2])

    def stop(self):
        for subscriber in self.subscribers:
            subscriber.stop()


def two_brokers(name):
    """Brokers a and b with a subscriber each."""
    rig = Rig(name)
    rig.ports = {"a": free_port(), "b": free_port()}
    for broker in rig.ports:
        start_one(rig, broker)
    rig.subscriber = Both(*(Subscriber(port) for port in rig.ports.values()))
    return rig


def start_one(rig, broker):
    os.makedirs(rig.path(broker), exist_ok=True)
    conf = rig.write(broker + ".conf", "listener %d 127.0.0.1\nallow_anonymous true\nuser root\n"
                     "persistence true\npersistence_location %s/\nautosave_interval 0\n"
                     "max_queued_messages 0\n" % (rig.ports[broker], rig.path(broker)))
    rig.spawn("broker-" + broker, ["mosquitto", "-c", conf])
    rig.wait_port(rig.ports[broker])


def is_at(rig, port):
    uplink = rig.uplink()
    return uplink.get("connected") and uplink["url"].endswith(":%d" % port)


def failover():
    """The first broker goes, the second takes over, and back: nothing is lost or out of order."""
    os.environ["LIFELINE_TEST_RETURN_MS"] = "2000"
    rig = two_brokers("link-failover")
    lines, devices = lines_and_devices()
    config = rig.configure(lines, devices, store="segment: 1s", uplinks=[
        "name: city, urls: [ \"mqtt://127.0.0.1:%d\", \"mqtt://127.0.0.1:%d\" ]"
        % (rig.ports["a"], rig.ports["b"])])
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: is_at(rig, rig.ports["a"]), 10, "begins with the first")
    for turn in range(2):
        time.sleep(2)
        rig.end("broker-a", signal.SIGTERM if turn else signal.SIGKILL)
        took = seconds_until(lambda: is_at(rig, rig.ports["b"]), 20)
        rig.check("the second takes over after %s s" % (took and round(took, 1)), took,
                  rig.uplink())
        delivers(rig, "delivers by the second")
        time.sleep(3)
        start_one(rig, "a")
        rig.check("the first gets it back", seconds_until(lambda: is_at(rig, rig.ports["a"]), 20),
                  rig.log("daemon"))
        delivers(rig, "delivers by the first")
    last = [m for m in rig.subscriber.subscribers[1].all() if m[0].endswith("/state")][-1]
    state = rig.wire.GatewayState()
    state.ParseFromString(last[1])
    rig.check("the second was told goodbye", not state.online, state)
    check_all(rig)
    rig.finish()


def pinning():
    """The first broker takes everybody and drops them after seconds; refuses everybody; is a black
    hole: in the end the second has us."""
    rig = two_brokers("link-pinning")
    lines, devices = lines_and_devices()
    proxy = Proxy(rig.ports["a"])
    proxy.life_s = 2
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = fill(full.getsockname()[1])
    first = {"drops": proxy.port, "is a black hole": full.getsockname()[1]}
    for what, port in first.items():
        config = rig.configure(lines, devices, store="segment: 1s", uplinks=[
            "name: city, urls: [ \"mqtt://127.0.0.1:%d\", \"mqtt://127.0.0.1:%d\" ]"
            % (port, rig.ports["b"])])
        if "sim" not in rig.processes:
            rig.start_sim(config)
        rig.start_daemon(config)
        took = seconds_until(lambda: is_at(rig, rig.ports["b"]), 20)
        rig.check("the first %s: the second has us after %s s" % (what, took and round(took, 1)),
                  took and took < 16, rig.log("daemon"))
        delivers(rig, "delivers")
        time.sleep(3)
        if what == "drops":
            check_stop(rig, what)
    rig.check("and keeps us", is_at(rig, rig.ports["b"]) and len(proxy.accepted) == 1,
              proxy.accepted)
    check_all(rig)
    del fillers
    rig.finish()


def fill(port):
    """From now on its queue is full, and SYNs are dropped."""
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    return fillers


# ---- who we are, who they are ----

CA_CONF = """[ca]
default_ca = own
[own]
dir = .
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def future_certificate(rig, name, seconds):
    """Valid in so many seconds: what a clock that is behind sees."""
    rig.write("ca.conf", CA_CONF)
    rig.write("index", "")
    rig.write("serial", "77\n")
    run_openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                rig.path(name + ".key"), "-out", rig.path(name + ".csr"), "-subj", "/CN=broker",
                "-addext", "subjectAltName=IP:127.0.0.1")
    stamp = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + s)) for s in
             (seconds, 100000)]
    subprocess.run(["openssl", "ca", "-batch", "-config", "ca.conf", "-cert", "ca.crt", "-keyfile",
                    "ca.key", "-in", name + ".csr", "-out", name + ".crt", "-startdate", stamp[0],
                    "-enddate", stamp[1], "-notext"], check=True, capture_output=True,
                   cwd=rig.folder)


def credentials():
    """Files that are missing, half-written, not ours or not valid yet: said, and over with the next
    connect after they are right."""
    rig = Rig("link-credentials")
    for ca in ("ca", "other-ca"):
        run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", rig.path(ca + ".key"), "-out", rig.path(ca + ".crt"),
                    "-subj", "/CN=" + ca, "-days", "2")
    make_certificate(rig, "us", "ca", "DNS:us", 2)
    make_certificate(rig, "stranger", "other-ca", "DNS:us", 2)
    port = free_port()
    with open(rig.path("us.crt"), encoding="ascii") as f:
        whole = f.read()
    files = {"cert": rig.path("own.crt"), "key": rig.path("own.key")}
    lines, devices = lines_and_devices()
    config = rig.configure(lines, devices, store="segment: 1s", uplinks=[
        "name: city, urls: [ \"mqtts://127.0.0.1:%d\" ], username: gw, password_file: %s, "
        "tls: { ca: %s, cert: %s, key: %s }" % (port, rig.path("secret"), rig.path("own-ca.crt"),
                                                files["cert"], files["key"])])
    subprocess.run(["cp", rig.path("us.crt"), files["cert"]], check=True)
    subprocess.run(["cp", rig.path("us.key"), files["key"]], check=True)
    rig.start_sim(config)
    rig.start_daemon(config)

    def why(what, pattern, limit_s=20):
        took = seconds_until(lambda: re.search(pattern, rig.uplink().get("why", "")), limit_s)
        rig.check("%s: %s" % (what, rig.uplink().get("why")), took is not None, rig.uplink())

    def restart():
        rig.end("daemon")                # quicker than its back-off
        rig.start_daemon(config)

    why("no password", "cannot read .*secret: No such file")
    rig.write("secret", "")
    restart()
    why("an empty password", "secret: there is no password")
    rig.write("secret", "word\n")
    why("no CA", "cannot read .*own-ca.crt: No such file")
    rig.write("own-ca.crt", "not a certificate")
    restart()
    why("no CA in the file", "cannot use .*own-ca.crt")
    subprocess.run(["cp", rig.path("ca.crt"), rig.path("own-ca.crt")], check=True)
    rig.write("own.crt", whole[:len(whole) // 2])
    restart()
    why("half a certificate", "cannot use .*own.crt")
    rig.write("own.crt", whole)
    subprocess.run(["cp", rig.path("stranger.key"), files["key"]], check=True)
    restart()
    why("a key of another certificate", "cannot use .*own.key: .*mismatch")
    subprocess.run(["cp", rig.path("us.key"), files["key"]], check=True)
    future_certificate(rig, "broker", 15)
    rig.start_broker("listener %d 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\n"
                     "require_certificate true\n" % (port, rig.path("ca.crt"),
                                                     rig.path("broker.crt"),
                                                     rig.path("broker.key")))
    rig.subscribe()
    restart()
    why("a clock that is behind", "not yet valid .it is 20..-..-.. by our clock")
    took = seconds_until(lambda: connected(rig), 60)
    rig.check("and it connects when the clock is right, without a restart", took is not None,
              rig.uplink())
    delivers(rig, "delivers")
    connects = rig.uplink()["connects"]
    subprocess.run(["cp", rig.path("stranger.crt"), files["cert"]], check=True)
    subprocess.run(["cp", rig.path("stranger.key"), files["key"]], check=True)
    time.sleep(1)
    rig.check("a file that was replaced disturbs nobody", rig.uplink()["connects"] == connects)
    rig.end("mosquitto")
    rig.spawn("mosquitto", ["mosquitto", "-c", rig.path("mosquitto.conf")])
    rig.wait_port(port)
    restart()
    why("a certificate that the broker does not take", "TLS: the broker says: .*(certificate|unknown CA)")
    subprocess.run(["cp", rig.path("us.crt"), files["cert"]], check=True)
    subprocess.run(["cp", rig.path("us.key"), files["key"]], check=True)
    rig.wait(lambda: connected(rig), 40, "with the right one it connects, without a restart")
    rig.check("nothing but TLS was ever spoken: no word of a password in the log",
              "word\n" not in rig.log("daemon"))
    check_all(rig)
    rig.finish()


def limits():
    """A broker that keeps nothing retained, takes two at a time and speaks of it in its CONNACK."""
    rig, config = simple_rig("link-limits")
    rig.start_broker("retain_available false\nmax_inflight_messages 2\nmax_keepalive 10")
    rig.subscribe()
    rig.start_daemon(config)
    took = seconds_until(lambda: connected(rig), 10)
    rig.check("a broker without retain has us after %s s" % (took and round(took, 1)),
              took is not None and took < 4, rig.log("daemon"))
    delivers(rig, "delivers")
    rig.check("and the log says what that means",
              "this broker keeps no retained messages" in rig.log("daemon"), rig.log("daemon"))
    check_all(rig)
    rig.finish()


def taken():
    """Another client with our id, and a broker that throws us out without a word: no fight."""
    rig, config, proxy = proxied("link-taken")
    rig.start_daemon(config)
    delivers(rig, "delivers")
    other = paho.Client(client_id="gw-test-1", protocol=paho.MQTTv5)
    other.connect("127.0.0.1", rig.broker_port)
    other.loop_start()
    begun = time.monotonic()
    rig.wait(lambda: "is the id gw-test-1 in use twice?" in rig.uplink().get("why", ""), 40,
             "the status suspects it")
    time.sleep(max(0, begun + 25 - time.monotonic()))
    count = sum(1 for t in proxy.accepted if begun <= t <= begun + 25)
    rig.check("it comes more and more rarely (%d times in 25 s)" % count, count <= 6,
              proxy.accepted)
    other.loop_stop()
    other.disconnect()
    check_stop(rig, "thrown out")
    rig.start_daemon(config)
    delivers(rig, "delivers when the other is gone")
    check_all(rig)
    rig.finish()


TAKE, REFUSE = bytes([0x20, 3, 0, 0, 0]), bytes([0x20, 3, 0])
# What a broker says after CONNECT, and a second later; what the status says then; does it come back
# within 10 s?
WORDS = [(REFUSE + bytes([0x89, 0]), b"", "Server busy", True),
         (bytes([0x20, 16, 0, 0x9d, 13, 0x1c, 0, 10]) + b"other:1883",
          b"", "Server moved, go to other:1883", True),
         (REFUSE + bytes([0x9b, 0]), b"", "QoS.*acknowledges nothing", True),
         (TAKE, bytes([0xe0, 2, 0x8b, 0]), "Server shutting down", True),
         (TAKE, bytes([0xe0, 2, 0x8e, 0]), "another client came with our id", False)]


def words():
    """What a broker gives as its reason is what the status says; MQTT 5."""
    rig, config = simple_rig("link-words")
    for first, second, why, returns in WORDS:
        def speak(front, connection):
            connection.recv(65536)
            connection.sendall(first)
            if second:
                time.sleep(1)
                connection.sendall(second)
                time.sleep(0.2)
        front = Front(rig.broker_port, speak)
        rig.start_daemon(config)
        said = seconds_until(lambda: re.search(why, rig.uplink().get("why", "")), 6)
        rig.check("the status says why: %s" % rig.uplink().get("why"), said is not None, why)
        back = seconds_until(lambda: len(front.accepted) > 1, 10)
        rig.check("and it comes %s (%s s)" % ("again" if returns else "much later",
                                             back and round(back, 1)), bool(back) == returns,
                  front.accepted)
        check_stop(rig, why)
        front.close()
    rig.finish()


# ---- several uplinks ----

class View:
    """A rig as one uplink's platform sees it: its root, its sectors."""

    def __init__(self, rig, name, root, sectors):
        self.rig, self.name, self.root = rig, name, root
        self.store_journal = rig.path(name + ".stored")
        with open(rig.store_journal, encoding="ascii") as f, \
                open(self.store_journal, "w", encoding="ascii") as out:
            out.writelines(line for line in f if line.split()[1] in sectors)

    def check(self, what, passed, why=""):
        return self.rig.check("%s: %s" % (self.name, what), passed, why)

    def batches(self):
        for topic, payload, arrival, _ in self.rig.subscriber.all():
            kind = topic.split("/")[-2]
            if topic.startswith(self.root + "/140502/") and kind in ("data", "history"):
                batch = self.rig.wire.DataBatch()
                batch.ParseFromString(payload)
                yield kind, topic.split("/")[-1], batch, payload, arrival


def several():
    """Six uplinks: one fine, one of one sector on the same broker, and four dead in their own ways."""
    rig = Rig("link-several")
    lines, devices = lines_and_devices()
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = fill(full.getsockname()[1])
    mute = socket.create_server(("127.0.0.1", 0))
    run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", rig.path("ca.key"), "-out", rig.path("ca.crt"), "-subj", "/CN=ca")
    dead = {"hole": "mqtt://127.0.0.1:%d\" ]" % full.getsockname()[1],
            "refuser": "mqtt://127.0.0.1:%d\" ]" % free_port(),
            "nameless": "mqtt://no-such-broker.invalid:1883\" ]",
            "mute": "mqtts://127.0.0.1:%d\" ], tls: { ca: %s }" % (mute.getsockname()[1],
                                                                  rig.path("ca.crt"))}
    ours = "urls: [ \"mqtt://127.0.0.1:%d\" ]" % rig.broker_port
    config = rig.configure(lines, devices, store="segment: 1s", uplinks=[
        "name: city, " + ours, "name: wells, %s, root: lifeline/wells, sectors: [manhole]" % ours,
        *("name: %s, urls: [ \"%s" % each for each in dead.items())])
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: connected(rig) and connected(rig, "wells"), 10, "the two live ones connect")
    rig.check("under two ids", {"as gw-test-1 ", "as gw-test-1-wells "} <=
              set(re.findall("as gw-test-1[a-z-]* ", rig.log("mosquitto"))), rig.log("mosquitto"))
    time.sleep(4)
    rig.end("mosquitto")
    time.sleep(4)
    rig.start_broker()
    rig.wait(lambda: connected(rig) and connected(rig, "wells"), 20, "and come back")
    time.sleep(6)
    status = rig.api("/v1/status")
    rig.check("the line is polled as ever", status["lines"][0]["counts"]["timeout"] == 0, status)
    for name in dead:
        uplink = rig.uplink(name)
        rig.check("%s is dead: %s" % (name, uplink.get("why")),
                  not uplink["connects"] and uplink["why"] and uplink["backlog"]["readings"] > 0,
                  uplink)
    rig.end("sim")
    time.sleep(5)
    for name in ("city", "wells"):
        rig.wait(lambda: rig.uplink(name)["backlog"]["readings"] == 0, 15, name + " has sent all")
    check_stop(rig, "with four dead uplinks")
    time.sleep(0.5)
    check_delivery(View(rig, "city", "lifeline/v1", SECTORS[1:]))
    wells, _ = check_delivery(View(rig, "wells", "lifeline/wells", ["manhole"]))
    rig.check("wells got nothing but its sector", {SECTORS[s] for _, s, _ in wells} == {"manhole"})
    del fillers
    rig.finish()


def late_tls():
    """TCP that comes through only after a second, so that the TLS handshake begins late: no spinning
    meanwhile."""
    rig = Rig("link-late-tls")
    run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", rig.path("ca.key"), "-out", rig.path("ca.crt"), "-subj", "/CN=ca")
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    fillers = fill(port)
    heard = []

    def listen():
        time.sleep(3)
        while len(heard) < 1:
            connection, _ = full.accept()
            connection.settimeout(4)
            try:
                heard.append(connection.recv(4096))
            except OSError:
                pass
            if heard and not heard[-1]:
                heard.pop()
            if heard:
                time.sleep(6)              # let it wait for an answer

    threading.Thread(target=listen, daemon=True).start()
    lines, devices = lines_and_devices()
    config = rig.configure(lines, devices, uplinks=[
        "name: city, urls: [ \"mqtts://127.0.0.1:%d\" ], tls: { ca: %s }"
        % (port, rig.path("ca.crt"))])
    rig.start_sim(config)
    daemon = rig.start_daemon(config)
    seconds_until(lambda: heard, 25)
    rig.check("a ClientHello comes when TCP is through", heard and heard[0][:1] == b"\x16", heard)

    def cpu_ticks():
        with open("/proc/%d/stat" % daemon.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = cpu_ticks()
    time.sleep(4)
    rig.check("and nothing spins (%d ticks in 4 s)" % (cpu_ticks() - before),
              cpu_ticks() - before < 40)
    check_stop(rig, "in the TLS handshake")
    del fillers
    rig.finish()


if __name__ == "__main__":
    os.umask(0o077)
    run_scenarios({f.__name__: f for f in (
        half_open_live, half_open_idle, half_open_backlog, cuts_plain, cuts_tls, slow, restarts,
        failover, pinning, credentials, limits, taken, words, several,
        late_tls)})
