"""Builds, starts mosquitto, lifeline-sim and lifelined on a copy of demo.yaml with ports and a
folder of its own, lets a storm pass over it, shows live readings and alarms or (--once) checks what
arrived, and ends all of it.

Started by deploy/demo. Every part runs in a session of its own, so that a Ctrl-C reaches this
program alone and the parts end in the right order. A signal only sets a flag; every wait looks at
it. Whatever happens, the parts end and the folder goes.
"""
import argparse
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import demo_alarms
import demo_check

DEPLOY = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(DEPLOY)
PROFILES = os.path.join(SOURCE, "config", "profiles")
PROGRAMS = ["lifelined", "lifeline-sim", "lifelinectl"]
PACK = os.path.join(SOURCE, "config", "alarms", "gb-default.yaml")
START_S = 20
END_S = 10

# The storm: five hours a minute. Its rain begins after 6 s, water stands on the road after 15 s,
# and the last of it is gone after 70 s.
STORM = ["--scenario", "storm", "--speed", "300"]
CALM_S = 12     # how long readings are shown before the alarms
STORM_S = 63    # and these, before readings again

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Failed(Exception):
    """The demonstration cannot go on; the text says why."""


class Interrupted(Exception):
    """Ctrl-C, SIGTERM or a closed terminal."""


class Demo:
    def __init__(self):
        self.signalled = False
        for number in SIGNALS:
            signal.signal(number, self.on_signal)
        self.parts = []    # (name, process), in the order of their start; they run until the end
        self.command = []  # likewise, the one that run() waits for
        self.folder = tempfile.mkdtemp(prefix="lifeline-demo-")

    def path(self, name):
        return os.path.join(self.folder, name)

    def on_signal(self, number, frame):
        self.signalled = True

    def launch(self, name, command, output=None, **options):
        """Starts a process whose output goes to its log, unless another place is given."""
        with open(self.path(name + ".log"), "ab") as log:
            return name, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output or log,
                                          stderr=output or log, start_new_session=True, **options)

    def spawn(self, name, command, **options):
        """Starts a part."""
        self.parts.append(self.launch(name, command, **options))

    def end_part(self, name):
        """Ends the part of that name, before the others."""
        process = next(process for part, process in self.parts if part == name)
        self.parts.remove((name, process))
        end_process(process)

    def text(self, name):
        with open(self.path(name + ".log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def log(self, name, lines):
        return "".join("  | " + line for line in self.text(name).splitlines(True)[-lines:])

    def look(self):
        """Raises when it is over: by a signal, or because a part has ended."""
        if self.signalled:
            raise Interrupted
        for name, process in self.parts:
            if process.poll() is not None:
                raise Failed("%s has ended (exit code %d)\n%s"
                             % (name, process.returncode, self.log(name, 30)))

    def wait(self, condition, seconds, pause_s=0.05):
        """True when the condition holds, False when the seconds are over."""
        end = time.monotonic() + seconds
        while not condition():
            self.look()
            if time.monotonic() > end:
                return False
            time.sleep(pause_s)
        return True

    def wait_ready(self, name, condition):
        if not self.wait(condition, START_S):
            raise Failed("%s is not ready after %d s\n%s" % (name, START_S, self.log(name, 30)))

    def run(self, name, command, output=None):
        """Runs a command to its end; without `output` shows what it said only when it fails."""
        self.command = [self.launch(name, command, output)]
        process = self.command[0][1]
        while not self.wait(lambda: process.poll() is not None, 60):
            pass
        self.command = []
        if process.returncode != 0:
            raise Failed("%s failed (exit code %d)\n%s"
                         % (name, process.returncode, self.log(name, 60)))

    def end(self):
        """Ends the parts, the last started first, and removes the folder."""
        for name, process in reversed(self.parts + self.command):
            end_process(process)
        shutil.rmtree(self.folder, ignore_errors=True)


def end_process(process):
    send(process, signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        pass
    # Also what the part itself started and left.
    send(process, signal.SIGKILL)
    process.wait()


def send(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


# ---- the build ----

def build(demo):
    """The folder with the programs. LIFELINE_BUILD names one that is used as it is."""
    given = os.environ.get("LIFELINE_BUILD")
    if given:
        return os.path.abspath(given)
    folder = os.path.join(SOURCE, "build")
    os.makedirs(folder, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)  # two demonstrations at a time build one after the other
    try:
        while not try_lock(lock):
            demo.wait(lambda: False, 0.2)
        if not all(os.path.exists(os.path.join(folder, name)) for name in PROGRAMS):
            print("building into %s (a minute or two, once)" % folder, flush=True)
        if not os.path.exists(os.path.join(folder, "CMakeCache.txt")):
            demo.run("cmake", ["cmake", "-S", SOURCE, "-B", folder, "-G", "Ninja"])
        demo.run("build", ["cmake", "--build", folder, "--target", *PROGRAMS])
    finally:
        os.close(lock)
    return folder


def try_lock(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# ---- the configuration ----

def is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports():
    """Ports that nobody has, below those that the kernel gives to outgoing connections."""
    for port in random.sample(range(20000, 32768), 2000):
        if is_free(port):
            yield port


def configure(demo):
    """demo.yaml with a folder and ports of this run. Returns its path and the broker's port."""
    with open(os.path.join(DEPLOY, "demo.yaml"), encoding="utf-8") as f:
        text = f.read()
    ports, free = {}, free_ports()

    def replace(match):
        if match[2] not in ports:
            ports[match[2]] = next(free)
        return match[1] + str(ports[match[2]])

    text = text.replace("/tmp/lifeline-demo", demo.folder)
    text = re.sub(r"(port: |127\.0\.0\.1:)(\d+)", replace, text)
    with open(demo.path("gateway.yaml"), "w", encoding="utf-8") as f:
        f.write(text)
    return demo.path("gateway.yaml"), int(re.search(r"mqtt://127\.0\.0\.1:(\d+)", text)[1])


# ---- the parts ----

def start_broker(demo, port):
    with open(demo.path("mosquitto.conf"), "w", encoding="ascii") as f:
        f.write("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\n" % port)
    # sbin is not on everybody's PATH
    demo.spawn("mosquitto", [shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c",
                             demo.path("mosquitto.conf")])

    def listens():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0

    demo.wait_ready("mosquitto", listens)


def start_sim(demo, program, config, journal):
    """journal: where it writes down what it answered; None: nowhere."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    command = [program, "-c", config, "--profiles", PROFILES, "--ready-fd", str(write_end), *STORM]
    try:
        demo.spawn("lifeline-sim", command + (["--journal", journal] if journal else []),
                   pass_fds=[write_end])
    finally:
        os.close(write_end)

    def said_ready():
        try:
            return b"ready" in os.read(read_end, 64)
        except BlockingIOError:
            return False

    demo.wait_ready("lifeline-sim", said_ready)
    os.close(read_end)


def start_daemon(demo, program, config):
    demo.spawn("lifelined", [program, "-c", config, "--profiles", PROFILES])

    def answers():
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(demo.path("api.sock")) == 0

    demo.wait_ready("lifelined", answers)


# ---- the two forms ----

class Ctl:
    """lifelinectl of this run."""

    def __init__(self, demo, programs, port):
        self.demo = demo
        self.program = os.path.join(programs, "lifelinectl")
        self.local = ["--socket", demo.path("api.sock")]
        self.broker = ["--broker", "mqtt://127.0.0.1:%d" % port]

    def line(self, *words):
        """As a person types it."""
        return " ".join([self.program, *words])

    def show(self, *words, seconds=None):
        """It runs on the terminal, for so long or to its end."""
        print("\n$ lifelinectl %s" % " ".join(words), flush=True)
        name = "lifelinectl " + words[0]
        if seconds is None:
            self.demo.run(name, [self.program, *words], output=sys.stdout)
            return
        self.demo.spawn(name, [self.program, *words], output=sys.stdout)
        self.demo.wait(lambda: False, seconds)
        self.demo.end_part(name)

    def say(self, name, *words):
        """It runs to its end; what it said."""
        if os.path.exists(self.demo.path(name + ".log")):
            os.unlink(self.demo.path(name + ".log"))
        self.demo.run(name, [self.program, *words])
        return self.demo.text(name)


def show(demo, programs, config, port):
    """Readings, the storm's alarms as they come, what is still up; and readings again, until
    somebody ends it."""
    start_sim(demo, os.path.join(programs, "lifeline-sim"), config, None)
    start_daemon(demo, os.path.join(programs, "lifelined"), config)
    ctl = Ctl(demo, programs, port)
    print("A gateway with simulated sensors, and a storm of hours that passes in a minute: live\n"
          "readings first, then the alarms that it makes, as anybody on the broker sees them,\n"
          "then what is still up. Ctrl-C ends it and leaves nothing behind. Meanwhile, in another\n"
          "terminal:\n"
          "  %s\n  %s\n  mosquitto_sub -h 127.0.0.1 -p %d -t 'lifeline/#' -F '%%t %%l bytes'"
          % (ctl.line("status", *ctl.local), ctl.line("alarms", "-f", *ctl.local), port),
          flush=True)
    ctl.show("tail", *ctl.local, seconds=CALM_S)
    ctl.show("watch", *ctl.broker, seconds=STORM_S)
    ctl.show("alarms", *ctl.local)
    while True:
        ctl.show("tail", *ctl.local, seconds=86400)


class Storm:
    """How the alarms stand: all events, what is wrong with them, and what people are shown."""

    def __init__(self, demo, ctl, expected):
        self.ctl, self.demo, self.expected = ctl, demo, expected
        self.pack = demo_check.read_yaml(PACK)
        self.wrong = {}
        demo.spawn("watch", [ctl.program, "watch", *ctl.broker],
                   env=dict(os.environ, LC_ALL="C.UTF-8"))

    def compare(self, subscriber, journal):
        """Compares all there is until now; true when nothing is wrong."""
        found = demo_alarms.events(subscriber)
        answers = demo_check.journal_answers(journal)
        self.wrong = demo_alarms.objections(found, self.expected, answers, self.pack)
        if not self.wrong:
            self.wrong = demo_alarms.screen_objections(found, self.demo.text("watch"))
        if not self.wrong:
            listed = json.loads(self.ctl.say("alarms", "--format", "json", "alarms",
                                             *self.ctl.local))
            self.wrong = demo_alarms.up_objections(found, listed["alarms"])
        return not self.wrong


def check(demo, programs, config, port, seconds):
    """0 when a subscriber has decoded all that the simulator says and every alarm that the storm
    makes, otherwise 1."""
    journal = demo.path("sim.jsonl")
    expected = demo_check.expected_points(config, PROFILES)
    wire = demo_check.load_wire(os.path.join(SOURCE, "proto"), demo.path("python"))
    subscriber = demo_check.Subscriber(port, wire)
    try:
        storm = Storm(demo, Ctl(demo, programs, port), expected)
        start_sim(demo, os.path.join(programs, "lifeline-sim"), config, journal)
        start_daemon(demo, os.path.join(programs, "lifelined"), config)
        print("waiting for a good reading of each of %d points, and the alarms of a storm"
              % len(expected), flush=True)
        result = demo_check.Result(expected)
        end = time.monotonic() + seconds
        demo.wait(lambda: result.compare(subscriber, journal), seconds, 0.5)
        demo.wait(lambda: storm.compare(subscriber, journal), end - time.monotonic(), 1)
    finally:
        subscriber.stop()
    if result.rows:
        print(demo_check.table(result.rows))
    if storm.wrong or result.missing:
        return complain(demo, result, storm, seconds)
    print("\nall %d points of %d devices arrived as the simulator sent them"
          % (len(expected), len({device for device, _ in expected})))
    print("\n$ lifelinectl watch\n" + demo.text("watch"))
    print("all %d alarms of the storm came, each with all its steps" % len(demo_alarms.STORY))
    return 0


def complain(demo, result, storm, seconds):
    if result.missing:
        print("\ndemo: %d of %d points are missing after %d s:"
              % (len(result.missing), len(result.expected), seconds), file=sys.stderr)
    for (device, point), why in sorted(result.missing.items()):
        print("  %s %s: %s" % (device, point, why), file=sys.stderr)
    if storm.wrong:
        print("\ndemo: alarms are not as the storm makes them after %d s:" % seconds,
              file=sys.stderr)
    for key, why in sorted(storm.wrong.items()):
        print("  %s: %s" % (key, why), file=sys.stderr)
    print("what lifelined said last:\n" + demo.log("lifelined", 20), file=sys.stderr)
    return 1


def main():
    parser = argparse.ArgumentParser(
        prog="deploy/demo", description="A gateway with simulated sensors on this machine, and a "
        "storm: live readings and alarms until Ctrl-C. LIFELINE_BUILD names a build folder that is "
        "used as it is; otherwise build/ is brought up to date.")
    parser.add_argument("--once", action="store_true", help="no terminal: check that a good "
                        "reading of every point arrives with the simulator's value, and the "
                        "storm's alarms step by step; 0 yes, 1 no")
    parser.add_argument("--within", type=int, default=150, metavar="SECONDS",
                        help="how long --once waits for them (150); the storm takes 70")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")
    sys.stderr.reconfigure(errors="replace")
    demo = Demo()
    try:
        programs = build(demo)
        config, port = configure(demo)
        start_broker(demo, port)
        if options.once:
            return check(demo, programs, config, port, options.within)
        show(demo, programs, config, port)
    except Interrupted:
        return 1 if options.once else 0
    except (Failed, OSError) as failure:
        print("demo: %s" % failure, file=sys.stderr)
        return 1
    finally:
        demo.end()
        for number in SIGNALS:          # Python gives the default back on its way out
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
