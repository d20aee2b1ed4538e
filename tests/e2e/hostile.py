#!/usr/bin/env python3
"""hostile.py CASE [ARG]: attack hostkitd's socket as the user that runs this; 0 if every wall stood."""
import array
import os
import resource
import socket
import struct
import sys
import time

SOCKET = "/run/hostkit/hostkitd.sock"
# in the order of protocol/request.h
NAMES = """AUTH_PROBE AUTH_KEY OPEN_GIT OPEN_VERB WHOAMI PROJECT_LIST PROJECT_INFO PROJECT_RESTART KEY_ADD KEY_LIST
KEY_REMOVE RELEASE_LIST JOB_LIST JOB_LOG LOG_OPEN ENV_OPEN START_PROVISION START_DELETE START_ROLLBACK PUSH_ACCEPT
JOB_HELLO JOB_INFO JOB_STEP JOB_VIEWERS RELEASE_CREATE BUILD_START BUILD_ATTACH BUILD_STOP RELEASE_SWITCH
RELEASE_MARK RELEASE_DROP RELEASE_PRUNE REF_UPDATE UNIT_CONTROL UNIT_STATE JOB_LOG_OPEN PROVISION_STEP
JOB_END""".split()
COMMANDS = NAMES[NAMES.index("WHOAMI"):NAMES.index("PUSH_ACCEPT")]


def u32(n):
    return struct.pack("<I", n)


def i64(n):
    return struct.pack("<q", n)


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return u32(len(data)) + data


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect(SOCKET)
    return s


def ask(s, name, body=b"", serial=1):
    """(status, the rest of the answer, descriptors), or None when the connection was ended."""
    try:
        s.send(u32(NAMES.index(name)) + u32(serial) + body)
        fds = array.array("i")
        data, ancillary, _, _ = s.recvmsg(65536, socket.CMSG_SPACE(16 * 4))
    except (ConnectionError, BrokenPipeError):
        return None
    for level, kind, payload in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload)
    if not data:
        return None
    return struct.unpack("<i", data[8:12])[0], data[12:], list(fds)


def once(name, body=b""):
    return ask(connect(), name, body)


def arguments(name, project):
    """A well-formed body of the request, about this project."""
    p = string(project)
    return {
        "WHOAMI": b"", "PROJECT_LIST": b"", "KEY_LIST": b"",
        "KEY_ADD": string("evil") + u32(0) + string("") + string(string("ssh-ed25519") + string(b"k" * 32)) + string(""),
        "KEY_REMOVE": string("evil"), "JOB_LIST": p + u32(5), "JOB_LOG": i64(1), "LOG_OPEN": p + u32(0),
        "ENV_OPEN": p + u32(0), "START_PROVISION": p + u32(0), "START_ROLLBACK": p + string(""),
    }.get(name, p)


def foreign(project):
    """Every command about somebody else's project, and about one that is not there: the same words."""
    for name in COMMANDS:
        if name in ("WHOAMI", "PROJECT_LIST", "JOB_LOG"):
            continue
        theirs, none = once(name, arguments(name, project)), once(name, arguments(name, "nosuchone"))
        assert theirs and none, (name, theirs, none)
        assert theirs[0] < 0 and none[0] < 0 and not theirs[2], (name, theirs, none)
        assert theirs[1].replace(project.encode(), b"P") == none[1].replace(b"nosuchone", b"P") or \
            len(project) != len("nosuchone"), (name, theirs, none)
    jobs = [once("JOB_LOG", i64(n)) for n in list(range(-2, 40)) + [2**63 - 1, -2**63]]
    own = once("JOB_LIST", string("") + u32(1000))
    assert own and own[0] == 0, own
    assert project.encode() not in os.pread(own[2][0], 1 << 20, 0)
    assert project.encode() not in os.pread(once("PROJECT_LIST")[2][0], 1 << 20, 0)
    for answer in jobs:
        assert answer and (answer[0] < 0 or project.encode() not in os.pread(answer[2][0], 1 << 20, 0)), answer


def phases(_):
    """What only the others may ask ends the connection, whatever its arguments."""
    for name in NAMES:
        if name in COMMANDS:
            continue
        for body in (b"", string("x"), i64(1), u32(0) + string("x") + u32(0), string("x") * 3 + u32(0)):
            assert once(name, body) is None, name
    assert once("WHOAMI")[0] == 0


def odd_names(_):
    for name in ("", ".", "..", "../root", "/", "a/b", "x\ny", "%n", "root", "hostkit", "a" * 4096, "é", "\x1b]0;x"):
        for op in ("PROJECT_INFO", "LOG_OPEN", "ENV_OPEN", "RELEASE_LIST", "START_ROLLBACK", "START_DELETE"):
            answer = once(op, arguments(op, name))
            assert answer is None or answer[0] < 0, (op, name, answer)
    for name in (b"\0", b"a\0b", b"\xff\xfe", b"\xc0\x80"):
        answer = once("PROJECT_INFO", string(name))
        assert answer is None or answer[0] < 0, (name, answer)


def descriptors(_):
    """Descriptors that nobody asked for: the connection ends, nothing is kept."""
    s = connect()
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(8)]
    for n in (1, 8):
        s = connect()
        try:
            socket.send_fds(s, [u32(NAMES.index("WHOAMI")) + u32(1)], fds[:n])
            assert s.recv(4096) == b"", n
        except ConnectionError:
            pass


def hold(project):
    """All the programs hostkitd would start for one user, never letting go. Prints how many, waits for its input."""
    held, count = [], 0
    for _ in range(16):
        s = connect()
        held.append(s)
        for serial in range(60):
            answer = ask(s, "ENV_OPEN", string(project) + u32(1), serial)
            if not answer or answer[0] < 0:
                break
            held.append(answer[2])
            count += 1
    print(count, flush=True)
    sys.stdin.read()


def unread(project):
    """Answers with descriptors that are never read, as many as fit. Prints, waits for its input."""
    held = []
    body = string(project) + u32(1000)
    for _ in range(60):
        s = connect()
        s.setblocking(False)
        held.append(s)
        for serial in range(2000):
            try:
                s.send(u32(NAMES.index("JOB_LIST")) + u32(serial) + body)
            except (BlockingIOError, ConnectionError):
                break
    time.sleep(1)
    print("held", flush=True)
    sys.stdin.read()


def crowd(number):
    """So many connections at once, held until its input ends."""
    held = []
    for _ in range(int(number)):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.setblocking(False)
        try:
            s.connect(SOCKET)
        except BlockingIOError:
            break
        held.append(s)
    print(len(held), flush=True)
    sys.stdin.read()


limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
globals()[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")
