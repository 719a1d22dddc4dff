"""A small MQTT 3.1.1 and 5 broker for one gateway, that does what a real one only does on a bad day:
refuses, stays silent, answers twice or in the wrong order, closes the connection on a payload.

    def judge(publish): return 0        # or a reason, NEVER, CLOSE or Disconnect(reason)
    stub = Stub(port, judge, max_packet=2000, receive_max=3, tls=("broker.crt", "broker.key"))

It keeps what it took: stub.published is a list of Publish. It checks nothing but the form."""
import select
import socket
import ssl
import struct
import threading
import time

NEVER = object()     # no acknowledgement, ever
CLOSE = object()     # the connection ends
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14
MAXIMUM_PACKET_SIZE, RECEIVE_MAXIMUM = 0x27, 0x21
SHUTTING_DOWN, QUOTA_EXCEEDED = 0x8b, 0x97    # reasons
RESPONSE_TOPIC, CORRELATION_DATA, CONTENT_TYPE = 0x08, 0x09, 0x03


class Disconnect:
    def __init__(self, reason):
        self.reason = reason


class Publish:
    def __init__(self, topic, payload, connection, size, mid):
        self.topic, self.payload, self.connection = topic, payload, connection
        self.size, self.mid, self.at = size, mid, time.monotonic()
        self.correlation = None
        self.answer = None

    @property
    def kind(self):
        parts = self.topic.split("/")
        return parts[-2] if parts[-2] in ("data", "history") else \
            "manifest" if "manifest" in parts else parts[-1]

    @property
    def sector(self):
        return self.topic.split("/")[-1]


def encode_length(value):
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7f
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(value)) + value


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + encode_length(len(body)) + body


def read_correlation(properties):
    """Correlation data among the properties a gateway sends."""
    at = 0
    while at < len(properties):
        length = struct.unpack_from("!H", properties, at + 1)[0]
        assert properties[at] in (CONTENT_TYPE, CORRELATION_DATA), properties[at]
        if properties[at] == CORRELATION_DATA:
            return properties[at + 3:at + 3 + length]
        at += 3 + length
    return None


class Stub:
    def __init__(self, port, judge=lambda publish: 0, max_packet=None, receive_max=None,
                 shuffle=None, tls=None):
        self.judge, self.max_packet, self.receive_max = judge, max_packet, receive_max
        self.shuffle = shuffle      # acknowledgements that are due -> packets to send
        self.published, self.connections, self.faults = [], [], []
        self.lock = threading.Lock()
        self.socket = None          # of the newest connection
        self.version = 5
        self.most_in_flight = 0
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if tls:
            self.tls.load_cert_chain(*tls)
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(time.monotonic())
            threading.Thread(target=self.guard, args=(connection, len(self.connections)),
                             daemon=True).start()

    def guard(self, connection, number):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            self.socket = connection
            self.talk(connection, number)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self.listener.close()
        if self.socket:
            self.socket.close()

    def all(self, kinds=("data", "history")):
        with self.lock:
            return [p for p in self.published if p.kind in kinds]

    # ---- one connection ----

    @staticmethod
    def exactly(connection, size):
        data = b""
        while len(data) < size:
            part = connection.recv(min(65536, size - len(data)))
            if not part:
                raise ConnectionError
            data += part
        return data

    def read_packet(self, connection):
        head = self.exactly(connection, 1)[0]
        size = shift = 0
        extra = 1
        while True:
            byte = self.exactly(connection, 1)[0]
            size |= (byte & 0x7f) << shift
            shift += 7
            extra += 1
            if not byte & 0x80:
                return head, self.exactly(connection, size), size + extra

    def connack(self):
        properties = b""
        if self.max_packet:
            properties += struct.pack("!BI", MAXIMUM_PACKET_SIZE, self.max_packet)
        if self.receive_max:
            properties += struct.pack("!BH", RECEIVE_MAXIMUM, self.receive_max)
        return packet(CONNACK, 0, bytes([0, 0]) + (encode_length(len(properties)) + properties
                                                   if self.version == 5 else b""))

    def puback(self, mid, reason):
        body = struct.pack("!H", mid)
        return packet(PUBACK, 0, body + bytes([reason, 0]) if self.version == 5 and reason else body)

    def talk(self, connection, number):
        due = []
        while True:
            if self.shuffle and due and not self.readable(connection):
                for answer in self.shuffle(self, due):
                    connection.sendall(answer)
                due = []
            head, body, size = self.read_packet(connection)
            kind = head >> 4
            if kind == CONNECT:
                self.version = body[6]
                connection.sendall(self.connack())
            elif kind == SUBSCRIBE:
                connection.sendall(packet(SUBACK, 0, body[:2] + (b"\0" if self.version == 5 else b"")
                                          + b"\1"))
            elif kind == PINGREQ:
                connection.sendall(packet(PINGRESP, 0, b""))
            elif kind == DISCONNECT:
                return
            elif kind == PUBLISH and not self.take(connection, number, head, body, size, due):
                return

    @staticmethod
    def see_off(connection):
        """What still comes is read: a reset would overtake the last word."""
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(2)
        while connection.recv(65536):
            pass

    @staticmethod
    def readable(connection):
        return (isinstance(connection, ssl.SSLSocket) and connection.pending() > 0) or \
            bool(select.select([connection], [], [], 0.05)[0])

    def take(self, connection, number, head, body, size, due):
        """False: the connection is to end."""
        length = struct.unpack_from("!H", body)[0]
        at = 2 + length
        mid = struct.unpack_from("!H", body, at)[0] if head & 6 else 0
        at += 2 if head & 6 else 0
        publish = Publish(body[2:2 + length].decode(), b"", number, size, mid)
        if self.version == 5:
            count = body[at]
            assert count < 0x80
            publish.correlation = read_correlation(body[at + 1:at + 1 + count])
            at += 1 + count
        publish.payload = body[at:]
        publish.answer = self.judge(publish)
        with self.lock:
            self.published.append(publish)
        if self.max_packet and size > self.max_packet:
            self.faults.append("a packet of %d bytes" % size)
        if publish.answer is CLOSE:
            return False
        if isinstance(publish.answer, Disconnect):
            connection.sendall(packet(DISCONNECT, 0, bytes([publish.answer.reason, 0])))
            self.see_off(connection)
            return False
        if publish.answer is not NEVER:
            due.append((mid, publish.answer))
            self.most_in_flight = max(self.most_in_flight, len(due))
        if self.receive_max and len(due) > self.receive_max:
            self.faults.append("%d in flight" % len(due))
        if not self.shuffle:
            for waiting in due:
                connection.sendall(self.puback(*waiting))
            due.clear()
        return True

    def send(self, topic, payload, response_topic=None, correlation=None):
        """A message to the gateway, at QoS 0."""
        properties = b""
        if response_topic:
            properties += bytes([RESPONSE_TOPIC]) + text(response_topic)
        if correlation:
            properties += bytes([CORRELATION_DATA]) + text(correlation)
        body = text(topic)
        if self.version == 5:
            body += encode_length(len(properties)) + properties
        self.socket.sendall(packet(PUBLISH, 0, body + payload))
