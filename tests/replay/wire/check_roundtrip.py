"""Random batches, built in C by appending rows and gaps, decoded here by the words of the wire.

Undoes deltas and quality runs on its own and compares every reading with what went in.
LIFELINE_SEED repeats a run.
"""
import itertools
import json
import os
import random
import struct
import subprocess
import sys

from lifeline.v1 import lifeline_pb2 as pb

IGNORED_FROM = 16  # the value under such a quality means nothing


def qualities(column, length):
    if not column.quality:
        return [pb.QUALITY_GOOD] * length
    assert len(column.quality) % 2 == 0, "quality is not pairs"
    runs = [(column.quality[i], column.quality[i + 1]) for i in range(0, len(column.quality), 2)]
    assert any(code != pb.QUALITY_GOOD for _, code in runs), "all GOOD, and yet written"
    assert all(run > 0 for run, _ in runs), "an empty run"
    return [code for run, code in runs for _ in range(run)]


def values(column):
    """Steps as integers, floats as their 32 bits."""
    assert not (column.steps and column.floats), "steps and floats"
    if column.floats:
        return [struct.unpack("<I", struct.pack("<f", value))[0] for value in column.floats]
    return list(itertools.accumulate(column.steps))


def decode_column(column, length):
    decoded = []
    pairs = list(zip(values(column), qualities(column, length), strict=True))
    assert len(pairs) == length, "a column is not as long as dt_ms"
    before = 0
    for value, code in pairs:
        if code >= IGNORED_FROM:
            assert value == before, "an ignored value neither repeats nor is 0"
        decoded.append([None if code >= IGNORED_FROM else value, code])
        before = value
    return decoded


def decode_block(base_ms, block):
    times = list(itertools.accumulate(block.dt_ms, initial=base_ms))[1:]
    columns = [decode_column(column, len(times)) for column in block.columns]
    return {
        "device": block.device,
        "columns": [[c.point, c.decimals, bool(c.floats)] for c in block.columns],
        "rows": [[time, *row] for time, *row in zip(times, *columns, strict=True)],
    }


def decode_segment(segment):
    return {
        "seq": segment.seq,
        "base_ms": segment.base_ms,
        "mono_ms": segment.mono_ms,
        "clock": segment.clock,
        "boot": segment.boot,
        "blocks": [decode_block(segment.base_ms, block) for block in segment.blocks],
    }


def without_empty(segments):
    """Blocks without rows are not sent, and a segment without any reading is none."""
    for segment in segments:
        blocks = [block for block in segment["blocks"] if block["rows"]]
        if blocks:
            yield {**segment, "blocks": blocks}


def decode_batch(payload):
    batch = pb.DataBatch.FromString(payload)
    assert batch.gateway == "gw-140502-0001" and not batch.zstd
    for gap in batch.gaps:
        assert (gap.epoch, gap.sector) == (batch.epoch, batch.sector), "a gap of another batch"
    return {
        "epoch": batch.epoch,
        "sector": batch.sector,
        "segments": [decode_segment(segment) for segment in batch.segments],
        "gaps": [[g.first_seq, g.last_seq, g.from_ms, g.to_ms, g.readings, g.reason]
                 for g in batch.gaps],
    }


def main(program):
    seed = os.environ.get("LIFELINE_SEED") or str(random.getrandbits(32))
    written = subprocess.run([program, "random", seed], check=True, capture_output=True, text=True)
    readings = batches = 0
    for number, line in enumerate(written.stdout.splitlines()):
        given = json.loads(line)
        payload = bytes.fromhex(given.pop("payload"))
        given["segments"] = list(without_empty(given["segments"]))
        try:
            decoded = decode_batch(payload)
        except Exception as error:  # whatever it is, the seed must be seen
            return f"roundtrip: seed {seed}, batch {number}: {type(error).__name__}: {error}"
        if decoded != given:
            return f"roundtrip: seed {seed}, batch {number}\n  in  {given}\n  out {decoded}"
        batches += 1
        readings += sum(len(row) - 1 for segment in given["segments"]
                        for block in segment["blocks"] for row in block["rows"])
    if readings < 1000:
        return f"roundtrip: seed {seed}: only {readings} readings"
    print(f"roundtrip: {batches} batches, {readings} readings equal (seed {seed})")
    return 0


sys.exit(main(*sys.argv[1:]))
