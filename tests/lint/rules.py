"""The lint rules. Each takes a Tree and returns its findings as lines "file:line: what"."""

import fnmatch
import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import house

IGNORED = {".git", "__pycache__"}


class Tree:
    """The files of a checkout, read once; build folders left out."""

    def __init__(self, root):
        self.root = Path(root)
        self.top = sorted(
            p.name
            for p in self.root.iterdir()
            if p.name not in IGNORED and p.name != "build" and not p.name.startswith("build-")
        )
        self.files = sorted(path for name in self.top for path in self._below(name))
        self.c = [f for f in self.files if f.endswith(".c")]
        self.h = [f for f in self.files if f.endswith(".h")]
        self._texts = {}

    def _below(self, name):
        if (self.root / name).is_file():
            yield name
        for folder, folders, files in os.walk(self.root / name):
            folders[:] = [f for f in folders if f not in IGNORED]
            for file in files:
                yield str((Path(folder) / file).relative_to(self.root))

    def text(self, file):
        """What the file says; "" for a file that is not UTF-8 text (recordings, corpora)."""
        if file not in self._texts:
            data = (self.root / file).read_bytes()
            try:
                self._texts[file] = data.decode() if b"\0" not in data else ""
            except UnicodeDecodeError:
                self._texts[file] = ""
        return self._texts[file]

    def code(self, file):
        """The text of a C file with comments and strings blanked, lines kept."""
        pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
        keep_lines = lambda match: re.sub(r"[^\n]", " ", match.group())
        return re.sub(pattern, keep_lines, self.text(file), flags=re.S)

    def includes(self, file):
        """(line number, header, whether in quotes) of each #include."""
        for number, line in enumerate(self.text(file).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if match:
                yield number, match.group(2), match.group(1) == '"'


def matches(text, pattern):
    """(line number, what matched) of every match in a text."""
    for match in re.finditer(pattern, text):
        yield text.count("\n", 0, match.start()) + 1, match.group()


def words(names):
    return r"\b(?:" + "|".join(map(re.escape, names)) + r")\b"


# Floors


def room_of(file):
    folder = os.path.dirname(file)
    while folder and folder not in house.ROOMS:
        folder = os.path.dirname(folder)
    return folder


def library_of(header):
    for library, beginnings in house.LIBRARIES.items():
        if header.startswith(beginnings):
            return library
    if header.startswith(house.LIBC_FOLDERS) or header.removesuffix(".h") in house.LIBC:
        return "libc"
    return None


def include_fault(tree, file, header, quoted):
    room = room_of(file)
    rooms, libraries = house.ROOMS[room]
    if file in house.MAIN:
        rooms, libraries = set(house.ROOMS), house.MAIN_LIBRARIES
    if quoted and not library_of(header):
        target = room_of(header)
        if header not in tree.files:
            return f'"{header}" is no file of the house (write its path from the top)'
        if header in house.MAIN and file not in house.MAIN:
            return f"only main.c and its like may include {header}"
        if target != room and target not in rooms:
            return f"{room} may not include {target or header}"
        return None
    library = library_of(header)
    if library is None:
        return f"<{header}> is neither libc nor a known library (house.py)"
    if library != "libc" and library not in libraries:
        return f"{room} may not include {library}"
    return None


def includes_go_down(tree):
    for file in tree.c + tree.h:
        if file.startswith("tests/"):
            continue
        if room_of(file) not in house.ROOMS:
            yield f"{file}:1: in a folder that house.py does not know"
            continue
        for line, header, quoted in tree.includes(file):
            fault = include_fault(tree, file, header, quoted)
            if fault:
                yield f"{file}:{line}: {fault}"


def rooms_have_no_circle(_tree, rooms=house.ROOMS):
    """The table itself: whoever is below may not reach back up."""

    def reach(room, seen):
        for below in rooms[room][0]:
            if below not in seen:
                seen.add(below)
                reach(below, seen)
        return seen

    for room in rooms:
        if room in reach(room, set()):
            yield f"tests/lint/house.py:1: {room} reaches itself"


def only_house_at_the_top(tree):
    for name in tree.top:
        known = house.TOP_FOLDERS if (tree.root / name).is_dir() else house.TOP_FILES
        if name not in known and not name.startswith("."):
            yield f"{name}:1: does not belong at the top"


# Size and shape


def files_are_short(tree):
    for file in tree.files:
        if file.endswith((".c", ".h", ".py")) or tree.text(file).startswith("#!"):
            lines = tree.text(file).count("\n")
            if lines > house.FILE_LINES:
                yield f"{file}:1: {lines} lines, at most {house.FILE_LINES}"


def functions_are_short(tree):
    """clang-format puts the braces of a function, and of nothing else, alone in column 0."""
    for file in tree.c + tree.h:
        start = 0
        for number, line in enumerate(tree.code(file).splitlines(), 1):
            if line.rstrip() == "{":
                start = number
            elif line.rstrip() == "}" and start:
                if number - start + 1 > house.FUNCTION_LINES:
                    length = number - start + 1
                    yield f"{file}:{start}: {length} lines, at most {house.FUNCTION_LINES}"
                start = 0


def sources_open_with_a_comment(tree):
    limits = house.HEAD_COMMENT_LINES
    for file in tree.c:
        match = re.match(r"/\*.*?\*/", tree.text(file), re.S)
        lines = match.group().count("\n") + 1 if match else 0
        if lines not in limits:
            wanted = f"{limits.start} to {limits.stop - 1}"
            yield f"{file}:1: head comment of {lines} lines, {wanted} wanted"


def headers_are_guarded(tree):
    """LIFELINE_STORE_H, or with its folder LIFELINE_STORE_INTERNAL_H; no two the same."""
    owner = {}
    for file in tree.h:
        folder, name = (part.upper() for part in (Path(file).parent.name, Path(file).stem))
        match = re.search(r"^#ifndef (\w+)\n#define \1\n", tree.text(file), re.M)
        guard = match.group(1) if match else ""
        if guard not in (f"LIFELINE_{name}_H", f"LIFELINE_{folder}_{name}_H"):
            yield f"{file}:1: guard LIFELINE_{name}_H or LIFELINE_{folder}_{name}_H wanted"
        elif guard in owner:
            yield f"{file}:1: guard {guard} is also that of {owner[guard]}"
        owner[guard] = file


def headers_stand_alone(tree):
    """Each header compiles as the only include of a file."""
    with tempfile.TemporaryDirectory() as generated:
        proto = tree.root / "proto/lifeline/v1/lifeline.proto"
        if proto.exists():
            command = ["protoc-c", f"--c_out={generated}", f"-I{tree.root}/proto", str(proto)]
            subprocess.run(command, check=True)
        flags = subprocess.check_output(["pkg-config", "--cflags", "libmodbus"], text=True)
        base = ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
        base += [f"-I{tree.root}", f"-I{generated}", *flags.split(), "-xc", "-"]

        def compile_alone(file):
            source = f'#include "{file}"\n'
            return subprocess.run(base, input=source, capture_output=True, text=True).stderr

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for file, errors in zip(tree.h, pool.map(compile_alone, tree.h)):
                first = re.search(r"error: .*", errors)
                if errors:
                    yield f"{file}:1: alone: {first.group() if first else errors}"


def c_is_formatted(tree):
    files = tree.c + tree.h
    if not files:
        return
    command = ["clang-format-14", "--dry-run", "-Werror", "-ferror-limit=1", *files]
    done = subprocess.run(command, cwd=tree.root, capture_output=True, text=True)
    yield from re.findall(r"^.*: error: .*", done.stderr, re.M)
    if done.returncode and "error:" not in done.stderr:
        yield f"clang-format-14: {done.stderr}"


# Words


def no_banned_calls(tree):
    for file in tree.c + tree.h:
        for line, call in matches(tree.code(file), words(house.BANNED_CALLS) + r"\s*\("):
            yield f"{file}:{line}: {call.rstrip('( ')} is banned"


def lower_floors_do_not_print(tree):
    printing = words(house.PRINTING_CALLS) + r"\s*\(|" + words(house.PRINTING_STREAMS)
    for file in tree.c + tree.h:
        if file.split("/")[0] in house.FLOORS and file not in house.MAY_PRINT:
            for line, word in matches(tree.code(file), printing):
                yield f"{file}:{line}: {word.rstrip('( ')} on a floor that does not print"


def no_narrow_time(tree):
    """libevent's struct timeval is the narrow one on a 32-bit board, and so it has to be in each file
    that hands one over; a fortified ppoll() takes the narrow time_t whatever it is told to."""
    cmake = tree.text("CMakeLists.txt") if "CMakeLists.txt" in tree.files else ""
    narrow = re.findall(r"file\(GLOB EVENT_SOURCES CONFIGURE_DEPENDS ([^)]*)\)", cmake)
    for file in tree.c:
        if not file.startswith(("proto/", "config/", "drivers/", "gateway/")):
            continue
        known = any(fnmatch.fnmatchcase(file, p) for p in " ".join(narrow).split())
        for line, _ in matches(tree.code(file), r"(struct timeval)\b"):
            if not known:
                yield f"{file}:{line}: a struct timeval, and not in EVENT_SOURCES"
        for line, _ in matches(tree.code(file), r"\b(ppoll)\("):
            if file != "drivers/clock.c":
                yield f"{file}:{line}: ppoll(); there is clock_poll()"


def nothing_left_undone(tree):
    for file in tree.files:
        for line, word in matches(tree.text(file), words(house.MARKERS)):
            yield f"{file}:{line}: {word}"


def no_foreign_places(tree):
    """Paths of one machine, hosts of registries."""
    paths = r"(?<![\w.}$])(?:" + "|".join(house.MACHINE_PATHS) + ")"
    hosts = "|".join(map(re.escape, house.REGISTRY_HOSTS))
    for file in tree.files:
        if file == "LICENSE":
            continue
        for line, word in matches(tree.text(file), paths + "|" + hosts):
            yield f"{file}:{line}: {word}"


def threads_are_watched(tree):
    """Who starts a thread of the daemon does it through thread.c, and joins the watchdog."""
    for file in tree.c:
        if not file.startswith("gateway/") or file == house.STARTER:
            continue
        code = tree.code(file)
        for line, _ in matches(code, r"\bpthread_create\s*\("):
            if file not in house.SHORT_THREADS:
                yield f"{file}:{line}: pthread_create() is {house.STARTER}'s; thread_start()"
        for line, _ in matches(code, r"\bthread_start\s*\("):
            if not re.search(r"\bwatchdog_join\s*\(", code):
                yield f"{file}:{line}: a thread that never calls watchdog_join()"


# Belonging


def scripts_are_executable(tree):
    for file in tree.files:
        script = tree.text(file).startswith("#!")
        executable = os.access(tree.root / file, os.X_OK)
        if script and not executable:
            yield f"{file}:1: a script without its executable bit"
        elif executable and not script:
            yield f"{file}:1: executable, but no script"


def every_source_is_used(tree):
    """A .c is built by CMakeLists.txt, a .h is included by another file than its own .c."""
    cmake = tree.text("CMakeLists.txt") if "CMakeLists.txt" in tree.files else ""
    patterns = re.findall(r"[\w/*.${}]+\.c\b", cmake)
    patterns = [p.replace("${room}", "*").removeprefix("${CMAKE_SOURCE_DIR}/") for p in patterns]
    for file in tree.c:
        fits = lambda p: p.count("/") == file.count("/") and fnmatch.fnmatchcase(file, p)
        if not any(map(fits, patterns)):
            yield f"{file}:1: not built by CMakeLists.txt"
    users = {}
    for file in tree.c + tree.h:
        for _, header, _ in tree.includes(file):
            users.setdefault(header, set()).add(file)
    for file in tree.h:
        if not users.get(file, set()) - {file.removesuffix(".h") + ".c"}:
            yield f"{file}:1: included by nobody but its own .c"


def readme_is_true(tree):
    """Every path it names exists, every folder at the top is named."""
    if "README.md" not in tree.files:
        yield "README.md:1: missing"
        return
    text = tree.text("README.md")
    folders = "|".join(sorted(house.TOP_FOLDERS))
    for line, path in matches(text, rf"(?<![\w./-])(?:{folders})/[\w./*-]*"):
        path = re.sub(r"\b[A-Z]{4,}\b", "*", path.rstrip(".").rstrip("/"))
        if not any(tree.root.glob(path)):
            yield f"README.md:{line}: {path} does not exist"
    for name in sorted(house.TOP_FOLDERS & set(tree.top)):
        if not re.search(rf"(?<![\w/-]){name}/", text):
            yield f"README.md:1: does not name {name}/"


def version_has_one_place(tree):
    """CMakeLists.txt tells it, the changelog's newest entry repeats it, nothing else holds it."""
    cmake, changes = "CMakeLists.txt", "deploy/changelog"
    if cmake not in tree.files or changes not in tree.files:
        yield f"{cmake}:1: it or {changes} is missing"
        return
    told = re.search(r"^project\(\w+ VERSION ([\d.]+)", tree.text(cmake), re.M)
    entry = re.match(r"[\w-]+ \(([^)]+)\) ", tree.text(changes))
    if not told or not entry or told[1] != entry[1]:
        yield f"{changes}:1: {entry and entry[1]}, {cmake} says {told and told[1]}"
        return
    for file in set(tree.files) - {cmake, changes}:
        for line, _ in matches(tree.text(file), rf"(?<![\d.]){re.escape(told[1])}(?!\.?\d)"):
            yield f"{file}:{line}: holds the version {told[1]}"


RULES = [
    includes_go_down,
    rooms_have_no_circle,
    only_house_at_the_top,
    files_are_short,
    functions_are_short,
    sources_open_with_a_comment,
    headers_are_guarded,
    headers_stand_alone,
    c_is_formatted,
    no_banned_calls,
    lower_floors_do_not_print,
    no_narrow_time,
    nothing_left_undone,
    no_foreign_places,
    threads_are_watched,
    scripts_are_executable,
    every_source_is_used,
    readme_is_true,
    version_has_one_place,
]
