#!/usr/bin/python3
"""Which broker, and on what terms: a list of them with failover and return, one that drops everybody,
limits, refuses or throws out; files of ours that are wrong for a while; several uplinks of which most
are dead."""
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import time

import paho.mqtt.client as paho

from invariant import check_delivery
from proxy import Proxy
from rig import SECTORS, Rig, Subscriber, free_port, run_scenarios
from test_link import connected, fill, proxied, seconds_until
from test_uplink import (Front, check_all, check_stop, delivers, lines_and_devices,
                         make_certificate, run_openssl, simple_rig)


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
    rig.write("secret", "x" * 5000)
    restart()
    why("a password that is none", "secret: its first line is too long")
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
    for name in ("secret", "own.key"):
        os.chmod(rig.path(name), 0o640)
        rig.end("daemon")
        ended = rig.start_daemon(config).wait(10)
        rig.check("%s that its group can read is refused at start" % name, ended == 1 and
                  "%s can be read by others" % rig.path(name) in rig.log("daemon"), ended)
        os.chmod(rig.path(name), 0o600)
        rig.start_daemon(config)
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
    rig.wait_connected()             # without a restart
    rig.check("nothing but TLS was ever spoken: no word of a password in the log",
              "word\n" not in rig.log("daemon"))
    check_all(rig)
    rig.finish()


class NamedServer(Front):
    """Speaks TLS, notes the name that it is called by, and what is said to it then."""

    def __init__(self, port, certificate, old=False):
        self.names, self.said, context = [], b"", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate + ".crt", certificate + ".key")
        context.sni_callback = lambda connection, name, context: self.names.append(name)
        if old:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

        def answer(front, connection):
            with context.wrap_socket(connection, server_side=True) as secure:
                self.said += secure.recv(4096)
        super().__init__(port, answer)


# An openssl.cnf that forbids nothing: what our own code forbids is left.
ANYTHING_GOES = """openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
"""


def names():
    """A broker known by its name: it must show a certificate for that name, speak TLS 1.2, and is
    told which name it was called by."""
    rig = Rig("link-names")
    run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", rig.path("ca.key"), "-out", rig.path("ca.crt"), "-subj", "/CN=ca",
                "-days", "2")
    kinds = {"named": "DNS:localhost", "other": "DNS:other", "deeper": "DNS:a.localhost",
             "address": "IP:127.0.0.1", "old": "DNS:localhost", "numeric": "IP:127.0.0.1"}
    servers = {}
    for kind, alternative in kinds.items():
        make_certificate(rig, kind, "ca", alternative, 2)
        servers[kind] = NamedServer(free_port(), rig.path(kind), kind == "old")
    lines, devices = lines_and_devices()
    config = rig.configure(lines, devices, uplinks=[
        "name: %s, urls: [ \"mqtts://%s:%d\" ], root: %s/v1, tls: { ca: %s }"
        % (kind, "127.0.0.1" if kind == "numeric" else "localhost",
           server.listener.getsockname()[1], kind, rig.path("ca.crt"))
        for kind, server in servers.items()])
    rig.start_sim(config)
    rig.start_daemon(config, OPENSSL_CONF=rig.write("openssl.cnf", ANYTHING_GOES))
    for kind, server in servers.items():
        if kind in ("named", "numeric"):
            rig.wait(lambda: server.said[:1] == b"\x10", 10, "%s: is spoken to" % kind)
    for kind, why in (("other", "(?i)certificate: host"), ("deeper", "(?i)certificate: host"),
                      ("address", "(?i)certificate: host"), ("old", "(?i)version|protocol")):
        rig.wait(lambda: re.search(why, rig.uplink(kind).get("why", "")), 20, "%s: why" % kind)
        rig.check("%s: nothing is said to it" % kind, servers[kind].accepted and
                  not servers[kind].said, (servers[kind].said, rig.uplink(kind)))
    rig.check("who has a name is called by it", set(servers["named"].names) == {"localhost"},
              servers["named"].names)
    rig.check("an address is none", set(servers["numeric"].names) == {None},
              servers["numeric"].names)
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
WORDS = [(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", "no MQTT broker", True),
         (REFUSE + bytes([0x89, 0]), b"", "Server busy", True),
         (bytes([0x20, 16, 0, 0x9d, 13, 0x1c, 0, 10]) + b"other:1883",
          b"", "Server moved, go to other:1883", True),
         (REFUSE + bytes([0x9b, 0]), b"", "QoS.*acknowledges nothing", True),
         (TAKE, bytes([0xe0, 2, 0x8b, 0]), "Server shutting down", True),
         (TAKE, bytes([0x40, 6, 0, 1, 0, 2, 0x7f, 0]), "a packet that MQTT does not know", True),
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


# Packets of MQTT 5 with a property that nobody knows, and one that does not belong there: the library
# would end the process.
ALIEN = [bytes([0x40, 6, 0, 1, 0, 2, 0x7f, 0]), bytes([0xe0, 4, 0, 2, 0x7f, 0]),
         bytes([0x30, 6, 0, 1, 0x61, 2, 0x7f, 0]), bytes([0x90, 6, 0, 3, 2, 0x7f, 0, 0]),
         bytes([0xf0, 4, 0x18, 2, 0x7f, 0]), bytes([0x20, 5, 0, 0, 2, 0x7f, 0]),
         bytes([0x62, 6, 0, 1, 0, 2, 0x7f, 0]), bytes([0x40, 9, 0, 1, 0, 5, 0x27, 0, 0, 0, 9]),
         bytes([0x30, 0xff, 0xff, 0xff, 0x7f]), bytes([0xd0, 0])]


def alien():
    """Packets that are none, after a CONNACK that was fine; then a broker in its right mind. What
    the library had in hand when it was broken off (guard.c) nobody can free: no leak of ours."""
    rig, config = simple_rig("link-alien")
    os.environ["LSAN_OPTIONS"] = "print_suppressions=0:suppressions=" + rig.write(
        "library.supp", "leak:libmosquitto.so\n")
    left = list(ALIEN)

    def speak(front, connection):
        connection.recv(65536)
        connection.sendall(TAKE)
        time.sleep(0.2)
        connection.sendall(left.pop(0) if left else random.randbytes(random.randrange(2, 99)))
        time.sleep(0.3)

    front = Front(rig.broker_port, speak)
    while left:
        rig.start_daemon(config)
        before = len(left)
        seconds_until(lambda: len(left) <= before - 2 or not left, 8)
        time.sleep(0.3)
        code = rig.end("daemon")
        rig.check("it lives after %s" % ALIEN[len(ALIEN) - before:len(ALIEN) - len(left)],
                  code == 0, code)
    front.close()
    rig.start_broker()
    rig.subscribe()
    rig.start_daemon(config)
    delivers(rig, "delivers to a broker")
    check_all(rig)
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


SLOW_NAMES = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (node && strstr(node, "slow-name") && !(hints && hints->ai_flags & AI_NUMERICHOST))
        sleep(60);
    return real(node, service, hints, out);
}
"""


def start_with_slow_names(rig, config):
    """The daemon with a resolver that takes a minute for some names."""
    library = rig.path("slow.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, rig.write("slow.c", SLOW_NAMES),
                    "-ldl"], check=True)
    os.environ["LD_PRELOAD"] = library
    rig.start_daemon(config)
    del os.environ["LD_PRELOAD"]


def several():
    """Seven uplinks: one fine, one of one sector on the same broker, and five dead in their own
    ways."""
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
            "asking": "mqtt://slow-name.invalid:1883\" ]",
            "mute": "mqtts://127.0.0.1:%d\" ], tls: { ca: %s }" % (mute.getsockname()[1],
                                                                  rig.path("ca.crt"))}
    ours = "urls: [ \"mqtt://127.0.0.1:%d\" ]" % rig.broker_port
    config = rig.configure(lines, devices, store="segment: 1s", uplinks=[
        "name: city, " + ours, "name: wells, %s, root: lifeline/wells, sectors: [manhole]" % ours,
        *("name: %s, urls: [ \"%s" % each for each in dead.items())])
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    start_with_slow_names(rig, config)
    rig.wait(lambda: connected(rig) and connected(rig, "wells"), 10, "the two live ones connect")
    rig.check("under two ids", {"as gw-test-1 ", "as gw-test-1-wells "} <=
              set(re.findall("as gw-test-1[a-z-]* ", rig.log("mosquitto"))), rig.log("mosquitto"))
    time.sleep(4)
    rig.end("mosquitto")
    time.sleep(4)
    rig.start_broker()
    rig.wait_connected()
    rig.wait_connected("wells")
    time.sleep(6)
    rig.wait(lambda: all(rig.uplink(name).get("why") for name in dead), 20,
             "also what takes long to fail is said")
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
    check_stop(rig, "with five dead uplinks")
    time.sleep(0.5)
    check_delivery(View(rig, "city", "lifeline/v1", SECTORS[1:]))
    wells, _ = check_delivery(View(rig, "wells", "lifeline/wells", ["manhole"]))
    rig.check("wells got nothing but its sector", {SECTORS[s] for _, s, _ in wells} == {"manhole"})
    del fillers
    rig.finish()


if __name__ == "__main__":
    os.umask(0o077)
    run_scenarios({f.__name__: f for f in (failover, pinning, credentials, names, limits, taken, words,
                                           alien, several)})
