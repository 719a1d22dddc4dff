"""Invariant I over one trial of fault_store: what was journalled as stored, what was sampled and what
the uplink took, compared. None of the three files was on the disk that lost its power."""
import contextlib
import glob
import sqlite3
from collections import defaultdict

from rig import SECTORS, row_crc, segment_rows

LIVE, HISTORY = 1, 2                   # enum parcel_kind
RETENTION, QUOTA = 1, 2                # GapReason
START_MS = 5000
REAL = 5                               # the device that sends floats


def value_of(device, point, t):
    n = t * 7919 + device * 104729 + point * 31
    return n % 65536 if device == REAL else n % 1000003


class Trial:
    """The files of a trial, read."""

    def __init__(self, folder, wire):
        self.rows = {}                 # (epoch, sector, seq) -> bytes, the first arrival
        self.readings = {}             # the same -> values in it, and its device
        self.gaps = []
        self.got = defaultdict(set)    # device -> times received
        self.wrong = []
        self.doubtful = set()          # of rows: journalled, and yet perhaps not stored
        self.last = defaultdict(int)   # (kind, epoch, sector) -> seq
        self.journal, self.sampled, self.lives = [], [], []
        for life in sorted(glob.glob(folder + "/life-*")):
            self.read_journal(life)
            self.read_parcels(life + "/parcels", wire)
            self.sampled += [tuple(map(int, line.split()))
                             for line in self.whole_lines(life + "/readings")]
            if self.whole_lines(life + "/mark", "") != ["0"]:
                self.lives += [line.split() for line in self.whole_lines(life + "/start")]

    @staticmethod
    def whole_lines(path, end="\n"):
        """A process that is killed may leave half a line behind."""
        try:
            with open(path, encoding="ascii") as f:
                return [line for line in f if line.endswith(end)]
        except FileNotFoundError:
            return []

    def read_journal(self, life):
        """Lines behind the mark were written when the disk was already dying; of a life that stored
        nothing before, not even the epoch need be on it."""
        mark = [int(line) for line in self.whole_lines(life + "/mark", "")]
        at = 0
        for line in self.whole_lines(life + "/journal"):
            at += len(line)
            fields = line.split()
            if not mark or at <= mark[0]:
                self.journal.append(fields)
            elif fields[6] == "closed":
                self.doubtful.add((int(fields[0]), SECTORS.index(fields[1]), int(fields[3])))

    def read_parcels(self, path, wire):
        try:
            with open(path, "rb") as f:
                data = f.read()
        except FileNotFoundError:
            return
        at = 0
        while (end := data.find(b"\n", at)) >= 0:
            kind, sector, epoch, _, _, length = map(int, data[at:end].split())
            payload = data[end + 1:end + 1 + length]
            at = end + 1 + length
            if len(payload) < length:
                break                  # killed while it was written
            batch = wire.DataBatch.FromString(payload)
            if (batch.epoch, batch.sector) != (epoch, sector):
                self.wrong.append("a batch of another stream: %s" % batch.epoch)
            self.gaps += batch.gaps
            rows = segment_rows(payload)
            if len(rows) != len(batch.segments):
                self.wrong.append("segments and rows differ in a batch")
            for segment, row in zip(batch.segments, rows):
                self.take(kind, (epoch, sector, segment.seq), segment, row)

    def take(self, kind, key, segment, row):
        if key in self.rows:
            if self.rows[key] != row and key in self.doubtful:
                self.doubtful.discard(key)
                self.keep(key, segment, row)
            elif self.rows[key] != row:
                self.wrong.append("(c) %s arrived with two contents" % (key,))
            return
        stream = (kind,) + key[:2]
        if key[2] <= self.last[stream]:
            self.wrong.append("(b) %s: %d first arrived after %d" % (stream, key[2], self.last[stream]))
        self.last[stream] = key[2]
        self.keep(key, segment, row)

    def keep(self, key, segment, row):
        self.rows[key] = row
        count = 0
        for block in segment.blocks:
            times, t = [], segment.base_ms
            for dt in block.dt_ms:
                t += dt
                times.append(t)
            self.got[block.device].update(times)
            for column in block.columns:
                count += self.judge(key, block.device, column, times)
        self.readings[key] = count, segment.blocks[0].device

    def judge(self, key, device, column, times):
        values, sum_ = [], 0
        for step in column.steps:
            sum_ += step
            values.append(sum_)
        values = values or list(column.floats)
        if values != [value_of(device, column.point, t) for t in times]:
            self.wrong.append("(d) %s: device %d point %d was never that" %
                              (key, device, column.point))
        return len(values)

    # ---- the invariant ----

    def numbers_said_lost(self, reasons):
        return {(gap.epoch, gap.sector, seq) for gap in self.gaps
                if gap.reason in reasons and gap.first_seq
                for seq in range(gap.first_seq, gap.last_seq + 1)}

    def stored_arrived(self, excused):
        for epoch, sector, _, seq, _, crc, state in self.journal:
            key = (int(epoch), SECTORS.index(sector), int(seq))
            if state != "closed":
                continue
            if key not in self.rows:
                if key not in excused:
                    yield "(a) %s was stored and never arrived" % (key,)
            elif row_crc(*key, self.rows[key]) != int(crc, 16):
                yield "(a) %s arrived with other bytes than were stored" % (key,)

    def open_rows_closed(self, excused):
        """An open row that was stored arrives closed, with no reading less. Its number need not be in
        the journal: the cut may come between the fsync and the journal's line. Where such a number
        was evicted nothing can be said of its stream."""
        newest, ended, numbered = {}, [], set()
        for epoch, sector, part, seq, readings, _, state in self.journal:
            key, readings = (int(epoch), SECTORS.index(sector), int(part)), int(readings)
            before = newest.pop(key, 0)
            if readings < before:
                ended.append((key, before))
            if state == "open":
                newest[key] = readings
            else:
                numbered.add(key[:2] + (int(seq),))
        ended += newest.items()
        silent = defaultdict(list)
        for key, (count, device) in self.readings.items():
            if key not in numbered:
                silent[key[0], key[1], device - 1].append(count)
        unknown = {key[:2] for key in excused - numbered}
        for key, readings in ended:
            if key[:2] not in unknown and not any(count >= readings for count in silent[key]):
                yield "(a) the open row %s of %d readings never arrived" % (key, readings)

    def every_number(self):
        said = self.numbers_said_lost(range(1, 8))
        highest = {}
        for key in self.rows:
            highest[key[:2]] = max(highest.get(key[:2], 0), key[2])
        for stream, top in highest.items():
            for seq in range(1, top + 1):
                if stream + (seq,) not in self.rows and stream + (seq,) not in said:
                    yield "(e) %s is missing without a Gap" % (stream + (seq,),)

    def every_sample(self):
        """What was sampled arrived, or a Gap says that it did not: from the first stored reading of a
        sector on."""
        first = {}
        for sector, device, t in self.sampled:
            if t in self.got[device]:
                first.setdefault(sector, t)
        spans = defaultdict(list)
        for gap in self.gaps:
            spans[gap.sector].append((gap.from_ms, gap.to_ms))
        sampled = set()
        for sector, device, t in self.sampled:
            sampled.add((device, t))
            if t in self.got[device] or t < first.get(sector, t + 1):
                continue
            if not any(a <= t <= b for a, b in spans[sector]):
                yield "(e) device %d at %d is lost and no Gap says so" % (device, t)
        for device, times in self.got.items():
            for t in times:
                if (device, t) not in sampled:
                    yield "(d) device %d was never sampled at %d" % (device, t)

    def lives_fine(self):
        epochs = {life[2] for life in self.lives if life[1] != "failed:"}
        if len(epochs) > 1:
            yield "(c) the epoch changed: %s" % sorted(epochs)
        for life in self.lives:
            if life[1] == "failed:":
                yield "it did not start: %s" % " ".join(life)
            elif int(life[1]) >= START_MS:
                yield "it took %s ms to start" % life[1]

    def violations(self, evicts):
        excused = self.numbers_said_lost((RETENTION, QUOTA)) if evicts else set()
        for gap in self.gaps:
            if gap.first_seq and not (evicts and gap.reason == QUOTA):
                yield "a Gap of reason %d: %d to %d" % (gap.reason, gap.first_seq, gap.last_seq)
        if evicts and not excused:
            yield "nothing was evicted: no test"
        yield from self.wrong
        yield from self.stored_arrived(excused)
        yield from self.open_rows_closed(excused)
        yield from self.every_number()
        yield from self.every_sample()
        yield from self.lives_fine()


def integrity(path):
    try:
        with contextlib.closing(sqlite3.connect(path)) as db:
            found = db.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        yield "integrity_check: %s" % found


def check(folder, wire, evicts=False):
    """(rows that arrived, what is wrong)"""
    trial = Trial(folder, wire)
    found = list(trial.violations(evicts)) + list(integrity(folder + "/disk/store.db"))
    return len(trial.rows), found
