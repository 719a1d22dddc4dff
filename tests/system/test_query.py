#!/usr/bin/python3
"""lifelinectl query: what the store holds, with the daemon and without, over a restart, a crash and
a new epoch; against what the simulator answered and what an independent subscriber decoded."""
# Beside others: it measures no time
import csv
import datetime
import hashlib
import io
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time

from invariant import as_sent, match
from rig import BUILD, SOURCE, Rig, free_port, now_ms, run_scenarios

SYNC_MS = 1000
FLOATS = ("gas-1.total", "gas-1.flow", "gas-1.temperature")
HEAD = ["time", "point", "value", "unit", "quality"]


def tcp_line(name):
    return "name: %s, transport: tcp, host: 127.0.0.1, port: %d" % (name, free_port())


def query(rig, config, *arguments, socket_path=None):
    """Exit status, standard output, standard error."""
    run = subprocess.run([os.path.join(BUILD, "lifelinectl"), "--socket",
                          socket_path or rig.path("api.sock"), "-c", config, "--profiles",
                          os.path.join(SOURCE, "config", "profiles"), "query", *arguments],
                         capture_output=True, text=True, timeout=60, check=False)
    return run.returncode, run.stdout, run.stderr


def rows_of(text):
    """(point, time, value, unit, quality) of a CSV answer, in its order."""
    rows = list(csv.reader(io.StringIO(text)))
    assert not rows or rows[0] == HEAD, rows[:1]
    out = []
    for when, point, value, unit, quality in rows[1:]:
        t = datetime.datetime.fromisoformat(when.replace("Z", "+00:00"))
        out.append((point, round(t.timestamp() * 1000), value, unit, quality))
    return out


def number_of(point, text):
    """Steps again; of a point that is sent as floats the float32."""
    if not text:
        return text
    return as_sent(float(text)) if point in FLOATS else int(text.replace(".", ""))


class Answer:
    """A CSV answer as `match` of the invariant wants it."""

    def __init__(self, rig, rows):
        self.rig, self.rows, self.check, self.emitted = rig, rows, rig.check, rig.emitted

    def readings(self):
        for point, t, value, _, quality in self.rows:
            yield (*point.split("."), t, number_of(point, value), quality, "any")


def check_order(rig, what, rows):
    back = [(a, b) for a, b in zip(rows, rows[1:]) if b[1] < a[1]]
    rig.check(what + ": in the order of time", rows and not back, back[:3])
    rig.check(what + ": nothing twice", len({(r[0], r[1]) for r in rows}) == len(rows))


def check_same(rig, what, got, wanted):
    rig.check(what + " (%d)" % len(wanted), wanted and sorted(got) == sorted(wanted),
              ([r for r in got if r not in set(wanted)][:3],
               [r for r in wanted if r not in set(got)][:3], len(got)))


def usable(quality):
    return quality in ("good", "uncertain", "spike", "warmup", "calibrating")


def check_subscriber(rig, rows, until_ms):
    """The same set of readings as the one that came over MQTT."""
    arrived = sorted((device + "." + point, t, value if usable(quality) else "", quality)
                     for device, point, t, value, quality, _ in rig.readings() if t < until_ms)
    stored = sorted((point, t, number_of(point, value), quality) for point, t, value, _, quality in rows
                    if t < until_ms)
    check_same(rig, "the subscriber got just that", stored, arrived)


def new_board(rig):
    """The store wakes on another board: a new epoch."""
    with sqlite3.connect(rig.path("store.db")) as db:
        db.execute("UPDATE epoch SET machine=machine+1")
    db.close()


def digests(rig):
    out = {}
    for name in os.listdir(rig.folder):
        if name.startswith("store."):
            with open(rig.path(name), "rb") as f:
                out[name] = hashlib.sha256(f.read()).hexdigest()
    return out


def live(rig, config, seconds):
    rig.start_daemon(config)
    rig.wait(lambda: rig.api("/v1/status"), 10, "the daemon answers")
    time.sleep(seconds)


def lives():
    rig = Rig("query-lives")
    lines = [tcp_line("one"), tcp_line("two")]
    devices = ["name: well-1, line: one, unit: 1, profile: rs-dip-n01, every: 200ms",
               "name: pipe-1, line: two, unit: 2, profile: press-level-b, every: 300ms, "
               "sector: drainage",
               "name: gas-1, line: two, unit: 4, profile: fuxin-gas-flow, every: 500ms"]
    gone = "name: well-2, line: one, unit: 3, profile: rs-dip-n01, every: 300ms"
    dead = "name: mute, line: one, unit: 9, profile: rs-dip-n01, every: 1s"
    config = rig.configure(lines, devices + [gone, dead])
    without = rig.configure(lines, devices + [dead], name="without.yaml")
    simulated = rig.configure(lines, devices + [gone], name="simulated.yaml")
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(simulated)

    live(rig, config, 4)
    code, text, _ = query(rig, config, "*", "--csv", "--since", "1m")
    rows = rows_of(text)
    rig.check("with the daemon: exit 0", code == 0, code)
    check_order(rig, "with the daemon", rows)
    age = now_ms() - max((r[1] for r in rows), default=0)
    rig.check("open segments are there (newest %d ms old)" % age, age < SYNC_MS + 1500)
    time.sleep(1)                       # some more readings
    ends_ms = [now_ms()]
    rig.check("SIGTERM", rig.end("daemon") == 0)
    before = digests(rig)
    again = rows_of(query(rig, config, "*", "--csv", "--since", "1m")[1])
    rig.check("the files are what they were", digests(rig) == before, (before, digests(rig)))
    rig.check("without the daemon: all of that and more", set(rows) < set(again),
              [r for r in rows if r not in set(again)][:3])

    live(rig, without, 3)
    kill_ms = now_ms()
    ends_ms.append(kill_ms)
    rig.end("daemon", signal.SIGKILL)
    before = digests(rig)
    rig.check("the crash left a WAL", os.path.getsize(rig.path("store.db-wal")) > 0)
    code, text, errors = query(rig, config, "well-1", "--csv", "--since", "1m")
    crashed = rows_of(text)
    rig.check("a crashed store can be read", code == 0 and
              kill_ms - max((r[1] for r in crashed), default=0) < SYNC_MS + 700, (code, errors))
    rig.check("and is left as it was", digests(rig) == before)

    new_board(rig)
    live(rig, without, 3)
    until = rig.drain()
    rows = rows_of(query(rig, without, "*", "--csv", "--since", "10m")[1])
    check_order(rig, "over three lives and two epochs", rows)
    epochs = {b.epoch for _, _, b, _, _ in rig.batches()}
    rig.check("there were two epochs", len(epochs) == 2, epochs)
    check_subscriber(rig, rows, until)
    missing, _ = match(Answer(rig, [r for r in rows if r[4] == "good"]), 500, until)
    # while no daemon runs nobody asks; what was asked may die with the process
    lost = [m for entries in missing.values() for m in entries
            if not any(end - SYNC_MS - 300 <= m[1] <= end + 500 for end in ends_ms)]
    rig.check("every answer of the simulator is there", not lost, lost[:5])
    rig.check("a point that was retired is found", any(r[0] == "well-2.tilt_x" for r in rows))
    rig.check("so is one that never answered", {r[4:] for r in rows if r[0] == "mute.tilt_x"} >=
              {("exception",)} and all(not r[2] for r in rows if r[0] == "mute.tilt_x"))
    rig.check("units", {(r[0], r[3]) for r in rows} >= {("well-1.tilt_x", "°")},
              {(r[0], r[3]) for r in rows})
    ways(rig, without, rows, until)
    rig.finish()


def iso(ms, zone=""):
    moment = datetime.datetime.utcfromtimestamp(ms / 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + ".%03d" % (ms % 1000) + zone


def ways(rig, config, rows, until):
    """Names, times, formats, exit statuses; the daemon and the file say the same."""
    middle = (rows[0][1] + until) // 2
    span = ["--since", iso(middle - 3000, "Z"), "--until", iso(middle + 8 * 3600000, "+08:00")]
    wanted = [r for r in rows if middle - 3000 <= r[1] < middle]
    asked = [("a glob", ["w*.tilt_?"], lambda p: p.startswith("w") and ".tilt_" in p),
             ("a device", ["pipe-1"], lambda p: p.startswith("pipe-1.")),
             ("a point and a device", ["well-1.tilt_y", "mute"],
              lambda p: p == "well-1.tilt_y" or p.startswith("mute."))]
    answers = {}
    for what, patterns, fits in asked:
        code, text, _ = answers[what] = query(rig, config, *patterns, "--csv", *span)
        check_same(rig, what + " and a span of time", rows_of(text),
                   [r for r in wanted if fits(r[0])])
        rig.check(what + ": exit 0", code == 0, code)
    lines = query(rig, config, "*", "--json", *span)[1].splitlines()
    as_json = [json.loads(line) for line in lines]
    check_same(rig, "json, one object a line",
               [("%s.%s" % (r["device"], r["point"]), r["time_ms"], r["quality"])
                for r in as_json], [(r[0], r[1], r[4]) for r in wanted])
    text = query(rig, config, "*", *span)[1].splitlines()
    rig.check("text: a line a reading, within 80 columns", len(text) == len(wanted) and
              max(map(len, text), default=99) <= 80, text[:3])
    for what, arguments, status in (("no such point", ["nobody"], 1),
                                    ("no reading", ["*", "--until", "2020-01-01", "--since",
                                                    "2019-01-01"], 1),
                                    ("no time", ["*", "--since", "yesterday"], 2),
                                    ("no such day", ["*", "--since", "2026-02-30"], 2),
                                    ("the wrong way round", ["*", "--since", "1h", "--until",
                                                             "2h"], 2),
                                    ("no point", [], 2)):
        code, out, errors = answers[what] = query(rig, config, *arguments)
        rig.check("%s: exit %d and why" % (what, status), code == status and errors and not out,
                  (code, out, errors))
    code, _, errors = query(rig, config, "*", socket_path=rig.path("none.sock"))
    rig.check("a daemon elsewhere: exit 3, and who has the store", code == 3 and
              "process %d (lifelined)" % rig.processes["daemon"].pid in " ".join(errors.split())
              and rig.path("api.sock") in errors, (code, errors))
    rig.check("bad parameters: 400", '"error"' in subprocess.run(
        ["curl", "-s", "--unix-socket", rig.path("api.sock"),
         "http://localhost/v1/history?since_ms=soon"], capture_output=True, text=True,
        check=False).stdout)

    rig.check("SIGTERM once more", rig.end("daemon") == 0)
    for what, patterns, _ in asked:
        rig.check(what + ": the file says the same as the daemon",
                  query(rig, config, *patterns, "--csv", *span) == answers[what])
    rig.check("no such point in the file: exit 1", query(rig, config, "nobody")[0] == 1)
    damage(rig, config)
    os.remove(rig.path("store.db"))
    code, _, errors = query(rig, config, "*")
    rig.check("neither daemon nor store: exit 3", code == 3 and "no store" in errors,
              (code, errors))


def damage(rig, config):
    """A row that its CRC disowns is left out and counted."""
    with sqlite3.connect(rig.path("store.db")) as db:
        row, low, high = db.execute(
            "SELECT id,base_ms,last_ms FROM segment WHERE (id>>40)&255=3 AND last_ms>base_ms "
            "ORDER BY id LIMIT 1 OFFSET 2").fetchone()
        db.execute("UPDATE segment SET row=zeroblob(length(row)) WHERE id=?", (row,))
    db.close()
    around = ["--since", iso(low - 10000, "Z"), "--until", iso(high + 10000, "Z")]
    code, text, errors = query(rig, config, "pipe-1", "--csv", *around)
    inside = [r for r in rows_of(text) if low < r[1] < high]
    rig.check("a damaged row is left out and said", code == 1 and "1 damaged row" in errors and
              not inside and rows_of(text), (code, errors, inside[:3]))


def ask(rig, query_string):
    """A client that asks and does not read yet."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(rig.path("api.sock"))
    client.sendall(b"GET /v1/history?%s HTTP/1.1\r\nHost: x\r\n\r\n" % query_string)
    return client


def rss_kib(rig):
    with open("/proc/%d/status" % rig.processes["daemon"].pid, encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def commits(rig):
    return (rig.api("/v1/status") or {"store": {}})["store"].get("commits", 0)


def crowd():
    """Clients that do not read, too many of them, some that go away, in a store of 30 days."""
    rig = Rig("query-crowd")
    subprocess.run([os.path.join(BUILD, "bench_history"), "fill", rig.folder, "20"], check=True,
                   stdout=subprocess.DEVNULL)
    with sqlite3.connect(rig.path("store.db")) as db:
        rows = db.execute("SELECT sum(readings) FROM segment").fetchone()[0] // 100
    db.close()
    config = rig.configure([tcp_line("one")], ["name: well-1, line: one, unit: 1, "
                                               "profile: rs-dip-n01, every: 200ms"])
    rig.start_sim(config)
    live(rig, config, 2)
    before = rss_kib(rig)
    idle = [ask(rig, b"since_ms=0") for _ in range(4)]
    time.sleep(1)
    fifth = ask(rig, b"since_ms=0")
    rig.check("a fifth scan at once is refused", b" 503 " in fifth.recv(100))
    grown = rss_kib(rig) - before
    rig.check("clients that do not read cost little (%d KiB)" % grown, grown < 16384)
    at = commits(rig)
    rig.check("commits go on", rig.wait(lambda: commits(rig) >= at + 2, 10, "commits go on"))
    heads = [client.recv(200) for client in idle[:1]]
    rig.check("they are being answered", all(b" 200 " in head for head in heads), heads)
    idle.pop().close()
    idle.pop().close()

    def fits():
        client = ask(rig, b"point=device.p1&since_ms=0")
        head = client.recv(100)
        client.close()
        return b" 200 " in head
    rig.wait(fits, 10, "who goes away makes room")
    code, text, _ = query(rig, config, "device.p1", "--json", "--since", "31d")
    rig.check("all of %d readings" % rows, code == 0 and text.count("\n") == rows,
              (code, text.count("\n")))
    for client in idle:
        client.close()
    rig.wait(lambda: rss_kib(rig) - before < 6144, 10, "memory is given back")
    last = ask(rig, b"since_ms=0")
    last.recv(1000)
    start = time.monotonic()
    code = rig.end("daemon")
    rig.check("SIGTERM in the middle of a scan: exit 0, at once", code == 0 and
              time.monotonic() - start < 3, (code, time.monotonic() - start))
    code, text, _ = query(rig, config, "device.p1", "--json", "--since", "31d")
    rig.check("the file holds as many", text.count("\n") == rows, text.count("\n"))
    bench = subprocess.run([os.path.join(BUILD, "bench_history"), "run", rig.folder],
                           capture_output=True, text=True, check=True).stdout
    late = {words[0]: float(words[1]) for words in map(str.split, bench.splitlines())}
    for what in ("last_hour", "one_point", "everything"):  # ten times looser than promised
        rig.check("a scan does not keep commits waiting: " + what,
                  late["commit_%s_p99" % what] < late["commit_alone_p99"] + 200, late)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"lives": lives, "crowd": crowd})
