"""Sensors whose registers a test sets: a Modbus TCP server, any unit, functions 3 and 4."""
import random
import socket
import struct
import threading
import time


class Sensors:
    def __init__(self, port):
        self.registers = {}             # (unit, address) -> value
        self.noise = 0                  # where nothing was set: from 0 up to this
        self.mute = set()               # units that do not answer
        self.answered = {}              # unit -> moments of its answers
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def set(self, unit, address, value):
        self.registers[unit, address] = value

    def serve(self, connection):
        try:
            while True:
                head = self.read(connection, 7)
                transaction, _, length, unit = struct.unpack(">HHHB", head)
                function, address, count = struct.unpack(">BHH", self.read(connection, length - 1))
                if unit in self.mute:
                    continue
                values = [self.registers[unit, address + i] if (unit, address + i) in self.registers
                          else random.randint(0, self.noise) for i in range(count)]
                body = struct.pack(">BBB%dH" % count, unit, function, 2 * count, *values)
                self.answered.setdefault(unit, []).append(time.monotonic())
                connection.sendall(struct.pack(">HHH", transaction, 0, len(body)) + body)
        except (OSError, struct.error):
            connection.close()

    @staticmethod
    def read(connection, count):
        data = b""
        while len(data) < count:
            more = connection.recv(count - len(data))
            if not more:
                raise OSError("gone")
            data += more
        return data
