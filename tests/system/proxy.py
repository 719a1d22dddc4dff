"""A TCP proxy that misbehaves on demand: between the daemon and its broker, in a thread of the test.

It counts what it takes, and every attribute may be changed at any moment:

    proxy = Proxy(broker_port)
    proxy.drop = {"up", "down"}        # swallows what comes from the client, from the broker
    proxy.delay_s, proxy.rate = 1, 8000  # each way; bytes a second
    proxy.cuts = [(100, True), ...]    # one a connection: end it after so many bytes, True: by RST
    proxy.life_s = 3                   # connections end after so long
    proxy.cut(rst=True)                # all of them, now
    proxy.refuse(); proxy.accept()     # nobody listens; again
"""
import queue
import socket
import struct
import threading
import time


def reset(connection):
    """Closes with RST instead of FIN."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    finish(connection)


def finish(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


class Pair:
    """One connection: the client's socket, the broker's, and four threads."""

    def __init__(self, proxy, client, broker, cut):
        self.proxy, self.client, self.broker = proxy, client, broker
        self.left, self.rst = cut or (None, False)
        self.lock = threading.Lock()
        self.over = False
        for source, target, way in ((client, broker, "up"), (broker, client, "down")):
            chunks = queue.Queue(maxsize=16)
            for part in (self.take, self.give):
                threading.Thread(target=part, args=(source, target, way, chunks),
                                 daemon=True).start()
        if proxy.life_s:
            threading.Timer(proxy.life_s, self.end, (False,)).start()

    def end(self, rst):
        with self.lock:
            if self.over:
                return
            self.over = True
        (reset if rst else finish)(self.client)
        finish(self.broker)
        self.proxy.forget(self)

    def shorten(self, data):
        """What is left of the data before the cut, and whether the cut is there."""
        with self.lock:
            if self.left is None:
                return data, False
            data = data[:self.left]
            self.left -= len(data)
            return data, self.left == 0

    def take(self, source, target, way, chunks):
        try:
            while True:
                data = source.recv(4096)
                if not data:
                    break
                chunks.put((time.monotonic() + self.proxy.delay_s, data))
        except OSError:
            pass
        chunks.put((0, b""))

    def give(self, source, target, way, chunks):
        try:
            while True:
                due, data = chunks.get()
                if not data:
                    break
                time.sleep(max(0, due - time.monotonic()))
                if way in self.proxy.drop:
                    self.proxy.dropped += len(data)
                    continue
                data, cut = self.shorten(data)
                if self.proxy.rate:
                    time.sleep(len(data) / self.proxy.rate)
                target.sendall(data)
                self.proxy.passed[way] += len(data)
                self.proxy.last[way] = time.monotonic()
                if cut:
                    self.end(self.rst)
        except OSError:
            pass
        if way not in self.proxy.drop:    # the end of a connection is lost like all the rest
            self.end(False)


class Proxy:
    def __init__(self, target_port, port=0):
        self.target_port = target_port
        self.drop, self.delay_s, self.rate, self.life_s = set(), 0, 0, 0
        self.cuts = []
        self.accepted = []                # when each connection came, monotonic
        self.passed, self.dropped = {"up": 0, "down": 0}, 0
        self.last = {"up": 0, "down": 0}  # when something passed, monotonic
        self.shortest = float("inf")
        self.pairs = set()
        self.listener = None
        self.port = port
        self.accept()

    def accept(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def refuse(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted.append(time.monotonic())
            try:
                broker = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                reset(client)             # as if nobody listened behind us
                continue
            for end in (client, broker):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs.add(Pair(self, client, broker, self.cuts.pop(0) if self.cuts else None))

    def forget(self, pair):
        self.pairs.discard(pair)

    def cut(self, rst=False):
        for pair in list(self.pairs):
            pair.end(rst)

    def shortest_pause(self, since=0):
        """Between two connects of one daemon, in seconds."""
        times = [t for t in self.accepted if t >= since]
        return min([b - a for a, b in zip(times, times[1:])] + [self.shortest])

    def another_daemon(self):
        """The next connect has nothing to do with those so far."""
        self.shortest = self.shortest_pause()
        self.accepted.clear()
