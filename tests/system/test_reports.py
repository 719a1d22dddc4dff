#!/usr/bin/python3
"""Reports of rain events: one that is stored and owed reaches the broker over a restart and is
shown by the API and lifelinectl. How an event becomes a report is tests/unit/test_catchments.c:
a real one takes hours."""
# Beside others: it measures no time
import os
import sqlite3
import struct
import subprocess
import zlib

from rig import BUILD, Rig, free_port, now_ms, run_scenarios

DAY_MS = 86400000
ID = "01K0000000000000000000000A"
DEVICES = ["name: rain-1, line: plc, unit: 1, profile: rs-gyl-n01, every: 60s",
           "name: out-1, line: plc, unit: 3, profile: l-mag, every: 60s"]
CATCHMENT = ("catchments: [ { name: park, area: 10, rain: rain-1.rain,"
             " outfalls: [ { point: out-1.flow, base_flow: 0 } ] } ]\n")


def a_report(rig, **more):
    report = rig.wire.Report()
    report.gateway = "gw-test-1"
    report.sector = rig.wire.Sector.Value("SECTOR_SPONGE")
    report.at_ms = now_ms()
    event = dict(catchment="park", id="park-1", grade=1, from_ms=now_ms() - 2 * DAY_MS,
                 to_ms=now_ms() - DAY_MS, rain_mm=40, area_ha=10, rain_m3=4000, outflow_m3=1000,
                 captured=0.75, uncertainty=0.03, rain_coverage=1, flow_coverage=1, peak_m3_s=0.2,
                 peak_ms=now_ms() - DAY_MS, lag_ms=1500000)
    event.update(more)
    for name, value in event.items():
        if isinstance(value, list):
            getattr(report.runoff, name).extend(value)
        else:
            setattr(report.runoff, name, value)
    return report.SerializeToString()


def crc(name, body):
    return zlib.crc32(name.encode() + struct.pack("<I", 0) + body)


def put(rig, good, refused):
    """As if the daemon had made both, and had not delivered the first."""
    db = sqlite3.connect(rig.path("store.db"))
    for slot, body in enumerate((good, refused)):
        name = "report/%d" % slot
        db.execute("INSERT INTO memory VALUES(?,?,?)", (name, crc(name, body), body))
    row = zlib.crc32(ID.encode() + struct.pack("<I", 1) + good)
    db.execute("INSERT INTO alarm VALUES(?,1,2,?,0,0,0,?,?,?,5)",
               (ID, rig.wire.Sector.Value("SECTOR_SPONGE"), now_ms(), row, good))
    db.execute("INSERT INTO alarm_owed SELECT id,5,?,1 FROM uplink", (ID,))
    db.commit()
    db.close()


def show(rig, *words, lang="C.UTF-8"):
    run = subprocess.run([os.path.join(BUILD, "lifelinectl"), "--socket", rig.path("api.sock"),
                          *words], capture_output=True, text=True, timeout=20, check=False,
                         env=dict(os.environ, LC_ALL=lang))
    return run.returncode, run.stdout


def stored(rig):
    config = rig.configure(["name: plc, transport: tcp, host: 127.0.0.1, port: %d" % free_port()],
                           DEVICES)
    with open(config, "a", encoding="utf-8") as f:
        f.write(CATCHMENT)
    rig.start_broker()
    rig.subscribe()
    rig.start_daemon(config)
    rig.wait(lambda: rig.api("/v1/reports"), 10, "it answers")
    answer = rig.api("/v1/reports")
    rig.check("no event yet, one catchment", answer["reports"] == [] and
              [(c["catchment"], c["event"]) for c in answer["now"]] == [("park", False)], answer)
    code, text = show(rig, "report")
    rig.check("and people are told so", code == 0 and "no rain event has ended" in text, text)
    rig.check("it ends with 0", rig.end("daemon") == 0)

    good = a_report(rig)
    refused = a_report(rig, id="park-2", grade=5, rain_mm=1.2, captured=0, uncertainty=0,
                       from_ms=now_ms() - 50 * DAY_MS, to_ms=now_ms() - 49 * DAY_MS,
                       doubts=["1.2 mm of rain: below 2 mm no share is given"])
    put(rig, good, refused)
    rig.start_daemon(config)
    rig.wait(lambda: any(topic.endswith("/report/sponge") and bytes(payload) == good
                         for topic, payload, _, _ in rig.subscriber.all()), 20,
             "the report that was owed arrives")
    answer = rig.api("/v1/reports?since_ms=0")
    rig.check("both are known", sorted(r["id"] for r in answer["reports"]) == ["park-1", "park-2"],
              answer)
    shares = {r["id"]: r.get("captured") for r in answer["reports"]}
    rig.check("one that is refused has no number", shares == {"park-1": 0.75, "park-2": None},
              shares)
    rig.check("since_ms is a number", "error" in (rig.api("/v1/reports?since_ms=1x") or {}))
    code, text = show(rig, "report")
    rig.check("people see the last 30 days", code == 0 and "40.0 mm" in text and
              "75.0 % ± 3.0 % captured (not the annual rate)" in text and "1.2 mm" not in text,
              text)
    code, text = show(rig, "report", "--since", "60d", lang="zh_CN.UTF-8")
    rig.check("or more, in Chinese", code == 0 and "不是年径流总量控制率" in text and
              "没有本场控制率" in text and "不足 2 mm" in text, text)
    rig.check("a time that is none", show(rig, "report", "--since", "x")[0] == 2)
    rig.check("it ends with 0", rig.end("daemon") == 0)
    rig.finish()


if __name__ == "__main__":
    run_scenarios({"stored": lambda: stored(Rig("reports"))})
