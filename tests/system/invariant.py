"""Invariant I: what was stored arrived, once, in order, with the right value at the right time, and
what is missing is said. Compares the simulator's journal, the daemon's stored journal and what the
subscriber decoded; none of the three knows the others."""
import struct
from collections import defaultdict

from rig import BUSY_MS, SECTORS, row_crc, segment_rows


# Faults of the simulator that let the sensor's own answer through, in its time.
WHOLE = (None, "noise", "foreign", "twin")


def check_delivery(rig, aside=()):
    """(a) every journalled row received, (b) order, (c) identity, (e) no unexplained number. aside:
    (sector, seq) of rows that a broker would not take, or not in their turn."""
    first = {}              # (epoch, sector, seq) -> row bytes
    unequal, disorder = [], []
    last_seq = defaultdict(int)
    gaps = defaultdict(list)
    for kind, sector_name, batch, payload, _ in rig.batches():
        for gap in batch.gaps:
            gaps[batch.epoch, batch.sector].append(gap)
        for segment, row in zip(batch.segments, segment_rows(payload)):
            key = (batch.epoch, batch.sector, segment.seq)
            if SECTORS[batch.sector] != sector_name:
                disorder.append(("wrong topic", key))
            if key in first:
                if first[key] != row:
                    unequal.append(key)
                continue
            first[key] = row
            stream = (kind, batch.epoch, batch.sector)
            if segment.seq <= last_seq[stream] and key[1:] not in aside:
                disorder.append((stream, segment.seq, last_seq[stream]))
            last_seq[stream] = max(last_seq[stream], segment.seq)
    rig.check("duplicates are byte-equal", not unequal, unequal[:5])
    rig.check("first arrivals are in seq order within live and within history", not disorder,
              disorder[:5])

    stored = {}             # what was written last under a number: a held row may be corrected
    with open(rig.store_journal, encoding="ascii") as f:
        for line in f:
            epoch, sector, part, seq, readings, crc, state = line.split()
            if state != "open":
                stored[int(epoch), SECTORS.index(sector), int(seq)] = int(crc, 16)
    lost = [key for key in stored if key not in first and key[1:] not in aside]
    wrong = [key for key in stored if key in first and row_crc(*key, first[key]) != stored[key]]
    rig.check("every stored segment arrived (%d)" % len(stored), stored and not lost, lost[:5])
    rig.check("and its bytes are the stored ones", not wrong, wrong[:5])

    missing = []
    for epoch, sector in {(e, s) for e, s, _ in first}:
        numbers = {n for e, s, n in first if (e, s) == (epoch, sector)}
        for gap in gaps[epoch, sector]:
            numbers |= set(range(gap.first_seq, gap.last_seq + 1))
        missing += [(epoch, sector, n) for n in range(1, max(numbers) + 1) if n not in numbers]
    rig.check("no number is missing without a Gap", not missing, missing[:5])
    return first, gaps


def check_open_rows(rig):
    """What an open row held when the daemon was killed came out closed at the next start. Of a kill
    between a commit and its line in the journal the journal shows a number left out, and says nothing."""
    newest, short, numbers = {}, [], {}
    with open(rig.store_journal, encoding="ascii") as f:
        for line in f:
            epoch, sector, part, seq, readings, crc, state = line.split()
            key = (epoch, sector, part)
            if state == "open":
                newest[key] = int(readings)
            elif state == "closed":
                if int(seq) > numbers.get(key[:2], int(seq) - 1) + 1:
                    newest = {k: n for k, n in newest.items() if k[:2] != key[:2]}
                numbers[key[:2]] = int(seq)
                if int(readings) < newest.pop(key, 0):
                    short.append(line)
    rig.check("no open row lost a reading over a kill", not short, short[:3])


def as_sent(value):
    """A float as a float32 carries it; steps as they are."""
    return struct.unpack("<f", struct.pack("<f", value))[0] if isinstance(value, float) else value


def match(rig, tolerance_ms, until_ms):
    """Every good reading is the simulator's next answer of that point; returns the answers without a
    reading, per sector, and the largest time error."""
    tolerance_ms = max(tolerance_ms, BUSY_MS)
    emitted = defaultdict(list)
    for device, point, t, value, fault in rig.emitted():
        if t <= until_ms + tolerance_ms and fault in WHOLE:
            emitted[device, point].append((t, as_sent(value)))
    received = defaultdict(list)
    sector_of = {}
    for device, point, t, value, quality, sector in rig.readings():
        sector_of[device] = sector
        if quality == "good":
            received[device, point].append((t, value))
    invented, missing, worst, count = [], defaultdict(list), 0, 0
    for key, readings in received.items():
        readings.sort(key=lambda r: r[0])
        answers, at = emitted[key], 0
        for t, value in readings:
            if t > until_ms:
                continue
            start = at
            while at < len(answers) and (answers[at][1] != value or
                                         abs(answers[at][0] - t) > tolerance_ms):
                at += 1
            if at == len(answers):
                invented.append((key, t, value))
                at = start
                continue
            for skipped in answers[start:at]:
                missing[sector_of[key[0]]].append((key, skipped[0]))
            worst = max(worst, abs(answers[at][0] - t))
            count += 1
            at += 1
        for left in answers[at:]:
            if left[0] <= until_ms - tolerance_ms:
                missing[sector_of[key[0]]].append((key, left[0]))
    rig.check("every reading is what the simulator said at that time (%d, worst %d ms)"
              % (count, worst), count > 0 and not invented, invented[:5])
    silent = [key for key in emitted if key not in received]
    rig.check("every point was received", not silent, silent)
    return missing, worst


def overtaken(rig):
    """(device, time) of the answers that a clean stop of the daemon may have left unread: one a line
    can be under way, so of each stop the last before the next start, and only if it is no older than
    a machine is slow. For daemons of one line."""
    answers = sorted({(t, device) for device, _, t, _, _ in rig.emitted()})
    last = [max((a for a in answers if told - max(60, BUSY_MS) <= a[0] <= again), default=None)
            for told, again in rig.stops]
    return {(device, t) for t, device in filter(None, last)}


def check_missing(rig, missing, gaps, kills_ms, sync_ms, slack_ms):
    """What is missing was sampled at most `sync` before a kill, and a Gap says so."""
    outside, unsaid, spans = [], [], []
    by_sector = defaultdict(list)
    for (epoch, sector), list_ in gaps.items():
        by_sector[SECTORS[sector]] += list_
    for sector, entries in missing.items():
        for key, t in entries:
            kill = [k for k in kills_ms if k - sync_ms - slack_ms <= t <= k + slack_ms]
            if not kill:
                outside.append((key, t, [t - k for k in kills_ms]))
            else:
                spans.append(kill[0] - t)
            if not any(gap.from_ms <= t <= gap.to_ms for gap in by_sector[sector]):
                unsaid.append((key, t))
    total = sum(len(entries) for entries in missing.values())
    rig.check("at most `sync` is missing per kill (%d readings, earliest %d ms before it)"
              % (total, max(spans, default=0)), not outside, outside[:5])
    rig.check("and a Gap says so", not unsaid, unsaid[:5])
