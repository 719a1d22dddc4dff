#!/usr/bin/python3
"""deploy/package: packages for three architectures out of a fresh Debian; the same bytes from another
folder; dependencies that were found and not written down; a bill of materials that is true; a
service whose sandbox is as tight as systemd can say."""
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time

from packages import NAMES, PACKAGES, TOP, check, finish, package, run

ARCHES = ("amd64", "arm64", "armhf")
LIMIT_S = 15 * 60
MACHINE = {"amd64": "x86-64", "arm64": "ARM aarch64", "armhf": "ARM, EABI5"}


def contents(deb):
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as files:
        return {m.name: files.extractfile(m).read() for m in files.getmembers() if m.isfile()}


def digests(folder):
    return {n: hashlib.sha256(open(os.path.join(folder, n), "rb").read()).hexdigest()
            for n in sorted(os.listdir(folder)) if n.endswith(".deb")}


def built():
    shutil.rmtree(PACKAGES, ignore_errors=True)
    begun = time.monotonic()
    made = run(os.path.join(TOP, "deploy", "package"))
    took = time.monotonic() - begun
    check("three architectures are built, and lintian has nothing to say (%d s)" % took,
          made.returncode == 0 and took < LIMIT_S and "W:" not in made.stdout + made.stderr and
          all(os.path.exists(package(n, a)) for n in NAMES for a in ARCHES),
          (made.stdout + made.stderr)[-2000:])


def the_same_again():
    """Another folder, with the same Debian to build in; a file that is newer and nobody else's."""
    with tempfile.TemporaryDirectory(prefix="lifeline-again-", dir="/tmp") as other:
        source = os.path.join(other, "elsewhere", "gateway")
        shutil.copytree(TOP, source, ignore=shutil.ignore_patterns("build", ".git"))
        os.utime(os.path.join(source, "README.md"))
        os.makedirs(os.path.join(source, "build"))
        os.symlink(os.path.join(TOP, "build", "root"), os.path.join(source, "build", "root"))
        made = run(os.path.join(source, "deploy", "package"), umask=0o077)
        ours, theirs = digests(PACKAGES), digests(os.path.join(source, "build", "packages"))
        check("another folder gives the same bytes", made.returncode == 0 and ours == theirs,
              [n for n in ours if ours[n] != theirs.get(n)] or made.stderr[-500:])


def a_package(name, arch):
    deb = package(name, arch)
    files = contents(deb)
    fields = run("dpkg-deb", "-f", deb).stdout
    depends = re.search(r"^Depends: (.*)$", fields, re.M).group(1)
    programs = [f for f in files if files[f][:4] == b"\x7fELF"]
    with tempfile.NamedTemporaryFile(prefix="lifeline-elf-") as elf:
        elf.write(files[programs[0]])
        elf.flush()
        kind = run("file", "-b", elf.name).stdout
    check("%s %s: programs for it, stripped" % (name, arch), MACHINE[arch] in kind and
          ", stripped" in kind, kind)
    needed = {m for m in re.findall(r"(lib[a-z0-9.+-]+|zlib1g)", depends)}
    bill = json.loads(files["./usr/share/doc/%s/%s.spdx.json" % (name, name)])
    listed = {f["fileName"]: f["checksums"][0]["checksumValue"] for f in bill["files"]}
    # compressed and stripped things come after nothing: what is listed is what is there
    wrong = [f for f, sum_ in listed.items() if hashlib.sha256(files.get(f, b"")).hexdigest() != sum_]
    missing = [f for f in files if f not in listed and not f.endswith(".spdx.json")]
    check("%s %s: the bill of materials lists each file" % (name, arch), not wrong and not missing,
          (wrong, missing))
    own = {p["name"] for p in bill["packages"]} - {name}
    check("%s %s: and each library that it depends on" % (name, arch), own and needed and own == needed,
          own ^ needed)


def sandbox():
    unit = os.path.join(TOP, "deploy", "debian", "lifeline-gateway.service")
    looked = run("systemd-analyze", "security", "--offline=true", "--threshold=15", unit)
    found = re.search(r"exposure level for \S+ ([0-9.]+)", looked.stdout)
    check("the sandbox: %s of 10, 1.5 at most" % (found and found.group(1)),
          looked.returncode == 0 and found and float(found.group(1)) <= 1.5, looked.stdout[-300:])
    told = run("systemd-analyze", "verify", "--man=no", unit)
    said = [line for line in told.stderr.splitlines() if "lifeline" in line
            and "not executable" not in line]
    check("systemd understands the unit", not said, said)


if __name__ == "__main__":
    sandbox()
    built()
    the_same_again()
    for each in NAMES:
        for machine in ARCHES:
            a_package(each, machine)
    finish()
