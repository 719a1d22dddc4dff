"""What `deploy/demo --once` asks about the storm: has every alarm that it must make come, step by
step, to the subscriber and to the terminal, and nothing that it must not?

As demo_check.py, nothing here comes from the programs that are checked: the events are decoded
with protoc's Python, and the readings they name as their evidence are looked up in the simulator's
journal.
"""
import re

from demo_check import is_sent, read_yaml

# Between an answer and its time stamp. Every piece of evidence must be found, also one read while the
# machine was busy; a reading that is not found is followed by others.
TOLERANCE_MS = 1000

# What config/scenarios/storm.yaml does to demo.yaml. `ends`: it is over when the storm is; the
# sums of rain reach back for hours, and stay up. `climbs`: it is raised below its highest level.
STORY = {
    "underpass-gauge.depth/flooded": {"worst": 1, "ends": True, "climbs": True},
    "rain-roof.rain/rain_3h": {"worst": 1, "ends": False, "climbs": True},
    "rain-roof.rain/rain_6h": {"worst": 3, "ends": False, "climbs": False},
    "rain-roof.rain/rain_12h": {"worst": 4, "ends": False, "climbs": False},
    "well-018.level/overflow": {"worst": 1, "ends": True, "climbs": False},
    "pump-station/no_pump": {"worst": 3, "ends": True, "climbs": False},
    "pump-station.pump1_fault/pump_fault": {"worst": 3, "ends": True, "climbs": False},
}


def events(subscriber):
    """Every alarm event once, by (id, step)."""
    wire, found = subscriber.wire, {}
    with subscriber.lock:
        messages = list(subscriber.messages)
    for topic, payload in messages:
        if topic.split("/")[-2] == "alarm":
            event = wire.AlarmEvent.FromString(payload)
            if topic.split("/")[-1] != word(event, "sector"):
                raise ValueError("an alarm of sector %d came on %s" % (event.sector, topic))
            found[event.id, event.step] = event
    return [found[key] for key in sorted(found)]


def word(event, field):
    """What an enum field says: ALARM_STATUS_RAISED -> raised"""
    values = event.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return values[getattr(event, field)].name.rsplit("_", 1)[1].lower()


def status_of(event):
    return word(event, "status")


def thresholds(pack, event):
    """level -> number, as the pack has it for a rule with `above` or `sum`; {} for others."""
    sector = word(event, "sector")
    for entry in pack["alarms"]:
        if (entry.get("quantity") == event.quantity and event.rule in entry["rules"]
                and sector in entry.get("sectors", [sector])):
            rule = entry["rules"][event.rule]
            return rule.get("above") or rule.get("sum") or {}
    return {}


def life_objection(steps, wanted):
    """What is wrong with the life of one alarm: its events in order. None: nothing."""
    told = [status_of(event) for event in steps]
    if len({event.id for event in steps}) != 1:
        return "came under more than one id"
    if [event.step for event in steps] != list(range(1, len(steps) + 1)):
        return "a step is missing, there are %s" % [event.step for event in steps]
    if told[0] != "raised" or "raised" in told[1:]:
        return "is raised otherwise than once, at first"
    for before, event, status in zip(steps, steps[1:], told[1:]):
        if event.previous_level != before.level:
            return "step %d does not go on where the last one ended" % event.step
        moves = {"escalated": 0 < event.level < before.level, "eased": event.level > before.level,
                 "cleared": event.level == 0}
        if not moves.get(status, False):
            return "step %d, %s, does not move its level so" % (event.step, status)
    if "cleared" in told[:-1]:
        return "goes on after its end"
    worst = min(event.level for event in steps if event.level)
    if worst != wanted["worst"]:
        return "has come to level %d, not %d" % (worst, wanted["worst"])
    if wanted["climbs"] and "escalated" not in told:
        return "has not escalated"
    if (told[-1] == "cleared") != wanted["ends"]:
        return "is not over" if wanted["ends"] else "is over too early"
    return None


def evidence_objection(event, expected, answers):
    """Whether what the event gives as its evidence is what the simulator sent."""
    if event.step == 1 and not event.evidence:
        return "has no evidence"
    for entry in event.evidence:
        key = tuple(entry.name.split(".", 1))
        decimals = expected[key]["decimals"] if key in expected else None
        raw = entry.value if decimals is None else round(entry.value * 10 ** decimals)
        if not any(abs(t - entry.at_ms) <= TOLERANCE_MS and is_sent(raw, decimals, value)
                   for t, value in answers.get(key, [])):
            return "gives as evidence %s = %.7g, which the simulator did not send" % (
                entry.name, entry.value)
    return None


def level_objection(event, limits):
    """Whether value and threshold belong to the level it says, by the pack."""
    if not limits or status_of(event) not in ("raised", "escalated"):
        return None
    if event.threshold != limits[event.level]:
        return "says threshold %g for level %d" % (event.threshold, event.level)
    return None if event.value >= event.threshold else "is raised below its threshold"


def objections(found, expected, answers, pack):
    """key -> what is wrong; {} when the story is told. `found` is in the order of steps."""
    wrong = {}
    for key in sorted(STORY.keys() | {event.key for event in found}):
        steps = [event for event in found if event.key == key]
        if key not in STORY:
            wrong[key] = "is no part of the storm"
        elif not steps:
            wrong[key] = "has not come"
        else:
            limits = thresholds(pack, steps[0])
            why = [life_objection(steps, STORY[key])]
            why += [evidence_objection(event, expected, answers) for event in steps]
            why += [level_objection(event, limits) for event in steps]
            wrong[key] = next(filter(None, why), None)
    return {key: why for key, why in wrong.items() if why}


def screen_objections(found, screen):
    """What `lifelinectl watch` has not shown of them. Its lines are folded."""
    text, wrong = " ".join(screen.split()), {}
    for event in found:
        line = r"%s %s, for [^,]{1,12}, \.\.\.%s" % (re.escape(event.key), status_of(event),
                                                  event.id[-6:])
        if not re.search(line, text):
            wrong[event.key] = "lifelinectl watch did not show that it was %s" % status_of(event)
    return wrong


def up_objections(found, listed):
    """`lifelinectl alarms` lists what is up, and nothing else."""
    last = {event.id: event for event in found}     # in order of their steps
    up = {event.key for event in last.values() if status_of(event) != "cleared"}
    return {key: "lifelinectl alarms %s" % ("leaves it out" if key in up else "still lists it")
            for key in up ^ {alarm["key"] for alarm in listed}}
