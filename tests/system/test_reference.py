#!/usr/bin/python3
"""What people read of the programs is what the programs are: the manual pages and bash's completion
hold every option, command and key, and nothing else; what a program does not know it refuses; and
whatever is printed fits 80 columns in both languages."""
# Beside others: it measures no time
import glob
import json
import os
import re
import subprocess
import unicodedata

from rig import BUILD, SOURCE, Rig, free_port, run_scenarios

MAN = os.path.join(BUILD, "man")
PROFILES = os.path.join(SOURCE, "config", "profiles")
LANGUAGES = {"zh": "zh_CN.UTF-8", "en": "C.UTF-8"}
COMMON = {"--format", "--json", "--socket", "--help", "--version"}


def run(program, *words, language="en", seconds=None):
    within = ["timeout", "-s", "INT", str(seconds)] if seconds else []
    done = subprocess.run([*within, os.path.join(BUILD, program), *words], capture_output=True,
                          text=True, env=dict(os.environ, LC_ALL=LANGUAGES[language]),
                          stdin=subprocess.DEVNULL, timeout=30)
    return done.returncode, done.stdout, done.stderr


def options_in(text):
    """The long options that a help lists: each begins a line."""
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text, re.M))


def commands():
    block = run("lifelinectl", "--help")[1].split("\n\n")[1]
    return re.findall(r"^  ([a-z]+)", block, re.M)


def page(name):
    with open(os.path.join(MAN, name), encoding="utf-8") as f:
        return f.read()


def parts(text, macro):
    """{title: text} of a page's sections or subsections."""
    pieces = re.split(r"^\.%s (.*)\n" % macro, text, flags=re.M)
    return dict(zip(pieces[1::2], pieces[2::2]))


def items(text):
    return re.findall(r'^\.It Ic "(.*)"$', text, re.M)


def flags(text):
    return set(re.findall(r"^\.It (?:Fl \w , )?Fl (-[a-z-]+)", text, re.M))


def dashed(flag_set):
    return {"-" + flag for flag in flag_set}


def explained():
    return json.loads(run("lifelinectl", "config", "--explain", "--json")[1])["keys"]


# ---- pages ----

def check_lint(rig):
    pages = [p for p in sorted(glob.glob(MAN + "/*")) if not p.endswith(".bash")]
    rig.check("there are five pages", len(pages) == 5, pages)
    for path in pages:
        name = os.path.basename(path)
        said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True,
                              text=True)
        rig.check("%s: mandoc has nothing to say" % name,
                  said.returncode == 0 and not said.stdout + said.stderr, said.stdout[:500])
        rig.check("%s: no mark is left" % name, not re.search(r"^@", page(name), re.M))
        shown = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=78", path],
                               capture_output=True, text=True).stdout
        plain = re.sub(r".\x08", "", shown)
        everything = set().union(*(options_in(run(p, "--help")[1])
                                   for p in ("lifelined", "lifelinectl", "lifeline-sim")))
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", plain))
        rig.check("%s: names no option that there is not" % name, named <= everything,
                  named - everything)


def check_options(rig):
    for program, name in (("lifelined", "lifelined.8"), ("lifeline-sim", "lifeline-sim.1")):
        own, shown = options_in(run(program, "--help")[1]), dashed(flags(page(name)))
        rig.check("%s: the options of the program" % name, own == shown and len(own) > 4,
                  own ^ shown)
    text = page("lifelinectl.1")
    sections = parts(text, "Sh")
    rig.check("lifelinectl.1: the options of every command",
              dashed(flags(sections["DESCRIPTION"])) == COMMON, flags(sections["DESCRIPTION"]))
    shown = {title.split()[0]: body for title, body in parts(sections["COMMANDS"], "Ss").items()}
    rig.check("lifelinectl.1: the commands", list(shown) == commands() and len(shown) > 9,
              list(shown))
    for command in commands():
        own = options_in(run("lifelinectl", command, "--help")[1])
        there = dashed(flags(shown.get(command, ""))) | COMMON
        rig.check("lifelinectl.1: the options of %s" % command, own == there, own ^ there)


def check_keys(rig):
    first = [key["key"] for key in explained()]
    diagnoses = [key[len("diagnoses."):] for key in first if key.startswith("diagnoses.")]
    first = [key for key in first if not key.startswith("diagnoses.")]
    yaml, profile = parts(page("lifeline.yaml.5"), "Sh"), parts(page("lifeline-profile.5"), "Sh")
    pages = {"": items(yaml["KEYS"]), "profile": items(profile["KEYS"]),
             "pack": items(yaml["PACKS OF ALARM RULES"])}
    rig.check("the diagnoses in their order", diagnoses == items(yaml["DIAGNOSES"]) and
              "burst.within" in diagnoses, set(diagnoses) ^ set(items(yaml["DIAGNOSES"])))
    for prefix, shown in pages.items():
        own = [key for key in first if (key.split(".")[0] if key.split(".")[0] in pages else "")
               == prefix]
        own = [key[len(prefix) + 1:] if prefix else key for key in own]
        rig.check("the keys of %s in their order" % (prefix or "gateway.yaml"),
                  own == shown and len(own) > 8, set(own) ^ set(shown))
    for key in explained():
        text = page("lifeline-profile.5" if key["key"].startswith("profile.") else
                    "lifeline.yaml.5").replace("\n", " ").replace("\\(dq", '"')
        if key["facts"]["en"] not in text or key["help"]["en"] not in text:
            rig.check("%s is told with its facts" % key["key"], False, key)


def check_classes(rig):
    shown = parts(parts(page("lifeline-profile.5"), "Sh")["QUANTITIES"], "Ss")
    for path in sorted(glob.glob(os.path.join(SOURCE, "drivers", "class_*.c"))):
        sector = os.path.basename(path)[6:-2]
        with open(path, encoding="utf-8") as f:
            own = re.findall(r'^    \{"(\w+)", "[^"]*", "[^"]*", "([^"]*)"', f.read(), re.M)
        there = re.findall(r"^\.It (\w+) Ta (\S+) Ta", shown[sector], re.M)
        rig.check("the quantities of %s" % sector, own == there and own, (own, there))


def pages():
    rig = Rig("reference-pages")
    check_lint(rig)
    check_options(rig)
    check_keys(rig)
    check_classes(rig)
    rig.finish()


# ---- options ----

def refused():
    """Every command with every option that is none of its own."""
    rig = Rig("reference-refused")
    everything = options_in(run("lifelinectl", "--help")[1])
    wrong = []
    for command in commands():
        own = options_in(run("lifelinectl", command, "--help")[1])
        for option in sorted(everything - own) + ["--nonesuch"]:
            code, out, why = run("lifelinectl", command, option, "1")
            if code != 2 or out or option[2:] not in why:
                wrong.append((command, option, code, out + why))
    rig.check("lifelinectl refuses an option that the command does not take", not wrong, wrong[:3])
    for program in ("lifelined", "lifeline-sim"):
        code, out, why = run(program, "--nonesuch")
        rig.check("%s refuses an option that there is not" % program,
                  code == 2 and not out and "nonesuch" in why, (code, why))
    code, _, why = run("lifelinectl", "check", "--explain")
    rig.check("check --explain wants a point", code == 2 and "--explain" in why, (code, why))
    code, _, why = run("lifelinectl", "config")
    rig.check("config alone is wrong usage", code == 2 and "--explain" in why, (code, why))
    code, out, why = run("lifelinectl", "--json", "config", "--explain", "store.sync")
    rig.check("an option may stand before the command",
              code == 0 and json.loads(out)["keys"][0]["default"] == "1s", (code, out, why))
    code, _, why = run("lifelinectl", "names", "sensors")
    rig.check("names of what there is not", code == 2 and "sensors" in why, (code, why))
    rig.finish()


# ---- completion ----

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_lifelinectl 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words):
    """What bash offers for the last of the words."""
    env = dict(os.environ, PATH=BUILD + ":" + os.environ["PATH"], LC_ALL="C.UTF-8")
    done = subprocess.run(["bash", "--norc", "-c", COMPLETE, "bash", MAN + "/lifelinectl.bash",
                           "lifelinectl", *words], capture_output=True, text=True, env=env,
                          timeout=30)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def completion_of_tables(rig):
    rig.check("commands", complete("") == commands(), complete(""))
    rig.check("the beginning of one", complete("al") == ["alarms"], complete("al"))
    for command in commands():
        own = options_in(run("lifelinectl", command, "--help")[1])
        offered = {word for word in complete(command, "-") if word.startswith("--")}
        rig.check("the options of %s" % command, own == offered, own ^ offered)
    rig.check("options before a command", set(complete("--")) == COMMON, complete("--"))
    rig.check("formats", complete("status", "--format", "") == ["text", "json"])
    rig.check("sectors", "manhole" in complete("alarms", "--sector", "m"))
    rig.check("levels", complete("watch", "--level", "") == ["1", "2", "3", "4"])
    rig.check("keys", complete("config", "--explain", "uplinks.tls.") ==
              ["uplinks.tls.ca", "uplinks.tls.cert", "uplinks.tls.key"],
              complete("config", "--explain", "uplinks.tls."))
    offered, keys = set(complete("config", "--explain", "")), {k["key"] for k in explained()}
    rig.check("every key", keys <= offered, keys - offered)
    file = rig.write("here.yaml", "")
    rig.check("files behind -c", complete("check", "-c", rig.path("her")) == [file])
    rig.check("files for check", complete("check", rig.path("her")) == [file])
    rig.check("nothing behind free text", complete("alarms", "--note", "") == [])
    rig.check("what alarms are told", complete("alarms", "") == ["ack", "maintain", "show"])


def completion():
    rig = Rig("reference-completion")
    completion_of_tables(rig)
    port = free_port()
    config = rig.configure(["name: plc, transport: tcp, host: 127.0.0.1, port: %d" % port],
                           ["name: well-1, line: plc, unit: 1, profile: rs-dip-n01, every: 1s",
                            "name: well-2, line: plc, unit: 2, profile: rs-dip-n01, every: 1s"])
    without = ["-c", config, "--profiles", PROFILES, "--socket", rig.path("no.sock")]
    rig.start_broker()
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: rig.api("/v1/points"), 20, "the daemon answers")
    for who, how in (("no daemon", without), ("the daemon", ["--socket", rig.path("api.sock")])):
        rig.check(who + ": lines", complete(*how, "probe", "") == ["plc"])
        rig.check(who + ": devices", complete(*how, "read", "") == ["well-1", "well-2"])
        points = ["well-2." + point["point"] for point in rig.api("/v1/points")["points"]
                  if point["device"] == "well-2"]
        rig.check(who + ": points", complete(*how, "tail", "well-2.") == points and points,
                  complete(*how, "tail", "well-2."))
    told = set(re.findall(r"^# HELP (\S+)", metrics(rig), re.M))
    shown = set(items(parts(page("lifelined.8"), "Sh")["METRICS"]))
    rig.check("lifelined.8: the metrics of the daemon", told == shown and len(told) > 40,
              told ^ shown)
    rig.finish()


def metrics(rig):
    return subprocess.run(["curl", "-s", "-m", "5", "--unix-socket", rig.path("api.sock"),
                           "http://localhost/metrics"], capture_output=True, text=True).stdout


# ---- columns ----

def width(line):
    return sum(0 if unicodedata.combining(c) else
               2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


class Measure:
    """Runs things and keeps the lines that are too wide."""

    def __init__(self, rig):
        self.rig, self.wide, self.lines = rig, [], 0

    def take(self, program, *words, seconds=None):
        """With seconds: what goes on until Ctrl-C gets so many."""
        for language in LANGUAGES:
            _, out, why = run(program, *words, language=language, seconds=seconds)
            for line in (out + why).splitlines():
                self.lines += 1
                if width(line) > 80:
                    self.wide.append((language, words, width(line), line))

    def tell(self, what):
        self.rig.check(what + " fits 80 columns", not self.wide and self.lines > 0,
                       (self.lines, self.wide[:4]))
        self.wide, self.lines = [], 0


LONG = "junction-of-the-long-street-and-the-very-long-avenue-manhole-017"     # 64
LONG_LINE = "rs485-behind-the-long-cabinet-01"                              # 32


def long_config(rig, port):
    config = rig.configure(
        ["name: %s, transport: tcp, host: 127.0.0.1, port: %d" % (LONG_LINE, port)],
        ["name: %s, line: %s, unit: 1, profile: rs-dip-n01, every: 1s, title: %s, alarms: "
         "{ dead: { silent: { 3: 2s } } }" % (LONG, LONG_LINE, "泽州路与凤台街交叉口东北角雨水井" * 3),
         "name: pump, line: %s, unit: 2, profile: rs-dip-n01, every: 1s" % LONG_LINE],
        store="segment: 1s")
    with open(config, encoding="utf-8") as f:
        text = f.read().replace("name: test", "name: " + "泽州路与凤台街交叉口" * 6)
    return rig.write("gateway.yaml", text)


def columns():
    rig = Rig("reference-columns")
    measure = Measure(rig)
    for program in ("lifelined", "lifeline-sim", "lifelinectl"):
        measure.take(program, "--help")
        measure.take(program, "--nonesuch")
        measure.take(program, "--version")
    measure.take("lifelinectl", "--nonesuch-" + LONG * 2)
    for command in commands():
        measure.take("lifelinectl", command, "--help")
        measure.take("lifelinectl", command, *["a"] * 9)
        measure.take("lifelinectl", command, "--note", "--record")
        measure.take("lifelinectl", command, LONG * 3, "--socket", rig.path(LONG * 2))
        measure.take("lifelinectl", command, "--format", LONG * 2)
    measure.tell("help, and what is wrong usage,")
    measure.take("lifelinectl", "config", "--explain")
    for key in ("profile", "pack", "devices.points.alarms", LONG * 2):
        measure.take("lifelinectl", "config", "--explain", key)
    measure.tell("config --explain")
    config = long_config(rig, free_port())
    with_profiles = ["--profiles", PROFILES]
    broken = rig.write("broken.yaml", open(config, encoding="utf-8").read()
                       .replace("unit: 2", "unit: 1, evry: 3s")
                       .replace("rs-dip-n01", "no-such-profile-" + LONG, 1))
    measure.take("lifelinectl", "check", config, *with_profiles)
    measure.take("lifelinectl", "check", broken, *with_profiles)
    measure.take("lifelinectl", "check", rig.path(LONG * 3), *with_profiles)
    for what in ("all", LONG, LONG + ".tilt_x", LONG * 2):
        measure.take("lifelinectl", "check", config, "--explain", what, *with_profiles)
    measure.tell("check, with long names,")
    rig.start_broker()
    rig.start_sim(config)
    rig.start_daemon(config)
    rig.wait(lambda: (rig.api("/v1/latest") or {}).get("readings") or rig.api("/v1/lines"), 20,
             "the daemon answers")
    rig.end("sim")
    rig.wait(lambda: (rig.api("/v1/alarms") or {}).get("alarms"), 30, "an alarm is up")
    socket = ["--socket", rig.path("api.sock")]
    for words in (["status"], ["read", LONG], ["read", LONG * 2], ["query", LONG], ["alarms"],
                  ["alarms", "--since", "1h"], ["alarms", "ack", "nobody"],
                  ["alarms", "maintain", LONG, "10"], ["report"], ["tail", LONG * 2],
                  ["probe", LONG_LINE], ["probe", LONG * 2], ["names", "lines"]):
        measure.take("lifelinectl", *words, *socket)
    alarm = rig.api("/v1/alarms")["alarms"][0]["id"]
    broker = ["--broker", "mqtt://127.0.0.1:%d" % rig.broker_port]
    for words in (["alarms", "show", alarm], ["alarms", "ack", alarm, "--note", "去" * 90],
                  ["alarms"], ["alarms", "show", alarm]):
        measure.take("lifelinectl", *words, *socket)
    for words in (["tail"], ["alarms", "-f"]):
        measure.take("lifelinectl", *words, *socket, seconds=2)
    measure.take("lifelinectl", "watch", *broker, seconds=2)
    measure.tell("what the daemon says, with long names,")
    rig.end("daemon")
    for words in (["status"], ["query", LONG, "-c", config, *with_profiles],
                  ["query", "nobody", "-c", config, *with_profiles], ["alarms"],
                  ["probe", LONG_LINE, "-c", config, *with_profiles],
                  ["names", "devices", "-c", config, *with_profiles],
                  ["watch", "--broker", LONG * 2]):
        measure.take("lifelinectl", *words, *socket)
    measure.tell("what is said without a daemon")
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"pages": pages, "refused": refused, "completion": completion,
                   "columns": columns})
