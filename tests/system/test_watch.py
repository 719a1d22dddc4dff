#!/usr/bin/python3
"""lifelinectl watch: what it shows of a broker's gateways, against messages made by Python's protobuf,
which are what no gateway sends as well; and of a real gateway."""
import json
import os
import signal
import subprocess
import time

from rig import BUILD, Rig, free_port, now_ms, run_scenarios
from sensors import Sensors
from test_alarms import configuration
from test_uplink import make_certificate, run_openssl

ROOT = "lifeline/v1/140502/"
RAISED, ESCALATED, EASED, ACKED, CLEARED, SUPPRESSED = range(1, 7)
ULID = "01JD3Z0000000000000000%04d"


class Watch:
    """One that runs, and what it has said."""

    def __init__(self, rig, name, *words, lang="C.UTF-8"):
        self.rig, self.name = rig, name
        self.out, self.errors = rig.path(name + ".out"), rig.path(name + ".err")
        with open(self.out, "w") as out, open(self.errors, "w") as errors:
            self.process = rig.processes[name] = subprocess.Popen(
                [os.path.join(BUILD, "lifelinectl"), "watch", *words], stdout=out, stderr=errors,
                stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": lang})

    def text(self):
        with open(self.out, encoding="utf-8") as f:
            return f.read()

    def said(self):
        with open(self.errors, encoding="utf-8") as f:
            return f.read()

    def lines(self):
        return [json.loads(line) for line in self.text().splitlines()]

    def shows(self, part, seconds=10):
        return self.rig.wait(lambda: part in self.text(), seconds, "%s shows %s" % (self.name, part))

    def end(self):
        code = self.rig.end(self.name, signal.SIGINT)
        return self.rig.check("%s ends with 0" % self.name, code == 0, (code, self.said()))


def url(rig):
    return "mqtt://127.0.0.1:%d" % rig.broker_port


def event(rig, number, step, status, level, previous=0, gateway="gw-a", sector=6, text="积水 %d mm"):
    out = rig.wire.AlarmEvent(id=ULID % number, step=step, gateway=gateway, region="140502",
                              sector=sector, kind=1, rule="flooded", level=level,
                              previous_level=previous, status=status, device=1, point=2,
                              device_name="road", quantity="depth", unit="mm", value=273,
                              threshold=270, threshold_source="GB 50014", peak=273)
    out.key = "road%d.depth/flooded" % number
    out.raised_ms = out.first_ms = now_ms() - 720000
    out.at_ms = now_ms()
    out.text_zh, out.text_en = text % step, "water %d mm" % step
    if status == CLEARED:
        out.cleared_ms = out.raised_ms + 60000
    return out


def entry(rig, number, step, level, **rest):
    """What an active list has of it."""
    whole = event(rig, number, step, RAISED, level, **rest)
    out = rig.wire.AlarmEvent()
    for field in ("id", "step", "sector", "kind", "rule", "key", "level", "previous_level", "status",
                  "device", "point", "value", "first_ms", "at_ms"):
        setattr(out, field, getattr(whole, field))
    return out


def publish(rig, topic, message, retain=False):
    payload = message if isinstance(message, bytes) else message.SerializeToString()
    rig.subscriber.client.publish(ROOT + topic, payload, qos=1, retain=retain).wait_for_publish()


def state(rig, gateway, online):
    publish(rig, gateway + "/state", rig.wire.GatewayState(
        gateway=gateway, region="140502", online=online, at_ms=now_ms(), name="泽州路"), True)


def people():
    """Lists, steps once each, gateways that go away; both languages; garbage."""
    rig = Rig("people")
    rig.start_broker()
    rig.subscribe()
    state(rig, "gw-a", True)
    state(rig, "gw-away", False)
    listed = rig.wire.ActiveAlarms(gateway="gw-a", sector=6, at_ms=now_ms(), omitted=3)
    listed.alarms.append(entry(rig, 1, 2, 2))
    publish(rig, "gw-a/active/waterlogging", listed, True)
    english = Watch(rig, "english", "--broker", url(rig))
    chinese = Watch(rig, "chinese", "--broker", url(rig), lang="zh_CN.UTF-8")
    machine = Watch(rig, "machine", "--broker", url(rig), "--format", "json")
    severe = Watch(rig, "severe", "--broker", url(rig), "--level", "2", "--format", "json")
    gas = Watch(rig, "gas", "--broker", url(rig), "--sector", "gas", "--format", "json")
    other = Watch(rig, "other", "--broker", url(rig), "--gateway", "gw-b", "--format", "json")
    for watch in (english, chinese, machine, severe):
        watch.shows("road1.depth/flooded")
    english.shows("gw-away 泽州路")
    rig.check("who is there from the beginning is no news", "gw-a 泽州路" not in english.text(),
              english.text())
    rig.check("what a list leaves out is said", "gw-a: 3 more are up" in english.said(), english.said())
    publish(rig, "gw-a/active/waterlogging", listed, True)      # again: no news
    publish(rig, "gw-a/alarm/waterlogging", event(rig, 1, 2, RAISED, 2))   # says more than the list
    publish(rig, "gw-a/alarm/waterlogging", event(rig, 1, 2, RAISED, 2))   # QoS 1: once more
    publish(rig, "gw-b/alarm/gas", event(rig, 2, 1, RAISED, 4, gateway="gw-b", sector=1))
    publish(rig, "gw-a/alarm/waterlogging", event(rig, 1, 4, CLEARED, 0, 1))
    publish(rig, "gw-a/alarm/waterlogging", event(rig, 1, 3, ESCALATED, 1, 2))  # late, but told once
    publish(rig, "gw-a/alarm/waterlogging", event(rig, 1, 3, ESCALATED, 1, 2))
    publish(rig, "gw-a/alarm/waterlogging", event(rig, 1, 4, CLEARED, 0, 1))
    publish(rig, "gw-a/active/waterlogging", listed, True)      # an old list
    # an alarm of the same id elsewhere is another one
    publish(rig, "gw-c/alarm/waterlogging", event(rig, 1, 1, RAISED, 3, gateway="gw-c"))
    for garbage in (b"\xff\xff\xff", b"hello", event(rig, 5, 0, RAISED, 3),
                    event(rig, 6, 1, RAISED, 9)):
        publish(rig, "gw-a/alarm/waterlogging", garbage)
    publish(rig, "gw-a/active/waterlogging", b"\x0a\xff")
    for online in (True, False, False, True, True):
        state(rig, "gw-a", online)
    publish(rig, "gw-d/alarm/waterlogging", event(rig, 9, 1, RAISED, 1, gateway="gw-d"))
    for watch in (english, chinese, machine, severe):
        watch.shows("road9.depth/flooded")
    told = [(o["event"], o["gateway"], o["alarm" if o["event"] == "alarm" else "active"]["step"])
            for o in machine.lines() if o["event"] != "state"]
    rig.check("every step once, by the gateway of its topic", told == [
        ("active", "gw-a", 2), ("alarm", "gw-a", 2), ("alarm", "gw-b", 1), ("alarm", "gw-a", 4),
        ("alarm", "gw-a", 3), ("alarm", "gw-c", 1), ("alarm", "gw-d", 1)], told)
    first = machine.lines()[[o["event"] for o in machine.lines()].index("active")]["active"]
    rig.check("an entry says nothing that a list has not", not set(first) &
              {"threshold", "peak", "evidence", "clock"} and first["value"] == 273, first)
    full = [o["alarm"] for o in machine.lines() if o["event"] == "alarm"][0]
    rig.check("an event says all", (full["threshold"], full["threshold_source"], full["region"],
              full["unit"], full["kind"]) == (270, "GB 50014", "140502", "mm", "threshold"), full)
    states = [(o["gateway"], o["state"]["online"]) for o in machine.lines() if o["event"] == "state"]
    rig.check("states of every gateway to machines", sorted(states[:2]) == [("gw-a", True),
              ("gw-away", False)] and states[2:] == [("gw-a", False), ("gw-a", True)], states)
    rig.check("the worse only", {o["alarm"]["level"] or o["alarm"]["previous_level"]
              for o in severe.lines() if o["event"] == "alarm"} == {1, 2}, severe.text())
    rig.check("gas only", [o["alarm"]["sector"] for o in gas.lines() if o["event"] == "alarm"] ==
              ["gas"] and not any(o["event"] == "active" for o in gas.lines()), gas.text())
    rig.check("one gateway only", {o["gateway"] for o in other.lines()} == {"gw-b"}, other.text())
    text = english.text()
    for part in ("gw-a orange", "road1.depth/flooded raised, for 12 min", "water 2 mm",
                 "threshold 270 mm: GB 50014", "cleared, for 60 s", "gw-d red",
                 "gw-a 泽州路", "the gateway is away", "the gateway is back"):
        rig.check("English: " + part, part in text, text)
    text = chinese.text()
    for part in ("gw-a 橙色", "发生，已 12 分钟", "积水 2 mm", "阈值 270 mm：GB 50014", "已解除", "gw-d 红色",
                 "网关离线", "网关恢复在线"):
        rig.check("Chinese: " + part, part in text, text)
    wide = [line for line in text.splitlines() if sum(1 + (ord(c) > 0x2e80) for c in line) > 80]
    rig.check("in 80 columns", not wide, wide)
    rig.check("garbage, and what is left out, are said once", " ".join(english.said().split()).count("is no message of ours") == 1 and
              english.said().count("more are up") == 1,
              english.said())
    for watch in (english, chinese, machine, severe, gas, other):
        watch.end()
    rig.finish()


def broken():
    """A broker that goes and comes, one that does not want us, one that shows nothing, wrong words."""
    rig = Rig("broken")
    early = Watch(rig, "early", "--broker", url(rig))
    rig.wait(lambda: "Connection refused" in early.said(), 10, "it says that nobody is there")
    rig.start_broker()
    rig.subscribe()
    rig.wait(lambda: early.process.poll() is not None or event_comes(rig, early, 1), 20,
             "it comes when there is one")
    rig.end("mosquitto")
    time.sleep(1)
    rig.start_broker()
    rig.wait(lambda: event_comes(rig, early, 2), 20, "and again")
    rig.check("it says that it is back", "connected again" in early.said(), early.said())
    early.end()
    rig.end("mosquitto")
    rig.subscriber.stop()
    rig.subscriber = None
    rig.write("passwords", "")
    subprocess.run(["mosquitto_passwd", "-b", rig.path("passwords"), "ops", "right"], check=True)
    rig.write("acl", "user ops\ntopic read nothing\n")
    rig.start_broker("password_file %s\nacl_file %s\n" % (rig.path("passwords"), rig.path("acl")),
                     anonymous=False)
    rig.write("right", "right\n")
    rig.write("wrong", "wrong\n")

    def once(*words, lang="C.UTF-8"):
        run = subprocess.run([os.path.join(BUILD, "lifelinectl"), "watch", *words], timeout=30,
                             capture_output=True, text=True, env={**os.environ, "LC_ALL": lang})
        return run.returncode, run.stderr
    code, why = once("--broker", url(rig), "--username", "ops", "--password-file", rig.path("wrong"))
    rig.check("a wrong password: a finding, and why", code == 1 and "refused" in why.lower(), (code, why))
    code, why = once("--broker", url(rig), "--username", "ops", "--password-file", rig.path("wrong"),
                     lang="zh_CN.UTF-8")
    rig.check("in Chinese", code == 1 and ("未授权" in why or "密码错误" in why), (code, why))
    for words, part in (((), "--broker URL is missing"),
                        (("--broker", "http://x"), "mqtts://"),
                        (("--broker", "mqtt://"), "mqtts://"),
                        (("--broker", "mqtt://x:0"), "mqtts://"),
                        (("--broker", "mqtt://[::1"), "mqtts://"),
                        (("--broker", url(rig), "--level", "5"), "1 to 4"),
                        (("--broker", url(rig), "--sector", "oil"), "no such sector"),
                        (("--broker", url(rig), "--gateway", "a/b"), "--gateway"),
                        (("--broker", url(rig), "--root", ""), "--root"),
                        (("--broker", url(rig), "--username", "ops", "--password-file", "/nowhere"),
                         "cannot read the password"),
                        (("--broker", "mqtts://127.0.0.1:1", "--ca", "/nowhere"), "--ca")):
        code, why = once(*words)
        rig.check("usage: " + " ".join(words)[-40:], code == 2 and part in why, (code, why))
    rig.finish()


def encrypted():
    """TLS: only whom --ca names, under the right name; ours where the broker wants one."""
    rig = Rig("encrypted")
    for ca in ("ca", "other-ca"):
        run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", rig.path(ca + ".key"), "-out", rig.path(ca + ".crt"), "-subj",
                    "/CN=" + ca, "-days", "2")
    make_certificate(rig, "broker", "ca", "IP:127.0.0.1", 2)
    make_certificate(rig, "ops", "ca", "DNS:ops", 2)
    make_certificate(rig, "astray", "ca", "DNS:broker.example", 2)
    ports = {name: free_port() for name in ("right", "astray", "mutual")}
    rig.start_broker("".join(
        "listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n%s" %
        (ports[name], rig.path(own + ".crt"), rig.path(own + ".key"), extra)
        for name, own, extra in (("right", "broker", ""), ("astray", "astray", ""),
                                 ("mutual", "broker", "cafile %s\nrequire_certificate true\n"
                                  % rig.path("ca.crt")))))
    rig.subscribe()
    own = ("--ca", rig.path("ca.crt"))
    pair = ("--cert", rig.path("ops.crt"), "--key", rig.path("ops.key"))

    def look(name, *words, to="right"):
        return Watch(rig, name, "--broker", "mqtts://127.0.0.1:%d" % ports[to], *words)
    good = [look("good", *own), look("known", *own, *pair, to="mutual")]
    bad = [look("stranger", "--ca", rig.path("other-ca.crt")), look("system"),
           look("misnamed", *own, to="astray"), look("unknown", *own, to="mutual")]
    for number, watch in enumerate(good):
        rig.wait(lambda: event_comes(rig, watch, number + 1), 20, "%s sees alarms" % watch.name)
    for watch in bad:
        rig.wait(lambda: watch.said(), 20, "%s is told why" % watch.name)
    publish(rig, "gw-a/alarm/waterlogging", event(rig, 9, 1, RAISED, 1))
    time.sleep(3)
    for watch in bad:
        rig.check("%s sees nothing" % watch.name, watch.text() == "", watch.text())
    for watch in bad[:3]:
        rig.check("%s: the certificate" % watch.name, "certificate" in watch.said() or
                  "TLS" in watch.said(), watch.said())
    for watch in good + bad:
        watch.end()
    rig.finish()


def unread():
    """Whoever read it (`| head`) has gone: it ends by itself."""
    rig = Rig("unread")
    rig.start_broker()
    rig.subscribe()
    process = rig.processes["unread"] = subprocess.Popen(
        [os.path.join(BUILD, "lifelinectl"), "watch", "--broker", url(rig), "--format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    state(rig, "gw-a", True)
    rig.check("it is read", process.stdout.readline().startswith(b"{"), process.poll())
    process.stdout.close()

    def is_over():
        state(rig, "gw-a", False)
        state(rig, "gw-a", True)
        return process.poll() is not None
    rig.wait(is_over, 10, "it ends when nobody reads it")
    rig.finish()


def event_comes(rig, watch, number):
    """Sent until it is seen: nobody tells when somebody else has subscribed."""
    try:
        publish(rig, "gw-a/alarm/waterlogging", event(rig, number, 1, RAISED, 3))
    except RuntimeError:                # the test's own client is not back yet
        return False
    return "road%d.depth" % number in watch.text()


def real():
    """A real gateway: what it sends can be read, and it is told when it goes."""
    rig = Rig("real")
    port = free_port()
    sensors = Sensors(port)
    rig.start_broker()
    rig.subscribe()
    watch = Watch(rig, "watch", "--broker", url(rig))
    rig.start_daemon(configuration(rig, port, 1))
    rig.wait_connected()
    sensors.set(1, 0, 25)
    watch.shows("d1.p0/hot raised")
    watch.shows("threshold 20 mm: configuration")
    sensors.set(1, 0, 0)
    watch.shows("d1.p0/hot cleared")
    rig.end("daemon", signal.SIGKILL)
    watch.shows("the gateway is away")
    rig.start_daemon(rig.path("gateway.yaml"))
    watch.shows("the gateway is back", 20)
    watch.end()
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"people": people, "broken": broken, "encrypted": encrypted, "real": real,
                   "unread": unread})
