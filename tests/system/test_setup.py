#!/usr/bin/python3
"""lifelinectl setup: by options and at a terminal, against a real bus; what it writes passes `check`
as it stands, and a daemon delivers with it. A pty answers at any baud: the line says which."""
# Beside others: it measures no time
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

from rig import BUILD, SOURCE, Rig, free_port, modbus_crc, run_scenarios, with_port_link

PROFILES = os.path.join(SOURCE, "config", "profiles")


def make(name):
    """Two buses of a sensor each, one of which nobody can tell from others, and a TCP device."""
    rig = Rig("setup-" + name)
    rig.port = free_port()
    rig.config = rig.path("written.yaml")
    rig.start_sim(rig.configure(
        ["name: bus, transport: rtu, device: %s, serial: 4800 8N1" % rig.path("tty"),
         "name: other, transport: rtu, device: %s" % rig.path("tty2"),
         "name: plc, transport: tcp, host: 127.0.0.1, port: %d" % rig.port],
        ["name: well, line: bus, unit: 1, profile: rs-dip-n01",
         "name: gas, line: other, unit: 2, profile: gas10",
         "name: air, line: plc, unit: 1, profile: sht20"]))
    return rig


def command(rig, *words):
    return [os.path.join(BUILD, "lifelinectl"), "setup", "-c", rig.config, "--profiles", PROFILES, *words]


def setup(rig, *words, **environment):
    done = subprocess.run(command(rig, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, env=dict(os.environ, **environment))
    if "--json" not in words:
        rig.wide = getattr(rig, "wide", []) + [
            line for line in (done.stdout + done.stderr).splitlines() if width(line) > 80]
    return done


def written(rig):
    with open(rig.config, encoding="utf-8") as f:
        return f.read()


def passes(rig, name):
    done = subprocess.run([os.path.join(BUILD, "lifelinectl"), "check", "--profiles", PROFILES,
                           rig.config], capture_output=True, text=True)
    rig.check(name, done.returncode == 0 and "0 errors, 0 warnings" in done.stdout, done.stdout)


def width(line):
    return sum(2 if ord(c) > 0x2e7f else 1 for c in line)


def keep(rig, path, text, mode=0o600):
    os.makedirs(os.path.dirname(rig.path(path)), mode=0o700, exist_ok=True)
    with open(rig.path(path), "w", encoding="utf-8") as f:
        os.fchmod(f.fileno(), mode)
        f.write(text)


def read(rig, path):
    with open(rig.path(path), encoding="utf-8") as f:
        return f.read()


def options():
    rig = make("options")
    who = ["--id", "gw-140502-0001", "--region", "140502", "--name", "泽\"州: #1\\", "--broker",
           "mqtt://127.0.0.1:%d" % rig.broker_port]
    lines = ["--line", rig.path("tty") + ",4800 8N1", "--line", rig.path("tty2") + ",9600 8N1",
             "--line", "tcp://127.0.0.1:%d" % rig.port]
    models = ["--profile", "rs485-1:1=rs-dip-n01", "--profile", "tcp-1:1=sht20"]
    facts = who + lines
    done = setup(rig, *facts[:2])
    rig.check("all that is missing is told at once", done.returncode == 2 and
              "--region --line --broker" in done.stderr, done.stderr)
    os.symlink(os.path.realpath(rig.path("tty")), rig.path("again"))
    keep(rig, "file", "")
    host = "tcp://127.0.0.1:%d" % rig.port
    for name, words, code, told in (
            ("TLS needs to know whom to trust", [*lines, *who[:-1], "mqtts://127.0.0.1:1"], 2, "missing: --ca"),
            ("a certificate that is not there", [*facts, "--ca", rig.path("no.pem")], 2, "no.pem: No such file"),
            ("a password that is not there", [*facts, "--username", "gw", "--password-file", rig.path("no")], 2,
             "/no: No such file"),
            ("what is wrong is told by the configuration's own words",
             ["--id", "GW 1", "--region", "14", *facts[4:]], 2, "may hold only a-z"),
            ("a line that is none", [*facts, "--line", "ttyS1"], 2, "ttyS1: that is no line"),
            ("a port that is not there", [*facts, "--line", "/dev/none"], 2, "/dev/none: No such file"),
            ("a port that is none", [*facts, "--line", rig.path("file")], 2, "that is no serial port"),
            ("a port by another name", [*facts, "--line", rig.path("again")], 2, "is there already: rs485-1"),
            ("a server twice", [*facts, "--line", host], 2, "is there already: tcp-1"),
            ("a profile that is none", [*facts, "--profile", "1=rs-dip"], 2, "there is no such profile"),
            ("a profile of no unit", [*facts, "--profile", "gas10"], 2, "it has the form"),
            ("a profile of a unit that cannot be", [*facts, "--profile", "248=gas10"], 2, "it has the form"),
            ("a profile of no line", [*facts, "--profile", "rs485-3:1=gas10"], 2, "there is no such line"),
            ("a profile twice", [*facts, "--profile", "1=gas10", "--profile", "1=sht20"], 2, "given twice"),
            ("a line that cannot be opened", [*facts, "--line", "tcp://127.0.0.1:%d" % free_port()], 1,
             "nothing is written")):
        done = setup(rig, *words)
        rig.check(name, done.returncode == code and told in " ".join(done.stderr.split()) and
                  not os.path.exists(rig.config), (done.returncode, done.stderr))
    done = setup(rig, *facts)
    rig.check("a model that cannot be told from others is left to a person, and one that has nothing that "
              "tells it", done.returncode == 1 and "rs485-1 unit 1: one of" in done.stdout and
              "tcp-1 unit 1: it may be sht20" in done.stdout and
              "# Not decided: rs485-1, unit 1" in written(rig) and
              re.findall("profile: [a-z0-9-]+", written(rig)) == ["profile: gas10"], done.stdout)
    rig.check("who was asked is told", "Only units 1 to 10" in done.stdout and "--scan" in done.stdout)
    passes(rig, "the rest of it passes")
    before = written(rig)
    keep(rig, "secret/city", "old\n")
    held = Terminal(rig, *facts, "--force", "--scan", "--username", "gw")
    held.answer("password .*: $", "new")
    looked = held.until("\\d+ %")
    os.write(held.fd, b"\x03")
    rig.check("Ctrl-C while it looks writes nothing, no password either", looked and held.end() == 1 and
              "nothing is written" in held.shown and written(rig) == before and
              read(rig, "secret/city") == "old\n", held.shown)
    done = setup(rig, *facts)
    rig.check("a file that is there stays", done.returncode == 1 and "--force" in done.stderr and
              written(rig) == before, done.stderr)
    os.chmod(rig.config, 0o640)
    os.rename(rig.config, rig.path("elsewhere.yaml"))
    os.symlink("elsewhere.yaml", rig.config)
    done = setup(rig, *facts, "--force", *models, LC_ALL="zh_CN.UTF-8")
    rig.check("with their profiles nothing is left to decide", done.returncode == 0 and
              "lifelinectl doctor" in done.stdout, done.stdout + done.stderr)
    rig.check("a link stays one, and who may read it", os.readlink(rig.config) == "elsewhere.yaml" and
              os.stat(rig.config).st_mode & 0o777 == 0o640)
    passes(rig, "it passes as it is")
    known = written(rig)
    done = setup(rig, *facts, "--force", "--json", *models[:2], "--profile", "tcp-1:1=gas10")
    rig.check("a profile that does not fit is told", done.returncode == 1 and
              "tcp-1 unit 1: gas10 does not fit" in " ".join(done.stderr.split()) and
              {d["profile"] for d in json.loads(done.stdout)["devices"]} == {"rs-dip-n01", "gas10"}, done)
    rig.check("each that was there is kept", read(rig, "elsewhere.yaml.old") == before and
              read(rig, "elsewhere.yaml.old-2") == known)
    done = setup(rig, *facts, "--force", *models)
    delivers(rig)
    done = setup(rig, *facts, "--force", "--socket", rig.path("api.sock"))
    rig.check("a gateway that runs is not disturbed, and named", done.returncode == 1 and
              "systemctl stop lifeline-gateway first" in " ".join(done.stderr.split()), done.stderr)
    rig.check("all fits 80 columns", not rig.wide, rig.wide)
    rig.finish()


def delivers(rig):
    """Only the places of this test are added."""
    with open(rig.config, "a", encoding="utf-8") as f:
        f.write("store: { path: %s, segment: 1s }\napi: { socket: %s }\n"
                % (rig.path("store.db"), rig.path("api.sock")))
    rig.start_broker()
    rig.subscribe()
    rig.start_daemon(rig.config)
    rig.wait(lambda: {"rs-dip-n01-1", "gas10-2", "sht20-1"} <=
             {d.name for d in rig.manifests()[0].values()} and len(list(rig.readings())) >= 3, 20,
             "a subscriber decodes what the sensors say")
    rig.check("under its name", "泽\"州: #1\\" in str(rig.api("/v1/status")["gateway"]))


class Terminal:
    def __init__(self, rig, *words, before=(), **environment):
        self.shown, self.seen, self.whole = "", "", ""
        pid, self.fd = pty.fork()
        if pid == 0:
            run = [*before, *command(rig, *words)]
            os.execvpe(run[0], run,
                       dict(os.environ, TERM="dumb", **environment))
        self.pid = pid

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        try:
            data = os.read(self.fd, 4096) if ready else b""
        except OSError:
            return False
        self.shown += data.decode(errors="replace")
        return True

    def until(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, self.shown):
                return True
            if not self.read(0.5):
                break
        return re.search(pattern, self.shown) is not None

    def answer(self, pattern, text):
        found = self.until(pattern)
        self.seen = self.shown
        self.whole += self.shown
        self.shown = ""
        os.write(self.fd, (text + "\n").encode())
        return found

    def end(self):
        while self.read(30):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def terminal():
    rig = make("terminal")
    port = os.path.realpath(rig.path("tty"))
    keep(rig, "ca.pem", "")
    keep(rig, "secret/city", "before\n")
    person = Terminal(rig, before=with_port_link(rig, port))
    for name, pattern, answer in (
            ("it asks for the id", "id of the gateway.*: $", "GW 1"),
            ("says why an answer is wrong, and asks again",
             "may hold only a-z.*(.|\n)*id of the gateway.*: $", " gw-140502-0001 "),
            ("the district", "GB/T 2260.*: $", "１４０５０２"),
            ("the name", "people call it.*: $", ""),
            ("a line", "a line, like.*: $", "/dev/none"),
            ("that is there", "No such file(.|\n)*a line, like.*: $", port + "，4800 8N1"),
            ("a port gets the name that lasts, and it asks for lines until there is none more",
             "is written as\\s+/dev/lifeline/rs485-1-1.3(.|\n)*another line.*: $",
             "tcp：//127。0。0。1：%d" % rig.port),
            ("what a Chinese keyboard types is taken", "another line.*: $", "ttyS1"),
            ("no line", "that is no line(.|\n)*another line.*: $", ""),
            ("the broker", "the broker.*: $", "mqtts://127.0.0.1:1"),
            ("and for the certificate of a broker that has one", "broker's authority.*: $", rig.path("no.pem")),
            ("that is there, too", "No such file(.|\n)*broker's authority.*: $", rig.path("ca.pem")),
            ("the user", "user name.*: $", "gw"),
            ("and for a password, unseen", "password .*: $", "rain-17"),
            ("which model it is, where it cannot tell",
             "1  rs-dip-n01: tilt_x -?[0-9.]+ °, (.|\n)*what is unit 1.*: $", "99"),
            ("until it is one of them", "none of these(.|\n)*what is unit 1.*: $", "rs-dip-n01"),
            ("and where one is all that fits", "1  sht20: temperature(.|\n)*what is unit 1 on tcp-1.*: $", "１")):
        rig.check(name, person.answer(pattern, answer), (person.seen, person.shown))
    code = person.end()
    rig.check("and is done", code == 0, (code, person.shown))
    rig.check("the password was not shown", "rain-17" not in person.whole + person.shown)
    passes(rig, "what it wrote passes")
    secret = rig.path("secret/city")
    rig.check("the password is its owner's alone", os.stat(secret).st_mode & 0o777 == 0o600 and
              os.stat(rig.path("secret")).st_mode & 0o777 == 0o700 and
              read(rig, "secret/city") == "rain-17\n" and read(rig, "secret/city.old") == "before\n" and
              "password_file: \"%s\"" % secret in written(rig) and
              "tls: { ca: \"%s\" }" % rig.path("ca.pem") in written(rig))
    rig.check("both lines", "device: \"/dev/lifeline/rs485-1-1.3\"" in written(rig) and
              re.findall("profile: [a-z0-9-]+", written(rig)) == ["profile: rs-dip-n01", "profile: sht20"],
              written(rig))
    os.unlink(rig.config)
    for name, key, code, told in (("Ctrl-C", b"\x03", -signal.SIGINT, ""),
                                  ("Ctrl-D", b"\x04", 2, "输入已结束")):
        person = Terminal(rig, LC_ALL="zh_CN.UTF-8")
        rig.check("in Chinese", person.answer("网关编号.*：$", "gw-1") and person.until("区县代码.*：$"))
        os.write(person.fd, key)
        rig.check(name + " leaves nothing behind", person.end() == code and told in person.shown and
                  [n for n in os.listdir(rig.folder) if n.startswith("written.yaml")] == [], person.shown)
    rig.finish()


def gateways():
    """Twelve sensors behind one TCP gateway are twelve; a server that answers to any unit is one."""
    rig = Rig("setup-gateways")
    rig.config = rig.path("written.yaml")
    many = free_port()
    rig.start_sim(rig.configure(
        ["name: plc, transport: tcp, host: 127.0.0.1, port: %d" % many],
        ["name: gas-%d, line: plc, unit: %d, profile: gas10" % (unit, unit) for unit in [*range(1, 12), 77]]))
    facts = ["--id", "gw-1", "--region", "140502", "--broker", "mqtt://127.0.0.1:%d" % rig.broker_port]
    done = setup(rig, *facts, "--line", "tcp://127.0.0.1:%d" % many, "--profile", "77=gas10")
    rig.check("twelve sensors behind a gateway, also one that is asked only because it has a profile", done.returncode == 0 and
              written(rig).count("profile: gas10") == 12, done.stdout + done.stderr)
    passes(rig, "and it passes")

    def serve(answer):
        """A server: what a request's unit and number of registers get, None for nothing."""
        server = socket.create_server(("127.0.0.1", 0))

        def talk(connection):
            while len(request := connection.recv(300)) >= 8:
                connection.sendall(answer(request))

        def accept():
            while True:
                threading.Thread(target=talk, args=[server.accept()[0]], daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return server.getsockname()[1]

    def ones(request):
        """Any register of any unit is 1."""
        return (request[:4] + bytes([0, 3 + 2 * request[11], request[6], request[7], 2 * request[11]])
                + b"\0\1" * request[11])

    def refuse(request, code):
        return request[:4] + bytes([0, 3, request[6], request[7] | 0x80, code])

    def damaged(request):
        """RTU: unit 3's answers have a wrong CRC, and nobody else is there."""
        answer = bytes([request[0], request[1] | 0x80, 11])
        return answer + (b"\0\0" if request[0] == 3 else modbus_crc(answer))

    deaf = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: [deaf.accept()[0].close() for _ in range(100)], daemon=True).start()
    any_unit = ["--line", "tcp://127.0.0.1:%d" % serve(ones), "--profile", "tcp-1:1=sht20"]
    done = setup(rig, *facts, "--force", *any_unit)
    rig.check("one that does not look at the unit", done.returncode == 0 and
              "tcp-1: it answers as any unit" in done.stderr and written(rig).count("profile: ") == 1 and
              "unit: 1," in written(rig), done.stdout + done.stderr + written(rig))
    port = serve(lambda request: ones(request) if request[6] == 1 else refuse(request, 4))
    done = setup(rig, *facts, "--force", "--line", "tcp://127.0.0.1:%d" % port, "--profile", "1=sht20")
    rig.check("one that refuses units it does not have is no such device", done.returncode == 1 and
              "any unit" not in done.stderr and "tcp-1 unit 2: no profile fits" in done.stdout, done.stdout)
    done = setup(rig, *facts, "--force", *any_unit, "--line", "tcp://127.0.0.1:%d" % deaf.getsockname()[1])
    rig.check("a line that breaks off is told", done.returncode == 1 and
              "line tcp-2: " in done.stderr and "nobody" not in done.stderr and
              written(rig).count("profile: ") == 1, done.stderr)
    done = setup(rig, *facts, "--force", *any_unit, "--line",
                 "tcp://127.0.0.1:%d" % serve(lambda request: refuse(request, 11)))
    rig.check("a line on which nobody answers is told", done.returncode == 1 and
              "line tcp-2: nobody answers" in done.stderr and written(rig).count("profile: ") == 1, done.stderr)
    done = setup(rig, *facts, "--force", *any_unit, "--line", "rtu-over-tcp://127.0.0.1:%d" % serve(damaged))
    rig.check("a unit that answers damaged is named", done.returncode == 1 and
              "dtu-1 unit 3: it answers, but never a right frame" in done.stdout and
              "dtu-1 unit 2" not in done.stdout and "# Not decided: dtu-1, unit 3" in written(rig), done.stdout)
    done = setup(rig, *facts, "--force", *any_unit, "--profile", "tcp-1:12=gas10")
    rig.check("a profile for nobody is told", done.returncode == 1 and
              "12=gas10: nobody answers there" in done.stderr and "1=sht20" not in done.stderr, done.stderr)
    rig.check("all fits 80 columns", not rig.wide, rig.wide)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"options": options, "terminal": terminal, "gateways": gateways})
