#!/usr/bin/python3
"""Serial lines in real line time: two ptys at different baud, sample times that are the moment of
the reply, an adapter that is pulled out and put back, and a converter that hangs up."""
import random
import socket
import threading
import time

from invariant import check_delivery, match
from rig import Rig, free_port, now_ms, run_scenarios


def times_of(rig, device):
    return sorted({t for d, _, t, _, quality, _ in rig.readings() if d == device and
                   quality == "good"})


def line_ms(baud, registers):
    """A request of 8 characters, 3.5 of silence, 4 ms of thought, the answer."""
    return (8 + 3.5 + 5 + 2 * registers) * 10000 / baud + 4


def ptys():
    rig = Rig("serial-ptys")
    slow, fast = rig.path("slow"), rig.path("fast")
    config = rig.configure(
        ["name: slow, transport: rtu, device: %s, serial: 4800 8N1" % slow,
         "name: fast, transport: rtu, device: %s, serial: 9600 8N1" % fast],
        ["name: cover, line: slow, unit: 3, profile: rs-dip-n01, every: 500ms",
         "name: roof, line: fast, unit: 5, profile: xm9505-rain, every: 500ms",
         "name: air, line: fast, unit: 6, profile: sht20, every: 500ms"])
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(config)
    rig.start_daemon(config)
    time.sleep(12 + random.random())
    lines = {line["name"]: line for line in rig.api("/v1/lines")["lines"]}
    for name, requests_s, registers, baud in (("slow", 2, 3, 4800), ("fast", 4, 1.5, 9600)):
        share = requests_s * line_ms(baud, registers) / 10
        rig.check("%s: load %d %%, by its line time %d %%"
                  % (name, lines[name]["load_percent"], share),
                  0.7 * share < lines[name]["load_percent"] < 1.6 * share + 2, lines[name])
        rig.check(name + ": no failure", lines[name]["counts"]["good"] ==
                  lines[name]["counts"]["requests"] > 15, lines[name]["counts"])
    unplugged = now_ms()
    rig.end("sim")                     # both adapters are pulled out
    time.sleep(6)                      # longer than an answer may be late
    rig.check("the log says once that a line is gone",
              sum(rig.log("daemon").count("line %s: /" % name) for name in ("slow", "fast")) == 2,
              rig.log("daemon"))
    rig.check("the status says that they are closed",
              not any(line["open"] for line in rig.api("/v1/lines")["lines"]))
    plugged = now_ms()
    rig.start_sim(config)
    rig.wait(lambda: all(line["open"] and line["units"][0]["outcome"] == "ok"
                         for line in rig.api("/v1/lines")["lines"]), 12,
             "both lines are back after the adapters are")
    back = now_ms()
    rig.check("the log says once that it is back", rig.log("daemon").count("works again") == 2,
              rig.log("daemon"))
    time.sleep(5)
    until = rig.drain()
    check_delivery(rig)
    missing, worst = match(rig, 50, until)
    lost = [entry for entries in missing.values() for entry in entries
            if not unplugged - 300 < entry[1] < back]
    rig.check("every answer is a reading", not lost, lost[:5])
    rig.check("sample times are the moment of the reply (worst %d ms off)" % worst, worst <= 20)
    for device in ("cover", "roof", "air"):
        times = [t for t in times_of(rig, device) if t < unplugged]
        steps = [b - a for a, b in zip(times[2:], times[3:])]
        drift = times[-1] - times[2] - 500 * len(steps)
        rig.check("%s: each 500 ms (%d … %d), no drift (%d ms)"
                  % (device, min(steps), max(steps), drift),
                  len(steps) > 15 and min(steps) > 350 and max(steps) < 650 and abs(drift) < 100)
        dead = {(t, q) for d, _, t, _, q, _ in rig.readings()
                if d == device and unplugged - 20 <= t < plugged and q != "good"}
        rig.check("%s: one row of `link` while it was unplugged" % device,
                  [q for _, q in dead] == ["link"], dead)
    rig.finish()


class Converter:
    """An RS-485 converter in a hurry: hangs up after so many whole answers, or at once."""

    def __init__(self, port, behind, answers):
        self.behind, self.answers = behind, answers
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            self.connections += 1
            try:
                self.relay(connection, self.answers)
            except OSError:
                pass
            connection.close()

    def relay(self, connection, answers):
        if not answers:
            return
        with socket.create_connection(("127.0.0.1", self.behind)) as sensors:
            for _ in range(answers):
                request = connection.recv(256)
                if not request:
                    return
                sensors.sendall(request)
                answer = b""
                while len(answer) < 5 or len(answer) < 5 + answer[2]:
                    more = sensors.recv(256)
                    if not more:
                        return
                    answer += more
                connection.sendall(answer)


def converter():
    rig = Rig("serial-converter")
    front, behind = free_port(), free_port()
    line = "name: dtu, transport: rtu-over-tcp, host: 127.0.0.1, port: %d"
    devices = ["name: air, line: dtu, unit: 6, profile: sht20, every: 400ms",
               "name: roof, line: dtu, unit: 5, profile: xm9505-rain, every: 400ms"]
    sim_config = rig.configure([line % behind], devices, name="sim.yaml")
    config = rig.configure([line % front], devices)
    rig.start_broker()
    rig.subscribe()
    rig.start_sim(sim_config)
    relay = Converter(front, behind, 1)
    rig.start_daemon(config)
    time.sleep(8)
    good = rig.api("/v1/lines")["lines"][0]["counts"]["good"]
    rig.check("one that hangs up after each answer: the readings come (%d)" % good, good >= 25)
    relay.answers = 0
    time.sleep(2)
    before, counts = relay.connections, rig.api("/v1/lines")["lines"][0]["counts"]
    time.sleep(6)
    tries = relay.connections - before
    after = rig.api("/v1/lines")["lines"][0]["counts"]
    rig.check("one that hangs up at once: it backs off (%d connects in 6 s)" % tries,
              1 <= tries <= 12, tries)
    rig.check("and counts `link`", after["link"] > counts["link"], (counts, after))
    said = [entry for entry in rig.log("daemon").splitlines()
            if "<4>line dtu" in entry]
    rig.check("and says so once", 1 <= len(said) <= 2, rig.log("daemon"))
    relay.answers = 1000
    rig.wait(lambda: rig.api("/v1/lines")["lines"][0]["silent"] == 0, 35, "it comes back")
    time.sleep(2)
    until = rig.drain()
    check_delivery(rig)
    match(rig, 60, until)
    qualities = {q for _, _, _, _, q, _ in rig.readings()}
    # Behind a broken connection an answer may still lie: the unit rests until it is too late.
    rig.check("no quality but `good`, `link`, `timeout`",
              {"good", "link"} <= qualities <= {"good", "link", "timeout"}, qualities)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"ptys": ptys, "converter": converter})
