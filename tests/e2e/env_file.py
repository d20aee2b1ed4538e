"""Values through hostkit-home env-edit into a .env, and from there through systemd into a process.

Runs in the VPS as root, hostkit-home and the process as nobody. Prints what differs."""
import json
import os
import random
import shutil
import struct
import subprocess
import sys

HOME = "/srv/env-file-test"
PROGRAM = "/usr/libexec/hostkit/hostkit-home"
PIECES = ['"', "'", "\\", "$", "`", " ", "\t", "#", ";", "=", "a", "Z", "%", "!", "*", "~", "\x01", "\x1b",
          "\x7f", "é", "😀", "\\n", "${A}", "%h", "%%", "\\"]


def field(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def edit(changes):
    request = struct.pack("<I", len(changes))
    for key, value in changes.items():
        request += struct.pack("<I", 0) + field(key) + field(value)
    done = subprocess.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", PROGRAM, "env-edit"],
                          input=request, cwd=HOME, stdout=subprocess.PIPE, check=True)
    assert done.stdout[:4] == b"\0\0\0\0", done.stdout


def environment():
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    done = subprocess.run(["systemd-run", "--quiet", "--wait", "--pipe", "-p", "User=nobody",
                           "-p", f"EnvironmentFile={HOME}/.env", "/usr/bin/python3", "-c", show],
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main():
    shutil.rmtree(HOME, ignore_errors=True)
    os.mkdir(HOME)
    shutil.chown(HOME, "nobody", "nogroup")
    rng = random.Random(20250215)
    bad = 0
    for _ in range(5):
        values = {f"V{i}": "".join(rng.choices(PIECES, k=rng.randrange(12))) for i in range(100)}
        edit(values)
        seen = environment()
        for key, value in values.items():
            if seen.get(key) != value:
                bad += 1
                print(f"{key}: {value!r} became {seen.get(key)!r}")
    mode = os.stat(f"{HOME}/.env").st_mode & 0o7777
    if mode != 0o600:
        bad += 1
        print(f"mode {mode:o}")
    shutil.rmtree(HOME)
    return 1 if bad else 0


sys.exit(main())
