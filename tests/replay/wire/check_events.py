"""Alarms, what is up, and a report: the bytes of alarm.c, active.c and report.c.

They must be what events.txt holds, and Python must read from them what stands below, written by
hand from wire_events.c, and no field more.
"""
import pathlib
import subprocess
import sys

from lifeline.v1 import lifeline_pb2 as pb

GOLDEN = pathlib.Path(__file__).with_name("events.txt")
T = 1752750020250
LIST_FIELDS = {1, 2, *range(5, 14), 20, 25, 27}


def flooded():
    return pb.AlarmEvent(
        id="01K0D8X4M0TESTTESTTESTTEST", step=2, gateway="gw-140502-0001", region="140502",
        sector=pb.SECTOR_WATERLOGGING, kind=pb.ALARM_KIND_THRESHOLD, rule="flooded",
        key="ponding-07.depth/flooded", level=2, previous_level=3,
        status=pb.ALARM_STATUS_ESCALATED, device=7, point=41, device_name="ponding-07",
        quantity="water_depth", unit="mm", asset="1405020301000007", grid="140502001003012",
        position=pb.Position(longitude=112.8513, latitude=35.4907, crs=pb.CRS_CGCS2000),
        value=412, threshold=400, threshold_source="GB 51222-2017 3.2", peak=415,
        peak_ms=T - 10000, first_ms=T - 130000, raised_ms=T - 120000, at_ms=T,
        clock=pb.CLOCK_STATE_SYNCED,
        evidence=[pb.Evidence(point=41, name="ponding-07.depth", at_ms=T - 40000 + 10000 * i,
                              value=372 + 10 * i, quality=pb.QUALITY_GOOD) for i in range(5)],
        text_zh="泽州路积水点 积水深度 412 mm，达到橙色 400 mm，升为橙色",
        text_en="Zezhou Rd ponding point: water depth 412 mm, orange from 400 mm; now orange")


def hinted():
    event = flooded()
    event.sector = pb.SECTOR_GAS
    event.kind = pb.ALARM_KIND_DIAGNOSIS
    event.status = pb.ALARM_STATUS_CLEARED
    event.level = 0
    event.step = 9
    event.cleared_ms = T + 10000
    event.clock = pb.CLOCK_STATE_CORRECTED
    event.position.crs = pb.CRS_WGS84
    event.confidence = 70
    event.hint = "可能是沼气 / may be biogas"
    event.actor = "王工"
    event.note = "已派人"
    del event.evidence[:]
    event.evidence.add(point=42, name="gas-3.ch4", at_ms=-1, value=-0.5,
                       quality=pb.QUALITY_UNCERTAIN)
    return event


def bare():
    return pb.AlarmEvent(id="01K0D8X4M0BARE000000000000", step=1, sector=pb.SECTOR_CORRIDOR,
                         kind=pb.ALARM_KIND_DEVICE_FAULT, rule="dead", level=4,
                         status=pb.ALARM_STATUS_RAISED)


def entry(event):
    for field, _ in event.ListFields():
        if field.number not in LIST_FIELDS:
            event.ClearField(field.name)
    return event


def expected():
    yield "alarm_flooded", flooded()
    yield "alarm_hinted", hinted()
    yield "alarm_bare", bare()
    alarms = [entry(event) for event in (flooded(), hinted(), bare())]
    yield "active_alarms", pb.ActiveAlarms(
        gateway="gw-140502-0001", sector=pb.SECTOR_WATERLOGGING, at_ms=T + 750, alarms=alarms)
    yield "active_omitted", pb.ActiveAlarms(
        gateway="gw", sector=pb.SECTOR_GAS, at_ms=5, alarms=alarms[:1], omitted=2)
    yield "active_none", pb.ActiveAlarms(gateway="gw", sector=pb.SECTOR_HEAT, at_ms=6)
    yield "report_runoff", pb.Report(
        gateway="gw-140502-0001", sector=pb.SECTOR_SPONGE, at_ms=1784377000000,
        runoff=pb.RunoffEvent(
            catchment="park", id="park-20260718T031500Z", grade=pb.RUNOFF_GRADE_B,
            from_ms=1784344500000, to_ms=1784373300000, rain_mm=31.5, area_ha=12.25,
            rain_m3=3858.75, outflow_m3=771.75, base_flow_m3_s=0.004, captured=0.8,
            uncertainty=0.03, rain_coverage=1, flow_coverage=0.97, peak_m3_s=0.35,
            peak_ms=1784350000000, lag_ms=1500000,
            doubts=["0.4 m3 flowed back", "雨量计少一个"], partial=True))


def main(program, mode):
    written = subprocess.run([program, "events"], check=True, capture_output=True, text=True).stdout
    if mode == "update":
        GOLDEN.write_text(written)
    now = dict(line.split() for line in written.splitlines())
    golden = dict(line.split() for line in GOLDEN.read_text().splitlines())
    wanted = dict(expected())
    found = [f"events: {name} is written otherwise\n  golden {golden.get(name)}\n"
             f"  now    {now.get(name)}"
             for name in sorted({*golden, *now, *wanted})
             if name not in wanted or golden.get(name) is None or golden[name] != now.get(name)]
    for name, message in wanted.items():
        read = type(message).FromString(bytes.fromhex(now.get(name, "")))
        if read != message:
            found.append(f"events: {name} read as\n{read}\nexpected\n{message}")
    if found:
        return "\n".join(found)
    print(f"events: {len(golden)} messages read as they were meant; an alarm with 5 readings as "
          f"evidence takes {len(golden['alarm_flooded']) // 2} bytes")
    return 0


sys.exit(main(*sys.argv[1:]))
