#!/usr/bin/python3
"""Delivery against a broker on its bad days (S16) and to people who confirm: refusals rest their
sector and nothing else, a poison row is set aside, limits are kept to, live data comes first, and
what is not delivered as `confirm` means it is still owed."""
# Also under TSan: outage refusals platform
import os
import sys
import time

import paho.mqtt.client as paho

from invariant import check_delivery
from proxy import Proxy
from rig import BUSY_MS, PAUSE_S, Rig, free_port, now_ms, run_scenarios, undo_compression
from stub_broker import CLOSE, NEVER, QUOTA_EXCEEDED, SHUTTING_DOWN, Disconnect, Stub
from test_uplink import make_certificate, run_openssl

PREFIX = "lifeline/v1/140502/gw-test-1/"


class Taken:
    """What the stub took, as if a subscriber had seen it."""

    def __init__(self, stub):
        self.stub = stub

    def all(self):
        offset = now_ms() - int(time.monotonic() * 1000)
        with self.stub.lock:
            return [(p.topic, p.payload, int(p.at * 1000) + offset, False)
                    for p in self.stub.published if isinstance(p.answer, int) and p.answer < 0x80]

    def stop(self):
        self.stub.close()


def make_rig(name, uplink="", store="segment: 1s", every="200ms"):
    """Two devices of two sectors; the simulator runs, the daemon does not yet."""
    rig = Rig("delivery-" + name)
    line = "name: plc, transport: tcp, host: 127.0.0.1, port: %d" % free_port()
    config = rig.configure([line], [
        "name: main, line: plc, unit: 1, profile: press-level-a, every: %s" % every,
        "name: well, line: plc, unit: 2, profile: rs-dip-n01, every: 500ms"], store=store,
        uplink="spread: 0s" + (", " + uplink if uplink else ""))
    rig.start_sim(config)
    return rig, config


def stub_rig(name, judge, uplink="", store="segment: 1s", every="200ms", **options):
    rig, config = make_rig(name, uplink, store, every)
    stub = Stub(rig.broker_port, judge, **options)
    rig.subscriber = Taken(stub)
    rig.start_daemon(config)
    return rig, stub


def check_all(rig, seconds=25, aside=()):
    rig.drain(seconds, quiet_s=2)
    time.sleep(0.3)
    return check_delivery(rig, aside)


# ---- refusals ----

def refusals():
    """Each reason for one sector while the other goes on; accepted again without a reconnect."""
    reasons = [0x80, 0x83, 0x87, 0x91, 0x97, 0x99]
    refusing = {"on": True, "n": 0}

    def judge(publish):
        if publish.kind in ("data", "history", "manifest") and "water" in publish.topic and \
                refusing["on"]:
            refusing["n"] += 1
            return reasons[refusing["n"] % len(reasons)]
        return 0x10 if publish.kind == "data" else 0
    rig, stub = stub_rig("refusals", judge)
    rig.wait(lambda: refusing["n"] > 1, 10, "water is refused")
    begun = len([p for p in stub.all() if p.sector == "water"])
    time.sleep(6)
    manhole = [p for p in stub.all() if p.sector == "manhole"]
    rig.check("the other sector goes on", len(manhole) >= 5, len(manhole))
    rig.check("it is not sent again and again", len([p for p in stub.all()
                                                     if p.sector == "water"]) - begun <= 1)
    states = [s for s, _, _ in rig.states()]
    rig.check("the state says so", list(states[-1].uplinks[0].refused) == [2],
              list(states[-1].uplinks[0].refused))
    rig.check("settled_seq stands still", all(
        e.settled_seq == 0 for e in states[-1].ends if e.sector == 2), states[-1].ends)
    refusing["on"] = False
    rig.wait(lambda: any(p.sector == "water" and p.answer in (0, 0x10) for p in stub.all()), 20,
             "it is tried again after a pause")
    rig.check("on the same connection", len(stub.connections) == 1, len(stub.connections))
    rig.wait(lambda: [s for s, _, _ in rig.states()][-1].uplinks[0].refused == [], 5,
             "and the state says that too")
    rig.check("its manifest is sent once more", any(
        p.kind == "manifest" and "water" in p.topic and p.answer == 0 for p in stub.all(
            ("manifest",))) or rig.wait(lambda: any(
                p.kind == "manifest" and "water" in p.topic and p.answer == 0
                for p in stub.all(("manifest",))), 20, "manifest again"))
    _, gaps = check_all(rig)
    rig.check("no Gap", not any(gaps.values()), dict(gaps))
    rig.score("S16", 6, ["see above"] * rig.failures)
    rig.finish()


def silence():
    """A broker that acknowledges nothing is left, after a while, with the reason."""
    rig, stub = stub_rig("silence", lambda publish: NEVER if publish.connection == 1 else 0)
    rig.wait(lambda: len(stub.connections) == 2, 75, "the connection is given up")
    took = stub.connections[-1] - stub.connections[0]
    rig.check("after a minute (%.0f s)" % took, 58 < took < 75)
    rig.check("and it says why", "acknowledged nothing" in rig.log("daemon") or
              "not acknowledged an alarm" in rig.log("daemon"), rig.log("daemon"))
    rig.check("meanwhile no more than the window is sent", len(stub.all()) <= 2 * 16,
              len(stub.all()))
    check_all(rig)
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


def passed_over():
    """One message is never acknowledged while later ones are: it is sent again."""
    never = []

    def judge(publish):
        if not never and publish.kind == "data":
            never.append(publish)
        return NEVER if publish in never else 0
    rig, stub = stub_rig("passed_over", judge)
    rig.wait(lambda: len(stub.connections) == 2, 90, "the connection is given up")
    took = stub.connections[-1] - stub.connections[0]
    rig.check("after a minute (%.0f s)" % took, 58 < took < 80)
    rig.check("and it says why", "acknowledged later messages" in rig.log("daemon"))
    rig.check("meanwhile the others went on", len(stub.all(("data",))) > 20)
    check_all(rig)
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


def disorder():
    """Acknowledgements twice, of nobody, and in the wrong order."""
    def shuffle(stub, due):
        packets = [stub.puback(*d) for d in reversed(due)]
        return [stub.puback(60000, 0)] + packets + packets[:1] + [stub.puback(60001, 0x87)]
    rig, stub = stub_rig("disorder", lambda publish: 0, shuffle=shuffle)
    time.sleep(6)
    check_all(rig)
    rig.check("on one connection", len(stub.connections) == 1, rig.log("daemon"))
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


# ---- rows that a broker does not survive ----

class Poison:
    """Ends the connection on whatever holds the fifth row of water."""

    def __init__(self, wire, how, seq=5):
        self.wire, self.how, self.seq, self.deaths = wire, how, seq, 0

    def __call__(self, publish):
        if publish.kind not in ("data", "history"):
            return 0
        batch, _ = undo_compression(self.wire, publish.payload)
        if batch.sector == 2 and any(s.seq == self.seq for s in batch.segments):
            self.deaths += 1
            return self.how
        return 0


def longest_pause(moments):
    return max((b - a for a, b in zip(moments, moments[1:])), default=0)


def deaths_of(stub):
    return [p for p in stub.all() if p.answer is CLOSE or isinstance(p.answer, Disconnect)]


def poison(tls=False, how=CLOSE):
    """The row comes in a batch with others, and what the broker acknowledged last before its end
    does not arrive: the row is found by halves, within seconds, and only that one is set aside."""
    rig, config = make_rig("poison" + "-tls" * tls + "-quota" * (how is not CLOSE))
    if tls:
        run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", rig.path("ca.key"), "-out", rig.path("ca.crt"), "-subj", "/CN=ca",
                    "-days", "2")
        make_certificate(rig, "broker", "ca", "IP:127.0.0.1", 2)
        with open(config, encoding="utf-8") as f:
            text = f.read()
        rig.write("gateway.yaml", text.replace("mqtt://", "mqtts://").replace(
            "spread: 0s", "spread: 0s, tls: { ca: %s }" % rig.path("ca.crt")))
    rig.start_daemon(config)
    time.sleep(8)
    bad = Poison(rig.wire, how)
    stub = Stub(rig.broker_port, bad, shuffle=lambda stub, due: [stub.puback(*d) for d in due],
                tls=(rig.path("broker.crt"), rig.path("broker.key")) if tls else None)
    rig.subscriber = Taken(stub)
    rig.wait(lambda: "is set aside" in rig.log("daemon"), 2 * PAUSE_S, "the row is set aside")
    deaths = deaths_of(stub)
    if not rig.check("the broker died of it at least four times", len(deaths) >= 4, len(deaths)):
        rig.finish()
    took = time.monotonic() - deaths[1].at
    batch, _ = undo_compression(rig.wire, deaths[0].payload)
    rig.check("it came in a batch of several (%d)" % len(batch.segments), len(batch.segments) >= 4)
    # in flight, all of them alone, at most so many halves, once out of its turn, three trials
    rig.check("it took few connections (%d)" % len(deaths),
              len(deaths) <= 6 + (len(batch.segments) - 1).bit_length())
    pauses = [b - a for a, b in zip(stub.connections[1:], stub.connections[2:])]
    # once the row may end a connection that nobody was alone on: an ordinary pause follows
    ordinary = [p for p in pauses[:len(deaths) - 1] if p >= 3]
    rig.check("the pauses do not grow", len(ordinary) <= 1, pauses)
    rig.check("and little time from the second one on (%.1f s)" % took,
              took - sum(ordinary) < 25 + BUSY_MS / 1000, ordinary)
    rig.check("never two connects in a second", min(pauses) >= 0.99, pauses)
    rig.check("the log says it once", rig.log("daemon").count("is set aside") == 1)
    rig.wait(lambda: rig.uplink()["backlog"]["set_aside"] == 1, 5, "status counts it")
    time.sleep(2)
    others = [p.at for p in stub.all() if p.sector == "manhole" and p.answer == 0]
    still = longest_pause([stub.connections[0], *others, time.monotonic()])
    rig.check("the other sector stood still for %.1f s at most" % still,
              others and still - sum(ordinary) < 30 + BUSY_MS / 1000)
    _, gaps = check_all(rig, aside={(2, 5)})
    rig.check("it is not sent any more", bad.deaths == len(deaths))
    named = {(g.sector, g.first_seq, g.last_seq, g.reason) for of in gaps.values() for g in of}
    rig.check("a Gap names it, and nothing else", named == {(2, 5, 5, 6)}, named)
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


def poison_tls():
    poison(tls=True)


def poison_quota():
    """The same by a broker that calls it a quota."""
    poison(how=Disconnect(QUOTA_EXCEEDED))


def shutting_down():
    """A broker that shuts down and says so ends everybody's connection: no row is to blame, and
    nothing is sent alone after it."""
    def judge(publish):
        if publish.kind not in ("data", "history") or publish.connection > 2:
            return 0
        waiting[publish.connection] = waiting.get(publish.connection, -2) + 1
        if waiting[publish.connection] <= 0:
            return 0
        return NEVER if waiting[publish.connection] < 3 else Disconnect(SHUTTING_DOWN)
    waiting = {}
    rig, stub = stub_rig("shutting-down", judge)
    rig.wait(lambda: len(stub.connections) >= 3, 30,
             "again several messages are under way when it shuts down a second time")
    rig.check("and that is what the log says",
              rig.log("daemon").count("Server shutting down") == 2, rig.log("daemon"))
    _, gaps = check_all(rig)
    rig.check("no Gap", not any(gaps.values()), dict(gaps))
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


def forbidden(kinds=("data", "history")):
    """A broker that ends the connection on the topics of one sector: the sector is refused, not its
    rows; the other goes on, and what was kept arrives when the topics are allowed."""
    allowed = {"water": False}

    def judge(publish):
        mine = publish.kind in kinds and "/water" in publish.topic
        return CLOSE if mine and not allowed["water"] else 0

    def deaths_of(of):
        return [p for p in of.all(kinds) if p.answer is CLOSE]
    rig, stub = stub_rig("forbidden" + "-manifest" * ("manifest" in kinds), judge)

    def refused():
        return [s for s, _, _ in rig.states()][-1].uplinks[0].refused
    rig.wait(lambda: "counts as refused" in rig.log("daemon"), 60, "the sector is refused")
    deaths = len(deaths_of(stub))
    rig.check("it took few connections (%d)" % deaths, deaths <= 14)
    rig.wait(lambda: list(refused()) == [2], 15, "the state says so")
    begun = time.monotonic()
    rig.wait(lambda: time.monotonic() - begun > 28, 40, "time passes")
    tried = len(deaths_of(stub)) - deaths
    rig.check("it is tried after 10 s and 20 s more (%d)" % tried, 1 <= tried <= 2)
    connects = len([at for at in stub.connections if at > begun])
    rig.check("with a connect for each (%d)" % connects, connects <= 3)
    others = [p.at for p in stub.all() if p.sector == "manhole" and p.answer == 0 and p.at > begun]
    still = longest_pause([begun, *others, time.monotonic()])
    rig.check("the other sector goes on (%.1f s)" % still, still < 6)
    rig.check("one row at a time", all(
        p.kind == "manifest" or len(undo_compression(rig.wire, p.payload)[0].segments) == 1
        for p in deaths_of(stub)[deaths:]))
    allowed["water"] = True
    rig.wait(lambda: "is accepted again" in rig.log("daemon"), 60, "it is tried again")
    _, gaps = check_all(rig)
    rig.check("no Gap", not any(gaps.values()), dict(gaps))
    rig.check("nothing is set aside", rig.uplink()["backlog"]["set_aside"] == 0, rig.uplink())
    rig.check("the state says that too", not refused(), refused())
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


def forbidden_manifest():
    """Of its Manifest too, which goes before everything else."""
    forbidden(("manifest", "data", "history"))


def cut_link():
    """Every connection ends after some bytes: nothing is set aside for that."""
    sizes = {}

    def judge(publish):
        sizes[publish.connection] = sizes.get(publish.connection, 0) + publish.size
        return CLOSE if sizes[publish.connection] > 3500 else 0
    rig, stub = stub_rig("cut-link", judge)
    time.sleep(40)
    stub.judge = lambda publish: 0
    _, gaps = check_all(rig, 40)
    rig.check("connections were cut (%d)" % len(stub.connections), len(stub.connections) > 4)
    rig.check("no Gap", not any(gaps.values()), dict(gaps))
    rig.finish()


# ---- limits ----

def limits():
    """Maximum packet size and receive maximum; rows that are larger become Gaps at last."""
    rig, stub = stub_rig("limits", lambda publish: 0, store="segment: 4s", every="20ms",
                         max_packet=750, receive_max=3, shuffle=lambda stub, due: [stub.puback(*d) for d in due])
    for connection in (2, 3, 4):
        time.sleep(9)
        stub.socket.shutdown(2)
        rig.wait(lambda: len(stub.connections) >= connection, 20, "it comes back")
    rig.wait(lambda: any(g.reason == 6 for _, _, b, _, _ in rig.batches() for g in b.gaps), 20,
             "rows too large become Gaps")
    rig.check("nothing exceeds a limit", not stub.faults, stub.faults[:5])
    rig.check("the smaller ones arrive", any(b.segments for _, _, b, _, _ in rig.batches()))
    rig.check("the sector is not refused", not any(s.uplinks[0].refused for s, _, _ in rig.states()))
    parts = {p.topic for p in stub.all(("manifest",))}
    rig.check("manifests are in parts that fit", len(parts) >= 2, parts)
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


def narrow():
    """One message at a time."""
    rig, stub = stub_rig("narrow", lambda publish: 0, receive_max=1,
                         shuffle=lambda stub, due: [stub.puback(*d) for d in due])
    time.sleep(6)
    check_all(rig)
    rig.check("never more than one in flight", not stub.faults, stub.faults[:5])
    rig.finish()


# ---- after an outage ----

def newest_ms(batch):
    return max(s.base_ms + max(sum(b.dt_ms) for b in s.blocks) for s in batch.segments)


def resident_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def outage(name="outage", rate=None, limit_ms=1000):
    """Live data first and never late, the backlog behind it and fast, memory flat."""
    rig, _ = make_rig(name, store="segment: 1s", every="20ms")
    rig.end("sim")
    rig.start_broker()
    rig.subscribe()
    proxy = Proxy(rig.broker_port)
    proxy.refuse()
    rig.broker_port = proxy.port
    config = rig.configure(["name: plc, transport: tcp, host: 127.0.0.1, port: %d" % free_port()], [
        "name: main, line: plc, unit: 1, profile: press-level-a, every: 20ms",
        "name: well, line: plc, unit: 2, profile: rs-dip-n01, every: 500ms"],
        store="segment: 1s", uplink="spread: 0s")
    rig.start_sim(config)
    rig.start_daemon(config)
    time.sleep(13)
    rig.end("daemon")           # what was live is history now, and the next connect is at once
    backlog_s = 13
    proxy.rate = rate
    proxy.accept()
    pid = rig.start_daemon(config).pid
    rig.wait(lambda: rig.uplink().get("connected"), 30, "it connects")
    begin, memory = now_ms(), resident_kib(pid)
    rig.wait(lambda: any(k == "history" for k, _, _, _, _ in rig.batches()), 10, "history comes")
    rig.wait(lambda: rig.uplink()["backlog"]["readings"] < 400, 60, "the backlog drains")
    took = (now_ms() - begin) / 1000
    time.sleep(2)
    ages = [arrival - newest_ms(b) for k, _, b, _, arrival in rig.batches()
            if k == "data" and newest_ms(b) > begin]
    late = [age for age in ages if age > limit_ms]
    rig.score("S12", len(ages), late)
    slow = [] if rate or backlog_s / took >= 20 else ["%.1f s for %d s" % (took, backlog_s)]
    grown = resident_kib(pid) - memory
    if not rate:
        rig.score("S11", 1, slow + ([] if grown < 4096 else ["%d KiB more" % grown]))
    print("# %s: drained in %.2f s, live data at most %d ms old, %d KiB more" %
          (name, took, max(ages, default=0), grown), flush=True)
    check_all(rig)
    rig.finish()


def outage_64k():
    outage("outage-64k", 8000, 1600)


# ---- who confirms ----

def subscriber():
    """Without anybody who subscribes the data stays; with somebody all of it comes."""
    rig, config = make_rig("subscriber", "confirm: subscriber")
    rig.start_broker()
    rig.start_daemon(config)
    rig.wait(lambda: rig.uplink().get("no_subscriber", 0) > 0, 10, "nobody subscribes")
    time.sleep(4)
    rig.check("nothing is settled", rig.uplink()["backlog"]["readings"] > 0, rig.uplink())
    rig.subscribe()
    _, gaps = check_all(rig, 40)
    rig.check("no Gap", not any(gaps.values()), dict(gaps))
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


class Platform:
    """Sends commands and collects replies, in MQTT 5."""

    def __init__(self, rig):
        self.rig, self.replies = rig, []
        self.client = paho.Client(client_id="platform", protocol=paho.MQTTv5)
        self.client.on_message = lambda c, u, m: self.replies.append((
            m.topic, m.payload, getattr(m.properties, "CorrelationData", None)))
        self.client.connect("127.0.0.1", rig.broker_port)
        self.client.subscribe([(PREFIX + "reply", 1), ("elsewhere/#", 1)])
        self.client.loop_start()
        self.sent = 0

    def ask(self, command, response=None, correlation=None, raw=None):
        """The reply, or None."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties
        properties = Properties(PacketTypes.PUBLISH)
        if response:
            properties.ResponseTopic = response
        if correlation:
            properties.CorrelationData = correlation
        known = len(self.replies)
        payload = raw if raw is not None else command.SerializeToString()
        self.client.publish(PREFIX + "cmd", payload, qos=1, properties=properties)
        end = time.monotonic() + 3
        while len(self.replies) == known and time.monotonic() < end:
            time.sleep(0.02)
        if len(self.replies) == known:
            return None, None, None
        topic, payload, correlation = self.replies[-1]
        reply = self.rig.wire.CommandReply()
        reply.ParseFromString(payload)
        return reply, topic, correlation

    def confirm(self, id, epoch, sector, first, last, uplink="city", **more):
        command = self.rig.wire.Command(id=id, actor="test", **more)
        command.confirm.CopyFrom(self.rig.wire.Confirm(
            uplink=uplink, epoch=epoch, sector=sector, first_seq=first, last_seq=last))
        return command


def platform():
    """Owed until the platform says that it has it."""
    rig, config = make_rig("platform", "confirm: platform")
    rig.start_broker()
    rig.subscribe()
    rig.start_daemon(config)
    rig.wait(lambda: len({s.seq for _, _, b, _, _ in rig.batches() if b.sector == 2
                          for s in b.segments}) >= 4, 15, "data arrives")
    rig.check("and is still owed", rig.uplink()["backlog"]["readings"] > 0)
    batch = next(b for _, _, b, _, _ in rig.batches() if b.sector == 2)
    there = Platform(rig)
    ok, unknown, refused, expired = 1, 2, 3, 4

    def says(name, status, command, **options):
        reply, topic, correlation = there.ask(command, **options)
        rig.check(name, reply is not None and reply.status == status and reply.id == command.id,
                  reply)
        return reply, topic, correlation
    says("confirmed", ok, there.confirm("c1", batch.epoch, 2, 1, 3))
    _, topic, correlation = says("the response topic and correlation data are honoured", ok,
                                 there.confirm("c2", batch.epoch, 2, 1, 1), response="elsewhere/a",
                                 correlation=b"\x00\xff7")
    rig.check("there", topic == "elsewhere/a" and correlation == b"\x00\xff7", (topic, correlation))
    for id, gateway in ("c3", PREFIX), ("c3b", PREFIX.replace("gw-test-1", "gw-test-2")):
        _, topic, _ = says("not into a gateway's topics", ok, there.confirm(id, batch.epoch, 2, 1, 1),
                           response=gateway + "data/gas")
        rig.check("but to reply", topic == PREFIX + "reply", topic)
    says("of another uplink", unknown, there.confirm("c4", batch.epoch, 2, 1, 3, uplink="farm"))
    says("of another epoch", unknown, there.confirm("c5", batch.epoch ^ 1, 2, 1, 3))
    says("of a sector that does not exist", unknown, there.confirm("c6", batch.epoch, 77, 1, 3))
    says("backwards", unknown, there.confirm("c7", batch.epoch, 2, 3, 1))
    says("never given", unknown, there.confirm("c8", batch.epoch, 2, 10**6, 10**6))
    says("too late", expired, there.confirm("c9", batch.epoch, 2, 1, 3, not_after_ms=now_ms() - 1000))
    says("twice is answered alike", expired, there.confirm("c9", batch.epoch, 2, 1, 3))
    ack = rig.wire.Command(id="c10")
    ack.ack.alarm = "01J"
    says("no alarm of that name", unknown, ack)
    says("nothing at all", refused, rig.wire.Command(id="c11"))
    rig.check("garbage is not answered", there.ask(None, raw=b"\xff" * 50)[0] is None)
    sent = {s.seq for _, _, b, _, _ in rig.batches() if b.sector == 2 for s in b.segments}
    times = len(list(rig.batches()))
    rig.end("mosquitto")
    seen = len(list(rig.states()))
    rig.start_broker()
    rig.wait(lambda: len(list(rig.batches())) > times + 2, PAUSE_S, "what was not confirmed comes again")
    again = {s.seq for _, _, b, _, _ in list(rig.batches())[times:] if b.sector == 2
             for s in b.segments}
    rig.check("and only that", not again & {1, 2, 3} and again & sent, sorted(again))
    rig.check("settled_seq follows", any(e.settled_seq == 3 for s, _, _ in list(rig.states())[seen:]
                                         for e in s.ends if e.sector == 2))
    epoch, most = batch.epoch, 10**9
    rig.end("sim")
    time.sleep(3)
    for i in range(6):
        for sector in (2, 5):
            there.ask(there.confirm("end-%d-%d" % (i, sector), epoch, sector, 1, most))
        if rig.uplink()["backlog"]["readings"] == 0:
            break
        time.sleep(1)
    rig.check("all confirmed, nothing owed", rig.uplink()["backlog"]["readings"] == 0, rig.uplink())
    check_delivery(rig)
    there.client.loop_stop()
    rig.finish()


# ---- compressed ----

def compressed():
    rig, config = make_rig("compressed", "compress: zstd", store="segment: 4s")
    rig.expect_subscriber()
    rig.start_daemon(config)
    time.sleep(6)
    rig.start_broker()
    time.sleep(9)
    _, gaps = check_all(rig)
    packed = plain = 0
    for topic, payload, _, _ in rig.subscriber.all():
        if topic.split("/")[-2] in ("data", "history"):
            batch = rig.wire.DataBatch()
            batch.ParseFromString(payload)
            packed += bool(batch.zstd)
            plain += not batch.zstd
            if batch.zstd:
                flat = undo_compression(rig.wire, payload)[1]
                rig.check("smaller", len(payload) < len(flat), (len(payload), len(flat)))
    rig.check("compressed where smaller (%d of %d)" % (packed, packed + plain), packed > 2)
    rig.check("no Gap", not any(gaps.values()), dict(gaps))
    rig.finish()


SCENARIOS = {f.__name__: f for f in (refusals, silence, passed_over, disorder, poison, poison_tls,
                                     poison_quota, shutting_down, forbidden, forbidden_manifest, cut_link, limits,
                                     narrow, outage, outage_64k, subscriber, platform, compressed)}

if __name__ == "__main__":
    run_scenarios(SCENARIOS)
