"""The transcript in the README: what is typed on a board, and what is to be seen then."""
import os
import re

from packages import TOP

BEGIN = "    # dpkg -i"


def steps():
    """[(command, lines of its answer)] of the README's block that begins with an installation."""
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as f:
        lines = f.read().replace("\\\n", "").split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith(BEGIN))
    found = []
    while lines[at].startswith("    "):
        line = lines[at][4:]
        if line.startswith("# "):
            found.append((re.sub(" +", " ", line[2:]), []))
        else:
            found[-1][1].append(line)
        at += 1
    return found


def is_what_it_says(lines, text):
    """`...` stands for anything within a line, and alone for any lines."""
    pattern = "".join("(?:.*\n)*?" if line == "..." else
                      re.escape(line).replace(re.escape("..."), ".*") + "\n" for line in lines)
    return re.fullmatch(pattern, text) is not None
