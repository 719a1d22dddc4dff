#!/usr/bin/python3
"""Rows S1 to S8 of the scorecard in their short form, and the daemon under the same cuts;
LIFELINE_LONG=1 runs the long form and times the start after a cut with a large store. What they do
stands in tests/fault."""
# Beside others: it measures no time
import os
import subprocess
import sys

FAULT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault")
PROGRAMS = ["powercut_run", "powercut_upgrade", "powercut_daemon", "powercut_alarms", "disk_run"]
if os.environ.get("LIFELINE_LONG"):
    PROGRAMS.append("start_after_cut")

failed = 0
for program in PROGRAMS:
    status = subprocess.run([sys.executable, os.path.join(FAULT, program)]).returncode
    if status not in (0, 1):
        print("FAIL %s: exit status %d" % (program, status), flush=True)
    failed |= status != 0
sys.exit(failed)
