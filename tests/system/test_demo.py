#!/usr/bin/python3
"""deploy/demo as people run it: --once says yes when all is well and names what is not; Ctrl-C,
SIGTERM and a closed terminal leave no process and no file. Runs that must fail get a build folder
in which one program is a script: a simulator that leaves a device out, lies in its journal or plays
no storm, a daemon that does not start, a lifelinectl that does not show the end of alarms. What
--once finds wrong with an alarm's life is tests/system/test_demo_alarms.py."""
import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unicodedata

import yaml

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("LIFELINE_BUILD", os.path.join(SOURCE, "build")))
DEMO = os.path.join(SOURCE, "deploy", "demo")
SECTORS = {"gas", "water", "drainage", "heat", "manhole", "waterlogging", "sponge"}

# Plays the configuration without one device.
SILENT_SIM = """#!/bin/sh
test "$1" = -c || exit 2
sed '/name: main-pressure,/d' "$2" >"$2.silent"
config=$2.silent
shift 2
exec REAL -c "$config" "$@"
"""

# Writes one value of its journal one step too high.
LYING_SIM = """#!/usr/bin/python3
import json, os, subprocess, sys
args = sys.argv[1:]
at = args.index("--journal") + 1
journal, pipe = args[at], args[at] + ".pipe"
os.mkfifo(pipe)
args[at] = pipe
process = subprocess.Popen(["REAL", *args], close_fds=False)
with open(journal, "w") as out, open(pipe) as source:
    for line in source:
        entry = json.loads(line)
        if entry.get("device") == "well-017":
            entry["points"]["tilt_y"] += 1
        out.write(json.dumps(entry) + "\\n")
        out.flush()
"""

# As fast as it is: a minute of it is half an hour too short for the first drop.
CALM_SIM = """#!/usr/bin/python3
import os, sys
args = sys.argv[1:]
args[args.index("--speed") + 1] = "1"
os.execv("REAL", ["REAL", *args])
"""

# Keeps the end of alarms to itself.
SHY_CTL = """#!/bin/sh
case "$*" in watch*) REAL "$@" | sed -u 's/ cleared, for/ , for/' ;; *) exec REAL "$@" ;; esac
"""

BROKEN_DAEMON = """#!/bin/sh
echo "the store is on the moon" >&2
exit 3
"""

# Alarms that are over when the storm is.
ENDING = {"underpass-gauge.depth/flooded", "well-018.level/overflow", "pump-station/no_pump",
          "pump-station.pump1_fault/pump_fault"}

failures = []


def check(name, passed, why=""):
    if not passed:
        failures.append(name)
    print("%s demo/%s%s" % ("ok" if passed else "FAIL", name, "" if passed else ": %s" % why),
          flush=True)


class Run:
    """One run of deploy/demo, with a temporary folder of its own and a mark in the environment that
    all its processes inherit."""

    def __init__(self, work, name, program=None, script=None):
        self.temp = os.path.join(work, name)
        self.mark = "LIFELINE_DEMO_TEST=%032x" % random.getrandbits(128)
        self.build = BUILD
        os.mkdir(self.temp)
        if program:
            self.build = self.temp + "-build"
            os.mkdir(self.build)
            for real in ("lifelined", "lifeline-sim", "lifelinectl"):
                os.symlink(os.path.join(BUILD, real), os.path.join(self.build, real))
            path = os.path.join(self.build, program)
            os.unlink(path)
            with open(path, "w", encoding="ascii") as f:
                f.write(script.replace("REAL", os.path.join(BUILD, program)))
            os.chmod(path, 0o755)
        self.environment = dict(os.environ, TMPDIR=self.temp, LIFELINE_BUILD=self.build,
                                **dict([self.mark.split("=")]))

    def once(self, within):
        self.process = subprocess.Popen([DEMO, "--once", "--within", str(within)], text=True,
                                        encoding="utf-8", env=self.environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        return self

    def result(self):
        """(exit code, stdout, stderr)"""
        out, err = self.process.communicate(timeout=200)
        return self.process.returncode, out, err

    def missing(self, err):
        return {tuple(match) for match in re.findall(r"^  (\S+) (\S+): ", err, re.M)}

    def wrong_alarms(self, err):
        return dict(re.findall(r"^  (\S+/\S+): (.*)", err, re.M))

    def start_terminal(self):
        """The interactive form in a terminal of its own: its process, our end of the terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(DEMO, [DEMO], self.environment)
        return pid, terminal

    def left(self):
        """What is still there: processes and files."""
        processes = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/environ" % pid, "rb") as f:
                    if self.mark.encode() in f.read():
                        with open("/proc/%s/cmdline" % pid, "rb") as line:
                            processes.append(line.read().replace(b"\0", b" ").decode())
            except OSError:
                pass
        return processes + os.listdir(self.temp)


def points():
    """(device, point) of demo.yaml"""
    with open(os.path.join(SOURCE, "deploy", "demo.yaml"), encoding="utf-8") as f:
        devices = yaml.safe_load(f)["devices"]
    for device in devices:
        path = os.path.join(SOURCE, "config", "profiles", device["profile"] + ".yaml")
        with open(path, encoding="utf-8") as f:
            for point in yaml.safe_load(f)["points"]:
                yield device["name"], point["name"]


def columns(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def check_table(out):
    rows = [line for line in out.splitlines() if re.search(r"\d\d:\d\d:\d\d\.\d{3}$", line)]
    cells = [re.split(r" {2,}", row) for row in rows]
    well_formed = [c for c in cells if len(c) == 6 and re.fullmatch(r"-?[\d.]+(e[+-]\d+)?", c[3])]
    check("the table has sector, device, point, value, unit, time",
          rows and len(well_formed) == len(rows), out)
    found = [(c[1].split()[0], c[2]) for c in well_formed]
    check("it has every point once (%d)" % len(found), sorted(found) == sorted(points()), found)
    check("all seven sectors are in it", {c[0] for c in well_formed} == SECTORS)
    check("it is aligned, Chinese titles too", len({columns(row) for row in rows}) == 1
          and any(columns(row) > len(row) for row in rows), out)


def check_alarms(out):
    """What lifelinectl watch showed: red and back, in this order."""
    lines = re.findall(r"^gw-demo (\w+) [\d:.]{12} (\S+)\s+(\w+),", out, re.M)
    road = [(level, status) for level, key, status in lines
            if key == "underpass-gauge.depth/flooded"]
    check("the road floods to red, and dries", road and road[0][1] == "raised" and
          ("red", "escalated") in road and road[-1][1] == "cleared", road)
    ended = {key for _, key, status in lines if status == "cleared"}
    check("what ends has ended, nothing else", ended == ENDING, ended)


def check_once(work):
    """All at the same time: several demonstrations do not disturb each other."""
    good = Run(work, "good").once(150)
    calm = Run(work, "calm", "lifeline-sim", CALM_SIM).once(40)
    shy = Run(work, "shy", "lifelinectl", SHY_CTL).once(90)
    silent = Run(work, "silent", "lifeline-sim", SILENT_SIM).once(20)
    lying = Run(work, "lying", "lifeline-sim", LYING_SIM).once(20)
    broken = Run(work, "broken", "lifelined", BROKEN_DAEMON).once(20)
    ended = Run(work, "ended", "lifeline-sim", SILENT_SIM).once(60)

    begun = time.monotonic()
    while len(ended.left()) < 5 and time.monotonic() < begun + 20:
        time.sleep(0.1)  # until the parts run
    ended.process.send_signal(signal.SIGTERM)
    code, _, err = ended.result()
    check("--once ended by SIGTERM: 1, and nothing is said to be missing",
          code == 1 and not ended.missing(err), "%d\n%s" % (code, err))

    code, out, err = good.result()
    check("--once: 0", code == 0, "%d\n%s%s" % (code, out, err))
    check_table(out)
    check_alarms(out)

    code, _, err = calm.result()
    check("no storm: 1", code == 1, code)
    wrong = calm.wrong_alarms(err)
    check("and every alarm that did not come is named, no point",
          len(wrong) == 7 and set(wrong.values()) == {"has not come"} and not calm.missing(err), err)

    code, _, err = shy.result()
    wrong = shy.wrong_alarms(err)
    check("an end that is not on the screen: 1, and its alarm is named", code == 1 and wrong ==
          {key: "lifelinectl watch did not show that it was cleared" for key in ENDING}, err)

    code, _, err = silent.result()
    check("a sensor that does not answer: 1", code == 1, code)
    check("and its point is named, no other",
          silent.missing(err) == {("main-pressure", "pressure")}, err)

    code, _, err = lying.result()
    check("a value that is one step off: 1", code == 1, code)
    check("and its point is named, no other", lying.missing(err) == {("well-017", "tilt_y")}, err)
    check("with both values",
          re.search(r"well-017 tilt_y: \S+ at \S+: the simulator sent \S+", err), err)

    code, _, err = broken.result()
    check("a part that does not start: 1", code == 1, code)
    check("and what it said is shown", "lifelined has ended" in err and "on the moon" in err, err)

    for run in (good, calm, shy, silent, lying, broken, ended):
        check("nothing is left of %s" % os.path.basename(run.temp), not run.left(), run.left())


def read_until(terminal, pattern, seconds):
    """What the terminal shows until the pattern is in it; all there was when it does not come."""
    text, end = "", time.monotonic() + seconds
    while time.monotonic() < end and not re.search(pattern, text):
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                text += os.read(terminal, 4096).decode(errors="replace")
            except OSError:
                break
    return text


def wait_exit(pid, terminal, seconds):
    """Exit code; None when it hangs. Reads the terminal meanwhile, as a person's would."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if terminal is None:
            time.sleep(0.1)
        else:
            read_until(terminal, "$.", 0.1)
    os.kill(pid, signal.SIGTERM)
    return None


def check_terminal(work, name, end):
    run = Run(work, name.replace(" ", "-"))
    pid, terminal = run.start_terminal()
    text = read_until(terminal, r"(?s)(main-pressure.*){3}", 30)
    check("%s: live readings are shown" % name, re.search(r"(?s)(main-pressure.*){3}", text), text)
    check("%s: the parts run meanwhile" % name, len(run.left()) >= 5, run.left())
    terminal = end(pid, terminal)
    code = wait_exit(pid, terminal, 20)
    if terminal is not None:
        os.close(terminal)
    # After a closed terminal the last words have nowhere to go; Python says so in its exit code.
    check("%s: it ends" % name, code is not None and (code == 0 or name == "closed terminal"), code)
    check("%s: nothing is left" % name, not run.left(), run.left())


def check_story(work):
    """What a stranger sees in the first minute and a half."""
    run = Run(work, "story")
    pid, terminal = run.start_terminal()
    text = read_until(terminal, r"\$ lifelinectl alarms", 150)
    seen = text + read_until(terminal, r"\$ lifelinectl tail", 20)
    begun, rained = text.find("$ lifelinectl watch"), text.find("$ lifelinectl alarms")
    check("story: readings, then alarms, then what is up, then readings",
          0 < text.find("main-pressure") < begun < rained and
          seen.count("$ lifelinectl tail") == 2, seen[-3000:])
    steps = re.findall(r"underpass-gauge\.depth/flooded (\w+)", text[begun:rained])
    check("story: the road floods and dries", steps[:1] == ["raised"] and "escalated" in steps and
          steps[-1:] == ["cleared"], steps)
    listed = set(re.findall(r"(\S+/\S+) (?:raised|escalated|eased),", seen[rained:]))
    check("story: only the rain is still up", listed == {"rain-roof.rain/rain_%dh" % h
                                                         for h in (3, 6, 12)}, listed)
    press_ctrl_c(pid, terminal)
    check("story: it ends", wait_exit(pid, terminal, 20) == 0)
    os.close(terminal)
    check("story: nothing is left", not run.left(), run.left())


# What ends it. Each returns our end of the terminal, or None when that is closed.

def press_ctrl_c(pid, terminal):
    os.write(terminal, b"\x03")
    return terminal


def press_ctrl_c_often(pid, terminal):
    for _ in range(5):
        os.write(terminal, b"\x03")
        time.sleep(0.1)
    return terminal


def terminate(pid, terminal):
    os.kill(pid, signal.SIGTERM)
    return terminal


def close(pid, terminal):
    os.close(terminal)


def main():
    before = sorted(os.listdir(os.path.join(SOURCE, "deploy")))
    work = tempfile.mkdtemp(prefix="lifeline-test-demo-")
    try:
        story = threading.Thread(target=check_story, args=(work,))
        story.start()
        check_once(work)
        story.join()
        check_terminal(work, "ctrl-c", press_ctrl_c)
        check_terminal(work, "impatient ctrl-c", press_ctrl_c_often)
        check_terminal(work, "sigterm", terminate)
        check_terminal(work, "closed terminal", close)
        after = sorted(os.listdir(os.path.join(SOURCE, "deploy")))
        check("deploy/ is as it was", before == after, after)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
