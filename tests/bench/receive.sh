#!/usr/bin/env bash
# hostkit-receive --standalone against git receive-pack, in one run, by turns, through git's own client on local
# paths: start, a tiny push, a first push of about 100,000 objects, and a thousand pushes to one repository.
#
#   tests/bench/receive.sh [ROUNDS]     (default: 10)
#
# HOSTKIT_BUILD names the build directory (an optimised one). Times are milliseconds, medians.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
receive=${HOSTKIT_BUILD:-$top/build/release}/receiver/hostkit-receive
rounds=${1:-10}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=b GIT_COMMITTER_NAME=b
export GIT_AUTHOR_EMAIL=b@localhost GIT_COMMITTER_EMAIL=b@localhost

printf '#!/bin/sh\nexec "%s" --standalone "$@"\n' "$receive" > hostkit
printf '#!/bin/sh\nexec git receive-pack "$@"\n' > git-server
chmod +x hostkit git-server

median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.1f", v[int((NR + 1) / 2)] / 1000 }'; }
timed() { # FILE COMMAND...
	local file=$1 begun
	shift
	begun=$(date +%s%N)
	"$@"
	echo $((($(date +%s%N) - begun) / 1000)) >> "$file"
}
show() { printf '%-44s hostkit %8s   git %8s\n' "$1" "$(median < "$2.hostkit")" "$(median < "$2.git-server")"; }
push() { git -C "$1" push -q --receive-pack="$scratch/$2" "$scratch/$3" HEAD:refs/heads/main; }
refs_only() { "./$1" "$2" < /dev/null > refs.out 2> /dev/null || true; }

git init -q w
for i in $(seq 50); do
	mkdir -p "w/d$((i % 7))"
	echo "$i" > "w/d$((i % 7))/f$i"
done
git -C w add . && git -C w commit -qm 0
for s in hostkit git-server; do
	git init -q --bare "tiny-$s.git"
	push w $s "tiny-$s.git"
done
for i in $(seq "$rounds"); do
	echo "$i" >> w/d1/f1 && git -C w commit -qam "$i"
	for s in hostkit git-server; do
		timed start.$s refs_only $s "tiny-$s.git"
		timed tiny.$s push w $s "tiny-$s.git"
	done
done
show "start, refs advertised" start
show "push of one changed file" tiny

python3 - > import <<'PY'
import random, sys
out = sys.stdout.buffer
rnd = random.Random(1)
words = [b"%x" % rnd.getrandbits(30) for _ in range(4000)]
paths = [b"d%d/s%d/f%d" % (i % 40, i // 40 % 12, i) for i in range(2500)]
now = {}
for c in range(14000):
    out.write(b"commit refs/heads/main\ncommitter b <b@localhost> %d +0000\ndata 1\nx\n" % (1600000000 + c * 60))
    for p in paths if c == 0 else rnd.sample(paths, rnd.choice([1, 2, 3])):
        if c == 0:
            now[p] = b" ".join(rnd.choices(words, k=rnd.randint(50, 1500)))
        else:
            k = rnd.randrange(len(now[p]))
            now[p] = now[p][:k] + b" ".join(rnd.choices(words, k=6)) + now[p][k:]
        out.write(b"M 100644 inline %s\ndata %d\n%s\n" % (p, len(now[p]), now[p]))
PY
git init -q --bare large.git
git -C large.git symbolic-ref HEAD refs/heads/main
git -C large.git fast-import --quiet < import
git -C large.git repack -adfq --window=10
for _ in $(seq $(((rounds + 3) / 4))); do
	for s in hostkit git-server; do
		rm -rf first.git && git init -q --bare first.git
		timed first.$s push large.git $s first.git
	done
done
show "first push, $(git -C large.git count-objects -v | sed -n 's/^in-pack: //p') objects" first

git init -q --bare many.git
for i in $(seq 1000); do
	echo "$i" >> "w/d$((i % 7))/f$((i % 50 + 1))"
	git -C w add . && git -C w commit -qm "$i"
	[ $((i % 200)) -ne 0 ] || git -C w gc -q # the client's own slowness is not measured
	timed many push w hostkit many.git
done
first=$(head -10 many | median) last=$(tail -10 many | median)
printf '%-44s first ten %s, last ten %s\n' "1,000 pushes to one repository" "$first" "$last"
