#!/usr/bin/python3
"""Rows S1 to S6 of the scorecard in their short form; LIFELINE_LONG=1 runs the long one. All of it
stands in tests/fault/powercut_run."""
import os
import sys

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fault", "powercut_run")
os.execv(sys.executable, [sys.executable, RUN] + sys.argv[1:])
