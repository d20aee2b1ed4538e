#!/usr/bin/env bash
# Unpacking a commit of 10,000 files and 60 MB: hostkit-build against `git archive | tar x`, in one run, by turns.
#
#   tests/bench/export.sh [ROUNDS] [DIRECTORY]     (default: 10 rounds below $TMPDIR)
#
# HOSTKIT_BUILD names the build directory (an optimised one). Nothing is deleted before the last measurement: ext4
# skips inodes that were freed in the last minute one by one, which makes every file made after it slower.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${HOSTKIT_BUILD:-$top/build/release}/builder/hostkit-build
rounds=${1:-10}
base=${2:-${TMPDIR:-/tmp}}
files=10000
scratch=$(mktemp -d "$base/hostkit-bench-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

# two commits in 525 directories: text of 6 KB each, one file in a hundred changed in the second
python3 - $files > "$scratch/import" <<'PY'
import random, sys
out = sys.stdout.buffer
rnd = random.Random(7)
words = [b"%x" % rnd.getrandbits(40) for _ in range(600)]
def text(): return b" ".join(rnd.choices(words, k=540)) + b"\n"
def path(i): return b"d%d/s%d/file%05d.txt" % (i % 21, i % 525 // 21, i)
def blob(name, data): out.write(b"M 100644 inline %s\ndata %d\n%s\n" % (name, len(data), data))
def commit(what, parent): out.write(b"commit refs/heads/main\ncommitter b <b@localhost> 0 +0000\ndata %d\n%s\n%s" % (len(what), what, parent))
n = int(sys.argv[1])
commit(b"one", b"")
for i in range(n): blob(path(i), text())
commit(b"two", b"")
for i in range(0, n, 100): blob(path(i), text())
PY
git init -q --bare "$scratch/r.git"
git -C "$scratch/r.git" fast-import --quiet < "$scratch/import"
git -C "$scratch/r.git" repack -adq
rm "$scratch/import"
old=$(git -C "$scratch/r.git" rev-parse main~1)
new=$(git -C "$scratch/r.git" rev-parse main)

archive() { # COMMIT DIRECTORY
	mkdir "$2"
	git -C "$scratch/r.git" archive "$1" | tar x -C "$2"
}
whole() {
	"$build" --export-only "$scratch/r.git" "$1" "$2" > /dev/null
}
changed() {
	"$build" --export-only "$scratch/r.git" "$1" "$2" --previous "$scratch/previous" > /dev/null
}

measure() { # NAME COMMAND...
	local name=$1 begun ended
	shift
	sync
	begun=${EPOCHREALTIME/./}
	"$@"
	ended=${EPOCHREALTIME/./}
	echo $((ended - begun)) >> "$scratch/$name.times"
}

median() {
	sort -n "$scratch/$1.times" | awk '{ t[NR] = $1 } END { print (NR % 2) ? t[(NR + 1) / 2] : int((t[NR / 2] + t[NR / 2 + 1]) / 2) }'
}

whole "$old" "$scratch/previous"
archive "$old" "$scratch/warm" # both have run once
for ((i = 0; i < rounds; i++)); do
	measure archive archive "$new" "$scratch/archive-$i"
	measure whole whole "$new" "$scratch/whole-$i"
	measure changed changed "$new" "$scratch/changed-$i"
done
diff -r --no-dereference "$scratch/archive-0" "$scratch/whole-0"
diff -r --no-dereference "$scratch/archive-0" "$scratch/changed-0"

printf '%d files, %s, %s, %d rounds, medians\n' $files "$(du -sh --apparent-size "$scratch/archive-0" | cut -f1)" \
	"$(stat -f -c %T "$scratch")" "$rounds"
reference=$(median archive)
for name in archive whole changed; do
	t=$(median $name)
	awk -v n=$name -v t="$t" -v r="$reference" -v f=$files 'BEGIN {
		label["archive"] = "git archive | tar x"
		label["whole"] = "hostkit-build, first release"
		label["changed"] = "hostkit-build, 1 % changed"
		printf "%-30s %7.0f ms %8.0f files/s   ratio %.2f\n", label[n], t / 1000, f * 1e6 / t, t / r }'
done
