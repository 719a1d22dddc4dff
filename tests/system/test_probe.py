#!/usr/bin/python3
"""lifelinectl probe against real parts: between the polls of a daemon, alone on a line at a baud
that nobody knows, two sensors on one address, transcripts, and the API that lends the line."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios
import threading
import time
import tty

from rig import BUILD, SOURCE, Rig, free_port, modbus_crc, run_scenarios

PROFILES = os.path.join(SOURCE, "config", "profiles")
COVER = "name: cover, line: bus, unit: 3, profile: rs-dip-n01, every: 200ms"
ROOF = "name: roof, line: bus, unit: 5, profile: xm9505-rain, every: 200ms"
GAS = "name: gas, line: bus, unit: 6, profile: gas10, every: 1s"


def bus(rig, serial="19200 8N1"):
    return ["name: bus, transport: rtu, device: %s, serial: %s" % (rig.path("bus"), serial)]


def ctl(rig, *words, socket="api.sock"):
    return [os.path.join(BUILD, "lifelinectl"), "--socket", rig.path(socket), "--profiles",
            PROFILES, *words]


def run(rig, *words, **options):
    """Exit status, stdout, stderr"""
    done = subprocess.run(ctl(rig, *words, **options), capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def scan(rig, seconds, *words, **options):
    """A scan that somebody ends with Ctrl-C after a while: what it has found until then."""
    process = subprocess.Popen(ctl(rig, "--format", "json", "probe", "bus", "--scan", *words,
                                   **options), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    out, err = process.communicate(timeout=20)
    rig.check("Ctrl-C ends it within two seconds", time.monotonic() - begun < 2)
    rig.check("it says how long it may take", b"takes at most" in err, err)
    return json.loads(out)


def unit_of(result, number):
    return next((u for u in result["units"] if u["unit"] == number), {"models": [], "advice": []})


def names(unit):
    return [model["profile"] for model in unit["models"]]


def ask(rig, body, line="bus", seconds=20):
    """HTTP status and answer of POST /v1/lines/LINE/ask; None when the client went away first."""
    answer = subprocess.run(
        ["curl", "-s", "-m", str(seconds), "-w", "\n%{http_code}", "--unix-socket",
         rig.path("api.sock"), "-d", body if isinstance(body, str) else json.dumps(body),
         "http://localhost/v1/lines/%s/ask" % line], capture_output=True)
    if answer.returncode != 0:
        return None, None
    text, status = answer.stdout.decode().rsplit("\n", 1)
    return int(status), json.loads(text)


def daemon():
    """The daemon knows two of three sensors; the scan finds the third between its polls."""
    rig = Rig("probe-daemon")
    sensors = rig.configure(bus(rig), [COVER, ROOF, GAS], name="sim.yaml")
    known = rig.configure(bus(rig), [COVER, ROOF])
    rig.start_sim(sensors, "--no-line-time")
    rig.start_daemon(known)
    rig.wait(lambda: (rig.api("/v1/lines") or {}).get("lines", [{}])[0].get("open"), 10, "it polls")
    before = rig.api("/v1/lines")["lines"][0]["counts"]
    result = scan(rig, 11)
    after = rig.api("/v1/lines")["lines"][0]["counts"]
    polled = after["good"] - before["good"]
    rig.check("it goes through the daemon", result["daemon"] and not result["complete"], result)
    rig.check("it has seen a whole pass", result["questions"] > 30, result["questions"])
    rig.check("polls go on (%d)" % polled, polled > 40)
    lines = rig.api("/v1/lines")["lines"][0]
    failed = {u["name"]: u["counts"] for u in lines["units"]
              if u["counts"]["good"] != u["counts"]["requests"]}
    rig.check("no poll fails", not failed and len(lines["units"]) == 2, failed)
    rig.check("the unit that nobody configured is found", names(unit_of(result, 6)) == ["gas10"],
              result)
    for number, name in ((3, "cover"), (5, "roof")):
        devices = unit_of(result, number).get("devices", [])
        rig.check("%s fits" % name, [(d["name"], d["fits"]) for d in devices] == [(name, True)],
                  devices)
    status, text, _ = run(rig, "probe", "bus")
    rig.check("without --scan it shows what is configured",
              status == 0 and "cover, fits" in text and "roof, fits" in text and "gas" not in text,
              text)
    rig.check("no line is wider than 80", max(len(l) for l in text.split("\n")) <= 80, text)
    status, _, err = run(rig, "probe", "bus", "-c", known, socket="none.sock")
    rig.check("a line that is in use is not opened twice: " + err.strip(),
              status == 1 and "bus" in err, err)
    rig.check("a line that is not there is a usage error", run(rig, "probe", "ring")[0] == 2)
    rig.check("so is none", run(rig, "probe")[0] == 2)
    rig.finish()


def api():
    """The API lends the line, bounded and for reads only."""
    rig = Rig("probe-api")
    config = rig.configure(bus(rig), [COVER], name="gateway.yaml")
    rig.start_sim(config, "--no-line-time")
    rig.start_daemon(config)
    rig.wait(lambda: (rig.api("/v1/lines") or {}).get("lines", [{}])[0].get("open"), 10, "it polls")
    line = rig.api("/v1/lines/bus")
    rig.check("it tells the line", (line["transport"], line["serial"], line["devices"][0]["unit"]) ==
              ("rtu", "19200 8N1", 3), line)
    good = {"unit": 3, "function": 3, "address": 0, "count": 3}
    status, answer = ask(rig, good)
    rig.check("a question is answered", status == 200 and answer["outcome"] == "ok" and
              len(answer["registers"]) == 3 and answer["frame"].startswith("030306"), answer)
    status, answer = ask(rig, dict(good, address=900))
    rig.check("an exception is an answer", (status, answer["outcome"], answer["exception"]) ==
              (200, "exception", 2), answer)
    status, answer = ask(rig, dict(good, unit=9, timeout_ms=50))
    rig.check("so is silence", (status, answer["outcome"], answer["frame"]) == (200, "timeout", ""),
              answer)
    for body in ({}, [], "x", "", dict(good, function=6), dict(good, function=16),
                 dict(good, count=126), dict(good, unit=0), dict(good, value=1),
                 dict(good, serial="fast"), "{" * 3000):
        status, answer = ask(rig, body)
        rig.check("refused: %.60s" % json.dumps(body), status == 400 and answer["error"], answer)
    rig.check("an unknown line is not found", ask(rig, good, line="ring")[0] == 404)
    # Clients that go away, while their question waits or is being asked.
    gone = [ask(rig, dict(good, unit=20 + i, timeout_ms=400), seconds=0.05)[0] for i in range(20)]
    rig.check("clients go away", None in gone and set(gone) <= {None, 503}, gone)
    rig.wait(lambda: ask(rig, good)[0] == 200, 10, "the line is free again")
    # Two at once: one of them is told so, or waits its turn; nobody gets the other's answer.
    answers = []
    def both(unit):
        for _ in range(20):
            answers.append((unit, *ask(rig, dict(good, unit=unit, timeout_ms=50))))
    threads = [threading.Thread(target=both, args=(unit,)) for unit in (3, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrong = [a for a in answers if a[1] not in (200, 503) or
             a[1] == 200 and a[2]["outcome"] != ("ok" if a[0] == 3 else "timeout")]
    rig.check("nobody gets another's answer", not wrong and len(answers) == 40, wrong[:3])
    rig.finish()


class Tilt(threading.Thread):
    """A tilt sensor at the end of a pty that understands one serial setting only."""

    def __init__(self, baud, unit):
        super().__init__(daemon=True)
        self.baud, self.unit, self.stop = baud, unit, False
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.path = os.ttyname(self.slave)

    def answer(self, request):
        if request[0] != self.unit or modbus_crc(request[:6]) != request[6:]:
            return b""
        address, count = request[2] << 8 | request[3], request[4] << 8 | request[5]
        if request[1] != 3 or address + count > 3:
            answer = bytes([self.unit, request[1] | 0x80, 2])
        else:
            registers = (125, -35, 5)[address:address + count]
            answer = bytes([self.unit, 3, 2 * count]) + b"".join(
                (r & 0xffff).to_bytes(2, "big") for r in registers)
        return answer + modbus_crc(answer)

    def run(self):
        while not self.stop:
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            request = os.read(self.master, 64)
            settings = termios.tcgetattr(self.master)
            if settings[5] == self.baud and not settings[2] & termios.PARENB and len(request) == 8:
                os.write(self.master, self.answer(request))


def alone():
    """No daemon, and the sensor talks at another baud than the line."""
    rig = Rig("probe-alone")
    tilt = Tilt(termios.B4800, 2)
    tilt.start()
    config = rig.configure(["name: bus, transport: rtu, device: %s, serial: 9600 8N1" % tilt.path],
                           [COVER.replace("unit: 3", "unit: 9")])
    result = scan(rig, 18, "-c", config, "--record", rig.path("t.txt"))
    found = unit_of(result, 2)
    rig.check("the unit is found at its baud", not result["daemon"] and
              found.get("serial") == "4800 8N1", result)
    rig.check("its model is among those that fit", "rs-dip-n01" in names(found), found)
    rig.check("the model that is sold at that baud comes first", names(found)[:1] == ["rs-dip-n01"],
              found)
    rig.check("it says that line and unit differ",
              any("talks at 4800 8N1" in advice for advice in found["advice"]), found["advice"])
    status, text, _ = run(rig, "probe", "bus", "-c", config)
    rig.check("a configured unit that is silent is a finding",
              status == 1 and "unit 9 does not answer" in text, text)
    with open(rig.path("t.txt"), encoding="ascii") as f:
        lines = f.read().splitlines()
    shape = re.compile(r"#.*|> [0-9A-F]{2}( [0-9A-F]{2}){7}|< ([0-9A-F]{2}( [0-9A-F]{2})*|timeout)")
    rig.check("the transcript is whole", all(shape.fullmatch(line) for line in lines) and
              sum(line[0] == ">" for line in lines) == result["questions"],
              [line for line in lines if not shape.fullmatch(line)][:3])
    asked = b"\x02\x03\x00\x00\x00\x03"
    said = [mark + " ".join("%02X" % byte for byte in frame) for mark, frame in
            (("> ", asked + modbus_crc(asked)), ("< ", tilt.answer(asked + modbus_crc(asked))))]
    rig.check("it holds what was said", "\n".join(said) in "\n".join(lines), lines[-5:])
    rig.check("and at which settings", lines.index("# serial 9600 8N1") <
              lines.index("# serial 4800 8N1") < lines.index(said[0]), lines[:5])
    tilt.stop = True
    rig.finish()


def twins():
    """Two sensors on one address, with and without a daemon; a transcript shows both."""
    rig = Rig("probe-twins")
    config = rig.configure(bus(rig), [COVER, ROOF])
    script = rig.write("script.yaml", "- { device: cover, fault: twin }\n")
    rig.start_sim(config, "--script", script)
    words = "two sensors answer as unit 3"
    status, text, _ = run(rig, "probe", "bus", "-c", config, "--record", rig.path("t.txt"))
    rig.check("two sensors on one address are told", status == 1 and words in text, text)
    rig.check("and only there", "as unit 5" not in text, text)
    with open(rig.path("t.txt"), encoding="ascii") as f:
        rig.check("the transcript has both answers",
                  re.search(r"> 03 03.*\n< 03 03.*\n< 03 03", f.read()))
    rig.start_daemon(config)
    rig.wait(lambda: (rig.api("/v1/lines") or {}).get("lines", [{}])[0].get("open"), 10, "it polls")
    status, text, _ = run(rig, "probe", "bus")
    rig.check("the daemon's line shows them too", status == 1 and words in text, text)
    rig.finish()


def echo(master):
    """An adapter that hears itself."""
    try:
        while True:
            os.write(master, os.read(master, 64))
    except OSError:
        pass


def serve_any_unit(listener):
    """A Modbus TCP server that takes no notice of the unit: register a holds a."""
    try:
        connection, _ = listener.accept()
        while request := connection.recv(12):
            address, count = request[8] << 8 | request[9], request[10] << 8 | request[11]
            data = b"".join((address + i & 0xffff).to_bytes(2, "big") for i in range(count))
            connection.sendall(request[:4] + (3 + len(data)).to_bytes(2, "big") + request[6:8] +
                               bytes([len(data)]) + data)
    except OSError:
        pass


def odd():
    """Lines on which a scan makes no sense say so at once."""
    rig = Rig("probe-odd")
    master, slave = pty.openpty()
    tty.setraw(slave)
    listener = socket.create_server(("127.0.0.1", 0))
    for target, argument in ((echo, master), (serve_any_unit, listener)):
        threading.Thread(target=target, args=(argument,), daemon=True).start()
    config = rig.configure(
        ["name: loop, transport: rtu, device: %s" % os.ttyname(slave),
         "name: plc, transport: tcp, host: 127.0.0.1, port: %d" % listener.getsockname()[1],
         "name: nowhere, transport: tcp, host: 127.0.0.1, port: %d" % free_port(),
         "name: unplugged, transport: rtu, device: %s" % rig.path("none"), *bus(rig)], [COVER])
    for line, words in (("loop", "echo"), ("plc", "takes no notice of the unit"),
                        ("nowhere", "refused"), ("unplugged", "No such file")):
        begun = time.monotonic()
        status, text, err = run(rig, "probe", line, "--scan", "-c", config)
        rig.check("%s: %s" % (line, words), status == 1 and
                  words in " ".join((text + err).split()), text + err)
        rig.check("%s: at once" % line, time.monotonic() - begun < 8)
    rig.start_sim(rig.configure(bus(rig), [COVER], name="sim.yaml"), "--no-line-time")
    process = subprocess.Popen(ctl(rig, "--format", "json", "probe", "bus", "--scan", "-c", config),
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    time.sleep(3)
    rig.end("sim")                     # the adapter is pulled out
    result = json.loads(process.communicate(timeout=20)[0])
    rig.check("an adapter that is pulled out ends the scan", process.returncode == 1 and
              result["why"] and not result["complete"], result)
    rig.check("what was found until then is shown", unit_of(result, 3).get("devices"), result)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"daemon": daemon, "api": api, "alone": alone, "twins": twins, "odd": odd})
