"""A small SSH client (RFC 4253) that sends whatever it is told to, for tests that no real client can make.

Speaks curve25519-sha256, aes128-ctr, hmac-sha2-256; does not verify the host key. Needs python3-cryptography.
"""
import hashlib
import hmac
import os
import socket
import struct
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG = 1, 2, 3, 4
SERVICE_REQUEST, SERVICE_ACCEPT, EXT_INFO = 5, 6, 7
KEXINIT, NEWKEYS, ECDH_INIT, ECDH_REPLY = 20, 21, 30, 31
AUTH_REQUEST, AUTH_FAILURE, AUTH_SUCCESS, AUTH_BANNER, AUTH_PK_OK = 50, 51, 52, 53, 60
GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
CHANNEL_OPEN, OPEN_CONFIRMATION, OPEN_FAILURE, WINDOW_ADJUST = 90, 91, 92, 93
DATA, EXTENDED_DATA, EOF, CLOSE = 94, 95, 96, 97
CHANNEL_REQUEST, CHANNEL_SUCCESS, CHANNEL_FAILURE = 98, 99, 100


def string(data):
    if isinstance(data, str):
        data = data.encode()
    return struct.pack(">I", len(data)) + data


def u32(n):
    return struct.pack(">I", n & 0xFFFFFFFF)


def mpint(data):
    data = data.lstrip(b"\0")
    if data and data[0] & 0x80:
        data = b"\0" + data
    return string(data)


def take(data, at=0):
    (n,) = struct.unpack_from(">I", data, at)
    return data[at + 4 : at + 4 + n], at + 4 + n


class Closed(Exception):
    """The server has closed the connection."""


class Key:
    def __init__(self, private=None):
        self.private = private or Ed25519PrivateKey.generate()
        raw = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self.algorithm = b"ssh-ed25519"
        self.blob = string(self.algorithm) + string(raw)

    @classmethod
    def load(cls, path):
        with open(path, "rb") as f:
            return cls(serialization.load_ssh_private_key(f.read(), None))

    def sign(self, data):
        return string(self.algorithm) + string(self.private.sign(data))


class FidoKey(Key):
    """An sk-ssh-ed25519 key in software; `flags` as the token would set them."""

    def __init__(self, flags=1, private=None):
        super().__init__(private)
        raw = self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        self.flags = flags
        self.algorithm = b"sk-ssh-ed25519@openssh.com"
        self.blob = string(self.algorithm) + string(raw) + string("ssh:")

    def sign(self, data):
        tail = bytes([self.flags]) + u32(7)
        signed = hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(data).digest()
        return string(self.algorithm) + string(self.private.sign(signed)) + tail


class Client:
    def __init__(self, port, host="127.0.0.1", timeout=10, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect((host, port))
        self.buffer = b""
        self.send_seq = self.recv_seq = 0
        self.send_cipher = self.recv_cipher = None
        self.send_mac = self.recv_mac = None
        self.session_id = None
        self.strict = False
        self.kexinit_server = None

    # the wire

    def read_exactly(self, n):
        while len(self.buffer) < n:
            try:
                more = self.sock.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                raise Closed()
            self.buffer += more
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def banner(self, text=b"SSH-2.0-rawssh\r\n"):
        self.sock.sendall(text)
        line = b""
        while not line.endswith(b"\n"):
            line += self.read_exactly(1)
        self.v_c, self.v_s = text.rstrip(b"\r\n"), line.rstrip(b"\r\n")

    def encode(self, payload):
        block = 16 if self.send_cipher else 8
        pad = block - (len(payload) + 5) % block
        if pad < 4:
            pad += block
        packet = u32(len(payload) + pad + 1) + bytes([pad]) + payload + os.urandom(pad)
        out = packet
        if self.send_cipher:
            mac = hmac.new(self.send_mac, u32(self.send_seq) + packet, "sha256").digest()
            out = self.send_cipher.update(packet) + mac
        self.send_seq += 1
        return out

    def send(self, kind, *parts):
        self.sock.sendall(self.encode(bytes([kind]) + b"".join(parts)))

    def receive_any(self):
        if self.recv_cipher:
            head = self.recv_cipher.update(self.read_exactly(16))
            (size,) = struct.unpack(">I", head[:4])
            body = head[4:] + self.recv_cipher.update(self.read_exactly(size - 12))
            self.read_exactly(32)
        else:
            (size,) = struct.unpack(">I", self.read_exactly(4))
            body = self.read_exactly(size)
        self.recv_seq += 1
        payload = body[1 : len(body) - body[0]]
        return payload[0], payload[1:]

    def receive(self):
        while True:
            kind, body = self.receive_any()
            if kind == DISCONNECT:
                raise Closed(take(body, 4)[0].decode())
            if kind == KEXINIT:
                self.kexinit_server = body
                self.kex(answer=True)
            elif kind not in (IGNORE, DEBUG, EXT_INFO, AUTH_BANNER):
                return kind, body

    def expect(self, *kinds):
        kind, body = self.receive()
        if kind not in kinds:
            raise AssertionError(f"expected packet {kinds}, got {kind} {body[:80]!r}")
        return body

    def expect_closed(self):
        """Read until the server closes; anything else fails by the timeout of the socket."""
        try:
            while True:
                self.receive_any()
        except Closed:
            return

    # key exchange

    def kexinit_packet(self, guess=False, kex=b"curve25519-sha256"):
        cipher, mac = b"aes128-ctr", b"hmac-sha2-256"
        if not self.session_id:
            kex += b",kex-strict-c-v00@openssh.com"
        lists = (kex, b"ssh-ed25519", cipher, cipher, mac, mac, b"none", b"none", b"", b"")
        body = os.urandom(16) + b"".join(string(x) for x in lists)
        return body + bytes([guess]) + u32(0)

    def send_kexinit(self, **options):
        self.kexinit_client = self.kexinit_packet(**options)
        self.send(KEXINIT, self.kexinit_client)

    def receive_kexinit(self):
        while not self.kexinit_server:
            kind, body = self.receive_any()
            if kind == KEXINIT:
                self.kexinit_server = body
        if not self.session_id:
            self.strict = b"kex-strict-s-v00@openssh.com" in self.kexinit_server

    def exchange(self):
        private = X25519PrivateKey.generate()
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        public = private.public_key().public_bytes(*raw)
        self.send(ECDH_INIT, string(public))
        kind, body = self.receive_any()
        while kind != ECDH_REPLY:
            if kind == DISCONNECT:
                raise Closed()
            self.early(kind, body)
            kind, body = self.receive_any()
        host_key, at = take(body)
        server, at = take(body, at)
        secret = mpint(private.exchange(X25519PublicKey.from_public_bytes(server)))
        self.kex_hash = hashlib.sha256(
            string(self.v_c)
            + string(self.v_s)
            + string(bytes([KEXINIT]) + self.kexinit_client)
            + string(bytes([KEXINIT]) + self.kexinit_server)
            + string(host_key)
            + string(public)
            + string(server)
            + secret
        ).digest()
        self.session_id = self.session_id or self.kex_hash
        self.secret = secret
        self.kexinit_server = None

    def early(self, kind, body):
        """A packet that was under way when a key exchange began: kept for take_early()."""
        self.pending = getattr(self, "pending", [])
        self.pending.append((kind, body))

    def derive(self, letter):
        return hashlib.sha256(self.secret + self.kex_hash + letter + self.session_id).digest()

    def newkeys(self):
        def cipher(iv, key):
            return Cipher(algorithms.AES(self.derive(key)[:16]), modes.CTR(self.derive(iv)[:16]))

        self.send(NEWKEYS)
        if self.strict:
            self.send_seq = 0
        self.send_cipher = cipher(b"A", b"C").encryptor()
        self.send_mac = self.derive(b"E")
        kind, body = self.receive_any()
        while kind != NEWKEYS:
            self.early(kind, body)
            kind, body = self.receive_any()
        if self.strict:
            self.recv_seq = 0
        self.recv_cipher = cipher(b"B", b"D").decryptor()
        self.recv_mac = self.derive(b"F")

    def kex(self, answer=False, **options):
        self.send_kexinit(**options)
        self.receive_kexinit()
        self.exchange()
        self.newkeys()

    def handshake(self):
        self.banner()
        self.kex()
        self.send(SERVICE_REQUEST, string("ssh-userauth"))
        self.expect(SERVICE_ACCEPT)
        return self

    # authentication

    def auth_body(self, user, algorithm, blob, signed, service="ssh-connection"):
        return (
            string(user)
            + string(service)
            + string("publickey")
            + bytes([signed])
            + string(algorithm)
            + string(blob)
        )

    def offer(self, key, user="git"):
        self.send(AUTH_REQUEST, self.auth_body(user, key.algorithm, key.blob, 0))
        return self.receive()[0]

    def sign(self, key, user="git", session_id=None, signature=None, blob=None, signed_user=None):
        body = self.auth_body(user, key.algorithm, blob or key.blob, 1)
        covered = self.auth_body(signed_user or user, key.algorithm, blob or key.blob, 1)
        data = string(session_id or self.session_id) + bytes([AUTH_REQUEST]) + covered
        if signature is None:
            signature = key.sign(data)
        self.send(AUTH_REQUEST, body + string(signature))
        return self.receive()[0]

    def login(self, key, user="git"):
        self.handshake()
        kind = self.sign(key, user)
        if kind != AUTH_SUCCESS:
            raise AssertionError(f"login answered with packet {kind}")
        return self

    # channels

    def open(self, number=0, window=2**21, packet=32768, kind="session", extra=b""):
        self.send(CHANNEL_OPEN, string(kind) + u32(number) + u32(window) + u32(packet) + extra)
        body = self.expect(OPEN_CONFIRMATION, OPEN_FAILURE)
        if len(body) >= 16 and struct.unpack_from(">I", body)[0] == number:
            self.window = struct.unpack_from(">I", body, 8)[0]
            self.refused = False
        return struct.unpack_from(">I", body, 4)[0]

    def try_open(self, number=0, **options):
        """True: confirmed."""
        kind = options.pop("kind", "session")
        extra = options.pop("extra", b"")
        self.send(CHANNEL_OPEN, string(kind) + u32(number) + u32(2**21) + u32(32768) + extra)
        return self.receive()[0] == OPEN_CONFIRMATION

    def request(self, channel, kind, extra=b"", reply=True):
        self.send(CHANNEL_REQUEST, u32(channel) + string(kind) + bytes([reply]) + extra)
        if not reply:
            return None
        while True:
            got, body = self.receive()
            if got in (CHANNEL_SUCCESS, CHANNEL_FAILURE):
                return got == CHANNEL_SUCCESS
            if got != WINDOW_ADJUST:
                raise AssertionError(f"packet {got} instead of a reply to {kind}")

    def collect(self):
        """Read a channel to its end; returns output, standard error, exit status, order of packets."""
        out, err, status, order = b"", b"", None, []
        while True:
            kind, body = self.receive()
            if kind == DATA:
                out += take(body, 4)[0]
            elif kind == EXTENDED_DATA:
                err += take(body, 8)[0]
            elif kind == CHANNEL_REQUEST:
                name, at = take(body, 4)
                if name == b"exit-status":
                    status = struct.unpack_from(">I", body, at + 1)[0]
                order.append(name.decode())
            elif kind == EOF:
                order.append("eof")
            elif kind == CLOSE:
                order.append("close")
                return out, err, status, order

    def run(self, command, number=0):
        channel = self.open(number)
        assert self.request(channel, "exec", string(command)), "exec refused"
        result = self.collect()
        self.send(CLOSE, u32(channel))
        return result


def within(seconds, function, *args):
    """Call it; complain when it takes longer."""
    start = time.monotonic()
    result = function(*args)
    took = time.monotonic() - start
    if took > seconds:
        raise AssertionError(f"took {took:.2f} s, at most {seconds} are right")
    return result
