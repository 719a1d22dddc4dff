#!/usr/bin/python3
"""lifeline-sim --scenario: a stolen cover at 3600 times the speed, asked over Modbus TCP by hand. It
tilts, is silent and comes back at its hour, its neighbours lie still, faults of a script strike all
the same, and what cannot be played is said."""
import os
import socket
import subprocess
import sys
import time

from rig import BUILD, SOURCE, Rig, free_port

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


def main():
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


if __name__ == "__main__":
    sys.exit(main())
