#!/usr/bin/python3
"""The uplink against brokers that are away, old, picky, frozen, fake or forgetful: what was stored
arrives all the same, nothing is lost, nobody is flooded, and SIGTERM is never held up."""
# Also under TSan
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import paho.mqtt.client as paho

from invariant import check_delivery, match, overtaken
from rig import PAUSE_S, Rig, delivers, free_port, now_ms, run_scenarios

WATER, MANHOLE = 2, 5


def lines_and_devices():
    line = "name: plc, transport: tcp, host: 127.0.0.1, port: %d" % free_port()
    return [line], ["name: main, line: plc, unit: 1, profile: press-level-a, every: 200ms",
                    "name: well, line: plc, unit: 2, profile: rs-dip-n01, every: 500ms"]


def simple_rig(name, **options):
    """Two devices of two sectors; the simulator runs, the daemon does not yet."""
    rig = Rig(name)
    lines, devices = lines_and_devices()
    config = rig.configure(lines, devices, store="segment: 1s", **options)
    rig.start_sim(config)
    return rig, config


def check_all(rig, tolerance_ms=60):
    """Everything that was stored arrived, and everything that the simulator said was stored; but for
    what a stop of the daemon overtook."""
    until = rig.drain()
    time.sleep(0.5)
    first, gaps = check_delivery(rig)
    rig.check("no Gap", not any(gaps.values()), dict(gaps))
    missing, _ = match(rig, tolerance_ms, until)
    unread = overtaken(rig)
    lost = [(key, t) for of in missing.values() for key, t in of if (key[0], t) not in unread]
    rig.check("every answer is a reading", not lost, (len(lost), lost[:3], rig.stops[-3:]))
    return first


def count_log(rig, name, pattern):
    return len(re.findall(pattern, rig.log(name)))


def check_stop(rig, what, limit_s=1.5):
    begun = time.monotonic()
    code = rig.end("daemon")
    took = time.monotonic() - begun
    rig.check("%s: SIGTERM ends it with 0 (%.2f s)" % (what, took), code == 0 and took < limit_s,
              (code, took))


# ---- a TCP server of our own on the broker's port ----

class Front:
    """Takes connections on a port; `answer(self, connection)` deals with each, in a thread."""

    def __init__(self, port, answer):
        self.accepted = []             # when each connection came, monotonic
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", port), reuse_port=False)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted.append(time.monotonic())
            threading.Thread(target=self.guard, args=(connection,), daemon=True).start()

    def guard(self, connection):
        try:
            self.answer(self, connection)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def most_in_a_second(self):
        """The most connects in any 0.95 s: a pause is at least a second."""
        return max((sum(1 for b in self.accepted if a <= b < a + 0.95) for a in self.accepted),
                   default=0)


def pump(source, target):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def old_broker(broker_port, refusal):
    """A front that speaks 3.1.1 only: any other CONNECT gets `refusal` and the end."""
    def answer(front, connection):
        first = connection.recv(65536)
        level = first[first.index(b"MQTT") + 4]
        if level != 4:
            connection.sendall(refusal)
            return
        with socket.create_connection(("127.0.0.1", broker_port)) as broker:
            broker.sendall(first)
            threading.Thread(target=pump, args=(broker, connection), daemon=True).start()
            pump(connection, broker)
    return answer


def versions():
    """A broker of 3.1.1 that says so, and one that hangs up."""
    for name, refusal in (("refuses", bytes([0x20, 2, 0, 1])), ("hangs-up", b"")):
        rig = Rig("uplink-311-" + name)
        port = free_port()
        lines, devices = lines_and_devices()
        config = rig.configure(lines, devices, store="segment: 1s", uplinks=[
            "name: city, urls: [ \"mqtt://127.0.0.1:%d\" ]" % port])
        rig.start_broker()
        rig.subscribe()
        front = Front(port, old_broker(rig.broker_port, refusal))
        rig.start_sim(config)
        rig.start_daemon(config)
        delivers(rig, "a broker of 3.1.1 that %s gets the data" % name)
        rig.check("by MQTT 3.1.1", rig.uplink().get("mqtt") == "3.1.1", rig.uplink())
        most = 2 if refusal else 4     # who only hangs up is asked for 5 a second time
        rig.check("at attempt %d, of %d at most" % (len(front.accepted), most),
                  2 <= len(front.accepted) <= most, len(front.accepted))
        check_all(rig)
        front.close()
        rig.finish()


# ---- who may come in ----

def passwords():
    """The broker is absent at boot, then there, but the password is wrong, then right."""
    rig = Rig("uplink-password")
    lines, devices = lines_and_devices()
    secret = rig.write("secret", "wrong\n")
    config = rig.configure(lines, devices, store="segment: 1s",
                           uplink="username: gw, password_file: " + secret)
    rig.start_sim(config)
    rig.start_daemon(config)
    time.sleep(1.5)
    rig.check("a broker that is absent is said once",
              count_log(rig, "daemon", "uplink city: Connection refused") == 1, rig.log("daemon"))
    rig.write("passwords", "")
    for user, password in (("gw", "right"), ("reader", "reads")):
        subprocess.run(["mosquitto_passwd", "-b", rig.path("passwords"), user, password],
                       check=True)
    rig.start_broker("password_file " + rig.path("passwords"), anonymous=False)
    rig.subscribe(username="reader", password="reads")
    time.sleep(9)
    log = rig.log("mosquitto")
    times = [int(t) for t in re.findall(r"^(\d+): Client .* disconnected, not authorised",
                                        log, re.M)]
    rig.check("a wrong password is tried again, at most once a second (%d times)" % len(times),
              times and len(times) <= 6 and max(map(times.count, times)) == 1, times)
    rig.check("why is in the log once",
              count_log(rig, "daemon", "(?i)uplink city: .*not authori[sz]ed") == 1,
              rig.log("daemon"))
    rig.check("and in the status", "uthori" in rig.uplink().get("why", ""), rig.uplink())
    rig.check("nothing got in", not rig.subscriber.all())
    rig.write("secret", "right\n")
    delivers(rig, "with the right password it delivers", PAUSE_S)
    rig.check("by MQTT 5", rig.uplink().get("mqtt") == "5", rig.uplink())
    rig.check("nobody wrote the password down",
              not re.search("wrong|right", rig.log("daemon")), rig.log("daemon"))
    check_all(rig)
    rig.finish()


def run_openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_certificate(rig, name, ca, alternative, days):
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run_openssl("req", *key, "-keyout", rig.path(name + ".key"), "-out", rig.path(name + ".csr"),
                "-subj", "/CN=broker")
    extension = rig.write(name + ".ext", "subjectAltName=" + alternative)
    run_openssl("x509", "-req", "-in", rig.path(name + ".csr"), "-CA", rig.path(ca + ".crt"),
                "-CAkey", rig.path(ca + ".key"), "-CAcreateserial", "-days", str(days),
                "-extfile", extension, "-out", rig.path(name + ".crt"))


def tls():
    """Four brokers: one with a right certificate, three each wrong in its own way."""
    rig = Rig("uplink-tls")
    for ca in ("ca", "other-ca"):
        run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", rig.path(ca + ".key"), "-out", rig.path(ca + ".crt"),
                    "-subj", "/CN=" + ca, "-days", "2")
    kinds = {"right": ("ca", "IP:127.0.0.1", 2), "wrong-ca": ("other-ca", "IP:127.0.0.1", 2),
             "wrong-name": ("ca", "DNS:broker.example,IP:127.0.0.9", 2),
             "expired": ("ca", "IP:127.0.0.1", -1)}
    uplinks, ports = [], {}
    for kind, (ca, alternative, days) in kinds.items():
        make_certificate(rig, kind, ca, alternative, days)
        ports[kind] = free_port()
        uplinks.append("name: %s, urls: [ \"mqtts://127.0.0.1:%d\" ], tls: { ca: %s }"
                       % (kind, ports[kind], rig.path("ca.crt")))

    def start(kind):
        plain = "listener %d 127.0.0.1\n" % rig.broker_port if kind == "right" else ""
        conf = rig.write(kind + ".conf", "allow_anonymous true\nuser root\n%s"
                         "listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n" % (plain, ports[kind], rig.path(kind + ".crt"),
                                                        rig.path(kind + ".key")))
        rig.spawn("broker-" + kind, ["mosquitto", "-c", conf])
        rig.wait_port(ports[kind])

    for kind in kinds:
        start(kind)
    rig.subscribe()
    lines, devices = lines_and_devices()
    config = rig.configure(lines, devices, store="segment: 1s", uplinks=uplinks)
    rig.start_sim(config)
    rig.start_daemon(config)
    delivers(rig, "the right certificate is taken")
    time.sleep(5)
    rig.check("by MQTT 5", rig.uplink("right").get("mqtt") == "5", rig.uplink("right"))
    for kind in ("wrong-ca", "wrong-name", "expired"):
        uplink, log = rig.uplink(kind), rig.log("broker-" + kind)
        rig.check("%s: no connection" % kind, uplink and not uplink["connects"], uplink)
        rig.check("%s: nothing was said to it" % kind, "as gw-test-1" not in log, log)
        rig.check("%s: why is in the log once" % kind,
                  count_log(rig, "daemon", "uplink %s: " % kind) == 1, rig.log("daemon"))
        rig.check("%s: and it speaks of TLS or the certificate (%s)" % (kind, uplink.get("why")),
                  re.search("(?i)tls|certificate", uplink.get("why", "")), uplink)
        attempts = [int(t) for t in re.findall(
            r"^(\d+): (?:New connection|Client connection from .* failed: .* alert)", log, re.M)]
        rig.check("%s: at most one attempt a second (%d)" % (kind, len(attempts)),
                  2 <= len(attempts) <= 6 and max(map(attempts.count, attempts)) <= 2, attempts)
        make_certificate(rig, kind, "ca", "IP:127.0.0.1", 2)
        rig.end("broker-" + kind)
        start(kind)
    for kind in ("wrong-ca", "wrong-name", "expired"):
        rig.wait(lambda: rig.uplink(kind).get("readings", 0) > 0, PAUSE_S,
                 "%s: recovers with a right certificate" % kind)
        rig.check("%s: by MQTT 5" % kind, rig.uplink(kind).get("mqtt") == "5",
                  rig.uplink(kind).get("mqtt"))
    rig.finish()


def permissions():
    """The broker does not take one sector: only that waits, and comes when it may."""
    rig, config = simple_rig("uplink-acl")
    acl = rig.write("acl", "topic readwrite #\ntopic deny lifeline/v1/+/+/data/water\n"
                           "topic deny lifeline/v1/+/+/history/water\n")
    # with 0 it would hang up; and under an ACL it queues nothing for a session that is away
    rig.start_broker("max_queued_messages 100000\nacl_file " + acl)
    rig.subscribe()
    rig.start_daemon(config)
    rig.wait(lambda: rig.uplink().get("connected"), 10, "connects")
    time.sleep(8)
    seen = {sector for _, sector, _, _, _ in rig.batches()}
    rig.check("the others go on", seen == {"manhole"}, seen)
    rig.check("the newest of them is fresh",
              now_ms() - max((a for _, _, _, _, a in rig.batches()), default=0) < 3000)
    status = rig.uplink()
    rig.check("the status names the sector", status["backlog"]["refused"] == ["water"], status)
    rig.check("and counts", status["refused"] > 0 and status["backlog"]["readings"] > 0, status)
    states = [s for s, _, _ in rig.states()]
    rig.check("the state on the broker names it", list(states[-1].uplinks[0].refused) == [WATER],
              states[-1].uplinks)
    rig.check("the log says it once",
              count_log(rig, "daemon", "uplink city: data.water refused .Not authorized") == 1,
              rig.log("daemon"))
    rig.end("mosquitto")
    rig.start_broker()
    rig.wait(lambda: rig.uplink().get("backlog", {}).get("refused") == [], PAUSE_S,
             "nothing is refused any more")
    first = check_all(rig)
    rig.check("water came, from its first number on",
              {1, 2, 3} <= {seq for _, sector, seq in first if sector == WATER})
    rig.finish()


# ---- brokers that stop, forget or are none ----

def freeze(name, keepalive, frozen_s):
    rig, config = simple_rig(name, uplink="keepalive: %ds" % keepalive)
    rig.start_broker()
    rig.subscribe()
    rig.start_daemon(config)
    delivers(rig, "delivers before")
    broker = rig.processes["mosquitto"]
    broker.send_signal(signal.SIGSTOP)
    time.sleep(frozen_s)
    connected = rig.uplink().get("connected")
    rig.check("keepalive %d s: %s after %d s of a frozen broker"
              % (keepalive, "given up" if keepalive < frozen_s else "still there", frozen_s),
              connected == (keepalive > frozen_s), rig.uplink())
    broker.send_signal(signal.SIGCONT)
    delivers(rig, "delivers afterwards", PAUSE_S)
    rig.check("by MQTT 5 as before", rig.uplink().get("mqtt") == "5", rig.uplink().get("mqtt"))
    check_all(rig)
    rig.start_sim(config)              # and now SIGTERM with the broker frozen in mid-flight
    time.sleep(2)
    broker.send_signal(signal.SIGSTOP)
    time.sleep(2)
    check_stop(rig, "frozen broker")
    broker.send_signal(signal.SIGCONT)
    rig.finish()


def freeze_long():
    freeze("uplink-frozen", 60, 20)


def freeze_short():
    freeze("uplink-frozen-keepalive", 5, 20)


def forgetful():
    """A broker without persistence: what it held is said again, so is what it still owed."""
    rig, config = simple_rig("uplink-forgetful")
    rig.start_broker("persistence false")
    rig.subscribe()
    rig.start_daemon(config)
    delivers(rig, "delivers before")
    time.sleep(2)
    daemon = rig.processes["daemon"]
    for _ in range(2):
        time.sleep(random.uniform(0.5, 2.5))
        daemon.send_signal(signal.SIGSTOP)     # so that the subscriber is back before the daemon
        time.sleep(0.3)
        rig.subscriber.subscribed.clear()
        rig.end("mosquitto")
        rig.start_broker("persistence false")
        rig.check("the subscriber is back", rig.subscriber.subscribed.wait(10))
        since = len(rig.subscriber.all())
        daemon.send_signal(signal.SIGCONT)
        delivers(rig, "delivers after the restart")
        time.sleep(1)
        topics = {topic for topic, _, _, _ in rig.subscriber.all()[since:]}
        rig.check("state and manifests are said again",
                  {t.split("/", 4)[4] for t in topics} >= {"state", "manifest/water/1",
                                                           "manifest/manhole/1"}, topics)
    rig.check("no will, no fallback: MQTT 5", rig.uplink().get("mqtt") == "5", rig.uplink())
    check_all(rig)
    rig.finish()


def quick_restart():
    """A broker that is back at once, in the middle of a long segment, with nothing in flight."""
    rig = Rig("uplink-quick-restart")
    lines, devices = lines_and_devices()
    config = rig.configure(lines, devices, store="segment: 6s")
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    rig.start_daemon(config)
    delivers(rig, "delivers before")
    time.sleep(1)
    rig.end("mosquitto")
    rig.start_broker()
    rig.wait(lambda: rig.uplink().get("connects") == 2, 10, "it connects again")
    delivers(rig, "delivers afterwards")
    rig.finish()


# What a broker may never answer to CONNECT: an unknown property, a length that does not end,
# another packet, text.
WRONG_ANSWERS = [bytes([0x20, 5, 0, 0, 2, 0x7f, 0]), bytes([0x20, 0xff, 0xff, 0xff, 0xff, 0xff]),
                 bytes([0x20, 0]), bytes([0x40, 2, 0, 1]), bytes([0xf0, 0]), bytes([0, 0]),
                 bytes([0x30, 9, 0, 1, 0x61, 0, 0, 0, 0, 0, 0]), bytes([0xe0, 2, 0x8e, 0]),
                 b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail ESMTP\r\n"]


def garbage():
    """Somebody else has the broker's port for a while. A daemon for each wrong answer costs nothing
    but a restart, and is quicker than its back-off."""
    rig, config = simple_rig("uplink-garbage")
    answers = list(WRONG_ANSWERS)

    def babble(front, connection):
        connection.recv(65536)
        connection.sendall(answers.pop(0) if answers else
                           random.randbytes(random.randrange(1, 3000)))
        time.sleep(0.2)

    front = Front(rig.broker_port, babble)
    while answers:
        left = len(answers)
        rig.start_daemon(config)
        rig.wait(lambda: len(answers) <= left - 2 or not answers, 5, "it tries again")
        time.sleep(0.3)
        code = rig.end("daemon")
        heard = WRONG_ANSWERS[-left:][:left - len(answers)]
        rig.check("it lives after %s" % [a[:8] for a in heard], code == 0, code)
    front.accepted.clear()
    rig.start_daemon(config)
    time.sleep(9)
    rig.check("garbage: at most one connect a second (%d in 9 s)" % len(front.accepted),
              2 <= len(front.accepted) <= 9 and front.most_in_a_second() == 1, front.accepted)
    check_stop(rig, "garbage")
    rig.start_daemon(config)
    time.sleep(1)
    rig.processes["daemon"].send_signal(signal.SIGSTOP)   # so that the subscriber is there first
    front.close()
    rig.start_broker()
    rig.subscribe()
    rig.processes["daemon"].send_signal(signal.SIGCONT)
    delivers(rig, "delivers when the broker has its port", PAUSE_S)
    rig.check("by MQTT 5", rig.uplink().get("mqtt") == "5", rig.uplink().get("mqtt"))
    check_all(rig)
    rig.finish()


def black_holes():
    """SIGTERM while a connect hangs: in TCP, in TLS, or waiting for CONNACK."""
    rig = Rig("uplink-black-holes")
    full = socket.create_server(("127.0.0.1", rig.broker_port), backlog=0)
    fillers = []
    for _ in range(4):                 # its queue is full from now on: SYNs are dropped
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", rig.broker_port))
        fillers.append(filler)
    silent_port = free_port()
    silent = Front(silent_port, lambda front, connection: time.sleep(60))
    run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", rig.path("ca.key"), "-out", rig.path("ca.crt"), "-subj", "/CN=ca")
    lines, devices = lines_and_devices()
    urls = {"TCP black hole": "mqtt://127.0.0.1:%d\" ]" % rig.broker_port,
            "no CONNACK": "mqtt://127.0.0.1:%d\" ]" % silent_port,
            "no TLS answer": "mqtts://127.0.0.1:%d\" ], tls: { ca: %s }"
                             % (silent_port, rig.path("ca.crt"))}
    for what, url in urls.items():
        config = rig.configure(lines, devices, uplinks=["name: city, urls: [ \"" + url])
        if "sim" not in rig.processes:
            rig.start_sim(config)
        rig.start_daemon(config)
        time.sleep(3)
        status = rig.api("/v1/status")
        rig.check(what + ": the daemon goes on polling",
                  status and status["lines"][0]["counts"]["good"] > 5, status)
        check_stop(rig, what)
    rig.check("no hanging connect is repeated quickly", silent.most_in_a_second() <= 1,
              silent.accepted)
    silent.close()
    full.close()
    rig.finish()


# ---- who is there ----

class Watcher:
    """An MQTT 5 client: (topic, content type, payload, retained) of all that comes."""

    def __init__(self, port):
        self.seen = []
        self.ready = threading.Event()
        self.client = paho.Client(protocol=paho.MQTTv5)
        self.client.on_connect = lambda c, *rest: c.subscribe("lifeline/#", qos=1)
        self.client.on_subscribe = lambda *rest: self.ready.set()
        self.client.on_message = lambda c, u, m: self.seen.append(
            (m.topic, getattr(m.properties, "ContentType", None), m.payload, m.retain))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(10)
        time.sleep(0.5)                # what is retained comes at once

    def stop(self):
        self.client.loop_stop()
        self.client.disconnect()


def retained_state(rig):
    watcher = Watcher(rig.broker_port)
    watcher.stop()
    states = [payload for topic, _, payload, retained in watcher.seen
              if topic.endswith("/state") and retained]
    state = rig.wire.GatewayState()
    if rig.check("one state is retained", len(states) == 1, len(states)):
        state.ParseFromString(states[0])
    return state


def check_full_state(rig, state, online):
    rig.check("it says online=%s, in full" % online,
              state.online == online and state.gateway == "gw-test-1" and
              state.region == "140502" and state.epoch and state.boot and state.clock and
              state.version and state.uplink == "city" and state.store.mode == 1 and
              [u.name for u in state.uplinks] == ["city"] and
              [(e.name, e.devices) for e in state.lines] == [("plc", 2)], state)


def presence():
    rig, config = simple_rig("uplink-presence")
    rig.start_broker()
    rig.subscribe()
    watcher = Watcher(rig.broker_port)
    rig.start_daemon(config)
    delivers(rig, "delivers")
    check_full_state(rig, retained_state(rig), True)
    time.sleep(2)
    rig.end("daemon", signal.SIGKILL)
    time.sleep(0.5)
    check_full_state(rig, retained_state(rig), False)
    rig.start_daemon(config)
    delivers(rig, "delivers again")
    state = retained_state(rig)
    check_full_state(rig, state, True)
    rig.check("and knows its numbers", {e.sector for e in state.ends} == {WATER, MANHOLE} and
              all(0 < e.settled_seq <= e.last_seq for e in state.ends), state.ends)
    check_stop(rig, "healthy broker")
    check_full_state(rig, retained_state(rig), False)
    watcher.stop()
    types = {}
    for topic, content, _, _ in watcher.seen:
        types.setdefault(topic.split("/")[4], set()).add(content)
    names = {"state": "GatewayState", "manifest": "Manifest", "data": "DataBatch",
             "history": "DataBatch", "alarm": "AlarmEvent", "active": "ActiveAlarms"}
    rig.check("every topic says what it carries (MQTT 5 content type)", types == {
        kind: {"application/vnd.google.protobuf; messageType=lifeline.v1." + name}
        for kind, name in names.items()}, types)
    rig.finish()


if __name__ == "__main__":
    os.umask(0o077)
    run_scenarios({f.__name__: f for f in (freeze_long, freeze_short, versions, passwords, tls,
                                           permissions, forgetful, quick_restart, garbage,
                                           black_holes, presence)})
