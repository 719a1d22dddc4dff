"""A network that loses, delays and is narrow: packets, not bytes, so that it is the kernel's own TCP
that has to cope. In a network namespace of this process alone.

    enter_namespace()              # first of all; False: not allowed here
    link = LossyLink(port)         # port: where the broker listens, on LossyLink.NEAR too
    link.loss, link.delay_s, link.rate = 0.2, 1, 8000    # each way; bytes a second, 0 = no limit

Whoever connects to LossyLink.FAR goes out by a TUN device; a thread of ours swaps the two addresses
of each packet (no checksum minds) and puts it back: it comes to NEAR, from FAR, and likewise the
answer."""
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 0x0001, 0x1000
QUEUE_S = 2                            # what a modem keeps before it throws away


def enter_namespace():
    """This thread, and all that it starts, get a network of their own: nothing but a loopback."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    return subprocess.run(["ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0


class LossyLink(threading.Thread):
    NEAR, FAR = "10.99.0.1", "10.99.0.2"

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.loss, self.delay_s, self.rate = 0, 0, 0
        self.lost, self.passed = {"up": 0, "down": 0}, {"up": 0, "down": 0}    # packets
        self.free_at = {"up": 0, "down": 0}    # when the line has sent all that waits for it
        self.random = random.Random(random.getrandbits(31))
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"lossy", IFF_TUN | IFF_NO_PI))
        for command in ("addr add %s/24 dev lossy" % self.NEAR, "link set lossy up"):
            subprocess.run(["ip", *command.split()], check=True)
        self.start()

    def due(self, packet, way):
        """When it arrives; None: never."""
        now = time.monotonic()
        begins = max(now, self.free_at[way])
        if self.random.random() < self.loss or begins > now + QUEUE_S:
            return None
        self.free_at[way] = begins + (len(packet) / self.rate if self.rate else 0)
        return self.free_at[way] + self.delay_s

    def take(self, packet, flying):
        if packet[0] >> 4 != 4 or packet[9] != 6:
            return
        target_port = struct.unpack_from("!H", packet, (packet[0] & 15) * 4 + 2)[0]
        way = "up" if target_port == self.port else "down"
        due = self.due(packet, way)
        if due is None:
            self.lost[way] += 1
            return
        self.passed[way] += 1
        swapped = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
        heapq.heappush(flying, (due, self.passed["up"] + self.passed["down"], swapped))

    def run(self):
        flying = []
        while True:
            wait = max(0, flying[0][0] - time.monotonic()) if flying else None
            if select.select([self.fd], [], [], wait)[0]:
                self.take(os.read(self.fd, 65536), flying)
            while flying and flying[0][0] <= time.monotonic():
                os.write(self.fd, heapq.heappop(flying)[2])
