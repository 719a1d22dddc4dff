"""Prometheus text exposition 0.0.4, read as strictly as its description allows: samples of a family
stand together below their one HELP and TYPE, no series is there twice, counters end in _total."""
import re


class Metrics:
    """The series of a page; AssertionError with the line that breaks a rule."""

    LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
    SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(%s(?:,%s)*)\})? "
                        r"(NaN|[+-]Inf|[+-]?\d+(?:\.\d+)?(?:e[+-]\d+)?)" % (LABEL, LABEL))
    SUFFIXES = {"summary": ("", "_sum", "_count"), "counter": ("",), "gauge": ("",)}

    def __init__(self, text):
        self.types, self.series, self.family, self.helped = {}, {}, None, None
        assert text.endswith("\n"), "the last line does not end"
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                assert self.helped is None, "two HELP in a row: " + line
                _, _, self.helped, words = line.split(" ", 3)
                assert words and self.helped not in self.types, line
            elif line.startswith("# TYPE "):
                _, _, self.family, kind = line.split(" ")
                assert self.helped == self.family and kind in self.SUFFIXES, line
                assert (kind == "counter") == self.family.endswith("_total"), line
                self.types[self.family], self.helped = kind, None
            else:
                self.sample(line)

    def sample(self, line):
        match = self.SAMPLE.fullmatch(line)
        assert match and self.helped is None, line
        name, labels, number = match.groups()
        kind = self.types[self.family]
        assert name in [self.family + suffix for suffix in self.SUFFIXES[kind]], line
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
        plain = {key: re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value)
                 for key, value in pairs}
        assert len(plain) == len(pairs), "a label twice: " + line
        if kind == "summary":
            assert ("quantile" in plain) == (name == self.family), line
        key = name, frozenset(plain.items())
        assert key not in self.series, "a series twice: " + line
        assert kind != "counter" or float(number) >= 0, line
        self.series[key] = float(number)

    def get(self, name, **labels):
        return self.series.get((name, frozenset(labels.items())))

    def labels(self, name):
        return [dict(labels) for n, labels in self.series if n == name]
