"""The alarms of one trial of fault_store: no step that was committed is lost, and what was up and
committed goes on under its id. What the alarms of a life did stands in its file `sirens` (sirens.c),
what was committed in `alarms` (LIFELINE_TEST_ALARMS); both lay elsewhere than the disk that lost its
power. A step that was published and not yet committed may be forgotten, and its number be given anew."""
import glob

CLEARED = 5                             # AlarmStatus


def lines_of(path, mark=None):
    """A process that is killed may leave half a line behind; what stands behind the mark was written
    when the disk was already dying."""
    try:
        with open(path, encoding="ascii") as f:
            text = f.read(mark)
    except FileNotFoundError:
        return []
    return [line.split() for line in text.splitlines(True) if line.endswith("\n")]


def mark_of(life):
    try:
        with open(life + "/mark-alarms", encoding="ascii") as f:
            return int(f.read())
    except FileNotFoundError:
        return None


class Alarms:
    def __init__(self, folder):
        self.put = {}                   # (id, step) -> (site, status, level), as it was put last
        self.committed = {}             # the same, of those that surely were
        self.took = set()
        self.up = {}                    # site -> (id, step) of what is up and was committed
        self.wrong = []
        for life in sorted(glob.glob(folder + "/life-*")):
            self.live(life)

    def live(self, life):
        restored = {}
        for what, *rest in lines_of(life + "/sirens"):
            if what == "begun":
                self.begin(life, restored)
                continue
            site, alarm, step, status, level = rest
            event, content = (alarm, int(step)), (int(site), int(status), int(level))
            if what == "restored":
                if content[0] in restored:
                    self.wrong.append("%s: two alarms of site %s are up" % (life, site))
                restored[content[0]] = event
                self.same(event, content, "in force")
            elif what == "put":
                self.put[event] = content
            else:
                self.took.add(event)
                self.same(event, content, "taken")
        for alarm, step in lines_of(life + "/alarms", mark_of(life)):
            self.commit((alarm, int(step)))

    def same(self, event, content, what):
        if event not in self.put:
            self.wrong.append("(d) %s step %d is %s and was never put" % (*event, what))
        elif self.committed.get(event, content) != content:
            self.wrong.append("(c) %s step %d is %s with another content" % (*event, what))

    def commit(self, event):
        site, status, _ = self.committed[event] = self.put[event]
        if status != CLEARED:
            self.up[site] = event
        elif site in self.up and self.up[site][0] == event[0]:
            del self.up[site]

    def begin(self, life, restored):
        """A commit and its line in the file are not one: what is on the disk may be a step ahead."""
        for site, event in list(self.up.items()):
            found = restored.get(site, ("", 0))
            if found[0] == event[0] and found[1] >= event[1]:
                continue
            end = [e for e in self.put if e[0] == event[0] and e[1] > event[1] and
                   self.put[e][1] == CLEARED]
            if end:
                self.commit(end[0])
            else:
                self.wrong.append("%s: %s step %d was committed and is not up: would be raised again"
                                  % (life, *event))
                del self.up[site]
        for event in restored.values():
            if event in self.put:
                self.commit(event)

    def violations(self):
        yield from self.wrong
        for event in self.committed:
            if event not in self.took:
                yield "(a) %s step %d was committed and never arrived" % event


def check(folder):
    """(steps that were committed, what is wrong)"""
    alarms = Alarms(folder)
    return len(alarms.committed), list(alarms.violations())
