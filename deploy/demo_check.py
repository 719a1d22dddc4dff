"""What `deploy/demo --once` asks: has an independent subscriber decoded a good reading of every
point of every device, equal to what the simulator sent?

Nothing here comes from the programs that are checked: the list of points is read from the YAML with
Python's reader, the payloads are decoded with protoc's Python of the .proto, and the simulator's
journal says what is true. A reading matches an answer in the journal by device, point, time and
value; its sector, unit and decimals must be those of the YAML.
"""
import datetime
import json
import os
import random
import struct
import subprocess
import sys
import threading
import unicodedata
from decimal import Decimal

import paho.mqtt.client as paho
import yaml

TOLERANCE_MS = 100
SUBSCRIBE_S = 10


# ---- what must arrive ----

def expected_points(config, profiles):
    """(device, point) -> {sector, unit, decimals} of every point in the configuration. decimals is
    None for a point that goes out as a float, unit for one that has its quantity's."""
    expected = {}
    for device in read_yaml(config)["devices"]:
        profile = read_yaml(os.path.join(profiles, device["profile"] + ".yaml"))
        for point in profile["points"]:
            is_float = point["type"] == "f32" and "decimals" not in point
            expected[device["name"], point["name"]] = {
                "sector": device.get("sector", profile["sector"]),
                "unit": point.get("unit"),
                "decimals": None if is_float else point.get("decimals", 0)}
    return expected


def read_yaml(path):
    with open(path, encoding="utf-8") as f:
        return yaml.safe_load(f)


def journal_answers(path):
    """(device, point) -> [(time, value)] of what the simulator sent: steps, or float32."""
    answers = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.endswith("\n"):
                break  # being written
            entry = json.loads(line)
            for point, value in entry.get("points", {}).items():
                answers.setdefault((entry["device"], point), []).append((entry["t"], value))
    return answers


# ---- what arrived ----

def load_wire(proto, folder):
    """protoc's Python of our .proto."""
    os.makedirs(folder)
    subprocess.run(["protoc", "--python_out=" + folder, "-I", proto, "lifeline/v1/lifeline.proto"],
                   check=True)
    sys.path.insert(0, folder)
    from lifeline.v1 import lifeline_pb2
    return lifeline_pb2


class Subscriber:
    """Collects what arrives under lifeline/ in the client's thread."""

    def __init__(self, port, wire):
        self.wire = wire
        self.messages = []
        self.lock = threading.Lock()
        subscribed = threading.Event()
        self.client = paho.Client(client_id="demo-%08x" % random.getrandbits(32))
        self.client.on_connect = lambda client, *rest: client.subscribe("lifeline/#", qos=1)
        self.client.on_subscribe = lambda *rest: subscribed.set()
        self.client.on_message = self.on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        if not subscribed.wait(SUBSCRIBE_S):
            raise OSError("the subscriber could not subscribe")

    def on_message(self, client, userdata, message):
        with self.lock:
            self.messages.append((message.topic, bytes(message.payload)))

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()

    def readings(self):
        """Every reading: device, title, point, sector, unit, t, raw, decimals, quality."""
        with self.lock:
            messages = list(self.messages)
        devices, points = self.manifests(messages)
        for topic, payload in messages:
            kind, sector = topic.split("/")[-2:]
            if kind not in ("data", "history"):
                continue
            batch = self.wire.DataBatch.FromString(payload)
            if sector != self.name(self.wire.Sector, batch.sector):
                raise ValueError("a batch of sector %d came on %s" % (batch.sector, topic))
            for block in (block for segment in batch.segments for block in placed(segment)):
                device = devices.get((batch.epoch, block["device"]))
                point = points.get((batch.epoch, block["point"]))
                if device and point:
                    quality = self.name(self.wire.Quality, block["quality"])
                    yield dict(block, device=device.name, title=device.title, point=point.name,
                               unit=point.unit, sector=sector, quality=quality)

    def manifests(self, messages):
        devices, points = {}, {}
        for topic, payload in messages:
            if topic.split("/")[-3] == "manifest" and payload:
                manifest = self.wire.Manifest.FromString(payload)
                devices.update({(manifest.epoch, d.id): d for d in manifest.devices})
                points.update({(manifest.epoch, p.id): p for p in manifest.points})
        return devices, points

    @staticmethod
    def name(enum, number):
        """QUALITY_GOOD -> good"""
        return enum.Name(number).split("_", 1)[1].lower()


def sums(steps):
    total = 0
    for step in steps:
        total += step
        yield total


def placed(segment):
    """The segment's readings with the deltas and the runs of quality undone."""
    for block in segment.blocks:
        times = [segment.base_ms + dt for dt in sums(block.dt_ms)]
        for column in block.columns:
            raw = list(sums(column.steps)) or list(column.floats)
            runs = zip(column.quality[::2], column.quality[1::2])
            qualities = [quality for length, quality in runs for _ in range(length)]
            qualities = qualities or [0] * len(times)
            if not len(raw) == len(times) == len(qualities):
                raise ValueError("a column of point %d is not as long as dt_ms" % column.point)
            for t, value, quality in zip(times, raw, qualities):
                yield {"device": block.device, "point": column.point, "t": t, "raw": value,
                       "decimals": column.decimals if column.steps else None, "quality": quality}


# ---- the comparison ----

def value_text(raw, decimals):
    """The value as people read it: exact for steps, seven digits for a float32."""
    return "%.7g" % raw if decimals is None else str(Decimal(raw).scaleb(-decimals))


def is_sent(raw, decimals, value):
    """Whether the simulator's `value` is this one, a float as a float32 carries it."""
    if decimals is None:
        return struct.pack("<f", value) == struct.pack("<f", raw)
    return value == raw


def clock_text(t):
    return datetime.datetime.fromtimestamp(t / 1000).strftime("%H:%M:%S.%f")[:-3]


def objection(reading, expected, answers):
    """Why this reading does not count, or None."""
    if reading["quality"] != "good":
        return "its quality is " + reading["quality"]
    for key in ("sector", "unit", "decimals"):
        if reading[key] != expected[key] and (key != "unit" or expected[key] is not None):
            return "its %s is %s, not %s" % (key, reading[key], expected[key])
    near = [(abs(t - reading["t"]), value) for t, value in answers
            if abs(t - reading["t"]) <= TOLERANCE_MS]
    if not near:
        return "the simulator sent nothing at that time"
    if not any(is_sent(reading["raw"], reading["decimals"], value) for _, value in near):
        return "the simulator sent " + value_text(min(near)[1], reading["decimals"])
    return None


class Result:
    """How the comparison stands: table rows of the points that are in, and of those that are not
    what is wrong."""

    def __init__(self, expected):
        self.expected = expected
        self.rows = []
        self.missing = {}

    def compare(self, subscriber, journal):
        """Compares all there is until now; true when nothing is missing."""
        answers = journal_answers(journal)
        good = {}
        self.missing = {key: "no reading arrived" for key in self.expected}
        for reading in subscriber.readings():
            key = reading["device"], reading["point"]
            if key not in self.expected:
                continue
            why = objection(reading, self.expected[key], answers.get(key, []))
            if why is None:
                good[key] = reading
            else:
                self.missing[key] = "%s at %s: %s" % (
                    value_text(reading["raw"], reading["decimals"]), clock_text(reading["t"]), why)
        for key in good:
            del self.missing[key]
        self.rows = [good[key] for key in self.expected if key in good]
        return not self.missing


# ---- the table ----

def width(text):
    """Columns on a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(readings):
    cells = [("SECTOR", "DEVICE", "POINT", "VALUE", "UNIT", "TIME")]
    for r in readings:
        cells.append((r["sector"], ("%s %s" % (r["device"], r["title"])).strip(), r["point"],
                      value_text(r["raw"], r["decimals"]), r["unit"], clock_text(r["t"])))
    widths = [max(map(width, column)) for column in zip(*cells)]
    lines = []
    for row in cells:
        padded = [" " * (w - width(cell)) + cell if i == 3 else cell + " " * (w - width(cell))
                  for i, (cell, w) in enumerate(zip(row, widths))]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
