#!/usr/bin/python3
"""The way to the broker under every fault: half-open, one-way, cut anywhere, slow, late, and a broker
that forgets. Rows S13, S14, S15 and S17 of the scorecard, in short.

LIFELINE_TRIALS=N multiplies the trials of half_open, cuts and restarts (N=1: CI). LIFELINE_LONG=1 is
N=25, and ten lossy links for half an hour each, all of it side by side."""
import os
import random
import re
import signal
import socket
import threading
import time

from lossy import LossyLink, enter_namespace
from proxy import Proxy
from rig import BUSY_MS, PAUSE_S, Rig, free_port, now_ms, run_scenarios
from test_uplink import (check_all, check_stop, delivers, lines_and_devices, make_certificate,
                         run_openssl)

LONG = bool(os.environ.get("LIFELINE_LONG"))
TRIALS = int(os.environ.get("LIFELINE_TRIALS", "25" if LONG else "1"))
LOSSY_LINKS, LOSSY_S = (10, 1800) if LONG else (1, 40)
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


def fresh_daemon(rig, config, proxy):
    """Connections that end within 30 s are the more rarely sought; a new daemon knows nothing of
    them."""
    code = rig.end("daemon")
    if code != 0:
        rig.check("the daemon ends with 0", False, code)
    proxy.another_daemon()
    rig.start_daemon(config)
    rig.wait(lambda: connected(rig), 15, "connects again")


# ---- S13 ----

def half_open(name, limit_s, ways, uplink="keepalive: %ds" % KEEPALIVE_S, busy=None, **options):
    """The connection dies without a word: seen in time. Returns the rig."""
    rig, config, proxy = proxied(name, uplink, **options)
    rig.start_daemon(config)
    rig.wait(lambda: connected(rig), 10, "connects")
    times = []
    for trial, way in enumerate(ways * TRIALS):
        if trial and trial % len(ways) == 0:
            fresh_daemon(rig, config, proxy)
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
                  took and took <= limit_s + BUSY_MS / 1000, (took, rig.uplink()))
        if not rig.wait_connected():
            break
    rig.trials = len(times)
    rig.check("S13: %d trials, seen after %.1f to %.1f s" % (len(times), min(times, default=0),
                                                             max(times, default=0)), times)
    rig.check("at most one connect a second", proxy.shortest_pause() > 0.95, proxy.accepted)
    return rig


def half_open_live():
    rig = half_open("link-half-open", 1.5 * KEEPALIVE_S, [("up", "down"), ("up",), ("down",)])
    check_all(rig)
    rig.finish()


def half_open_idle():
    """Nothing to say but pings, and a broker that wants them more often than we would. What is lost
    is lost right after a ping's answer: then it takes longest to see."""
    rig = Rig("link-half-open-idle")
    lines, devices = lines_and_devices()
    devices = [re.sub("every: [0-9a-z]+", "every: 60s", d) for d in devices]
    rig.start_broker("max_keepalive 10")
    rig.subscribe()
    proxies = {"city": Proxy(rig.broker_port), "told": Proxy(rig.broker_port)}
    config = rig.configure(lines, devices, uplinks=[
        "name: city, urls: [ \"mqtt://127.0.0.1:%d\" ], keepalive: 5s" % proxies["city"].port,
        "name: told, urls: [ \"mqtt://127.0.0.1:%d\" ], root: lifeline/told"
        % proxies["told"].port])
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: connected(rig) and connected(rig, "told"), 10, "both connect")
    time.sleep(15)
    rig.check("pings keep two idle connections", rig.uplink()["connects"] == 1 and
              rig.uplink("told")["connects"] == 1, rig.log("daemon"))
    for name, what, limit_s in (("city", "keepalive 5 s", 7.5),
                                ("told", "the broker's own keepalive of 10 s", 15)):
        proxy = proxies[name]
        before = proxy.passed["down"]
        rig.check("%s: a ping is answered" % name,
                  seconds_until(lambda: proxy.passed["down"] > before, 12))
        proxy.drop = {"up", "down"}
        took = seconds_until(lambda: not connected(rig, name), limit_s + 10)
        rig.check("idle, %s: seen after %s s" % (what, took and round(took, 1)),
                  took and took <= limit_s + BUSY_MS / 1000, rig.uplink(name))
    rig.trials = 2
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
    rig = half_open("link-half-open-backlog", 1.5 * KEEPALIVE_S,
                           [random.choice([("up", "down"), ("up",), ("down",)])], busy=backlog)
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
    rig.trials = count
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

def rss_kib(process):
    with open("/proc/%d/status" % process.pid, encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def slow():
    """64 kbit/s with a second each way: no reconnect, no growth, and all of it arrives."""
    rig, config, proxy = proxied("link-slow")
    proxy.delay_s, proxy.rate = 1, 8000
    daemon = rig.start_daemon(config)
    rig.wait(lambda: connected(rig), 20, "connects")
    time.sleep(10)
    before = rss_kib(daemon)
    time.sleep(20)
    rig.check("one connection is enough", rig.uplink()["connects"] == 1, rig.uplink())
    rig.check("memory stays (%d -> %d KiB)" % (before, rss_kib(daemon)),
              rss_kib(daemon) < before + 1024)
    proxy.delay_s, proxy.rate = 0, 0
    check_all(rig, tolerance_ms=150)   # half a minute of it under all the other scenarios
    rig.finish()


def lossy():
    """64 kbit/s that lose every fifth packet each way, with a second each way: real TCP over it. All
    of it arrives, in order; memory does not grow; polling does not notice."""
    if not enter_namespace():
        print("skipped link-lossy: no network namespace or no TUN device here", flush=True)
        return
    rig = Rig("link-lossy")
    lines, devices = lines_and_devices()
    devices = [re.sub("every: [0-9a-z]+", "every: 1s", d) for d in devices]
    link = LossyLink(rig.broker_port)
    rig.start_broker(listener="".join("listener %d %s\n" % (rig.broker_port, address)
                                      for address in ("127.0.0.1", link.NEAR)))
    rig.subscribe()
    config = rig.configure(lines, devices, store="segment: 2s", uplinks=[
        "name: city, urls: [ \"mqtt://%s:%d\" ]" % (link.FAR, rig.broker_port)])
    rig.start_sim(config)
    link.loss, link.delay_s, link.rate = 0.2, 1, 8000
    daemon = rig.start_daemon(config)
    begun, seconds = time.monotonic(), LOSSY_S
    took = seconds_until(lambda: connected(rig), 60)
    before = 0
    while time.monotonic() < begun + seconds:
        time.sleep(1)
        if not before and time.monotonic() > begun + min(seconds / 2, 60):
            before = rss_kib(daemon)
    after, uplink = rss_kib(daemon), rig.uplink()
    arrived = sum(1 for batch in rig.batches())
    print("connected after %s s, %d connects, backlog %s, %d batches, passed %s, lost %s"
          % (took and round(took, 1), uplink["connects"], uplink["backlog"], arrived, link.passed,
             link.lost), flush=True)
    rig.check("it connects, in a minute", took and took < 60, uplink)
    rig.check("the line itself lives", link.is_alive(), link.passed)
    rig.check("memory stays (%d -> %d KiB)" % (before, after), after < before + 1024)
    rig.check("it comes through (%d batches)" % arrived, arrived > seconds / 60, uplink)
    share = sum(link.lost.values()) / (sum(link.lost.values()) + sum(link.passed.values()))
    rig.check("packets are lost (%d %% of %d)" % (100 * share, sum(link.lost.values()) / share if share
                                                  else 0), share > 0.05, link.lost)
    link.loss, link.delay_s, link.rate = 0, 0, 0
    check_all(rig, tolerance_ms=150)
    rig.finish()


def restarts():
    """A broker that comes back without its memory: the retained state is there again."""
    rig, config, proxy = proxied("link-restarts")
    rig.start_daemon(config)
    rig.wait(lambda: connected(rig), 10, "connects")
    for trial in range(3 * TRIALS):
        if trial and trial % 3 == 0:
            fresh_daemon(rig, config, proxy)
        time.sleep(random.uniform(0.5, 2))
        rig.end("mosquitto", random.choice([signal.SIGKILL, signal.SIGTERM]))
        if os.path.exists(rig.path("mosquitto.db")):
            os.remove(rig.path("mosquitto.db"))
        begun = now_ms()
        rig.start_broker()
        rig.wait(lambda: any(arrival > begun and state.online
                             for state, arrival, _ in rig.states()), PAUSE_S, "S17: back again")
        rig.wait(lambda: any(arrival > begun + 500 and batch.segments
                             for _, _, batch, _, arrival in rig.batches()), 20, "with data")
    rig.trials = 3 * TRIALS
    rig.check("S17: %d restarts without memory, and each time back" % (3 * TRIALS), True)
    rig.check("at most one connect a second", proxy.shortest_pause() > 0.95, proxy.accepted)
    rig.finish()


def herd():
    """A broker behind TLS that dies without a goodbye does not get everybody back at once."""
    rig = Rig("link-herd")
    lines, devices = lines_and_devices()
    port = free_port()
    run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", rig.path("ca.key"), "-out", rig.path("ca.crt"), "-subj", "/CN=ca",
                "-days", "2")
    make_certificate(rig, "broker", "ca", "IP:127.0.0.1", 2)
    tls = "listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n" % (
        port, rig.path("broker.crt"), rig.path("broker.key"))
    rig.start_broker(tls)
    names = ["u%d" % i for i in range(5)]
    config = rig.configure(lines, devices, uplinks=[
        "name: %s, urls: [ \"mqtts://127.0.0.1:%d\" ], root: %s/v1, spread: 60s, tls: { ca: %s }"
        % (name, port, name, rig.path("ca.crt")) for name in names])
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: all(connected(rig, name) for name in names), 20, "all are connected")
    time.sleep(1)
    rig.end("mosquitto", signal.SIGKILL)
    rig.start_broker(tls)
    time.sleep(4)
    back = [name for name in names if connected(rig, name)]
    rig.check("some come back later (%d of 5 after 4 s of 60)" % len(back), len(back) < 5, back)
    rig.finish()


def herd_moves(name, up_s, returns=False, death=signal.SIGKILL, seen_s=4):
    """Two brokers, of which the first dies: everybody is at the second, or at the first again if
    that comes back and had been a steady one, within a quarter of `spread` from when that can be
    seen; and not all at once."""
    rig = Rig(name)
    lines, devices = lines_and_devices()
    second = free_port()
    rig.start_broker()
    rig.spawn("second", ["mosquitto", "-c", rig.write(
        "second.conf", "listener %d 127.0.0.1\nallow_anonymous true\n" % second)])
    rig.wait_port(second)
    names = ["u%d" % i for i in range(6)]
    config = rig.configure(lines, devices, uplinks=[
        "name: %s, urls: [ \"mqtt://127.0.0.1:%d\", \"mqtt://127.0.0.1:%d\" ], root: %s/v1, "
        "keepalive: %ds, spread: 60s" % (uplink, rig.broker_port, second, uplink, KEEPALIVE_S)
        for uplink in names])
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: all(connected(rig, uplink) for uplink in names), 20, "all are connected")
    time.sleep(up_s)
    rig.processes["mosquitto"].send_signal(death)
    if returns:
        rig.end("mosquitto", signal.SIGKILL)
        rig.start_broker()
    port = rig.broker_port if returns else second
    begun, back = time.monotonic(), {}

    def look():
        status = rig.api("/v1/status") or {"uplinks": []}
        for uplink in status["uplinks"]:
            if uplink["connected"] and uplink["url"].endswith(":%d" % port):
                back.setdefault(uplink["name"], round(time.monotonic() - begun, 1))
        return len(back) == len(names)

    rig.check("all are at the %s within a quarter of 60 s" % ("first" if returns else "second"),
              seconds_until(look, 15 + seen_s), back)
    times = sorted(back.values())
    rig.check("but not all at once: %s s" % times, times[-1] - times[0] > 2)
    rig.end("mosquitto", signal.SIGKILL)
    rig.finish()


def herd_fails_over():
    herd_moves("link-herd-over", 2)


def herd_returns():
    herd_moves("link-herd-back", 31, returns=True)


def herd_meets_silence():
    """The machine of the broker hangs: nothing closes the connections."""
    herd_moves("link-herd-silent", 2, death=signal.SIGSTOP, seen_s=12)


def fill(port):
    """From now on its queue is full, and SYNs are dropped."""
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    return fillers


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
    scenarios = {f.__name__: f for f in (half_open_live, half_open_idle, half_open_backlog,
                                         cuts_plain, cuts_tls, slow, restarts, herd,
                                         herd_fails_over, herd_returns, herd_meets_silence, late_tls)}
    lossy_links = {"lossy_%d" % i: lossy for i in range(1, LOSSY_LINKS + 1)}
    run_scenarios({**scenarios, **lossy_links},
                  {"half_open_live": "S13", "half_open_idle": "S13", "half_open_backlog": "S13",
                   "cuts_plain": "S14", "cuts_tls": "S14", "slow": "S15", "restarts": "S17",
                   "late_tls": "S14", **{name: "S15" for name in lossy_links}})
