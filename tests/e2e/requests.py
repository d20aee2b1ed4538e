#!/usr/bin/env python3
"""requests.py CASE: speak to hostkitd by hand, as a peer that does not keep the rules; 0 if it held out."""
import ctypes
import os
import socket
import struct
import subprocess
import sys
import time

SOCKET = "/run/hostkit/hostkitd.sock"
# in the order of protocol/request.h
OPERATIONS = {"AUTH_PROBE": 0, "WHOAMI": 4, "PROJECT_INFO": 6, "PUSH_ACCEPT": 19, "JOB_INFO": 21}
PIDFD_GETFD = 438  # pidfd_getfd(2)


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect(SOCKET)
    return s


def request(name, body=b"", serial=1):
    return struct.pack("<II", OPERATIONS[name], serial) + body


def answers(s):
    """Does the connection still answer?"""
    try:
        s.send(request("WHOAMI"))
        return len(s.recv(32768)) > 12
    except (ConnectionError, BrokenPipeError):
        return False


def ends(message):
    s = connect()
    s.send(message)
    try:
        return s.recv(32768) == b""
    except ConnectionError:
        return True


def malformed():
    return (ends(b"\0") and ends(request("WHOAMI", b"more")) and ends(request("PROJECT_INFO", b"\xff" * 8))
            and ends(struct.pack("<II", 9999, 1)) and answers(connect()))


def out_of_phase():
    key = struct.pack("<I", 3) + b"key"
    return ends(request("AUTH_PROBE", key)) and ends(request("JOB_INFO")) and answers(connect())


def many_connections():
    """64 at a time of one uid; the rest are closed, and room comes back."""
    held = [connect() for _ in range(100)]
    good = sum(answers(s) for s in held)
    for s in held:
        s.close()
    time.sleep(0.5)
    return 0 < good <= 64 and answers(connect())


def never_reads():
    """Whoever asks and never reads is cut off, and nobody else waits for that."""
    s = connect()
    s.settimeout(3)
    try:
        for i in range(1000000):
            s.send(request("WHOAMI", serial=i))
        return False
    except (ConnectionError, BrokenPipeError, socket.timeout):
        return answers(connect())


def other_branch():
    """A receiver of "peer" (whose client says nothing) that was taken over asks for a branch that does not deploy."""
    pid = int(subprocess.check_output(["pgrep", "-f", "hostkit-receive --project peer "]).split()[0])
    fd = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, os.pidfd_open(pid), 3, 0)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    s = socket.socket(fileno=fd)
    s.settimeout(10)
    strings = [b"refs/heads/other", b"0" * 40, b"1" * 40]
    body = b"".join(struct.pack("<I", len(text)) + text for text in strings)
    s.send(request("PUSH_ACCEPT", body + struct.pack("<I", 0)))
    status = struct.unpack_from("<i", s.recv(32768), 8)[0]
    return status < 0 and answers(connect())


sys.exit(0 if globals()[sys.argv[1]]() else 1)
