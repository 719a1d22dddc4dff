#!/usr/bin/python3
"""What `check` forecasts for a serial line, against what the line was really held by the daemon's
requests: the simulator counts characters, silences and thinking of every exchange (held_us in its
journal). Line time at 4800 to 115200 baud, shipped profiles, mixed periods, units that share a
line."""
import json
import os
import subprocess
import time

from rig import BUILD, SOURCE, Rig, now_ms, run_scenarios

WINDOW_S = 20                       # all periods below are whole parts of it

# line: baud, devices (profile, period), the share of the line that they are meant to take
LINES = {
    "slow-level": ("4800 8N1", [("press-level-a", "1s"), ("press-level-a", "1s"),
                                ("rs-dip-n01", "500ms"), ("rs-dip-n01", "2s")]),
    "slow-meter": ("4800 8E1", [("tuf-2000", "2s"), ("rs-gyl-n01", "1s")]),
    "rain": ("9600 8N1", [("xm9505-rain", "500ms"), ("sht20", "250ms"), ("sht20", "2s"),
                          ("rs-ws-n01", "1s"), ("submersible-level-a", "500ms")]),
    "heat": ("9600 8N1", [("tuf-2000-heat", "2s"), ("l-mag", "1s"), ("urm14", "500ms")]),
    "gas": ("9600 8N1", [("gas10", "5s"), ("gas10-o2", "5s"), ("gas10-co", "2s")]),
    "fast": ("19200 8N1", [("tuf-2000", "1s"), ("rss2-300w-radar", "200ms"),
                           ("press-level-b", "100ms"), ("rs-dip-n01", "100ms")]),
    "top": ("115200 8N1", [("press-level-a", "40ms"), ("rs-dip-n01", "50ms"),
                           ("xm9505-rain", "100ms"), ("tuf-2000", "200ms")]),
}


def configure(rig):
    lines, devices = [], []
    for name, (serial, units) in LINES.items():
        lines.append("name: %s, transport: rtu, device: %s, serial: %s" % (name, rig.path(name),
                                                                           serial))
        for i, (profile, every) in enumerate(units):
            extra = ", points: { level: { mount_height: 8 } }" if mounted(profile) else ""
            devices.append("name: %s-%d, line: %s, unit: %d, profile: %s, every: %s%s"
                           % (name, i, name, i + 1, profile, every, extra))
    return rig.configure(lines, devices)


def mounted(profile):
    with open(os.path.join(SOURCE, "config", "profiles", profile + ".yaml"),
              encoding="utf-8") as f:
        return "below_mount" in f.read()


def forecast(rig, config):
    run = subprocess.run([os.path.join(BUILD, "lifelinectl"), "--format", "json", "--profiles",
                          os.path.join(SOURCE, "config", "profiles"), "check", config],
                         stdout=subprocess.PIPE, text=True)
    result = json.loads(run.stdout)
    rig.check("`check` takes the configuration", run.returncode == 0, result["diagnostics"])
    return {line["name"]: line["load_percent"] for line in result["lines"]}


def held(rig, from_ms, to_ms):
    """Per line: milliseconds that the exchanges of that time held it, and how many they were."""
    sums = {}
    with open(rig.sim_journal, encoding="utf-8") as f:
        for line in f:
            entry = json.loads(line)
            if from_ms <= entry["t"] < to_ms:
                held_us, count = sums.get(entry["line"], (0, 0))
                sums[entry["line"]] = (held_us + entry["held_us"], count + 1)
    return sums


def lines():
    rig = Rig("forecast")
    config = configure(rig)
    said = forecast(rig, config)
    rig.start_sim(config)
    rig.start_daemon(config)
    time.sleep(6)                   # the first polls come at once and spread afterwards
    start = now_ms()
    time.sleep(WINDOW_S)
    shown = {line["name"]: line for line in rig.api("/v1/lines")["lines"]}
    sums = held(rig, start, start + WINDOW_S * 1000)
    for name in LINES:
        percent = sums[name][0] / WINDOW_S / 1e4
        rig.check("%s: forecast %.1f %%, held %.1f %% (%d answers)"
                  % (name, said[name], percent, sums[name][1]),
                  abs(said[name] - percent) <= 0.1 * percent and sums[name][1] > 5,
                  "%.1f %% off" % (100 * said[name] / percent - 100))
        # The gap that gas sensors want is idle time on the line, but no other may use it for them.
        least = 0 if name == "gas" else 0.7 * percent - 2
        rig.check("%s: the daemon shows a load of %d %%, forecast %.1f %%"
                  % (name, shown[name]["load_percent"], shown[name]["forecast_percent"]),
                  least < shown[name]["load_percent"] < 1.5 * percent + 3 and
                  abs(shown[name]["forecast_percent"] - said[name]) < 0.1)
        rig.check("%s: nothing slips, nothing fails" % name,
                  shown[name]["slipping"] == 0 and
                  shown[name]["counts"]["good"] == shown[name]["counts"]["requests"], shown[name])
    rig.finish()


def overload():
    """More than the line can do is refused, with what slips; nearly as much is a warning."""
    rig = Rig("forecast-overload")

    def ask(every):
        config = rig.configure(
            ["name: bus, transport: rtu, device: %s, serial: 4800 8N1" % rig.path("tty")],
            ["name: cover-%d, line: bus, unit: %d, profile: rs-dip-n01, every: %s" % (i, i, every)
             for i in range(1, 11)])
        run = subprocess.run([os.path.join(BUILD, "lifelinectl"), "--format", "json", "--profiles",
                              os.path.join(SOURCE, "config", "profiles"), "check", config],
                             stdout=subprocess.PIPE, text=True)
        return run.returncode, json.loads(run.stdout), config

    code, result, _ = ask("1s")
    rig.check("57 %: nothing to say", code == 0 and result["warnings"] == 0, result)
    code, result, _ = ask("700ms")
    rig.check("above 70 %: a warning", code == 0 and result["warnings"] == 1, result)
    code, result, config = ask("400ms")
    text = result["diagnostics"]
    rig.check("above 100 %: an error that names who slips", code == 1 and result["errors"] == 1 and
              "error: " in text and "cover-" in text, result)
    daemon = rig.start_daemon(config)
    rig.check("and the daemon does not start with it", daemon.wait(10) != 0, daemon.returncode)
    del rig.processes["daemon"]
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"lines": lines, "overload": overload})
