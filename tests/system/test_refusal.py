#!/usr/bin/python3
"""A broker that refuses by a reason code: a row by its content, or a whole topic (S16). It is told
apart by what else it takes of the topic; live rows wait for neither."""
import time

from rig import BUSY_MS, run_scenarios, undo_compression
from stub_broker import Stub
from test_delivery import Taken, check_all, longest_pause, make_rig


def with_history(name, judge):
    """What was live is history after a restart; both topics have rows."""
    rig, config = make_rig(name)
    rig.start_daemon(config)
    time.sleep(9)
    rig.end("daemon")
    stub = Stub(rig.broker_port, judge)
    rig.subscriber = Taken(stub)
    rig.start_daemon(config)
    return rig, stub


def taken(rig, stub, sector, kinds=("data", "history")):
    """(moment, epoch, numbers) of each message of rows that was taken."""
    out = []
    for p in stub.all(kinds):
        if p.sector == sector and p.answer == 0:
            batch, _ = undo_compression(rig.wire, p.payload)
            out.append((p.at, batch.epoch, [s.seq for s in batch.segments]))
    return out


def poison_refused():
    """A row that is refused by its content, one of history and one that is live: all others go on,
    and the one that is refused three times while others of its topic are taken is set aside."""
    at, bad = [], {5, 20}

    def judge(publish):
        if publish.kind not in ("data", "history"):
            return 0
        batch, _ = undo_compression(rig.wire, publish.payload)
        numbers = {s.seq for s in batch.segments} & bad if batch.sector == 2 else set()
        at.extend((n, time.monotonic(), len(batch.segments)) for n in numbers)
        return 0x99 if numbers else 0
    rig, stub = with_history("poison-refused", judge)
    rig.wait(lambda: {n for n, _, _ in at} == bad, 30, "both are refused")
    time.sleep(5)
    for sector in ("water", "manhole"):
        moments = [t for t, _, _ in taken(rig, stub, sector, ("data",))]
        still = longest_pause([*moments, time.monotonic()])
        rig.check("%s goes on (%.1f s)" % (sector, still), still < 4 + BUSY_MS / 1000)
    old = {n for _, _, numbers in taken(rig, stub, "water", ("history",)) for n in numbers}
    rig.check("of history all but the one arrives", len(old) >= 6 and
              old == set(range(1, max(old) + 1)) - {5}, old)
    rig.check("it was found by halves (%d)" % len(at), len(at) < 16 and min(n for _, _, n in at) == 1)
    for connection in (2, 3):
        stub.socket.shutdown(2)
        rig.wait(lambda: len(stub.connections) >= connection, 20, "it comes back")
        time.sleep(4 + BUSY_MS / 500)
    rig.wait(lambda: "is set aside" in rig.log("daemon"), 20, "the row is set aside")
    rig.check("the log says it once", rig.log("daemon").count("is set aside") == 1)
    rig.wait(lambda: rig.uplink()["backlog"]["set_aside"] == 1, 5, "status counts it")
    ended = len(at)
    time.sleep(6)
    rig.check("it is not sent any more", all(n == 5 for n, _, _ in at[ended:]), at[ended:])
    moments = [t for t, _, _ in taken(rig, stub, "water", ("data",)) if t > stub.connections[-1] + 4]
    still = longest_pause([*moments, time.monotonic()])
    rig.check("nothing holds the live rows up (%.1f s)" % still, still < 4 + BUSY_MS / 1000)
    bad.remove(5)   # what no other message of its topic speaks against is kept, and arrives one day
    rig.wait(lambda: any(5 in numbers for _, _, numbers in taken(rig, stub, "water")), 60,
             "it is tried again")
    _, gaps = check_all(rig, aside={(2, 5), (2, 20)})
    named = {(g.sector, g.first_seq, g.last_seq, g.reason) for of in gaps.values() for g in of}
    rig.check("a Gap names it, and nothing else", named == {(2, 20, 20, 6)}, named)
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


def forbidden_history():
    """history/ of a sector is not authorized, data/ is: its live rows go on, nothing is set aside,
    and when the access list is mended all arrives in order."""
    allowed = {"history": False}

    def judge(publish):
        mine = publish.kind == "history" and publish.sector == "water"
        return 0x87 if mine and not allowed["history"] else 0
    rig, stub = with_history("forbidden-history", judge)
    rig.wait(lambda: any(p.answer == 0x87 for p in stub.all()), 20, "it is refused")
    time.sleep(25)
    tried = sum(p.answer == 0x87 for p in stub.all())
    rig.check("it is tried seldom (%d)" % tried, tried <= 8)
    for sector in ("water", "manhole"):
        still = longest_pause([*[t for t, _, _ in taken(rig, stub, sector, ("data",))],
                               time.monotonic()])
        rig.check("%s goes on (%.1f s)" % (sector, still), still < 4 + BUSY_MS / 1000)
    rig.check("the state says so", list([s for s, _, _ in rig.states()][-1].uplinks[0].refused) == [2])
    allowed["history"] = True
    rig.wait(lambda: taken(rig, stub, "water", ("history",)), 60, "it is tried again")
    _, gaps = check_all(rig)
    came = [(e, n) for _, e, numbers in taken(rig, stub, "water", ("history",)) for n in numbers]
    rig.check("in order", came == sorted(came) and len(came) > 5, came)
    rig.check("no Gap", not any(gaps.values()), dict(gaps))
    rig.check("nothing is set aside", rig.uplink()["backlog"]["set_aside"] == 0, rig.uplink())
    rig.score("S16", 1, ["see above"] * rig.failures)
    rig.finish()


SCENARIOS = {f.__name__: f for f in (poison_refused, forbidden_history)}

if __name__ == "__main__":
    run_scenarios(SCENARIOS)
