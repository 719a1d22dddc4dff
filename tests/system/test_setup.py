#!/usr/bin/python3
"""lifelinectl setup: by options and at a terminal, against a real bus; what it writes passes `check`
as it stands, and a daemon delivers with it. A pty answers at any baud: the line says which."""
# Beside others: it measures no time
import os
import pty
import re
import select
import signal
import socket
import subprocess
import threading
import time

from rig import BUILD, SOURCE, Rig, free_port, run_scenarios, with_port_link

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
    return subprocess.run(command(rig, *words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, env=dict(os.environ, **environment))


def written(rig):
    with open(rig.config, encoding="utf-8") as f:
        return f.read()


def passes(rig, name):
    done = subprocess.run([os.path.join(BUILD, "lifelinectl"), "check", "--profiles", PROFILES,
                           rig.config], capture_output=True, text=True)
    rig.check(name, done.returncode == 0 and "0 errors, 0 warnings" in done.stdout, done.stdout)


def narrow(text):
    return all(sum(2 if ord(c) > 0x2e7f else 1 for c in line) <= 80 for line in text.splitlines())


def options():
    rig = make("options")
    facts = ["--id", "gw-140502-0001", "--region", "140502", "--name", "泽\"州: #1\\", "--broker",
             "mqtt://127.0.0.1:%d" % rig.broker_port, "--line", rig.path("tty") + ",4800 8N1",
             "--line", rig.path("tty2"), "--line",
             "tcp://127.0.0.1:%d" % rig.port]
    done = setup(rig, *facts[:2])
    rig.check("all that is missing is told at once", done.returncode == 2 and
              "--region --line --broker" in done.stderr and not os.path.exists(rig.config), done.stderr)
    done = setup(rig, *facts[:-6], "--line", rig.path("tty"), "--broker", "mqtts://127.0.0.1:1")
    rig.check("TLS needs to know whom to trust", done.returncode == 2 and "missing: --ca" in done.stderr,
              done.stderr)
    done = setup(rig, "--id", "GW 1", "--region", "14", *facts[4:])
    rig.check("what is wrong is told by the configuration's own words", done.returncode == 2 and
              "may hold only a-z" in done.stderr and "6" in done.stderr and
              not os.path.exists(rig.config), done.stderr)
    done = setup(rig, *facts[:-4], "--line", "ttyS1")
    rig.check("a line that is none", done.returncode == 2 and "ttyS1" in done.stderr, done.stderr)
    done = setup(rig, *facts)
    rig.check("a model that cannot be told from others is left to a person", done.returncode == 1 and
              "unit 1: one of" in done.stdout and "# Not decided: rs485-1, unit 1" in written(rig) and
              "rs-dip-n01 }" not in written(rig), done.stdout)
    passes(rig, "the rest of it passes")
    held = Terminal(rig, *facts, "--force", "--scan", "--username", "gw", "--password-file", rig.path("word"))
    held.until("\\d+ %")
    os.write(held.fd, b"\x03")
    rig.check("Ctrl-C while it looks writes nothing", held.end() == 1 and
              "nothing is written" in held.shown, held.shown)
    before = written(rig)
    done = setup(rig, *facts)
    rig.check("a file that is there stays", done.returncode == 1 and "--force" in done.stderr and
              written(rig) == before, done.stderr)
    done = setup(rig, *facts, "--force", "--profile", "rs485-1:1=rs-dip-n01", LC_ALL="zh_CN.UTF-8")
    rig.check("with its profile nothing is left to decide", done.returncode == 0 and
              "lifelinectl doctor" in done.stdout, done.stdout + done.stderr)
    rig.check("the old one is kept", open(rig.config + ".old", encoding="utf-8").read() == before)
    rig.check("all fits 80 columns", narrow(done.stdout + done.stderr), done.stdout)
    passes(rig, "it passes as it is")
    done = setup(rig, *facts[:-1], "tcp://127.0.0.1:%d" % free_port(), "--force")
    rig.check("a line that cannot be opened: nothing is written", done.returncode == 1 and
              "nothing is written" in done.stderr and "rs-dip-n01-1" in written(rig), done.stderr)
    delivers(rig)
    done = setup(rig, *facts, "--force", "--socket", rig.path("api.sock"))
    rig.check("a gateway that runs is not disturbed, and named", done.returncode == 1 and
              "systemctl stop lifeline-gateway first" in " ".join(done.stderr.split()), done.stderr)
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
        self.shown = ""
        self.process, self.fd = None, None
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
    person = Terminal(rig, before=with_port_link(rig, port))
    rig.check("it asks for the id", person.answer("id of the gateway.*: $", "GW 1"))
    rig.check("says why an answer is wrong, and asks again",
              person.answer("may hold only a-z.*(.|\n)*id of the gateway.*: $", "gw-140502-0001"))
    person.answer("GB/T 2260.*: $", "140502")
    person.answer("people call it.*: $", "")
    person.answer("a line, like.*: $", port + ",4800 8N1")
    rig.check("a port gets the name that lasts, and it asks for lines until there is none more",
              person.answer("is written as\\s+/dev/lifeline/rs485-1-1.3(.|\n)*another line.*: $",
                            "tcp://127.0.0.1:%d" % rig.port) and
              person.answer("another line.*: $", "ttyS1") and
              person.answer("that is no line(.|\n)*another line.*: $", ""), (person.seen, person.shown))
    person.answer("the broker.*: $", "mqtts://127.0.0.1:1")
    rig.check("and for the certificate of a broker that has one",
              person.answer("broker's authority.*: $", rig.path("ca.pem")))
    person.answer("user name.*: $", "gw")
    rig.check("and for a password, unseen", person.answer("password .*: $", "rain-17"))
    rig.check("which model it is, where it cannot tell, until it is one of them",
              person.answer("rs-dip-n01(.|\n)*what is unit 1.*: $", "１") and
              person.answer("none of these(.|\n)*what is unit 1.*: $", "rs-dip-n01"), person.shown)
    code = person.end()
    rig.check("and is done", code == 0, (code, person.shown))
    rig.check("the password was not shown", "rain-17" not in person.seen + person.shown)
    passes(rig, "what it wrote passes")
    secret = rig.path("secret/city")
    rig.check("the password is its owner's alone", os.stat(secret).st_mode & 0o777 == 0o600 and
              os.stat(rig.path("secret")).st_mode & 0o777 == 0o700 and
              open(secret, encoding="utf-8").read() == "rain-17\n" and
              "password_file: \"%s\"" % secret in written(rig) and
              "tls: { ca: \"%s\" }" % rig.path("ca.pem") in written(rig))
    rig.check("both lines", "device: \"/dev/lifeline/rs485-1-1.3\"" in written(rig) and re.findall("profile: [a-z0-9-]+", written(rig)) ==
              ["profile: rs-dip-n01", "profile: sht20"], written(rig))
    os.unlink(rig.config)
    person = Terminal(rig, LC_ALL="zh_CN.UTF-8")
    rig.check("in Chinese", person.until("网关编号"))
    os.kill(person.pid, signal.SIGINT)
    person.end()
    rig.check("Ctrl-C leaves nothing behind", [n for n in os.listdir(rig.folder)
                                               if n.startswith("written.yaml")] == [])
    rig.finish()


def gateways():
    """Twelve sensors behind one TCP gateway are twelve; a server that answers to any unit is one."""
    rig = Rig("setup-gateways")
    rig.config = rig.path("written.yaml")
    many, port = free_port(), free_port()
    rig.start_sim(rig.configure(
        ["name: plc, transport: tcp, host: 127.0.0.1, port: %d" % many],
        ["name: gas-%d, line: plc, unit: %d, profile: gas10" % (unit, unit) for unit in range(1, 13)]))
    facts = ["--id", "gw-1", "--region", "140502", "--broker", "mqtt://127.0.0.1:%d" % rig.broker_port]
    done = setup(rig, *facts, "--line", "tcp://127.0.0.1:%d" % many)
    rig.check("twelve sensors behind a gateway", done.returncode == 0 and
              written(rig).count("profile: gas10") == 12, done.stdout + done.stderr)
    passes(rig, "and it passes")

    def serve(connection):
        """Any register of any unit is 1."""
        while len(request := connection.recv(300)) >= 12:
            count = request[11]
            connection.sendall(request[:4] + bytes([0, 3 + 2 * count, request[6], request[7], 2 * count])
                               + b"\0\1" * count)

    server = socket.create_server(("127.0.0.1", port))

    def accept():
        while True:
            serve(server.accept()[0])
    threading.Thread(target=accept, daemon=True).start()
    done = setup(rig, *facts, "--force", "--line", "tcp://127.0.0.1:%d" % port, "--profile", "1=sht20")
    rig.check("one that does not look at the unit", done.returncode == 0 and
              written(rig).count("profile: ") == 1 and "unit: 1," in written(rig),
              done.stdout + done.stderr + written(rig))
    deaf = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: [deaf.accept()[0].close() for _ in range(100)], daemon=True).start()
    done = setup(rig, *facts, "--force", "--line", "tcp://127.0.0.1:%d" % port, "--profile", "1=sht20",
                 "--line", "tcp://127.0.0.1:%d" % deaf.getsockname()[1])
    rig.check("a line on which nobody answers is told", done.returncode == 1 and
              "line tcp-2: " in done.stderr and written(rig).count("profile: ") == 1, done.stderr)
    done = setup(rig, *facts, "--force", "--line", "tcp://127.0.0.1:%d" % port, "--profile", "1=sht20",
                 "--profile", "tcp-1:12=gas10")
    rig.check("a profile for nobody is told", done.returncode == 1 and
              "12=gas10: nobody answers there" in done.stderr and "1=sht20" not in done.stderr, done.stderr)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"options": options, "terminal": terminal, "gateways": gateways})
