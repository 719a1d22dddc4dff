#!/usr/bin/python3
"""lifelinectl doctor on sick gateways: real files, ports, disks, brokers and certificates, a real daemon
on lines that misbehave. What it says of each, in both languages, is in doctor/CASE.golden;
LIFELINE_GOLDEN=write writes them anew: look at the difference before it is committed.

The clock is this machine's and nobody's case: findings of it are left out here and tried in
tests/unit/test_doctor.c.
"""
# Beside others: it measures no time
import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import unicodedata

from rig import BUILD, SOURCE, Rig, free_port, run_scenarios, with_port_link
from test_uplink import make_certificate, run_openssl

GOLDEN = os.path.join(SOURCE, "tests", "system", "doctor")
LANGUAGES = {"zh": "zh_CN.UTF-8", "en": "C.UTF-8"}
NOT_OURS = ("clock_", "disk_small")     # this machine's own
# What differs from run to run: how long, which day, who, how many.
VAGUE = [(r"(process|进程) \d+", r"\1 PID"), (r"\d{4}-\d\d-\d\d", "DATE"), (r"\b\d+ %", "N %"),
         (r"\d+(\.\d)? (s|min|秒|分钟)", "AGE"), (r"\d+(\.\d)? (B|KiB|MiB)", "SIZE"),
         (r"\d+ (台设备跟不上|devices are polled late)", r"N \1"),
         (r"(does not resolve|解析不了)(: |：).*", r"\1\2WHY")]


def columns(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in line)


class Doctor:
    """A gateway that does not run, unless somebody starts it; sick in what its case says."""

    def __init__(self, name):
        self.rig = Rig(name)
        self.profiles = os.path.join(SOURCE, "config", "profiles")
        self.program = os.path.join(BUILD, "lifelinectl")
        self.hidden = {self.rig.folder: "FOLDER", str(self.rig.broker_port): "PORT"}

    def port(self):
        port = free_port()
        self.hidden[str(port)] = "PORT"
        return port

    def ask(self, config, language, form, *, before=()):
        run = subprocess.run([*before, self.program, "doctor", "-c", config, "--profiles",
                              self.profiles, "--format", form], capture_output=True, text=True,
                             timeout=60, check=False,
                             env=dict(os.environ, LC_ALL=LANGUAGES[language], LIFELINE_SOCKET=""))
        return run.returncode, run.stdout, run.stderr

    def vague(self, text):
        for own, name in self.hidden.items():
            text = text.replace(own, name)
        for pattern, name in VAGUE:
            text = re.sub(pattern, name, text)
        return text

    def said(self, case, language, config, **how):
        code, out, error = self.ask(config, language, "json", **how)
        self.rig.check("%s: a finding, no complaint (%s)" % (case, language),
                       code in (0, 1) and not error, (code, error))
        result = json.loads(out)
        findings = result["findings"]
        self.rig.check("%s: the exit status says whether (%s)" % (case, language),
                       code == bool(findings), code)
        shown = self.check_text(case, language, config, **how)
        self.rig.check("%s: people are told the same (%s)" % (case, language),
                       shown == [f["id"] for f in findings], shown)
        return "".join("%s %s: %s\n    %s\n" % (f["severity"], f["id"], self.vague(f["what"]),
                                                self.vague(f["advice"]))
                       for f in findings if not f["id"].startswith(NOT_OURS))

    def check_text(self, case, language, config, **how):
        _, out, _ = self.ask(config, language, "text", **how)
        wide = [line for line in out.splitlines() if columns(line) > 80]
        self.rig.check("%s: 80 columns (%s)" % (case, language), out and not wide, wide)
        return [found for found in re.findall(r"^(?:故障|警告|fault|warning) (\w+)(?:：|: )(?!-$)", out,
                                              re.MULTILINE)]

    def examine(self, case, config, **how):
        path = os.path.join(GOLDEN, case + ".golden")
        said = "".join(self.said(case, language, config, **how) for language in LANGUAGES)
        if os.environ.get("LIFELINE_GOLDEN") == "write":
            with open(path, "w", encoding="utf-8") as f:
                f.write(said)
        with open(path, encoding="utf-8") as f:
            wanted = f.read()
        self.rig.check("%s: what it says" % case, said == wanted,
                       "\n%s--- instead of\n%s" % (said, wanted))

    def finds(self, config, finding, seconds=20):
        """Waits until the daemon has counted enough for this one."""
        def found():
            result = json.loads(self.ask(config, "en", "json")[1])
            return any(f["id"] == finding for f in result["findings"])
        return self.rig.wait(found, seconds, "it finds %s" % finding)

    def configure(self, *, line=None, **options):
        line = line or "name: plc, transport: tcp, host: 127.0.0.1, port: %d" % self.port()
        return self.rig.configure([line], ["name: well, line: %s, unit: 1, profile: rs-dip-n01"
                                           % re.search(r"name: ([\w-]+)", line)[1]], **options)


# ---- files ----

def files():
    doctor = Doctor("doctor-files")
    rig = doctor.rig
    rig.start_broker()
    config = doctor.configure()
    doctor.examine("daemon-down", config)
    with open(config, encoding="utf-8") as f:
        whole = f.read()
    doctor.examine("config-wrong", rig.write("wrong.yaml", whole.replace("line: plc", "line: plx")))
    secret = rig.write("secret", "password\n")
    locked = doctor.configure(uplink="username: gw, password_file: " + secret)
    os.chmod(secret, 0o644)
    doctor.examine("secret-open", locked)
    os.unlink(secret)
    doctor.examine("secret-missing", locked)
    open(rig.path("store.db.corrupt-1764000000"), "w", encoding="ascii").close()
    doctor.examine("store-damaged", doctor.configure())
    os.unlink(rig.path("store.db.corrupt-1764000000"))
    with contextlib.closing(sqlite3.connect(rig.path("store.db"))) as db:
        db.execute("PRAGMA user_version=131074")
    doctor.examine("store-later", doctor.configure())
    os.unlink(rig.path("store.db"))
    with open(rig.path("store.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        doctor.examine("store-held", doctor.configure())
    rig.finish()


def disks():
    doctor = Doctor("doctor-disks")
    rig = doctor.rig
    rig.start_broker()
    config = doctor.configure()
    with open(config, encoding="utf-8") as f:
        moved = f.read().replace(rig.path("store.db"), rig.path("data/store.db"))
    config = rig.write("moved.yaml", moved)
    doctor.examine("store-folder-missing", config)
    os.mkdir(rig.path("data"))
    mount = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m%s none %s && exec \"$@\"", "sh"]
    for case, option in (("disk-full", ""), ("disk-read-only", ",ro")):
        doctor.examine(case, config, before=[*mount[:4], mount[4] % (option, rig.path("data")), "sh"])
    rig.finish()


def ports():
    doctor = Doctor("doctor-ports")
    rig = doctor.rig
    rig.start_broker()
    serial = "name: rs485-1, transport: rtu, device: %s, serial: 9600 8N1"
    doctor.examine("port-missing", doctor.configure(line=serial % rig.path("ttyUSB0")))
    master, slave = pty.openpty()
    os.symlink(os.ttyname(slave), rig.path("tty"))
    doctor.hidden[rig.path("tty")] = "FOLDER/tty"
    doctor.hidden['KERNEL=="%s"' % os.path.basename(os.ttyname(slave))] = 'KERNEL=="PORT"'
    held = doctor.configure(line=serial % rig.path("tty"))
    doctor.examine("port-held", held)
    tty = os.ttyname(slave)
    os.close(slave)
    nobody = as_nobody(doctor, held)
    doctor.examine("denied", held, before=nobody)
    rig.write("store.db", "root's")
    os.chmod(held, 0o640)
    doctor.examine("config-denied", held, before=nobody)
    os.chmod(held, 0o644)
    doctor.examine("store-denied", held, before=nobody)
    os.rename(rig.path("store.db"), rig.path("store.lock"))
    doctor.examine("store-lock-denied", held, before=nobody)
    os.unlink(rig.path("store.lock"))
    secret = rig.write("secret", "word\n")
    os.chmod(secret, 0o600)
    locked = doctor.configure(line=serial % rig.path("tty"), uplink="username: gw, password_file: " + secret)
    os.chmod(locked, 0o644)
    doctor.examine("secret-denied", locked, before=nobody)
    doctor.examine("port-no-port", doctor.configure(line=serial % rig.path("secret")))
    doctor.hidden[tty] = "/dev/pts/N"
    doctor.examine("port-moves", doctor.configure(line=serial % tty), before=with_port_link(rig, tty))
    os.close(master)
    rig.finish()


def as_nobody(doctor, config):
    """Of all that the gateway needs nothing belongs to nobody, and the port to root."""
    rig = doctor.rig
    os.chmod(rig.folder, 0o711)
    os.chmod(config, 0o644)
    os.chmod(rig.path("tty"), 0o600)
    doctor.profiles = shutil.copytree(doctor.profiles, rig.path("profiles"))
    doctor.program = shutil.copy(doctor.program, rig.folder)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


# ---- brokers ----

CA_CONF = """[ca]
default_ca = own
[own]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def dated_certificate(rig, name, begin_s, end_s):
    """Valid from so many seconds on until so many, both from now."""
    rig.write("ca.conf", CA_CONF)
    rig.write("index", "")
    rig.write("serial", "%s\n" % ("77" if begin_s > 0 else "78"))
    run_openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                rig.path(name + ".key"), "-out", rig.path(name + ".csr"), "-subj", "/CN=broker",
                "-addext", "subjectAltName=IP:127.0.0.1")
    stamps = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + s)) for s in (begin_s, end_s)]
    subprocess.run(["openssl", "ca", "-batch", "-config", "ca.conf", "-cert", "ca.crt", "-keyfile",
                    "ca.key", "-in", name + ".csr", "-out", name + ".crt", "-startdate", stamps[0],
                    "-enddate", stamps[1], "-notext"], check=True, capture_output=True, cwd=rig.folder)


def make_certificates(rig):
    for ca in ("ca", "other-ca"):
        run_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", rig.path(ca + ".key"), "-out", rig.path(ca + ".crt"), "-subj",
                    "/CN=" + ca, "-days", "100")
    make_certificate(rig, "good", "ca", "IP:127.0.0.1", 60)
    make_certificate(rig, "soon", "ca", "IP:127.0.0.1", 3)
    make_certificate(rig, "issuer", "other-ca", "IP:127.0.0.1", 60)
    make_certificate(rig, "name", "ca", "DNS:broker.example", 60)
    dated_certificate(rig, "expired", -20 * 86400, -5 * 86400)
    dated_certificate(rig, "not-yet", 5 * 86400, 50 * 86400)


def certificates():
    doctor = Doctor("doctor-certificates")
    rig = doctor.rig
    make_certificates(rig)
    ports = {name: doctor.port() for name in ("good", "soon", "issuer", "name", "expired", "not-yet")}
    rig.start_broker("".join("listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n"
                             % (port, rig.path(name + ".crt"), rig.path(name + ".key"))
                             for name, port in ports.items()))
    tls = "name: city, urls: [ \"mqtts://127.0.0.1:%d\" ], tls: { ca: %s }"
    for name, port in ports.items():
        doctor.examine("tls-" + name, doctor.configure(uplinks=[tls % (port, rig.path("ca.crt"))]))
    doctor.examine("tls-none", doctor.configure(uplinks=[tls % (rig.broker_port, rig.path("ca.crt"))]))
    empty = rig.write("empty.crt", "no certificate\n")
    doctor.examine("tls-file", doctor.configure(uplinks=[tls % (ports["good"], empty)]))
    own = tls[:-2] + ", cert: %s, key: %s }"
    run_openssl("ec", "-aes128", "-passout", "pass:rain", "-in", rig.path("good.key"), "-out",
                rig.path("locked.key"))
    os.chmod(rig.path("locked.key"), 0o600)
    for case, certificate, key in (("other-key", "good", "soon"), ("locked-key", "good", "locked"),
                                   ("own-ends", "soon", "soon"), ("own-ended", "expired", "expired")):
        os.chmod(rig.path(key + ".key"), 0o600)
        doctor.examine("tls-" + case, doctor.configure(uplinks=[own % (
            ports["good"], rig.path("ca.crt"), rig.path(certificate + ".crt"), rig.path(key + ".key"))]))
    rig.finish()


def odd():
    """Brokers that take a connection and then behave as none does."""
    doctor = Doctor("doctor-odd")
    rig = doctor.rig
    make_certificates(rig)
    tls = "name: city, urls: [ \"mqtts://127.0.0.1:%d\" ], tls: { ca: " + rig.path("ca.crt") + " }"

    def serve(behave):
        server = socket.create_server(("127.0.0.1", 0))
        doctor.hidden[str(server.getsockname()[1])] = "PORT"

        def accept():
            while True:
                threading.Thread(target=behave, args=[server.accept()[0]], daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        return server.getsockname()[1]

    def hang_up(connection):
        connection.close()

    def drip(connection):
        """Ever the next byte of a record that is never whole."""
        with contextlib.suppress(OSError):
            for byte in b"\x16\x03\x03\x3f\xff" + bytes(100):
                connection.sendall(bytes([byte]))
                time.sleep(1)

    config = doctor.configure(uplinks=[tls % serve(hang_up)])
    for _ in range(10):         # it was most times that a signal ended it, without a word
        code, out, _ = doctor.ask(config, "en", "json")
        rig.check("a broker that hangs up at once", code == 1 and
                  "tls_none" in [f["id"] for f in json.loads(out)["findings"]], (code, out))
    code, out, _ = doctor.ask(doctor.configure(uplinks=[tls % serve(drip)]), "en", "json")
    rig.check("one that never comes to an end", code == 1 and
              "tls_none" in [f["id"] for f in json.loads(out)["findings"]], (code, out))
    rig.finish()


def brokers():
    doctor = Doctor("doctor-brokers")
    rig = doctor.rig
    url = "name: city, urls: [ \"mqtt://%s:%d\" ]"
    doctor.examine("dns", doctor.configure(uplinks=[url % ("no-broker.invalid", doctor.port())]))
    doctor.examine("broker-refuses", doctor.configure(uplinks=[url % ("127.0.0.1", doctor.port())]))
    with socket.socket() as full:       # who comes now is not even told to go away
        full.bind(("127.0.0.1", doctor.port()))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for s in waiting:
            s.setblocking(False)
            s.connect_ex(full.getsockname())
        doctor.examine("broker-unreachable",
                       doctor.configure(uplinks=[url % full.getsockname()]))
        for s in waiting:
            s.close()
    rig.finish()


# ---- with the daemon ----

def lines():
    """Seven lines, each with a sickness of its own but the first."""
    doctor = Doctor("doctor-lines")
    rig = doctor.rig
    rig.start_broker()
    tcp = "name: %s, transport: tcp, host: 127.0.0.1, port: %d, timeout: 100ms, retries: 0"
    rtu = "name: %s, transport: rtu, device: %s, serial: 19200 8N1, timeout: 100ms, retries: 0"
    ways = [tcp % ("well", doctor.port()), rtu % ("silent", rig.path("tty1")),
            rtu % ("garbled", rig.path("tty2")), tcp % ("mixed", doctor.port()),
            tcp % ("gone", doctor.port())]
    unit = "name: %s-%d, line: %s, unit: %d, profile: rs-dip-n01, every: 200ms"
    devices = [unit % (name, i, name, i) for name in ("well", "silent", "garbled", "gone")
               for i in (1, 2)]
    devices += [unit % ("mixed", i, "mixed", i) for i in (1, 2, 3, 4)]
    config = rig.configure(ways, devices)
    faults = [("line: silent", "mute"), ("device: garbled-1", "garbled"),
              ("device: garbled-2", "garbled"), ("device: mixed-2", "mute"),
              ("device: mixed-3", "garbled"), ("device: mixed-4", "exception"),
              ("line: gone", "drop-link")]
    rig.start_sim(config, "--script", rig.write("faults.yaml", "".join(
        "- { at: 0s, %s, fault: %s }\n" % fault for fault in faults)))
    rig.start_daemon(config)
    for finding in ("line_silent", "line_unreadable", "unit_silent", "unit_garbled", "line_no_link"):
        doctor.finds(config, finding)
    doctor.examine("lines", config)
    rig.finish()


def beyond():
    """More than its disk can take, and than its line: who does not answer is waited for."""
    doctor = Doctor("doctor-beyond")
    rig = doctor.rig
    rig.start_broker()
    config = rig.configure(["name: rs485-1, transport: rtu, device: %s, serial: 4800 8N1, timeout: 400ms"
                            % rig.path("tty1")],
                           ["name: well-%d, line: rs485-1, unit: %d, profile: rs-dip-n01, every: 500ms"
                            % (i, i) for i in range(1, 5)])
    with open(config, encoding="utf-8") as f:
        config = rig.write("beyond.yaml", f.read().replace(rig.path("store.db"),
                                                           rig.path("data/store.db")))
    rig.start_sim(config, "--script", rig.write("faults.yaml", "".join(
        "- { at: 0s, device: well-%d, fault: mute }\n" % i for i in (3, 4))))
    rig.start_daemon(config)
    doctor.finds(config, "line_overloaded", 60)
    doctor.examine("beyond", config)
    rig.finish()


def healthy():
    doctor = Doctor("doctor-healthy")
    rig = doctor.rig
    rig.start_broker()
    config = doctor.configure()
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait_connected()
    doctor.examine("healthy", config)
    rig.finish()


def spares():
    """All is well as long as the certificate and the first broker last."""
    doctor = Doctor("doctor-spares")
    rig = doctor.rig
    make_certificates(rig)
    port, gone = doctor.port(), doctor.port()
    rig.start_broker("listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n"
                     % (port, rig.path("soon.crt"), rig.path("soon.key")))
    config = doctor.configure(uplinks=[
        "name: city, urls: [ \"mqtts://127.0.0.1:%d\", \"mqtt://127.0.0.1:%d\" ], tls: { ca: %s }"
        % (port, gone, rig.path("ca.crt"))])
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait_connected()
    doctor.examine("spares", config)
    rig.finish()


def stopped():
    """There, and does not answer: no other holds its store."""
    doctor = Doctor("doctor-stopped")
    rig = doctor.rig
    rig.start_broker()
    config = doctor.configure()
    daemon = rig.start_daemon(config)
    rig.wait_connected()
    daemon.send_signal(signal.SIGSTOP)
    _, out, _ = doctor.ask(config, "en", "json")
    daemon.send_signal(signal.SIGCONT)
    rig.check("a daemon that hangs", [f["id"] for f in json.loads(out)["findings"]
                                      if not f["id"].startswith(NOT_OURS)] == ["daemon_hangs"], out)
    rig.finish()


def credentials():
    doctor = Doctor("doctor-credentials")
    rig = doctor.rig
    rig.write("passwords", "")
    rig.start_broker("password_file " + rig.path("passwords"), anonymous=False)
    secret = rig.write("secret", "wrong\n")
    config = doctor.configure(uplink="username: gw, password_file: " + secret)
    rig.start_sim(config)
    rig.start_daemon(config)
    doctor.finds(config, "mqtt_credentials")
    doctor.examine("credentials", config)
    rig.finish()


def taken_over():
    """Two gateways of one id, as a copied card makes them."""
    doctor = Doctor("doctor-taken")
    rig = doctor.rig
    rig.start_broker()
    config = doctor.configure()
    with open(config, encoding="utf-8") as f:
        twin = f.read().replace("store.db", "twin.db").replace("api.sock", "twin.sock")
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait_connected()
    rig.start_daemon(rig.write("twin.yaml", twin), "twin")
    doctor.finds(config, "mqtt_hangs_up")    # this mosquitto has no word for it
    doctor.examine("taken-over", config)
    rig.end("twin")
    rig.wait_connected()                # the trace of it stays for a while
    doctor.examine("taken-over", config)
    rig.finish()


def refused():
    """May connect, and publish nothing."""
    doctor = Doctor("doctor-refused")
    rig = doctor.rig
    # with no queue at all it would hang up
    rig.start_broker("max_queued_messages 100000\nacl_file " + rig.write("acl", "topic read #\n"))
    config = doctor.configure(store="sync: 1s, segment: 1s")
    rig.start_sim(config)
    rig.start_daemon(config)
    doctor.finds(config, "mqtt_acl")
    doctor.examine("refused", config)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({f.__name__: f for f in (files, disks, ports, certificates, brokers, odd, lines, beyond, healthy,
                                           spares, stopped, credentials, taken_over, refused)})
