#!/usr/bin/env python3
"""attack.py PORT KEYDIR CASE: one raw-protocol test against hostkit-sshd; silent and 0 when it passes.

KEYDIR holds the keys that test-ssh.sh made: id (known as "me"), other (known as "other"), fido.
Without CASE: list the cases.
"""
import os
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rawssh import *  # noqa: E402,F403

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def answered(client, key_blob, algorithm, signature=None):
    """Send a publickey request as it is and want a FAILURE within a second."""
    body = client.auth_body("git", algorithm, key_blob, signature is not None)
    if signature is not None:
        body += string(signature)
    client.send(AUTH_REQUEST, body)
    body = within(1, client.expect, AUTH_FAILURE)
    assert take(body)[0] == b"publickey", body


def whoami(client, expected):
    out, _, status, order = client.run("whoami")
    assert out == expected.encode() + b"\n", out
    assert status == 0 and sorted(order) == ["close", "eof", "exit-status"], (status, order)
    assert order[-1] == "close", order


@case
def unknown_key_type(t):
    c = t.client().handshake()
    answered(c, string("ssh-ed448") + string(b"k" * 57), "ssh-ed448")
    answered(c, string("ssh-mldsa-87@example.com") + string(b"k" * 2592), "ssh-mldsa-87@example.com")
    answered(c, string("ssh-ed448") + string(b"k" * 57), "ssh-ed448", string("ssh-ed448") + string(b"s" * 114))
    assert c.sign(t.me) == AUTH_SUCCESS
    whoami(c, "me")


@case
def malformed_key(t):
    c = t.client().handshake()
    for blob in (
        b"",
        b"\0",
        b"\xff\xff\xff\xff",
        string("ssh-ed25519"),
        string("ssh-ed25519") + string(b"k" * 31),
        string("ssh-ed25519") + u32(2**31) + b"k",
        string("ssh-ed25519") + string(b"k" * 33),
    ):
        answered(c, blob, "ssh-ed25519")
    answered(c, string("ecdsa-sha2-nistp256") + string("nistp256") + string(b"\4" + b"\1" * 64), "ecdsa-sha2-nistp256")


@case
def bad_signatures(t):
    good = lambda c: c.sign  # noqa: E731
    tries = [
        lambda c: c.sign(t.me, session_id=b"x" * 32),
        lambda c: c.sign(t.me, signed_user="hostkit"),
        lambda c: c.sign(t.me, signature=b""),
        lambda c: c.sign(t.me, signature=t.me.sign(b"something else")),
        lambda c: c.sign(t.me, signature=t.me.sign(b"x")[:-1]),
        lambda c: c.sign(t.me, signature=string("ssh-ed448") + string(b"s" * 64)),
        lambda c: c.sign(Key(), blob=t.me.blob),
    ]
    for attempt in tries:
        c = t.client().handshake()
        kind = within(1, attempt, c)
        assert kind == AUTH_FAILURE, kind
        assert good(c)(t.me) == AUTH_SUCCESS
        whoami(c, "me")


@case
def six_bad_signatures(t):
    c = t.client().handshake()
    for i in range(5):
        assert c.sign(t.me, session_id=b"x" * 32) == AUTH_FAILURE
    try:
        c.sign(t.me, session_id=b"x" * 32)
        assert c.sign(t.me) == AUTH_FAILURE
        c.receive()
    except (Closed, ConnectionError):
        return
    raise AssertionError("still served after six wrong signatures")


@case
def many_offers(t):
    c = t.client().handshake()
    for i in range(60):
        assert c.offer(Key()) == AUTH_FAILURE, i
    assert c.sign(t.me) == AUTH_SUCCESS
    c = t.client().handshake()
    try:
        for i in range(100):
            c.offer(Key())
    except (Closed, ConnectionError):
        assert 55 < i < 70, i
        return
    raise AssertionError("100 offers were answered")


@case
def identity_of_the_signature(t):
    for keys in ((t.me, t.other), (t.other, t.me)):
        c = t.client().handshake()
        assert c.offer(keys[0]) == AUTH_PK_OK
        assert c.offer(keys[1]) == AUTH_PK_OK
        assert c.offer(keys[0]) == AUTH_PK_OK
        assert c.sign(keys[1]) == AUTH_SUCCESS
        whoami(c, "me" if keys[1] is t.me else "other")


@case
def only_publickey(t):
    c = t.client().handshake()
    head = string("git") + string("ssh-connection")
    for rest in (
        string("none"),
        string("password") + b"\0" + string("secret"),
        string("keyboard-interactive") + string("") + string(""),
        string("hostbased") + string("ssh-ed25519") + string("x") + string("h") + string("u"),
        string("gssapi-with-mic") + u32(1) + string(b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"),
        string("gssapi-with-mic") + u32(2**31),
        string("nonsense"),
    ):
        c.send(AUTH_REQUEST, head + rest)
        body = within(1, c.expect, AUTH_FAILURE)
        assert take(body)[0] == b"publickey", body
    assert c.sign(t.me) == AUTH_SUCCESS


@case
def user_names(t):
    c = t.client().handshake()
    for user in (b"", b"root", b"me", b"git\0", b"git;id", b"git\n", b"\x1b[2J", b"g" * 65536, b"\xff"):
        assert c.offer(t.me, user) == AUTH_FAILURE, user
        assert within(1, c.sign, t.me, user) == AUTH_FAILURE, user
    for user in ("git", "hostkit"):
        assert t.client().handshake().sign(t.me, user) == AUTH_SUCCESS


@case
def fido_touch(t):
    c = t.client().handshake()
    assert c.sign(FidoKey(0, t.fido.private)) == AUTH_FAILURE
    assert c.sign(FidoKey(4, t.fido.private)) == AUTH_FAILURE
    assert c.sign(t.fido) == AUTH_SUCCESS
    whoami(c, "fido")


@case
def before_login(t):
    for kind, body in (
        (AUTH_SUCCESS, b""),
        (AUTH_PK_OK, string("x")),
        (61, u32(1) + string("x")),
        (CHANNEL_OPEN, string("session") + u32(0) + u32(2**20) + u32(32768)),
        (GLOBAL_REQUEST, string("tcpip-forward") + b"\1" + string("0.0.0.0") + u32(80)),
        (CHANNEL_REQUEST, u32(0) + string("exec") + b"\1" + string("whoami")),
    ):
        c = t.client().handshake()
        c.send(kind, body)
        try:
            c.send(CHANNEL_OPEN, string("session") + u32(0) + u32(2**20) + u32(32768))
            got = c.receive()[0]
            assert got in (UNIMPLEMENTED,), (kind, got)
            c.expect_closed()
        except (Closed, ConnectionError):
            pass


@case
def strict_kex(t):
    c = t.client()
    c.banner()
    c.send(IGNORE, string("x"))
    c.send_kexinit()
    c.receive_kexinit()
    assert c.strict
    try:
        c.exchange()
        c.newkeys()
        c.send(SERVICE_REQUEST, string("ssh-userauth"))
        c.expect(SERVICE_ACCEPT)
    except (Closed, ConnectionError):
        return
    raise AssertionError("a packet before the key exchange was tolerated")


@case
def flipped_bit(t):
    c = t.client().login(t.me)
    packet = bytearray(c.encode(bytes([GLOBAL_REQUEST]) + string("keepalive@openssh.com") + b"\1"))
    packet[-1] ^= 1
    c.sock.sendall(packet)
    c.expect_closed()


@case
def bad_lengths(t):
    for packet in (
        u32(0) + b"\0" * 64,
        u32(1) + b"\0" * 64,
        u32(2**32 - 1) + b"\0" * 64,
        u32(2**20) + b"\4" + b"\0" * 64,
        u32(12) + b"\xff" + b"\x14" + b"\0" * 64,
    ):
        c = t.client()
        c.banner()
        c.sock.sendall(packet)
        c.expect_closed()


@case
def bad_banners(t):
    for banner in (b"GET / HTTP/1.0\r\n\r\n", b"SSH-1.5-old\r\n", b"x" * 65536, b"\0" * 300 + b"\n", b"\n"):
        c = t.client()
        c.sock.sendall(banner)
        c.expect_closed()


@case
def wrong_guesses(t):
    c = t.client()
    c.banner()
    before = t.memory()
    c.send_kexinit(guess=True, kex=b"diffie-hellman-group16-sha512,curve25519-sha256")
    c.receive_kexinit()
    try:
        for i in range(2000):
            c.send(ECDH_INIT, string(b"x" * 32))
        c.expect_closed()
    except (Closed, ConnectionError):
        pass
    assert t.memory() < before + 20000, "memory grew"


@case
def rekeys(t):
    c = t.client().login(t.me)
    for i in range(30):
        c.kex()
    whoami(c, "me")


@case
def refused_requests(t):
    c = t.client().login(t.me)
    channel = c.open()
    pty = string("xterm") + u32(80) + u32(24) + u32(0) + u32(0) + string("")
    for name, extra in (
        ("subsystem", string("sftp")),
        ("subsystem", string("netconf")),
        ("x11-req", b"\0" + string("MIT-MAGIC-COOKIE-1") + string("00") + u32(0)),
        ("auth-agent-req@openssh.com", b""),
        ("env", string("LD_PRELOAD") + string("/tmp/x")),
        ("env", string("--split-string=x") + string("")),
        ("env", string("") + string("")),
        ("env", string("GIT_TRACE") + string("/tmp/x")),
        ("nonsense@example.com", b"\xff" * 100),
    ):
        assert not c.request(channel, name, extra), name
    assert not c.request(channel, "break", u32(100))
    c.request(channel, "signal", string("KILL"), reply=False)
    c.request(channel, "window-change", u32(0) * 4, reply=False)
    assert c.request(channel, "env", string("GIT_PROTOCOL") + string("version=2"))
    assert c.request(channel, "pty-req", pty)
    for name, extra in (
        ("direct-tcpip", string("127.0.0.1") + u32(5432) + string("127.0.0.1") + u32(1)),
        ("direct-streamlocal@openssh.com", string("/run/x") + string("") + u32(0)),
        ("forwarded-tcpip", string("127.0.0.1") + u32(80) + string("127.0.0.1") + u32(1)),
        ("tun@openssh.com", u32(1) + u32(0)),
        ("x11", string("127.0.0.1") + u32(1)),
        ("nonsense", b""),
    ):
        assert not c.try_open(7, kind=name, extra=extra), name
    for name, extra in (
        ("tcpip-forward", string("0.0.0.0") + u32(8080)),
        ("cancel-tcpip-forward", string("0.0.0.0") + u32(8080)),
        ("streamlocal-forward@openssh.com", string("/tmp/x")),
        ("hostkeys-prove-00@openssh.com", string("x")),
        ("nonsense@example.com", b""),
    ):
        c.send(GLOBAL_REQUEST, string(name) + b"\1" + extra)
        assert c.receive()[0] == REQUEST_FAILURE, name
    c.send(GLOBAL_REQUEST, string("keepalive@openssh.com") + b"\1")
    assert c.receive()[0] in (REQUEST_SUCCESS, REQUEST_FAILURE)
    assert c.request(channel, "exec", string("whoami"))
    out, _, status, _ = c.collect()
    assert out == b"me\r\n" and status == 0, out  # CR: the channel has a terminal


@case
def second_exec(t):
    c = t.client().login(t.me)
    channel = c.open()
    assert c.request(channel, "exec", string("cat"))
    assert not c.request(channel, "exec", string("whoami"))
    assert not c.request(channel, "shell")
    c.send(DATA, u32(channel) + string("hello"))
    c.send(EOF, u32(channel))
    out, _, status, _ = c.collect()
    assert out == b"hello" and status == 0, out


@case
def hidden_nul(t):
    c = t.client().login(t.me)
    out, err, status, _ = c.run(b"whoami\0 and more")
    assert status == 2 and b"control character" in err and not out, (out, err, status)


@case
def huge_command(t):
    c = t.client().login(t.me)
    out, err, status, _ = c.run(b"x" * 200000)
    assert status == 2 and err.count(b"\n") == 1, (status, err)
    out, err, status, _ = c.run(b"a " * 5000, 1)
    assert status == 2 and err.count(b"\n") == 1, (status, err)


@case
def env_flood(t):
    c = t.client().login(t.me)
    channel = c.open()
    for i in range(10000):
        c.request(channel, "env", string(f"LC_{i}") + string("x" * 100), reply=False)
    c.request(channel, "env", string("GIT_PROTOCOL") + string("v" * 200000), reply=False)
    assert c.request(channel, "exec", string("whoami"))
    assert c.collect()[0] == b"me\n"


@case
def channel_flood(t):
    c = t.client().login(t.me)
    opened = sum(c.try_open(i) for i in range(2000))
    assert opened == 10, opened


@case
def channels_come_back(t):
    c = t.client().login(t.me)
    for i in range(50):
        assert c.run(f"exit {i}", i)[2] == i


@case
def tiny_packets(t):
    for size in (0, 1, 9, 10, 11, 12, 1024, 0xFFFFFFFF):
        c = t.client().login(t.me)
        try:
            channel = c.open(packet=size)
            if c.request(channel, "exec", string("both 3")):
                out = c.collect()[0]
                assert out in (b"", b"out 0\nout 1\nout 2\n"), (size, out)
        except (Closed, ConnectionError):
            pass
        whoami(t.client().login(t.me), "me")
    time.sleep(0.5)
    assert t.processor() < 0.5, "a process is spinning"


@case
def closed_window(t):
    c = t.client().login(t.me)
    channel = c.open(window=0)
    before = t.memory()
    assert c.request(channel, "exec", string("source 104857600"))
    time.sleep(1)
    assert t.memory() < before + 3000, "memory grew"
    assert t.processor() < 0.5, "a process is spinning"
    c.send(WINDOW_ADJUST, u32(channel) + u32(1000))
    n = 0
    while n < 1000:
        n += len(take(c.expect(DATA), 4)[0])
    assert n == 1000
    whoami_other = t.client().login(t.me)
    whoami(whoami_other, "me")


@case
def window_overflow(t):
    c = t.client().login(t.me)
    channel = c.open(window=2**32 - 1)
    for i in range(10):
        c.send(WINDOW_ADJUST, u32(channel) + u32(2**32 - 1))
    assert c.request(channel, "exec", string("exit 5"))
    assert c.collect()[2] == 5


@case
def ignores_window(t):
    c = t.client().login(t.me)
    channel = c.open()
    assert c.request(channel, "exec", string("sleep 20000"))
    before = t.memory()
    try:
        for i in range(4000):
            c.send(DATA, u32(channel) + string(b"x" * 32768))
    except (ConnectionError, TimeoutError):
        pass
    assert t.memory() < before + 40000, "memory grew"


@case
def after_eof_and_close(t):
    c = t.client().login(t.me)
    channel = c.open()
    assert c.request(channel, "exec", string("cat"))
    c.send(EOF, u32(channel))
    c.send(DATA, u32(channel) + string("late"))
    c.send(EOF, u32(channel))
    c.collect()
    c.send(CLOSE, u32(channel))
    c.send(DATA, u32(channel) + string("later"))
    c.send(EXTENDED_DATA, u32(channel) + u32(1) + string("later"))
    c.send(CLOSE, u32(channel))
    c.send(WINDOW_ADJUST, u32(channel) + u32(5))
    c.send(DATA, u32(4711) + string("nobody"))
    whoami(c, "me")


@case
def foreign_stderr(t):
    c = t.client().login(t.me)
    channel = c.open()
    assert c.request(channel, "exec", string("cat"))
    c.send(EXTENDED_DATA, u32(channel) + u32(1) + string(b"x" * 20000))
    c.send(DATA, u32(channel) + string("hello"))
    c.send(EOF, u32(channel))
    assert c.collect()[0] == b"hello"


@case
def half_closed_output(t):
    """The end of the output is passed on before the process ends, and its status after."""
    c = t.client().login(t.me)
    channel = c.open()
    assert c.request(channel, "exec", string("late 700"))
    out, _, status, order = c.collect()
    assert out == b"early\n" and status == 4, (out, status)
    assert order == ["eof", "exit-status", "close"], order


@case
def keys_of_a_terminal(t):
    pty = string("xterm") + u32(80) + u32(24) + u32(0) + u32(0) + string("")
    for key, status in ((b"\3", 130), (b"\4", 0)):
        c = t.client().login(t.me)
        channel = c.open()
        assert c.request(channel, "pty-req", pty)
        assert c.request(channel, "exec", string("cat"))
        c.send(DATA, u32(channel) + string(key))
        assert within(2, c.collect)[2] == status


@case
def late_reader(t):
    """Close comes with data still queued: all of it arrives."""
    c = t.client(receive_buffer=8192).login(t.me)
    channel = c.open(window=2**30)
    assert c.request(channel, "exec", string("source 3000000 9"))
    time.sleep(1)
    out, _, status, _ = c.collect()
    assert len(out) == 3000000 and status == 9, (len(out), status)
    assert out[-8:] == struct.pack("<Q", 3000000 // 8 - 1)


@case
def stall_in_handshake(t):
    """Every stage ends within the time to log in (two seconds in this instance, and one to spare)."""
    def banner(c):
        c.sock.sendall(b"SSH-2.0-slow\r\n")

    def half_banner(c):
        c.sock.sendall(b"SSH-2.0-sl")

    def kexinit(c):
        c.banner()
        c.send_kexinit()

    def half_packet(c):
        c.banner()
        c.sock.sendall(u32(1000) + b"\4\x14")

    def newkeys(c):
        c.banner()
        c.kex()

    def service(c):
        c.handshake()

    def pk_ok(c):
        c.handshake()
        assert c.offer(t.me) == AUTH_PK_OK

    for stage in (lambda c: None, half_banner, banner, kexinit, half_packet, newkeys, service, pk_ok):
        c = t.client()
        start = time.monotonic()
        stage(c)
        c.expect_closed()
        took = time.monotonic() - start
        assert 1.5 < took < 3.5, (stage.__name__, took)


@case
def drip(t):
    c = t.client()
    start = time.monotonic()
    try:
        while time.monotonic() - start < 10:
            c.sock.sendall(b"S")
            time.sleep(0.2)
    except ConnectionError:
        pass
    assert time.monotonic() - start < 4


@case
def per_source(t):
    """Stalled connections of one address do not keep it out, logged in ones count."""
    stalled = [t.client() for i in range(60)]
    time.sleep(2.2)
    whoami(within(2, t.client().login, t.me), "me")
    del stalled
    time.sleep(2.5)
    held = []
    try:
        for i in range(12):
            held.append(t.client(timeout=3).login(t.me))
    except (Closed, ConnectionError, TimeoutError):
        pass
    assert len(held) == 8, len(held)
    held.pop().sock.close()
    time.sleep(0.3)
    held.append(t.client().login(t.me))


@case
def idle_and_silent(t):
    c = t.client().login(t.me)
    start = time.monotonic()
    c.expect_closed()
    assert 2 < time.monotonic() - start < 6
    # with a channel open nothing is idle, but a peer that does not answer is dead
    c = t.client().login(t.me)
    channel = c.open()
    assert c.request(channel, "exec", string("sleep 60000"))
    start = time.monotonic()
    c.expect_closed()
    took = time.monotonic() - start
    assert 3 < took < 8, took


class Target:
    def __init__(self, port, keys):
        self.port = port
        self.me = Key.load(os.path.join(keys, "id"))
        self.other = Key.load(os.path.join(keys, "other"))
        self.fido = FidoKey(1, Key.load(os.path.join(keys, "fido")).private)

    def client(self, **options):
        return Client(self.port, **options)

    def processes(self):
        parent = os.environ["SSHD_PID"]
        return subprocess.run(
            ["pgrep", "-P", parent], capture_output=True, text=True, check=False
        ).stdout.split()

    def memory(self):
        """Kilobytes that the largest connection process has in memory."""
        largest = 0
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/status") as f:
                    for line in f:
                        if line.startswith("VmRSS"):
                            largest = max(largest, int(line.split()[1]))
            except OSError:
                pass
        return largest

    def processor(self):
        """Share of a processor that the connection processes take, over half a second."""

        def ticks():
            total = 0
            for pid in self.processes():
                try:
                    with open(f"/proc/{pid}/stat") as f:
                        fields = f.read().rsplit(")", 1)[1].split()
                        total += int(fields[11]) + int(fields[12])
                except OSError:
                    pass
            return total

        before = ticks()
        time.sleep(0.5)
        return (ticks() - before) / os.sysconf("SC_CLK_TCK") / 0.5


if __name__ == "__main__":
    if len(sys.argv) < 4:
        print("\n".join(CASES))
        sys.exit(0)
    CASES[sys.argv[3]](Target(int(sys.argv[1]), sys.argv[2]))
