#!/usr/bin/python3
"""lifeline-sim --scenario: a stolen cover at 3600 times the speed, asked over Modbus TCP by hand. It
tilts, is silent and comes back at its hour, its neighbours lie still, faults of a script strike all
the same, and what cannot be played is said. And the drill of the README, word for word, against the
shipped configuration."""
import os
import re
import signal
import socket
import subprocess
import time

from rig import BUILD, SOURCE, Rig, free_port, run_scenarios

SPEED = 3600                            # a second is an hour
SILENT_H, BACK_H = 2.25, 5
SLACK_H = 0.5                           # of a busy machine


def ask(sock, unit, count=3):
    """The registers; the exception's code, None for silence."""
    sock.sendall(bytes([0, 1, 0, 0, 0, 6, unit, 3, 0, 0, 0, count]))
    try:
        answer = sock.recv(300)
    except socket.timeout:
        return None
    if answer[7] & 0x80:
        return answer[8]
    return [int.from_bytes(answer[9 + 2 * i:11 + 2 * i], "big", signed=True) for i in range(count)]


def watch(port, begun):
    """(hour asked, hour heard, unit, answer), until the cover is back."""
    heard = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(0.1)
        while time.monotonic() < begun + BACK_H + 2:
            for unit in (1, 2, 3):
                asked = time.monotonic() - begun
                answer = ask(sock, unit)
                heard.append((asked, time.monotonic() - begun, unit, answer))
                time.sleep(0.003)
    return heard


def refuse(rig, name, config, options, code, text):
    done = subprocess.run([os.path.join(BUILD, "lifeline-sim"), "-c", config, "--profiles",
                           os.path.join(SOURCE, "config", "profiles"), *options],
                          capture_output=True, text=True, timeout=10)
    rig.check(name, done.returncode == code and text in done.stderr,
              "%d: %s" % (done.returncode, done.stderr))


def cover_theft():
    rig = Rig("scenario")
    port = free_port()
    config = rig.configure(
        ["name: plc, transport: tcp, host: 127.0.0.1, port: %d" % port],
        ["name: cover-1, line: plc, unit: 1, profile: rs-dip-n01",
         "name: cover-2, line: plc, unit: 2, profile: rs-dip-n01",
         "name: cover-3, line: plc, unit: 3, profile: rs-dip-n01"])
    script = rig.write("faults.yaml", "- { device: cover-3, fault: exception, code: 6 }\n")

    begun = time.monotonic()
    rig.start_sim(config, "--scenario", "cover-theft", "--speed", str(SPEED), "--script", script)
    late = time.monotonic() - begun     # the scenario began somewhere in between
    heard = watch(port, begun)
    stolen = [(asked - late, done, answer) for asked, done, unit, answer in heard if unit == 1]

    still = [answer for _, done, answer in stolen if done < 2 and answer]
    rig.check("flat before", len(still) > 5 and all(abs(a[0] - 120) < 10 for a in still), still)
    tilted = [answer for _, done, answer in stolen if done < SILENT_H + late and answer]
    rig.check("lifted", any(a[0] > 1000 for a in tilted) or len(tilted) < 20, tilted[-5:])
    gone = [answer for asked, done, answer in stolen
            if asked > SILENT_H + SLACK_H / 5 and done < BACK_H]
    rig.check("gone", len(gone) > 5 and not any(gone), gone)
    back = [answer for asked, _, answer in stolen if asked > BACK_H + SLACK_H]
    rig.check("back", len(back) > 5 and back[-1] and abs(back[-1][0] - 90) < 10, back)
    others = [answer for _, _, unit, answer in heard if unit == 2]
    rig.check("the neighbour lies still",
              all(a and all(abs(r - 60) < 20 for r in a) for a in others), others)
    rig.check("the script strikes all the same",
              all(answer == 6 for _, _, unit, answer in heard if unit == 3))
    rig.check("says what it plays", "scenario cover-theft 井盖被盗" in rig.log("sim"), rig.log("sim"))
    rig.check("ends", rig.end("sim") == 0)

    refuse(rig, "an unknown name", config, ["--scenario", "cover-thief"], 1,
           "no cover-thief.yaml in ")
    refuse(rig, "a scenario of other sensors", config, ["--scenario", "tunnel-flood"], 1,
           "nothing in the configuration plays a part in \"tunnel-flood\"")
    refuse(rig, "no speed", config, ["--scenario", "cover-theft", "--speed", "0"], 2,
           "\"0\" is not a number from 1 to 3600")
    return rig.finish()


def commands(folder):
    """The README's, as two scripts, one before and one in the shell that it opens: with the places of
    this test, half an hour of the burst in five seconds, and the pause that typing takes."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as f:
        section = f.read().split("\n## A drill\n")[1].split("\n## ")[0]
    lines = "".join(line[4:] + "\n" for line in section.splitlines() if line.startswith("    "))
    for theirs, ours in (("/etc/lifeline/gateway.yaml", "config/gateway.yaml"),
                         ("/tmp/drill", folder), ("build/", BUILD + "/"),
                         ("--speed 60 ", "--speed 360 ")):
        assert theirs in lines, theirs
        lines = lines.replace(theirs, ours)
    lines = lines.replace("\nLIFELINE_SOCKET=", "\nsleep 2\nLIFELINE_SOCKET=")
    return re.split(r"^unshare -rn .*\n", lines, maxsplit=1, flags=re.M)


def end_group(shell):
    """The shell and all that it started; they write into the folder until they have ended."""
    end = time.monotonic() + 15
    os.killpg(shell.pid, signal.SIGTERM)
    while time.monotonic() < end:
        shell.poll()
        try:
            os.killpg(shell.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()


def drill():
    """The shipped configuration with other places: a burst main is seen, the city not to be had."""
    rig = Rig("drill")
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode != 0:
        print("# drill: no network of its own to be had here", flush=True)
        return rig.finish()
    before, inside = commands(rig.path("drill"))
    made = subprocess.run(["sh", "-ec", before], cwd=SOURCE, capture_output=True, text=True,
                          timeout=20)
    rig.check("the configuration is made", made.returncode == 0, made.stderr)
    with open(rig.path("drill/gateway.yaml"), encoding="utf-8") as ours, \
            open(os.path.join(SOURCE, "config", "gateway.yaml"), encoding="utf-8") as theirs:
        changed = [a.split(":")[0].strip(" -{") for a, b in zip(theirs, ours) if a != b]
    rig.check("only places differ", changed == ["path", "name", "name", "name", "name", "api"], changed)

    log = open(rig.path("drill.log"), "ab")
    shell = subprocess.Popen(["unshare", "-rn", "sh", "-c", inside], cwd=SOURCE, stdout=log,
                             stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                             env={**os.environ, "LC_ALL": "C.UTF-8"})
    try:
        # what wanders about without a scenario falls by more
        alarm = r"orange \S+ main-pressure.pressure/drop raised, .*\n.*pressure fell by 0\.(29|3)"
        rig.wait(lambda: re.search(alarm, rig.log("drill")), 40, "the burst is an alarm")
        rig.check("which scenario it is", "scenario burst 供水管爆裂" in rig.log("drill"))
    finally:
        end_group(shell)
    log.close()
    return rig.finish()


if __name__ == "__main__":
    run_scenarios({"cover_theft": cover_theft, "drill": drill})
