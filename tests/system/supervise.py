"""What systemd would do for the daemon, and what it would do to it: a supervisor with NOTIFY_SOCKET
and a watchdog that ends and restarts who is not heard of, and limits of memory and CPU in cgroups.
systemd itself does not run where the tests do."""
import os
import resource
import signal
import socket
import threading
import time

from rig import BUILD, now_ms

HANG, MALLOCFAIL = (os.path.join(BUILD, name) for name in ("hang.so", "mallocfail.so"))


class Supervisor:
    """Starts the daemon, hears its messages, and ends it by SIGABRT and starts it anew when it is
    ready and then says nothing for watchdog_s."""

    def __init__(self, rig, config, watchdog_s, abstract=False, **environment):
        self.rig, self.config, self.watchdog_s = rig, config, watchdog_s
        self.messages = []              # (monotonic, text)
        self.kills_ms, self.starved_s = [], []
        self.ending = False
        name = "\0lifeline-%d" % os.getpid() if abstract else rig.path("notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name)
        self.socket.settimeout(0.2)
        self.environment = dict(environment, NOTIFY_SOCKET=name.replace("\0", "@"),
                                WATCHDOG_USEC=str(int(watchdog_s * 1e6)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.start()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def start(self):
        self.fed = None                 # the watchdog runs from READY=1 on
        self.process = self.rig.start_daemon(self.config, **self.environment)

    def run(self):
        looked = time.monotonic()
        while not self.ending:
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                text = ""
            now = time.monotonic()
            if text:
                self.messages.append((now, text))
            if "READY=1" in text or "WATCHDOG=1" in text:
                self.fed = now
            if "STOPPING=1" in text:
                self.fed = None
            if self.fed and now - looked > 2:
                self.fed = now          # this process itself did not run
            looked = now
            if self.fed and now - self.fed > self.watchdog_s:
                self.starved_s.append(self.fed)
                self.process.send_signal(signal.SIGABRT)
                self.process.wait()
                self.kills_ms.append(now_ms())
                self.start()

    def heard(self, text):
        return any(text in message for _, message in list(self.messages))

    def stop(self):
        """The daemon stays; nobody watches it from now on."""
        self.ending = True
        self.thread.join()


class Cgroup:
    """A cgroup of version 1, in the same place of the hierarchy as we are. `ok` is False where there
    is none for us."""

    def __init__(self, controller, name, **limits):
        self.folder = "/sys/fs/cgroup/%s/lifeline-%s-%d" % (controller, name, os.getpid())
        self.ok = False
        try:
            os.mkdir(self.folder)
            for key, value in limits.items():
                self.write(controller + "." + key, value)
            self.ok = True
        except OSError as error:
            print("no cgroup %s here: %s" % (controller, error), flush=True)

    def write(self, file, value):
        with open(os.path.join(self.folder, file), "w", encoding="ascii") as f:
            f.write(str(value))

    def read(self, file):
        with open(os.path.join(self.folder, file), encoding="ascii") as f:
            return f.read().strip()

    def add(self, process):
        self.write("cgroup.procs", process.pid)

    def remove(self):
        if self.ok:
            os.rmdir(self.folder)


def memory(process):
    """Resident and anonymous memory, in KiB."""
    found = {}
    with open("/proc/%d/smaps_rollup" % process.pid, encoding="ascii") as f:
        for line in f:
            words = line.split()
            if words[0] in ("Rss:", "Anonymous:"):
                found[words[0]] = int(words[1])
    return found["Rss:"], found["Anonymous:"]


def descriptors(process):
    return len(os.listdir("/proc/%d/fd" % process.pid))


def cpu_s(process):
    with open("/proc/%d/stat" % process.pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def slope(samples):
    """By least squares over (seconds, value): value a second."""
    n = len(samples)
    x, y = (sum(column) / n for column in zip(*samples))
    spread = sum((a - x) ** 2 for a, _ in samples)
    return sum((a - x) * (b - y) for a, b in samples) / spread if spread else 0
