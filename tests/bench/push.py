#!/usr/bin/env python3
"""How long a push takes, beside the usual alternative, in one run.

The alternative is OpenSSH as Debian configures it, `git receive-pack`, and a post-receive hook that does
`git archive | tar x` into a timestamped release and swaps a symbolic link; a second column has the same with the client
told to use curve25519. Both run in one disposable VPS, alternating, and medians are printed. Needs root.

    sudo tests/bench/push.py [--rounds 10] [--only tiny,first,whoami,many,idle] [--keep]
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VPS = os.path.join(TOP, "tests/vps/vps")
NAME = "bench"

HOOK = """#!/bin/sh
set -e
while read old new ref; do
	release=$HOME/releases/$(date -u +%Y%m%d-%H%M%S.%N)
	mkdir -p "$release"
	git archive "$new" | tar x -C "$release"
	ln -s "$release" "$HOME/app.new"
	mv -T "$HOME/app.new" "$HOME/app"
	ls -dt "$HOME"/releases/* | tail -n +6 | xargs -r rm -rf
done
"""


def run(*argv, **kw):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw).stdout.decode()


def inside(*argv, **kw):
    return run(VPS, "exec", "--name", NAME, *argv, **kw)


def timed(*argv, **kw):
    start = time.monotonic()
    result = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kw)
    elapsed = time.monotonic() - start
    if result.returncode != 0:
        sys.exit("failed: %s\n%s" % (" ".join(argv), result.stdout.decode(errors="replace")))
    return elapsed


class Bench:
    def __init__(self, scratch):
        self.scratch = scratch
        self.config = os.path.join(scratch, "ssh_config")
        self.env = dict(os.environ, GIT_SSH_COMMAND="ssh -F " + self.config, GIT_CONFIG_GLOBAL="/dev/null",
                        GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="b", GIT_AUTHOR_EMAIL="b@localhost",
                        GIT_COMMITTER_NAME="b", GIT_COMMITTER_EMAIL="b@localhost")
        self.env.pop("SSH_AUTH_SOCK", None)

    def setup(self):
        key = os.path.join(self.scratch, "id")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        address, port, _ = run(VPS, "address", "--name", NAME).split()
        public = open(key + ".pub").read()
        inside("hostkit", "key", "add", "bench", "--admin", input=public.encode())
        inside("useradd", "--create-home", "--shell", "/bin/sh", "bench")
        inside("sh", "-c", "mkdir -p /home/bench/.ssh /run/sshd; cat > /home/bench/.ssh/authorized_keys; "
               "chown -R bench: /home/bench; usermod -p '*' bench; ssh-keygen -A > /dev/null; "
               "systemd-run -q --unit bench-sshd /usr/sbin/sshd -D -p 2200", input=public.encode())
        common = ("\tIdentityFile %s\n\tIdentitiesOnly yes\n\tIdentityAgent none\n\tStrictHostKeyChecking no\n"
                  "\tUserKnownHostsFile %s/known_hosts\n\tLogLevel ERROR\n\tHostName %s\n" % (key, self.scratch, address))
        with open(self.config, "w") as f:
            f.write("Host hostkit\n\tUser hostkit\n\tPort %s\n%s" % (port, common))
            f.write("Host sshd\n\tUser bench\n\tPort 2200\n%s" % common)
            f.write("Host sshd-curve\n\tUser bench\n\tPort 2200\n\tKexAlgorithms curve25519-sha256\n%s" % common)
        for _ in range(50):
            if subprocess.run(["ssh", "-F", self.config, "sshd", "true"], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        sys.exit("sshd does not come up")

    def git(self, repo, *argv):
        return run("git", "-C", repo, *argv, env=self.env)

    def baseline(self, name):
        """A repository with the hook; its home is a folder of its own, so that releases do not mix."""
        home = "/home/bench/" + name
        inside("sh", "-c", "mkdir -p %s/releases; git init -q --bare -b main %s/repo.git; "
               "sed 's|$HOME|%s|g' > %s/repo.git/hooks/post-receive; chmod 755 %s/repo.git/hooks/post-receive; "
               "chown -R bench: %s" % (home, home, home, home, home, home), input=HOOK.encode())
        return home + "/repo.git"

    def site(self, name, files=50):
        repo = os.path.join(self.scratch, name)
        os.mkdir(repo)
        generator = random.Random(4711)
        for i in range(files):
            path = os.path.join(repo, "page%d" % (i % 7))
            os.makedirs(path, exist_ok=True)
            with open(os.path.join(path, "%d.html" % i), "w") as f:
                f.write("<p>" + " ".join("%x" % generator.getrandbits(40) for _ in range(200)))
        open(os.path.join(repo, "index.html"), "w").write("<h1>first</h1>\n")
        run("git", "init", "-q", "-b", "main", repo)
        self.git(repo, "add", "-A")
        self.git(repo, "commit", "-q", "-m", "first")
        return repo

    def change(self, repo, text):
        open(os.path.join(repo, "index.html"), "w").write("<h1>%s</h1>\n" % text)
        self.git(repo, "commit", "-q", "-a", "-m", text)

    def push(self, repo, remote):
        return timed("git", "-C", repo, "push", "-q", remote, "main", env=self.env)

    def tiny(self, rounds):
        repo = self.site("tiny")
        inside("hostkit", "provision", "tiny", "--static")
        self.git(repo, "remote", "add", "hostkit", "hostkit:tiny")
        for host in "sshd", "sshd-curve":
            self.git(repo, "remote", "add", host, "%s:%s" % (host, self.baseline("tiny-" + host)))
        remotes = ["hostkit", "sshd", "sshd-curve"]
        for remote in remotes:
            self.push(repo, remote)
        times = {remote: [] for remote in remotes}
        for i in range(rounds):
            self.change(repo, "round %d" % i)
            random.shuffle(remotes)
            for remote in remotes:
                times[remote].append(self.push(repo, remote))
        report("push of one changed file, 50-file static project, to live", times, 0.50)

    def large(self):
        """About 26 MB and 100,000 objects, from a seeded generator."""
        repo = os.path.join(self.scratch, "large")
        run("git", "init", "-q", "-b", "main", repo)
        generator = random.Random(20)
        words = ["%x" % generator.getrandbits(32) for _ in range(3000)]
        files = {}
        process = subprocess.Popen(["git", "-C", repo, "fast-import", "--quiet", "--depth=50"], stdin=subprocess.PIPE)
        out = process.stdin
        for commit in range(12500):
            out.write(b"commit refs/heads/main\ncommitter b <b@localhost> %d +0000\ndata 4\nstep\n" % (1700000000 + commit))
            for _ in range(2):
                name = "d%02d/s%d/f%d.txt" % (generator.randrange(40), generator.randrange(6), generator.randrange(8))
                lines = files.setdefault(name, [])
                if len(lines) < 60:
                    lines.extend(" ".join(generator.choice(words) for _ in range(12)) for _ in range(12))
                else:
                    lines[generator.randrange(len(lines))] = " ".join(generator.choice(words) for _ in range(12))
                data = "\n".join(lines).encode()
                out.write(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(data), data))
        for i in range(80):  # pictures: what no compression makes smaller
            data = generator.randbytes(100000)
            out.write(b"commit refs/heads/main\ncommitter b <b@localhost> %d +0000\ndata 7\npicture\n" % (1750000000 + i))
            out.write(b"M 100644 inline media/%d.jpg\ndata %d\n%s\n" % (i, len(data), data))
        page = b"<h1>large</h1>\n"
        out.write(b"commit refs/heads/main\ncommitter b <b@localhost> 1800000000 +0000\ndata 4\nlast\n")
        out.write(b"M 100644 inline index.html\ndata %d\n%s\n" % (len(page), page))
        out.close()
        if process.wait() != 0:
            sys.exit("git fast-import failed")
        self.git(repo, "repack", "-adfq", "--depth=50", "--window=10")
        return repo

    def first(self, rounds):
        repo = self.large()
        objects = self.git(repo, "count-objects", "-v")
        print("    the repository:", " ".join(objects.split()))
        times = {"hostkit": [], "sshd": [], "sshd-curve": []}
        for i in range(rounds):
            order = list(times)
            random.shuffle(order)
            for remote in order:
                name = "first%d" % i if remote == "hostkit" else "first%d-%s" % (i, remote)
                if remote == "hostkit":
                    inside("hostkit", "provision", name, "--static")
                    url = "hostkit:" + name
                else:
                    url = "%s:%s" % (remote, self.baseline(name))
                times[remote].append(self.push(repo, url))
        report("first push, 100,000 objects", times, 1.05)

    def whoami(self, rounds):
        times = {"hostkit": [], "sshd": [], "sshd-curve": []}
        for _ in range(rounds * 2):
            for host, words in (("hostkit", ["whoami"]), ("sshd", ["true"]), ("sshd-curve", ["true"])):
                times[host].append(timed("ssh", "-F", self.config, host, *words, stdin=subprocess.DEVNULL))
        report("ssh whoami against ssh true", times, 0.15)

    def many(self, pushes):
        repo = self.site("many")
        inside("hostkit", "provision", "many", "--static")
        self.git(repo, "remote", "add", "hostkit", "hostkit:many")
        times = []
        for i in range(pushes):
            self.change(repo, "push %d" % i)
            times.append(self.push(repo, "hostkit"))
        first, last = statistics.median(times[1:11]), statistics.median(times[-10:])
        print("%d pushes to one project: first ten %.0f ms, last ten %.0f ms, ratio %.2f (at most 1.5)"
              % (pushes, first * 1e3, last * 1e3, last / first))

    def idle(self):
        total = 0
        for line in inside("sh", "-c", "for p in /proc/[0-9]*; do n=$(cat $p/comm 2>/dev/null); case $n in hostkit*) "
                           "awk -v n=$n '/^Pss:/ {print n, $2}' $p/smaps_rollup;; esac; done").splitlines():
            name, kb = line.split()
            print("    %-16s %6d kB" % (name, int(kb)))
            total += int(kb)
        print("all daemons, idle, PSS: %.1f MB (at most 12)" % (total / 1024))


def report(what, times, limit):
    base = statistics.median(times["sshd"])
    print(what)
    for name, values in sorted(times.items()):
        note = "" if name != "hostkit" else "   (at most %.2f)" % limit
        print("    %-12s median %7.1f ms  (%.1f to %.1f, n=%d)  ratio %.2f%s"
              % (name, statistics.median(values) * 1e3, min(values) * 1e3, max(values) * 1e3, len(values),
                 statistics.median(values) / base, note))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pushes", type=int, default=1000, help="of the test that repeats small pushes")
    parser.add_argument("--only", default="idle,whoami,tiny,first,many")
    parser.add_argument("--keep", action="store_true", help="leave the VPS running")
    options = parser.parse_args()

    scratch = tempfile.mkdtemp()
    try:
        subprocess.run([VPS, "up", "--name", NAME, "--size", "12G"], check=True, stdout=subprocess.DEVNULL)
        bench = Bench(scratch)
        bench.setup()
        only = options.only.split(",")
        if "idle" in only:
            bench.idle()
        if "whoami" in only:
            bench.whoami(options.rounds)
        if "tiny" in only:
            bench.tiny(options.rounds)
        if "first" in only:
            bench.first(options.rounds)
        if "many" in only:
            bench.many(options.pushes)
    finally:
        if not options.keep:
            subprocess.run([VPS, "down", "--name", NAME], check=False)
        shutil.rmtree(scratch, ignore_errors=True)


main()
