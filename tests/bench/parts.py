"""What the cases of the benchmark are made of: the gateway with its broker and simulator, and the
meters of CPU, memory, flash and wire."""
import os
import socket
import struct
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))
from rig import BUILD, Subscriber, free_port  # noqa: E402

MSS = 1448
PROFILES = os.path.join(HERE, "profiles")


class Wire(threading.Thread):
    """Counts IP bytes of one TCP port on loopback, as if segments were cut to Ethernet's size."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.bytes, self.on = port, 0, True
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        self.socket.bind(("lo", 0x0800))
        self.socket.settimeout(0.5)

    def run(self):
        while self.on:
            try:
                packet, address = self.socket.recvfrom(65535)
            except socket.timeout:
                continue
            if address[2] != socket.PACKET_HOST or packet[9] != 6:
                continue
            head = (packet[0] & 15) * 4
            source, target = struct.unpack_from("!HH", packet, head)
            if self.port in (source, target):
                length = struct.unpack_from("!H", packet, 2)[0]
                headers = head + (packet[head + 12] >> 4) * 4
                pieces = max(1, -(-(length - headers) // MSS))
                self.bytes += length + (pieces - 1) * headers

    def stop(self):
        self.on = False
        self.join()
        return self.bytes


def cpu_ns(pid):
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
            total += int(f.read().split()[0])
    return total


def memory_kib(pid):
    values = {}
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for line in f:
            words = line.split()
            if words[0].endswith(":") and words[-1] == "kB":
                values[words[0]] = int(words[1])
    return values["Rss:"], values["Anonymous:"]


def written(pid):
    with open("/proc/%d/io" % pid) as f:
        return int([line.split()[1] for line in f if line.startswith("write_bytes")][0])


def tell(name, value, unit):
    print("%s %s %s" % (name, ("%.3f" % value).rstrip("0").rstrip("."), unit), flush=True)


def configure(rig, ports, every, segment, profile="bench-100", sync="1s", folder=None,
              compress="none"):
    lines = "\n  ".join("- { name: l%d, transport: tcp, host: 127.0.0.1, port: %d }" % (i, port)
                        for i, port in enumerate(ports))
    devices = "\n  ".join("- { name: d%d, line: l%d, unit: 1, profile: %s, every: %s }"
                          % (i, i, profile, every) for i in range(len(ports)))
    return rig.write("gateway.yaml", """
gateway: { id: gw-bench, region: "140502", trusted_rtc: true }
store: { path: %s, sync: %s, segment: %s }
lines:
  %s
devices:
  %s
uplinks:
  - { name: city, urls: [ "mqtts://127.0.0.1:%d" ], tls: { ca: %s },
      compress: %s }
api: { socket: %s }
""" % (os.path.join(folder or rig.folder, "store.db"), sync, segment, lines, devices,
       rig.broker_port, rig.path("broker.crt"), compress, rig.path("api.sock")))


def start_broker(rig, subscriber=True):
    """TLS for the gateway, plain for the subscriber, so that the wire of the two can be told apart.
    (The session of a subscriber that is stopped lasts: the broker would keep all of a drain for it.)"""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", rig.path("broker.key"), "-out",
                    rig.path("broker.crt"), "-subj", "/CN=broker", "-days", "2", "-addext",
                    "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    plain = free_port()
    rig.start_broker(listener="listener %d 127.0.0.1\nlistener %d 127.0.0.1\ncertfile %s\nkeyfile %s"
                     % (plain, rig.broker_port, rig.path("broker.crt"), rig.path("broker.key")))
    if subscriber:
        rig.subscriber = Subscriber(plain)
    rig.plain_port = plain


def start_sim(rig, config, *options):
    return rig.spawn("sim", [os.path.join(BUILD, "lifeline-sim"), "-c", config, "--profiles",
                             PROFILES, *options]).pid


def start_daemon(rig, config):
    return rig.spawn("daemon", [os.path.join(BUILD, "lifelined"), "-c", config, "--profiles",
                                PROFILES]).pid


def start(rig, ports, every, segment, profile="bench-100", **options):
    config = configure(rig, ports, every, segment, profile, **options)
    start_sim(rig, config)
    for port in ports:
        rig.wait_port(port)
    start_broker(rig)
    return start_daemon(rig, config)


def received(rig):
    """Readings that a subscriber counted, by its own decoding."""
    return sum(len(block.dt_ms) * len(block.columns) for _, _, batch, _, _ in rig.batches()
               for segment in batch.segments for block in segment.blocks)
