#!/usr/bin/python3
"""The API on its unix socket and lifelinectl: every endpoint against what the simulator said, events,
a device read now, refusals, and clients that send garbage, do not read, or go away."""
# Also under TSan
import http.client
import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import threading
import time
import traceback
import unicodedata

from metrics import Metrics
from rig import BUILD, SOURCE, Rig, free_port, now_ms

PROFILES = os.path.join(SOURCE, "config", "profiles")
CTL = os.path.join(BUILD, "lifelinectl")
WIDE_POINTS = 100
OUTCOMES = ("good", "timeout", "exception", "garbled", "link")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)
        self.sock.settimeout(self.timeout)


class Client:
    def __init__(self, path):
        self.path = path

    def ask(self, path, method="GET", body=None):
        """(status, headers, JSON of the body)"""
        connection = UnixConnection(self.path)
        connection.request(method, path, body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, json.loads(data)

    def get(self, path):
        return self.ask(path)[2]

    def raw(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.path)
        s.settimeout(20)
        return s

    def subscribe(self, query=""):
        s = self.raw()
        s.sendall(b"GET /v1/events" + query.encode() + b" HTTP/1.0\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(1)
        return s, int(head.split()[1]), head.decode()


def events_of(s, seconds):
    """The points of the events of so many seconds, with the moment of their arrival."""
    end, data, points = time.monotonic() + seconds, b"", []
    while time.monotonic() < end:
        s.settimeout(max(0.01, end - time.monotonic()))
        try:
            more = s.recv(65536)
        except socket.timeout:
            break
        if not more:
            break
        data += more
        *lines, data = data.split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                points += [(now_ms(), p) for p in json.loads(line[6:])["points"]]
    return points


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


class Test:
    def __init__(self):
        self.rig = Rig("api")
        self.hung = socket.create_server(("127.0.0.1", 0))  # accepts and says nothing
        self.configure()
        self.client = Client(self.rig.path("api.sock"))

    def check(self, name, passed, why=""):
        return self.rig.check(name, passed, why)

    def configure(self):
        rig = self.rig
        os.mkdir(rig.path("profiles"))
        rig.write("profiles/wide.yaml", "profile: wide\ntitle: { zh: 宽, en: wide }\n"
                  "sector: water\nstatus: beta\npoints:\n" + "".join(
                      "  - { name: p%d, quantity: raw, function: holding, address: %d, type: u16 }\n"
                      % (i, i) for i in range(WIDE_POINTS)))
        lines = ["name: plc, transport: tcp, host: 127.0.0.1, port: %d, timeout: 200ms" % free_port(),
                 "name: fast, transport: tcp, host: 127.0.0.1, port: %d" % free_port()]
        devices = ["name: well, title: 东侧雨水井, line: plc, unit: 1, profile: rs-dip-n01, every: 500ms",
                   "name: gauge, title: '井 \"7\" \\', line: plc, unit: 2, profile: press-level-a, every: 1h",
                   "name: mute, title: 西侧雨水井, line: plc, unit: 3, profile: rs-dip-n01, every: 2s",
                   "name: meter, line: plc, unit: 4, profile: tuf-2000, every: 1s",
                   "name: wide-1, line: fast, unit: 1, profile: wide, every: 100ms"]
        self.sim = rig.configure(lines, devices, name="sim.yaml")
        # The daemon knows two lines more than the simulator: nobody there, and nobody who answers.
        lines += ["name: gone, transport: tcp, host: 127.0.0.1, port: %d" % free_port(),
                  "name: hung, transport: tcp, host: 127.0.0.1, port: %d, timeout: 30s, retries: 0"
                  % self.hung.getsockname()[1]]
        devices += ["name: lost, line: gone, unit: 1, profile: rs-dip-n01, every: 1s",
                    "name: stuck, line: hung, unit: 1, profile: rs-dip-n01, every: 1h"]
        self.config = rig.configure(lines, devices)
        self.script = rig.write("script.yaml", "- { device: mute, fault: mute }\n"
                                "- { device: gauge, fault: late, delay: 100ms }\n")

    def start(self):
        self.rig.start_sim(self.sim, "--script", self.script)
        self.rig.start_daemon(self.config)
        return self.rig.wait(lambda: os.path.exists(self.client.path), 20, "the socket appears")

    # ---- endpoints ----

    def endpoints(self):
        mode = os.stat(self.client.path).st_mode
        self.check("socket is the group's, nobody else's",
                   stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660, oct(mode))
        status = self.client.get("/v1/status")
        gateway = status["gateway"]
        self.check("status names the gateway",
                   (gateway["id"], gateway["region"], gateway["name"]) ==
                   ("gw-test-1", "140502", "test") and gateway["version"] and
                   abs(gateway["time_ms"] - now_ms()) < 2000 and
                   0 < gateway["uptime_ms"] < 60000, gateway)
        self.check("status shows store and pipeline", status["store"]["mode"] == "ok" and
                   status["store"]["epoch"] > 0 and status["pipeline"]["samples"] > 0 and
                   status["pipeline"]["overload"] == 0, status)
        uplink = status["uplinks"][0]
        self.check("status shows an uplink that is away",
                   uplink["name"] == "city" and not uplink["connected"] and uplink["why"] and
                   uplink["url"] == "mqtt://127.0.0.1:%d" % self.rig.broker_port and
                   uplink["backlog"]["refused"] == [], uplink)
        devices = {d["name"]: d for d in self.client.get("/v1/devices")["devices"]}
        self.check("devices", devices["well"]["title"] == "东侧雨水井" and
                   devices["well"]["sector"] == "manhole" and devices["lost"]["title"] is None and
                   devices["wide-1"]["points"] == WIDE_POINTS and len(devices) == 7, devices)
        points = self.client.get("/v1/points?point=well")["points"]
        self.check("points", [p["point"] for p in points] == ["tilt_x", "tilt_y", "tilt_z"] and
                   points[0]["unit"] == "°" and points[0]["decimals"] == 2 and
                   points[0]["every_ms"] == 500, points)

    def lines(self):
        # After the mute device's timeout the connection is given up until the next poll.
        self.rig.wait(lambda: self.client.get("/v1/status")["lines"][0]["open"], 2, "the line is open")
        lines = {l["name"]: l for l in self.client.get("/v1/lines")["lines"]}
        units = {u["name"]: u for l in lines.values() for u in l["units"]}
        self.check("lines tell open from gone", lines["plc"]["open"] and not lines["gone"]["open"] and
                   lines["plc"]["silent"] == 1 and lines["plc"]["devices"] == 4, lines)
        self.check("units tell how each does",
                   units["well"]["outcome"] == "ok" and units["well"]["good_age_ms"] < 5000 and
                   units["mute"]["outcome"] == "timeout" and units["mute"]["good_age_ms"] is None and
                   units["mute"]["counts"]["timeout"] > 0 and units["lost"]["outcome"] == "link" and
                   units["stuck"]["outcome"] is None, units)

    def counters(self):
        """Every request ended once; one that serves two devices counts for both of them."""
        keys = ("requests", *OUTCOMES, "late", "foreign")
        for line in self.client.get("/v1/lines")["lines"]:
            counts = [unit["counts"] for unit in line["units"]] + [line["counts"]]
            self.check("counters of %s: every request ended once" % line["name"],
                       all(tuple(c) == keys and c["requests"] == sum(c[k] for k in keys[1:6])
                           for c in counts), counts)
            self.check("counters of %s: all are there" % line["name"], {
                "slipping", "slipped", "load_percent", "forecast_percent", "values"} <= set(line) and
                   all({"slipped", "stretch", "resting", "next_ms", "holes", "values"} <= set(unit)
                    for unit in line["units"]), line)
            for unit in line["units"]:
                answered = unit["counts"]["good"] + unit["counts"]["exception"] > 0
                p50, p99 = unit["round_trip_p50_us"], unit["round_trip_p99_us"]
                self.check("round trip of %s" % unit["name"], 0 < p50 <= p99 < 5e6 if answered
                           else (p50, p99) == (None, None), unit)

    def metrics(self):
        """The same numbers as /v1/lines, which was asked before and after: a counter lies between."""
        before = self.client.get("/v1/lines")["lines"]
        connection = UnixConnection(self.client.path)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        after = self.client.get("/v1/lines")["lines"]
        self.check("metrics are of their type", answer.status == 200 and
                   answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8",
                   answer.headers)
        try:
            got = Metrics(text)
        except AssertionError as e:
            self.check("metrics are well formed", False, e)
            return
        self.check("metrics are well formed", len(got.types) > 30, len(got.types))
        wrong = []

        def between(low, name, high, **labels):
            value = got.get(name, **labels)
            if value is None or not low <= value <= high:
                wrong.append((name, labels, low, value, high))

        for old, new in zip(before, after):
            line = {"line": old["name"]}
            between(min(old["open"], new["open"]), "lifeline_line_up",
                    max(old["open"], new["open"]), **line)
            between(0, "lifeline_line_busy_ratio", 1, **line)
            for outcome in OUTCOMES:
                between(old["counts"][outcome], "lifeline_line_requests_total",
                        new["counts"][outcome], outcome=outcome, **line)
            between(old["devices"], "lifeline_devices", old["devices"], **line)
            between(min(old["silent"], new["silent"]), "lifeline_devices_silent",
                    max(old["silent"], new["silent"]), **line)
            for a, b in zip(old["units"], new["units"]):
                self.unit_metrics(between, a, b, {**line, "device": a["name"]})
        self.check("metrics are the numbers of /v1/lines", not wrong, wrong[:3])
        units = sum(len(line["units"]) for line in before)
        self.check("metrics hold every device and every outcome",
                   len(got.labels("lifeline_requests_total")) == 5 * units, units)
        titles = {l["device"]: l["title"] for l in got.labels("lifeline_device_info")}
        self.check("metrics escape what needs it", titles["gauge"] == "井 \"7\" \\" and
                   titles["well"] == "东侧雨水井" and titles["lost"] == "", titles)
        self.check("metrics of store and uplink", got.get("lifeline_store_mode", mode="ok") == 1 and
                   got.get("lifeline_store_mode", mode="memory") == 0 and
                   got.get("lifeline_store_commits_total") > 0 and
                   got.get("lifeline_uplink_connected", uplink="city") == 0 and
                   got.get("lifeline_uplink_backlog_readings", uplink="city") > 0 and
                   got.get("lifeline_uptime_seconds") > 1 and
                   got.labels("lifeline_info")[0]["gateway"] == "gw-test-1", text)

    def unit_metrics(self, between, a, b, labels):
        for outcome in OUTCOMES:
            between(a["counts"][outcome], "lifeline_requests_total", b["counts"][outcome],
                    outcome=outcome, **labels)
        between(a["counts"]["late"], "lifeline_late_answers_total", b["counts"]["late"], **labels)
        between(a["counts"]["foreign"], "lifeline_foreign_frames_total", b["counts"]["foreign"], **labels)
        between(a["slipped"], "lifeline_periods_slipped_total", b["slipped"], **labels)
        for quality, count in a["values"].items():
            between(count, "lifeline_values_total", b["values"][quality], quality=quality, **labels)
        between(a["counts"]["good"] + a["counts"]["exception"], "lifeline_round_trip_seconds_count",
                b["counts"]["good"] + b["counts"]["exception"], **labels)
        for quantile, key in ("0.5", "round_trip_p50_us"), ("0.99", "round_trip_p99_us"):
            if a[key] is not None:
                # The step may change between the two questions.
                between(min(a[key], b[key]) / 1e6, "lifeline_round_trip_seconds",
                        max(a[key], b[key]) / 1e6, quantile=quantile, **labels)

    def emitted(self):
        """What the simulator said: {(device, point): [(time, value)]}"""
        said = {}
        for device, point, t, value, fault in self.rig.emitted():
            if fault in (None, "late"):
                said.setdefault((device, point), []).append((t, value))
        return said

    def as_said(self, readings):
        """Those that the simulator did not say at their time."""
        time.sleep(0.2)
        said = self.emitted()

        def was_said(reading):
            wanted = reading["value"] * 10 ** reading.get("decimals", 0)
            return any(abs(t - reading["time_ms"]) <= 50 and
                       abs(value - wanted) <= 1e-7 * abs(value)
                       for t, value in said.get((reading["device"], reading["point"]), []))

        return [reading for reading in readings if not was_said(reading)]

    def latest(self):
        points = {(p["device"], p["point"]): p for p in self.client.get("/v1/latest")["points"]}
        good = [p for p in points.values() if p["quality"] == "good"]
        self.check("latest has every point", len(points) == sum(
            d["points"] for d in self.client.get("/v1/devices")["devices"]), len(points))
        self.check("latest is what the simulator said",
                   len(good) > WIDE_POINTS + 3 and not self.as_said(good), self.as_said(good)[:3])
        mute, lost, stuck = (points[d, "tilt_x"] for d in ("mute", "lost", "stuck"))
        self.check("a failed poll has a quality and no value",
                   (mute["quality"], mute["value"]) == ("timeout", None) and
                   (lost["quality"], lost["value"]) == ("link", None) and
                   mute["last_value"] is None, (mute, lost))
        self.check("a point never read is null", stuck["quality"] is None and
                   stuck["time_ms"] is None and stuck["age_ms"] is None, stuck)
        self.check("patterns select", {(p["device"], p["point"]) for p in self.client.get(
            "/v1/latest?point=well.tilt_%3F&point=g*&point=wide-1.p1")["points"]
            if p["device"] != "gauge"} == {("well", "tilt_x"), ("well", "tilt_y"),
                                           ("well", "tilt_z"), ("wide-1", "p1")})

    def refusals(self):
        cases = [("GET", "/", 404), ("GET", "/v1/nix", 404), ("GET", "/v1/statusx", 404),
                 ("GET", "/metrics/", 404), ("GET", "/v1/devices/well", 404),
                 ("GET", "/v1/latest?point=nix", 404), ("GET", "/v1/events?point=nix", 404),
                 ("GET", "/v1/latest?point", 400), ("POST", "/v1/status", 405),
                 ("POST", "/metrics", 405),
                 ("DELETE", "/v1/lines", 405), ("GET", "/v1/devices/well/read", 405),
                 ("POST", "/v1/devices/nix/read", 404), ("POST", "/v1/devices//read", 404),
                 ("POST", "/v1/devices/" + "x" * 500 + "/read", 404)]
        for method, path, wanted in cases:
            status, headers, body = self.client.ask(path, method)
            self.check("%s %.40s is refused with %d" % (method, path, wanted),
                       status == wanted and list(body) == ["error"] and
                       headers["Content-Type"] == "application/json" and
                       (wanted != 405 or headers["Allow"]), (status, body))

    # ---- events and reads ----

    def events(self):
        start = now_ms()
        s, status, head = self.client.subscribe("?point=well&point=meter")
        got = events_of(s, 4)
        s.close()
        well = [p for _, p in got if p["device"] == "well" and p["point"] == "tilt_x"]
        times = [p["time_ms"] for p in well]
        self.check("events are server-sent events", status == 200 and
                   "text/event-stream" in head, head)
        self.check("every new sample is an event", 6 <= len(well) <= 9 and
                   times == sorted(set(times)) and times[0] >= start - 50, times)
        self.check("only what was asked for", {p["device"] for _, p in got} == {"well", "meter"})
        late = [arrival - p["time_ms"] for arrival, p in got]
        self.check("events come soon", max(late) < 400, max(late))
        wrong = self.as_said([p for _, p in got])
        self.check("events are what the simulator said", not wrong, wrong[:3])

    def read_now(self):
        before = self.client.get("/v1/latest?point=gauge")["points"][0]
        asked = now_ms()
        status, _, body = self.client.ask("/v1/devices/gauge/read", "POST")
        self.check("a device is read now", status == 200 and body["device"] == "gauge" and
                   all(p["time_ms"] >= asked - 5 and p["quality"] == "good" for p in body["points"]) and
                   before["time_ms"] < asked and not self.as_said(body["points"]), body)
        status, _, body = self.client.ask("/v1/devices/mute/read", "POST", body="x" * 100)
        self.check("a mute device says so", status == 200 and
                   {(p["quality"], p["value"]) for p in body["points"]} == {("timeout", None)}, body)

    def read_hung(self):
        start = time.monotonic()
        status, _, body = self.client.ask("/v1/devices/stuck/read", "POST")
        took = time.monotonic() - start
        self.check("a line that hangs is a 504 after ten seconds", status == 504 and
                   body["device"] == "stuck" and body["error"] and 9 < took < 12, (status, took, body))

    # ---- bad clients ----

    def garbage(self):
        requests = [b"\0" * 100, b"\r\n" * 100, b"GET\r\n\r\n", b"GET /v1/status\r\n\r\n",
                    b"GET /v1/status HTTP/9.9\r\n\r\n", b"GET /%zz HTTP/1.1\r\n\r\n",
                    b"GET http:// HTTP/1.1\r\n\r\n", b"CONNECT x HTTP/1.1\r\n\r\n",
                    b"BREW /v1/status HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9000,
                    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
                    b"POST /v1/devices/well/read HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
                    b"POST /v1/devices/well/read HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                    b"POST /v1/devices/well/read HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"
                    + b"z" * 20000,
                    b"GET /v1/latest?point=" + b"*a" * 2000 + b" HTTP/1.1\r\n\r\n",
                    b"GET /v1/events?point=%00%ff HTTP/1.1\r\n\r\n"]
        requests += [bytes(random.choices(range(256), k=random.randrange(1, 400)))
                     for _ in range(100)]
        requests += [b"GET /v1/" + bytes(random.choices(range(256), k=20)) + b" HTTP/1.1\r\n\r\n"
                     for _ in range(100)]
        kept = []
        for request in requests:
            s = self.client.raw()
            try:
                s.sendall(request)
            except OSError:
                pass
            kept.append(s)
            if len(kept) > 20:
                kept.pop(0).close()
        start = time.monotonic()
        self.client.get("/v1/status")
        self.check("garbage disturbs nobody", time.monotonic() - start < 1)
        big = self.client.raw()
        big.sendall(b"POST /v1/devices/well/read HTTP/1.1\r\nContent-Length: 100000\r\n\r\n")
        answer = big.recv(100)
        self.check("a large body is refused", b" 413 " in answer or answer == b"", answer)

    def gone_clients(self):
        """Clients that leave are forgotten: their places are free again."""
        held = [self.client.subscribe() for _ in range(32)]
        self.check("32 may listen", all(status == 200 for _, status, _ in held))
        status, _, body = self.client.ask("/v1/events")
        self.check("one too many is told so", status == 503 and "error" in body, status)
        for s, _, _ in held:
            s.close()
        again = []

        def free():
            s, status, _ = self.client.subscribe("?point=gauge")
            s.close()
            again.append(status)
            return status == 200

        self.rig.wait(free, 3, "their places are free again")
        self.check("a client that left is forgotten", again[-1] == 200, again)

    def slow_client(self):
        slow, _, _ = self.client.subscribe()
        quick, _, _ = self.client.subscribe("?point=well")
        worst, end = 0, time.monotonic() + 8
        got = []
        reader = threading.Thread(target=lambda: got.extend(events_of(quick, 8)))
        reader.start()
        while time.monotonic() < end:
            start = time.monotonic()
            self.client.get("/v1/status")
            worst = max(worst, time.monotonic() - start)
            time.sleep(0.1)
        reader.join()
        total, last, end = 0, None, time.monotonic() + 1
        while last != b"" and time.monotonic() < end:
            try:
                last = slow.recv(1 << 20)
            except ConnectionResetError:
                last = b""
            total += len(last)
        self.check("a client that does not read is cut off", last == b"" and
                   0 < total < 512 * 1024, (total, last and len(last)))
        self.check("nobody waits for it", worst < 0.5 and
                   len([p for _, p in got if p["point"] == "tilt_x"]) >= 13, (worst, len(got)))
        quick.close()

    # ---- the command line ----

    def ctl(self, *arguments, **environment):
        env = {**os.environ, "LIFELINE_SOCKET": self.client.path, "LC_ALL": "C", **environment}
        done = subprocess.run([CTL, *arguments], capture_output=True, env=env, timeout=30)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def exits(self, name, wanted, *arguments):
        code, out, err = self.ctl(*arguments)
        self.check("lifelinectl: " + name, code == wanted, (code, out, err))
        self.check("lifelinectl: %s: 80 columns" % name,
                   all(columns(line) <= 80 for line in out.splitlines()),
                   max(out.splitlines(), key=columns, default=""))
        return out

    def command_line(self):
        out = self.exits("status", 0, "status")
        self.check("status shows all, and Chinese under any locale", all(
            word in out for word in ("gw-test-1", "西侧雨水井", "plc", "fast", "city", "timeout")), out)
        self.check("status names the devices that are not well, and only those",
                   re.search(r"^mute .*timeout", out, re.M) and re.search(r"^lost .*link", out, re.M) and
                   re.search(r"^stuck .*not asked yet", out, re.M) and
                   not re.search(r"^(well|wide-1) ", out, re.M) and
                   "4 of 7 devices are well" in out, out)
        status = json.loads(self.ctl("--format=json", "status")[1])
        self.check("status as JSON", status["gateway"]["id"] == "gw-test-1" and
                   status["lines"][0]["units"][0]["name"] == "well", status)
        self.chinese()
        out = self.exits("read", 0, "read", "gauge")
        self.check("read shows the value and its quality", re.search(r"good$", out, re.M), out)
        body = json.loads(self.ctl("read", "gauge", "--format", "json")[1])
        self.check("read as JSON", body["device"] == "gauge" and body["points"], body)
        out = self.exits("read of a mute device is a finding", 1, "read", "mute")
        self.check("read shows why", "timeout" in out, out)
        self.exits("no such device", 2, "read", "nix")
        self.exits("no such point", 2, "tail", "nix")
        self.exits("no argument", 2, "read")
        self.exits("no command", 2)
        self.exits("unknown command", 2, "brew")
        self.exits("unknown format", 2, "--format", "xml", "status")
        self.exits("unknown option", 2, "--nix")
        self.exits("help", 0, "--help")
        self.exits("no daemon", 3, "--socket", self.rig.path("nobody"), "status")

    def chinese(self):
        """The environment decides, whatever locales are installed; JSON is the same."""
        def in_chinese(*arguments):
            return self.ctl(*arguments, LC_ALL="", LC_MESSAGES="zh_CN.UTF-8", LANG="en_GB.UTF-8")
        code, out, err = in_chinese("status")
        self.check("status in Chinese", code == 0 and "设备正常 4/7 台" in out and not err and
                   re.search(r"^city +断线 ", out, re.M) and "上行 city：连接被拒绝" in out and
                   all(columns(l) <= 80 for l in out.splitlines()), (code, out, err))
        for code, said, arguments in ((1, "超时", ["read", "mute"]), (2, "没有此设备", ["read", "nix"]),
                                      (3, "没有守护进程：文件不存在", ["--socket", "/nix", "status"])):
            got = in_chinese(*arguments)
            self.check(said, code == got[0] and said in got[1] + got[2], got)
        check = ["check", self.config, "--profiles", PROFILES, "--format", "json"]
        self.check("JSON is the same in both", in_chinese(*check) == self.ctl(*check))

    def tail(self, *arguments):
        env = dict(os.environ, LIFELINE_SOCKET=self.client.path, TZ="UTC0")
        run = subprocess.Popen([CTL, "tail", *arguments], stdout=subprocess.PIPE, env=env)
        time.sleep(2.6)
        start = time.monotonic()
        run.send_signal(signal.SIGINT)
        out = run.communicate(timeout=20)[0].decode()
        self.check("tail ends with 0 on Ctrl-C", run.returncode == 0 and
                   time.monotonic() - start < 1.5, run.returncode)
        self.check("tail fits 80 columns", all(columns(l) <= 80 for l in out.splitlines())
                   or "--format=json" in arguments, out)
        return out.splitlines()

    def tails(self):
        lines = self.tail("well.tilt_x", "mute.tilt_x")
        good = [l for l in lines if re.fullmatch(
            r"\d\d:\d\d:\d\d\.\d{3}  well\.tilt_x +-?\d+\.\d\d °", l)]
        bad = [l for l in lines if re.fullmatch(
            r"\d\d:\d\d:\d\d\.\d{3}  mute\.tilt_x +- °? +timeout", l)]
        self.check("tail shows time, name, value, unit, and the quality that is not good",
                   len(good) >= 5 and bad and len(good) + len(bad) == len(lines), lines)
        lines = [json.loads(l) for l in self.tail("well.tilt_*", "--format=json")]
        wrong = self.as_said(lines)
        self.check("tail as JSON is what the simulator said", len(lines) >= 15 and not wrong, wrong[:3])

    def checks(self):
        out = self.exits("check", 0, "check", self.config, "--profiles", PROFILES)
        self.check("check forecasts each line", re.search(r"^plc +4 .*%$", out, re.M) and
                   "0 errors" in out, out)
        with open(self.config, encoding="utf-8") as f:
            text = f.read()
        wrong = self.rig.write("wrong.yaml", text.replace("line: gone", "line: nix")
                               .replace("region: \"140502\"", "region: nix"))
        out = self.exits("check finds errors", 1, "check", wrong, "--profiles", PROFILES)
        self.check("check shows all at once, each at its place",
                   len(re.findall(r"wrong\.yaml:\d+:\d+: error: ", out.replace("\n        ", " "))) == 2
                   and "^~~" in out, out)
        code, out, _ = self.ctl("check", wrong, "--format", "json", "--profiles", PROFILES)
        body = json.loads(out)
        self.check("check as JSON", code == 1 and body["errors"] == 2, body)
        self.exits("check of no file", 1, "check", self.rig.path("nix.yaml"))

    # ---- start and stop ----

    def answers(self):
        try:
            return self.client.get("/v1/status")["gateway"]["id"] == "gw-test-1"
        except OSError:
            return False

    def restart(self):
        """A killed daemon's socket file is no hindrance; an orderly end waits for no client."""
        code = self.rig.end("daemon")
        self.check("an orderly end after all this", code == 0, code)
        self.rig.start_daemon(self.config)
        self.rig.wait(self.answers, 20, "the daemon answers")
        tail = subprocess.Popen([CTL, "--socket", self.client.path, "tail", "well"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(0.5)
        self.rig.end("daemon", signal.SIGKILL)
        err = tail.communicate(timeout=10)[1].decode()
        self.check("tail tells that the daemon has gone", tail.returncode == 3 and
                   err.startswith("lifelinectl: "), (tail.returncode, err))
        self.check("a killed daemon leaves its socket", os.path.exists(self.client.path))
        self.exits("no daemon behind the socket", 3, "status")
        self.rig.start_daemon(self.config)
        self.check("the next one takes its place",
                   self.rig.wait(self.answers, 20, "the daemon answers again"))
        listener, _, _ = self.client.subscribe()
        waiting = self.client.raw()
        waiting.sendall(b"POST /v1/devices/stuck/read HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        start = time.monotonic()
        code = self.rig.end("daemon")
        took = time.monotonic() - start
        self.check("an orderly end waits for no client", code == 0 and took < 3, (code, took))
        self.check("and takes the socket away", not os.path.exists(self.client.path))
        events_of(listener, 1)

    def run(self):
        try:
            self.steps()
        except Exception:
            traceback.print_exc()
            self.check("runs to its end", False)
        self.rig.finish()

    def steps(self):
        if self.start():
            time.sleep(3.5)
            hung = threading.Thread(target=self.read_hung)
            for step in (self.endpoints, self.lines, self.counters, self.metrics, self.latest,
                         self.refusals, self.read_now):
                step()
            hung.start()
            for step in (self.events, self.garbage, self.command_line, self.tails, self.checks):
                step()
            hung.join()
            for step in (self.slow_client, self.gone_clients, self.restart):
                step()


Test().run()
