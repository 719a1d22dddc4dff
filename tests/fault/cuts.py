"""A daemon that ends in a power cut."""
import os
import random
import signal
import time

from rig import BUILD, now_ms


def cut(rig, config, mode, events):
    """One life of the daemon; returns when it ended."""
    daemon = rig.start_daemon(
        config, LD_PRELOAD=os.path.join(BUILD, "powercut.so"), PC_DIR=rig.folder, PC_MODE=mode,
        PC_CUT=events, PC_SEED=str(random.getrandbits(32)))
    end = time.monotonic() + 30
    while daemon.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    rig.check("the cut (%s, event %s) came" % (mode, events),
              daemon.returncode == -signal.SIGKILL, daemon.returncode)
    return now_ms()
