"""Debian packages as the tests of deploy/ need them: where they are, and how a check is told."""
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = os.path.join(TOP, "build", "packages")
NAMES = ("lifeline-gateway", "lifeline-sim")
failures = 0


def check(name, passed, why=""):
    global failures
    failures += not passed
    print("%s %s%s" % ("ok" if passed else "FAIL", name, "" if passed else ": %s" % (why,)), flush=True)
    return passed


def finish():
    sys.exit(1 if failures else 0)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def version():
    return run("dpkg-parsechangelog", "-l", os.path.join(TOP, "deploy", "changelog"), "-S",
               "Version").stdout.strip()


def package(name, arch, folder=PACKAGES):
    return os.path.join(folder, "%s_%s_%s.deb" % (name, version(), arch))
