#!/usr/bin/python3
"""What `deploy/demo --once` finds wrong with alarms: lives made by hand, one thing wrong in each.
The right ones come from a real storm, tests/system/test_demo.py."""
import os
import shutil
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, "deploy"))

import demo_alarms  # noqa: E402
import demo_check   # noqa: E402

RAISED, ESCALATED, EASED, CLEARED = 1, 2, 3, 5
ROAD, STATION = "underpass-gauge.depth/flooded", "pump-station/no_pump"
RAIN = "rain-roof.rain/rain_12h"
PACK = os.path.join(SOURCE, "config", "alarms", "gb-default.yaml")
LIMITS = {4: 150, 3: 270, 2: 400, 1: 600}
EXPECTED = {("underpass-gauge", "depth"): {"decimals": 0}, ("pump-station", "level"): {"decimals": 3}}
ANSWERS = {("underpass-gauge", "depth"): [(1000, 160), (2000, 610)],
           ("pump-station", "level"): [(1000, 2345)]}
failures = []


def check(name, passed, why=""):
    if not passed:
        failures.append(name)
    print("%s demo_alarms/%s%s" % ("ok" if passed else "FAIL", name, "" if passed else ": %s" % why),
          flush=True)


def life(wire, key, *steps):
    """Events under one id, each (status, level, value)."""
    found, level = [], 0
    device, rule = key.replace(".", "/").split("/")[0], key.split("/")[1]
    for number, (status, to, value) in enumerate(steps, 1):
        found.append(wire.AlarmEvent(
            id="01JD3Z%020d" % (sum(map(ord, key)) % 1000), step=number, key=key, rule=rule,
            status=status, level=to, previous_level=level, value=value, device_name=device,
            sector=wire.Sector.Value("SECTOR_WATERLOGGING")))
        if key == ROAD:
            found[-1].quantity, found[-1].threshold = "depth", LIMITS.get(to, 0)
        level = to
    name, value = {ROAD: ("underpass-gauge.depth", 160)}.get(key, ("pump-station.level", 2.345))
    found[0].evidence.add(name=name, at_ms=1020, value=value)
    return found


def story(wire):
    """key -> events of a storm as it must be."""
    told = {ROAD: life(wire, ROAD, (RAISED, 4, 160), (ESCALATED, 1, 610), (EASED, 3, 280),
                       (CLEARED, 0, 50))}
    for key, wanted in demo_alarms.STORY.items():
        if key != ROAD:
            steps = [(RAISED, wanted["worst"] + wanted["climbs"], 1)]
            steps += [(ESCALATED, wanted["worst"], 1)] * wanted["climbs"]
            steps += [(CLEARED, 0, 0)] * wanted["ends"]
            told[key] = life(wire, key, *steps)
    return told


def change(field, key, step, value):
    def apply(told):
        setattr(told[key][step - 1], field, value)
    return apply


def evidence(field, value):
    def apply(told):
        setattr(told[ROAD][0].evidence[0], field, value)
    return apply


def drop(key, step):
    return lambda told: told[key].pop(step)


def instead(wire, key, *steps):
    return lambda told: told.update({key: life(wire, key, *steps)})


def wrongs(wire):
    """(what is wrong, whose alarm, how it becomes so, what is said)"""
    return [
        ("one that does not come", ROAD, lambda told: told.pop(ROAD), "has not come"),
        ("a step that is lost", ROAD, drop(ROAD, 1), "a step is missing"),
        ("the first that is lost", ROAD, drop(ROAD, 0), "a step is missing"),
        ("an end that is lost", ROAD, drop(ROAD, -1), "is not over"),
        ("another id halfway", ROAD, change("id", ROAD, 3, "01JE"), "more than one id"),
        ("raised twice", ROAD, change("status", ROAD, 2, RAISED), "otherwise than once"),
        ("a step up that leads down", ROAD, change("status", ROAD, 3, ESCALATED),
         "step 3, escalated"),
        ("a step from elsewhere", ROAD, change("previous_level", ROAD, 3, 2), "does not go on"),
        ("an end with a level", STATION, change("level", STATION, 2, 3), "step 2, cleared"),
        ("a status that it has not", STATION, change("status", STATION, 2, 6), "step 2, suppr"),
        ("it goes on after its end", STATION,
         instead(wire, STATION, (RAISED, 3, 1), (CLEARED, 0, 0), (CLEARED, 0, 0)),
         "goes on after its end"),
        ("not to the highest level", ROAD,
         instead(wire, ROAD, (RAISED, 4, 160), (ESCALATED, 2, 410), (CLEARED, 0, 50)),
         "has come to level 2, not 1"),
        ("at once at the highest", ROAD, instead(wire, ROAD, (RAISED, 1, 610), (CLEARED, 0, 50)),
         "has not escalated"),
        ("over while the rain's sum is up", RAIN,
         instead(wire, RAIN, (RAISED, 4, 51), (CLEARED, 0, 0)), "is over too early"),
        ("none of the storm's", "gas-vault.lel/gas",
         instead(wire, "gas-vault.lel/gas", (RAISED, 1, 100)), "is no part of the storm"),
        ("evidence that was not sent", ROAD, evidence("value", 170), "did not send"),
        ("evidence of another time", ROAD, evidence("at_ms", 2100), "did not send"),
        ("evidence of another sensor", ROAD, evidence("name", "main-flow.flow"), "did not send"),
        ("no evidence", ROAD, lambda told: told[ROAD][0].ClearField("evidence"), "no evidence"),
        ("a threshold that the pack has not", ROAD, change("threshold", ROAD, 2, 400),
         "threshold 400 for level 1"),
        ("raised too early", ROAD, change("value", ROAD, 1, 149), "below its threshold"),
    ]


def judged(told):
    found = [event for steps in told.values() for event in steps]
    return demo_alarms.objections(found, EXPECTED, ANSWERS, demo_check.read_yaml(PACK))


def check_lives(wire):
    check("a storm as it must be", judged(story(wire)) == {}, judged(story(wire)))
    for name, key, spoil, said in wrongs(wire):
        told = story(wire)
        spoil(told)
        wrong = judged(told)
        check(name, set(wrong) == {key} and said in wrong[key], wrong)


def check_screens(wire):
    found = [event for steps in story(wire).values() for event in steps]
    lines = ["gw-demo red 08:00:00.700 %s %s, for 2.2\n    min, ...%s\n    text\n"
             % (event.key, demo_alarms.status_of(event), event.id[-6:]) for event in found]
    check("a screen with all of it", demo_alarms.screen_objections(found, "".join(lines)) == {})
    for number, event in enumerate(found):
        screen = "".join(lines[:number] + lines[number + 1:])
        check("a line that is missing: %s %s" % (event.key, demo_alarms.status_of(event)),
              set(demo_alarms.screen_objections(found, screen)) == {event.key})
    up = [{"key": "rain-roof.rain/rain_%dh" % hours} for hours in (3, 6, 12)]
    check("what is up is listed", demo_alarms.up_objections(found, up) == {})
    check("one is left out", demo_alarms.up_objections(found, up[1:]) ==
          {"rain-roof.rain/rain_3h": "lifelinectl alarms leaves it out"})
    check("one that is over is listed", demo_alarms.up_objections(found, up + [{"key": ROAD}]) ==
          {ROAD: "lifelinectl alarms still lists it"})


def main():
    folder = tempfile.mkdtemp(prefix="lifeline-test-demo-")
    try:
        wire = demo_check.load_wire(os.path.join(SOURCE, "proto"), os.path.join(folder, "python"))
        check_lives(wire)
        check_screens(wire)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
