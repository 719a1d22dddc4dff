#!/usr/bin/python3
"""The Chinese manual, deploy/manual.zh-CN.md, says what is: its configurations pass check, its
commands and options exist, its alarm table is the packs', its fault table names each finding of the
doctor in the words that are printed, and its worked examples follow from their formulas, those from
the wire and from SQLite."""
# Beside others: it measures no time
import glob
import json
import math
import os
import re
import shlex
import sqlite3
import subprocess

import yaml

from rig import BUILD, SOURCE, Rig, load_wire, run_scenarios

LEVELS = {"红": 1, "橙": 2, "黄": 3, "蓝": 4}
KINDS = ("levels", "above", "below", "rise", "fall", "sum", "equals", "silent", "flat")
PLACE_OF_ITS_OWN = "本站"


def read(*parts):
    with open(os.path.join(SOURCE, *parts), encoding="utf-8") as f:
        return f.read()


MANUAL = read("deploy", "manual.zh-CN.md")


def blocks(language):
    return re.findall(r"^```%s\n(.*?)^```$" % language, MANUAL, re.M | re.S)


def page(number):
    return re.search(r"^## %d\. .*?(?=^## |\Z)" % number, MANUAL, re.M | re.S).group()


def rows(text):
    """The cells of each row of each table, without heads."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in text.splitlines() if line.startswith("|")]
    return [row for i, row in enumerate(cells) if not set("".join(row)) <= set("- ")
            and not (i + 1 < len(cells) and set("".join(cells[i + 1])) <= set("- "))]


def run(program, *words):
    return subprocess.run([os.path.join(BUILD, program), *words], capture_output=True, text=True,
                          env=dict(os.environ, LC_ALL="C.UTF-8"), timeout=30)


# ---- configurations ----

def sections(text):
    return dict(re.findall(r"^([a-z]+):(.*?)(?=^[a-z]+:|\Z)", text, re.M | re.S))


def configurations():
    """What is whole passes as it stands, a fragment in place of the sections of the first one."""
    rig = Rig("manual-configurations")
    base = None
    for number, block in enumerate(blocks("yaml")):
        own = sections(block)
        whole = "gateway" in own
        if whole:
            base = base or own
        else:
            own = {**base, **own}
            if "lines" in sections(block):
                own["devices"] = sections(block)["devices"]
        text = "".join("%s:%s" % item for item in own.items())
        done = run("lifelinectl", "check", "--profiles", os.path.join(SOURCE, "config", "profiles"),
                   rig.write("%d.yaml" % number, text))
        rig.check("configuration %d passes" % number, done.returncode == 0 and
                  "0 errors, 0 warnings" in done.stdout, done.stdout + done.stderr)
    rig.check("one is whole, the others are fragments", base and len(blocks("yaml")) >= 4)
    rig.finish()


# ---- commands ----

def options_in(program, *words):
    return set(re.findall(r"^ +(?:(-\w), )?(--[a-z-]+)", run(program, *words, "--help").stdout, re.M))


def commands():
    rig = Rig("manual-commands")
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", MANUAL)
    ours = [shlex.split(line, comments=True) for line in lines
            if re.match(r"(lifelinectl|lifelined|lifeline-sim) ", line)]
    rig.check("the manual names commands", len(ours) > 20, ours)
    there = re.findall(r"^  ([a-z]+)", run("lifelinectl", "--help").stdout.split("\n\n")[1], re.M)
    for words in ours:
        own = words[1:2] if words[0] == "lifelinectl" else []
        flags = {flag for pair in options_in(words[0], *own) for flag in pair if flag}
        named = {word.split("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        rig.check(" ".join(words), (not own or own[0] in there) and named <= flags, named - flags)
    named = set(re.findall(r"`(--[a-z-]+)", MANUAL))
    known = {option for _, option in options_in("lifelinectl")}
    rig.check("an option by itself is one, too", named <= known, named - known)
    units = set(re.findall(r"systemctl (?:-?-?[a-z]+ )+?([a-z]+-[a-z-]+)", MANUAL))
    rig.check("systemctl is told our service", units == {"lifeline-gateway"}, units)
    rig.finish()


# ---- alarms ----

def said_sector(text):
    return {zh: en for zh, en in re.findall(r'\{"([^"]+)", "([a-z]+)"\}', text)}


def numbers_of(rule):
    for kind in KINDS[:1] if "diagnose" in rule else KINDS:
        if kind in rule:
            return tuple(sorted((level, str(number)) for level, number in rule[kind].items()))
    return str(rule.get("spike", "无"))


def of_pack(name):
    """{(pack, rule, quantity, sectors, numbers)} of the packs."""
    out = set()
    for entry in yaml.safe_load(read("config", "alarms", name + ".yaml"))["alarms"]:
        for rule, body in entry["rules"].items():
            out.add((name, rule, entry.get("quantity", "设备"),
                     frozenset(entry.get("sectors", [])), numbers_of(body)))
    return out


def of_row(row, words):
    rule = re.match(r"`(\w+)`(?:（([\w-]+|%s)）)?$" % PLACE_OF_ITS_OWN, row[0])
    where, quantity = row[1].split("：")
    sectors = frozenset() if where == "全部" else frozenset(words[zh] for zh in where.split("、"))
    pairs = re.findall(r"([红橙黄蓝]) ([-\d.a-z]+)", row[2])
    levels = tuple(sorted((LEVELS[colour], number) for colour, number in pairs)) or row[2]
    return (rule[2] or "gb-default", rule[1], quantity.strip("`"), sectors, levels)


def alarms():
    rig = Rig("manual-alarms")
    words = said_sector(read("gateway", "ctl", "say.c"))
    table = rows(page(3))
    told = [of_row(row, words) for row in table]
    own = {row for row in told if row[0] == PLACE_OF_ITS_OWN}
    packs = set()
    for path in sorted(glob.glob(os.path.join(SOURCE, "config", "alarms", "*.yaml"))):
        packs |= of_pack(os.path.basename(path)[:-5])
    rig.check("every rule of the packs has its row, with its numbers", packs <= set(told),
              packs - set(told))
    rig.check("no row tells of a rule that is not there", set(told) - own <= packs,
              set(told) - own - packs)
    rig.check("no row stands twice", len(told) == len(set(told)) > 40, len(told))
    rig.check("every cell says something", all(len(row) == 6 and all(row) for row in table),
              [row for row in table if len(row) != 6 or not all(row)])
    keys = json.loads(run("lifelinectl", "config", "--explain", "--json").stdout)["keys"]
    diagnoses = {key["key"].split(".")[1] for key in keys if key["key"].startswith("diagnoses.")}
    rig.check("every diagnosis has its row", diagnoses <= {row[1] for row in told} and
              len(diagnoses) >= 10, diagnoses - {row[1] for row in told})
    rig.check("what the site gives is a diagnosis of no pack",
              {row[1] for row in own} == diagnoses - {row[1] for row in packs}, own)
    rig.finish()


# ---- faults ----

def findings():
    """What the doctor can find: the ids, as its sources give them."""
    out = set()
    for path in glob.glob(os.path.join(SOURCE, "gateway", "ctl", "doctor_*.c")):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for call in re.findall(r"doctor_finds\((.*?)DOCTOR_", text, re.S):
            out |= set(re.findall(r'"([a-z_]+)"', call))
        out |= set(re.findall(r'^ +(?:\{"[^"]*",\s*)?"([a-z]+_[a-z_]+)",\n', text, re.M))
    return out


def faults():
    rig = Rig("manual-faults")
    table = rows(page(4))
    named = {name for row in table for name in re.findall(r"`(\w+)`", row[0])}
    known = findings()
    for path in glob.glob(os.path.join(SOURCE, "tests", "system", "doctor", "*.golden")):
        with open(path, encoding="utf-8") as f:
            known |= set(re.findall(r"^(?:fault|warning) (\w+):", f.read(), re.M))
    rig.check("every finding of the doctor has its row", known <= named, known - named)
    rig.check("no row names another", named <= known, named - known)
    printed = "".join(read("gateway", "ctl", os.path.basename(path))
                      for path in glob.glob(os.path.join(SOURCE, "gateway", "ctl", "*.c")))
    printed = re.sub(r'"\s*\n\s*"', "", printed)
    quotes = [piece.strip() for row in table for cell in row[:2]
              for quote in re.findall("“([^”]+)”", cell) for piece in quote.split("…")]
    quotes += [piece.strip() for quote in re.findall("^- .*?“([^”]*(?:应答|回显)[^”]*)”", page(1), re.M)
               for piece in quote.split("…")]
    wrong = [quote for quote in quotes if quote not in printed]
    rig.check("what is quoted is what is printed", not wrong and len(quotes) > 60, wrong)
    rig.finish()


# ---- sizing ----

def calculate(block):
    """[(line, told, computed)]; names keep their values down the block."""
    names, out = {"floor": math.floor}, []
    for line in block.splitlines():
        code, _, told = line.partition("#")
        exec(code.strip(), {"__builtins__": {}}, names)
        if told.strip():
            last = code.split(";")[-1].split("=")[0].strip()
            out.append((line, float(re.match(r"[\d.]+", told.strip())[0]), names[last]))
    return names, out


def segment_bytes(wire, points, requests, rows_each, every_ms):
    segment = wire.Segment(seq=12345, base_ms=1763900000000, mono_ms=9000000, clock=1, boot=77)
    for request in range(requests):
        steps = [every_ms + request % 3 for _ in range(rows_each)]
        block = segment.blocks.add(device=request + 1, dt_ms=[40 * request] + steps[1:])
        for point in range(points // requests):
            block.columns.add(point=request * 10 + point + 1, decimals=2,
                              steps=[1234] + [(point + i) % 7 - 3 for i in range(1, rows_each)])
    return segment.ByteSize() + 4


def row_bytes(folder, size):
    path = os.path.join(folder, "rows.db")
    if os.path.exists(path):
        os.unlink(path)
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE segment(id INTEGER PRIMARY KEY, base_ms INTEGER, last_ms INTEGER,"
                     " readings INTEGER, crc INTEGER, row BLOB)")
    for i in range(2000):
        database.execute("INSERT INTO segment VALUES(?, ?, ?, 60, 3000000000, ?)",
                         ((1 << 50) + i, 1763900000000, 1763900060000, bytes(size)))
    database.commit()
    return database.execute("PRAGMA page_count").fetchone()[0] * 4096 / 2000


def sizing():
    rig = Rig("manual-sizing")
    wire, examples = load_wire(rig.folder), blocks("calc")
    rig.check("there are worked examples", len(examples) == 3, len(examples))
    for number, block in enumerate(examples):
        names, results = calculate(block)
        for line, told, computed in results:
            rig.check("example %d: %s" % (number, line), abs(told - computed) <= 0.005 * computed,
                      computed)
        size = next(value for line, _, value in results if line.startswith("S ="))
        real = segment_bytes(wire, names["n"], names["b"], int(names["r"]), names["e"] * 1000)
        rig.check("example %d: a segment is what the wire makes of it, or 20 %% less" % number,
                  0.8 * size <= real <= size, (size, real))
        if "P" in names:
            real = row_bytes(rig.folder, int(size))
            rig.check("example %d: a row takes what SQLite takes for it" % number,
                      abs(real - names["P"]) < 0.05 * names["P"], (names["P"], real))
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"configurations": configurations, "commands": commands, "alarms": alarms,
                   "faults": faults, "sizing": sizing})
