#!/usr/bin/env bash
# The tree of a commit on disk: exactly the commit, nothing hostile, nothing half-made.
. "$(dirname "$0")/lib.sh"

n=0
# export_tree REPO COMMIT [OPTIONS]: into a fresh $out, what it said in $said
export_tree() {
	local repo=$1 commit=$2 status=0
	shift 2
	n=$((n + 1))
	out=$scratch/out-$n
	timeout 120 "$builder" --export-only "$repo" "$commit" "$out" "$@" > "$scratch/said" 2>&1 || status=$?
	said=$(cat "$scratch/said")
	cat "$scratch/said"
	return $status
}

# refused PATTERN REPO COMMIT [OPTIONS]: exit status 2, the reason, the fix, nothing on disk
refused() {
	local pattern=$1 lines
	shift
	status_is 2 export_tree "$@" || return 1
	contains "$said" "$pattern" || return 1
	lines=$(grep -c '^ !     ' <<< "$said")
	[ "$lines" -ge 2 ] || fail "no suggestion" || return 1
	[ ! -e "$out" ] || fail "$out was left behind" || return 1
	[ ! -e "$scratch/.out-$n.manifest" ] || fail "a manifest was left behind"
}

# same_as_commit REPO COMMIT DIRECTORY: every blob, mode and link, and nothing else
same_as_commit() {
	python3 - "$@" <<'PY'
import hashlib, os, stat, subprocess, sys
repo, commit, top = sys.argv[1:]
want = {}
for line in subprocess.run(["git", "-C", repo, "ls-tree", "-rz", commit], stdout=-1, check=True).stdout.split(b"\0")[:-1]:
    mode, kind, rest = line.split(b" ", 2)
    oid, path = rest.split(b"\t", 1)
    want[path] = (mode.decode(), oid.decode())
def blob(data): return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
got = {}
for here, dirs, files in os.walk(os.fsencode(top)):
    for name in files + dirs:
        full = os.path.join(here, name)
        path = os.path.relpath(full, os.fsencode(top))
        st = os.lstat(full)
        if stat.S_ISLNK(st.st_mode):
            got[path] = ("120000", blob(os.readlink(full)))
        elif stat.S_ISREG(st.st_mode):
            assert st.st_nlink == 1 and st.st_mode & 0o777 in (0o644, 0o755), (path, oct(st.st_mode))
            got[path] = ("100755" if st.st_mode & 0o100 else "100644", blob(open(full, "rb").read()))
        elif path in want:
            assert not os.listdir(full)
            got[path] = ("160000", want[path][1])
want = {p: ("100644" if m == "100664" else m, o) for p, (m, o) in want.items()}
for p in sorted(want.keys() | got.keys()):
    if want.get(p) != got.get(p):
        sys.exit("%r: commit %r, disk %r" % (p, want.get(p), got.get(p)))
PY
}

same_as_archive() { # REPO COMMIT
	export_tree "$1" "$2" || return 1
	mkdir "$scratch/archive-$n"
	git -C "$1" archive "$2" | tar x -C "$scratch/archive-$n"
	diff -r --no-dereference "$scratch/archive-$n" "$out" && same_as_commit "$1" "$2" "$out"
}

# --- real trees

repo=$(new_repo plain)
work=$scratch/work
mkdir -p "$work/dir/sub/deep" "$work/bin" "$work/ünï cödé" "$work/$(printf 'x%.0s' {1..200})"
echo text > "$work/dir/file"
: > "$work/dir/empty"
printf '\r\n\0binary\xff' > "$work/dir/sub/binary"
head -c 3000000 /dev/urandom > "$work/dir/sub/deep/large"
printf '#!/bin/sh\n' > "$work/bin/run"
chmod 755 "$work/bin/run"
echo a > "$work/ünï cödé/new"$'\n'"line"
echo b > "$work/$(printf 'x%.0s' {1..200})/$(printf 'y%.0s' {1..255})"
echo c > "$work/"$'\xff\xfe'
echo d > "$work/-rf"
ln -s dir/file "$work/link"
ln -s /etc/passwd "$work/absolute"
ln -s ../../../../etc "$work/dir/outside"
ln -s nowhere "$work/dangling"
ln -s . "$work/self"
plain=$(commit_dir "$repo" "$work")
check "files, modes, links and odd names, as git archive has them" same_as_archive "$repo" "$plain"
if [ -e "$build_top/.git" ]; then
	git clone -q --bare "$build_top" "$scratch/own.git" 2> /dev/null
	check "this project's own tree" same_as_archive "$scratch/own.git" HEAD
else
	skip "this project's own tree" "not a git clone"
fi

attributes() {
	local dir=$scratch/attributes commit
	mkdir "$dir"
	printf '*.txt text eol=crlf\nsecret export-ignore\nversion export-subst\n*.bin filter=lfs\n' > "$dir/.gitattributes"
	printf 'a\nb\n' > "$dir/lines.txt"
	echo kept > "$dir/secret"
	# shellcheck disable=SC2016 # git would put the commit there
	echo '$Format:%H$' > "$dir/version"
	echo raw > "$dir/x.bin"
	mv "$dir/.gitattributes" "$scratch/attributes.file"
	commit=$(commit_dir "$repo" "$dir")
	mv "$scratch/attributes.file" "$dir/.gitattributes"
	commit=$(commit_dir "$repo" "$dir") || return 1
	export_tree "$repo" "$commit" && same_as_commit "$repo" "$commit" "$out" && test -f "$out/secret"
}
check "attributes change nothing: it is exactly the commit" attributes

empty_tree() {
	local commit
	commit=$(commit_tree "$repo" "$(git -C "$repo" hash-object -w -t tree --stdin < /dev/null)")
	export_tree "$repo" "$commit" && equal "" "$(ls -A "$out")"
}
check "an empty commit makes an empty directory" empty_tree

by_name() {
	git -C "$repo" tag -a -m tag v1 "$plain" && export_tree "$repo" v1 && same_as_commit "$repo" v1 "$out" &&
		export_tree "$repo" "${plain:0:10}"
}
check "a commit by tag or short id" by_name

loose_and_packed() {
	git -C "$repo" repack -adq && export_tree "$repo" "$plain" && same_as_commit "$repo" "$plain" "$out"
}
check "from packs as from loose objects" loose_and_packed

# --- hostile trees

bad=$(new_repo bad)
blob=$(echo content | git -C "$bad" hash-object -w --stdin)

# tree MODE NAME OID...: write a tree as it is, whatever git thinks of it
tree() {
	while [ $# -ge 3 ]; do
		printf '%s %b\0' "$1" "$2"
		xxd -r -p <<< "$3"
		shift 3
	done | git -C "$bad" hash-object -w --literally -t tree --stdin
}
good_tree=$(tree 100644 file "$blob")

bad_tree() { # PATTERN MODE NAME OID...
	local pattern=$1
	shift
	refused "$pattern" "$bad" "$(commit_tree "$bad" "$(tree "$@")")"
}
for name in .git .GIT .Git 'git~1' 'GIT~1' '.git ' '.git...' '.git::$DATA' '.g\xe2\x80\x8cit'; do
	check "an entry named '$name'" bad_tree 'stands for' 40000 "$name" "$good_tree"
done
for name in . ..; do
	check "an entry named '$name'" bad_tree '"." or ".."' 100644 "$name" "$blob"
done
for name in a/b /etc ../x; do
	check "an entry named '$name'" bad_tree 'slash' 100644 "$name" "$blob"
done
check "an entry without a name" bad_tree 'without a name' 100644 '' "$blob"
check "a name of 256 bytes" bad_tree '255' 100644 "$(printf 'n%.0s' {1..256})" "$blob"
for mode in 20644 60644 10644 140000 104755 100777 0 777; do
	check "mode $mode" bad_tree 'mode' $mode x "$blob"
done
check "the same file twice" bad_tree 'twice' 100644 a "$blob" 100644 a "$blob"
check "a link and a directory of one name" bad_tree 'twice' 120000 a "$blob" 40000 a "$good_tree"
check "the same, with another name between" bad_tree 'twice' 120000 a "$blob" 100644 a.b "$blob" 40000 a "$good_tree"
check "entries out of order" bad_tree 'order' 100644 b "$blob" 100644 a "$blob"
check "a control character in a refused name is escaped" bad_tree 'evil\\x1b' 100644 'evil\x1b[2J/x' "$blob"

deep_bad() {
	refused 'stands for .*top/mid/.git' "$bad" \
		"$(commit_tree "$bad" "$(tree 40000 top "$(tree 40000 mid "$(tree 100644 .git "$blob")")")")"
}
check "a hostile entry deep below is named with its path" deep_bad

cut_tree() {
	local t
	t=$(printf '100644 file\0only-some-bytes' | git -C "$bad" hash-object -w --literally -t tree --stdin)
	refused 'malformed' "$bad" "$(commit_tree "$bad" "$t")"
}
check "a tree that is cut short" cut_tree

bad_link() {
	local target
	target=$(printf '%b' "$1" | git -C "$bad" hash-object -w --stdin)
	refused 'symbolic link' "$bad" "$(commit_tree "$bad" "$(tree 120000 x "$target")")"
}
check "a link without a target" bad_link ''
check "a link with a NUL in it" bad_link 'a\0b'
check "a link of 5000 bytes" bad_link "$(printf 'l%.0s' {1..5000})"

missing_blob() {
	status_is 1 export_tree "$bad" "$(commit_tree "$bad" "$(tree 100644 x "${blob//[0-9]/0}")")" || return 1
	[ ! -e "$out" ] || fail "$out was left behind"
}
check "an object that is missing" missing_blob

wrong_type() {
	status_is 1 export_tree "$bad" "$(commit_tree "$bad" "$(tree 100644 a "$good_tree")")" &&
		[ ! -e "$out" ] && status_is 1 export_tree "$bad" "$(commit_tree "$bad" "$(tree 40000 a "$blob")")" && [ ! -e "$out" ]
}
check "a tree where a blob should be, and the other way round" wrong_type

tree_bomb() {
	local t=$good_tree i
	for i in 1 2 3 4 5 6 7 8 9; do
		t=$(tree 40000 a "$t" 40000 b "$t" 40000 c "$t" 40000 d "$t" 40000 e "$t" 40000 f "$t" 40000 g "$t" 40000 h "$t")
	done
	refused 'more than 200000 files' "$bad" "$(commit_tree "$bad" "$t")"
}
check "a tree that multiplies itself" tree_bomb

too_deep() {
	local t=$good_tree i
	for ((i = 0; i < 260; i++)); do
		t=$(tree 40000 d "$t")
	done
	refused '256 levels' "$bad" "$(commit_tree "$bad" "$t")"
}
check "directories 260 deep" too_deep

too_long() {
	local t=$good_tree i name
	name=$(printf 'l%.0s' {1..250})
	for ((i = 0; i < 15; i++)); do
		t=$(tree 40000 "$name" "$t")
	done
	refused '3500 bytes in one path' "$bad" "$(commit_tree "$bad" "$t")"
}
check "a path of nearly 4 KB" too_long

check "more files than allowed" refused 'more than 5 files' "$repo" "$plain" --max-files 5
check "a file larger than allowed" refused 'a file of more than 1 MiB.*deep/large' "$repo" "$plain" --max-file-bytes 1048576
check "all files larger than allowed" refused 'take more than 2 MiB' "$repo" "$plain" --max-bytes 2097152

zeros() {
	local zero
	zero=$(head -c 64M /dev/zero | git -C "$bad" hash-object -w --stdin)
	refused 'a file of more than' "$bad" "$(commit_tree "$bad" "$(tree 100644 zeros "$zero")")" --max-file-bytes 10000000
}
check "a blob of zeros is judged before it is unpacked" zeros

submodule() {
	local commit
	commit=$(commit_tree "$bad" "$(tree 100644 file "$blob" 160000 lib "$plain")")
	export_tree "$bad" "$commit" && contains "$said" "'lib' is a submodule" && same_as_commit "$bad" "$commit" "$out" &&
		equal "" "$(ls -A "$out/lib")"
}
check "a submodule becomes an empty directory and is named" submodule

link_not_followed() {
	mkdir "$scratch/precious"
	echo keep > "$scratch/precious/file"
	local link commit
	link=$(printf '%s' "$scratch/precious" | git -C "$bad" hash-object -w --stdin)
	commit=$(commit_tree "$bad" "$(tree 120000 app "$link" 100644 file "$blob")")
	export_tree "$bad" "$commit" && equal "$scratch/precious" "$(readlink "$out/app")" &&
		equal keep "$(cat "$scratch/precious/file")" && equal file "$(ls "$scratch/precious")"
}
check "a link out of the release is made and never followed" link_not_followed

# --- where it goes

existing() {
	mkdir "$scratch/there"
	"$builder" --export-only "$repo" "$plain" "$scratch/there/" && same_as_commit "$repo" "$plain" "$scratch/there" || return 1
	status_is 2 "$builder" --export-only "$repo" "$plain" "$scratch/there" && same_as_commit "$repo" "$plain" "$scratch/there"
}
check "an empty directory may be there, a full one is left alone" existing

wrong_calls() {
	status_is 64 "$builder" && status_is 64 "$builder" --export-only "$repo" && status_is 64 "$builder" --frobnicate &&
		status_is 64 "$builder" --max-files 0 --export-only a b c && status_is 0 "$builder" --help &&
		status_is 0 "$builder" --version && status_is 2 export_tree "$repo" no-such-commit &&
		status_is 2 export_tree "$scratch/nowhere" main &&
		status_is 64 "$builder" --repo r --commit "$plain" --releases . --release ../x --runtime node &&
		status_is 64 "$builder" --repo r --commit HEAD --releases . --release 20250101-000000 --runtime node &&
		status_is 64 "$builder" --repo r --commit "$plain" --releases . --release 20250101-000000 --runtime cobol
}
check "wrong calls" wrong_calls

full_disk() { # MOUNT OPTIONS, PATTERN
	local status=0
	mkdir -p "$scratch/small" && mount -t tmpfs -o "$1" none "$scratch/small" || return 1
	"$builder" --export-only "$repo" "$plain" "$scratch/small/out" > "$scratch/said" 2>&1 || status=$?
	local left
	left=$(ls -A "$scratch/small")
	umount "$scratch/small"
	cat "$scratch/said"
	equal 5 "$status" "exit status" && contains "$(cat "$scratch/said")" "$2" && equal "" "$left" "left behind" &&
		equal 2 "$(wc -l < "$scratch/said")" "lines said"
}
if [ "$(id -u)" -eq 0 ]; then
	check "disk full: one clear error, nothing left" full_disk size=1m 'disk full while writing .*: no space'
	check "inodes used up: the same" full_disk size=50m,nr_inodes=9 'disk full while writing .*: no inodes'
else
	skip "disk full" "needs root to mount a small file system"
fi

# --- taking over from the previous release

many=$(new_repo many)
big=$scratch/big
mkdir "$big"
python3 - "$big" <<'PY'
import os, sys
for d in range(30):
    os.mkdir("%s/d%d" % (sys.argv[1], d))
    for f in range(100):
        open("%s/d%d/f%d" % (sys.argv[1], d, f), "w").write("file %d of %d\n" % (f, d) * 20)
for name in "same tampered replaced fifo linked deleted chmodded grown changed moded".split():
    open("%s/%s" % (sys.argv[1], name), "w").write("the %s file\n" % name)
PY
one=$(commit_dir "$many" "$big")
echo "something new" > "$big/changed"
chmod 755 "$big/moded"
two=$(commit_dir "$many" "$big")
git -C "$many" repack -adq
export_tree "$many" "$one" > /dev/null
first=$out

copied() { sed -nE 's/.*, ([0-9]+) copied/\1/p' <<< "$said"; }

take_over() {
	export_tree "$many" "$two" --previous "$first" && same_as_commit "$many" "$two" "$out" || return 1
	[ "$(copied)" -gt 500 ] || fail "only $(copied) were copied" || return 1
	[ "$(stat -c %i "$first/same")" != "$(stat -c %i "$out/same")" ] || fail "they share an inode"
}
check "unchanged files are copied, changed ones are not" take_over

chain() {
	local second=$out
	export_tree "$many" "$one" --previous "$second" && same_as_commit "$many" "$one" "$out" && [ "$(copied)" -gt 500 ]
}
check "and again from that one" chain

tamper() {
	cp -a "$first" "$scratch/tampered" # for other times than those in the manifest
	export_tree "$many" "$one" || return 1
	local old=$out
	local stamp
	stamp=$(stat -c %y "$old/tampered")
	printf 'THE tampered file\n' > "$old/tampered"
	touch -d "$stamp" "$old/tampered"
	rm "$old/replaced" && ln -s /etc/passwd "$old/replaced"
	rm "$old/fifo" && mkfifo "$old/fifo"
	ln "$old/linked" "$scratch/hard-link"
	rm "$old/deleted"
	chmod 755 "$old/chmodded"
	echo more >> "$old/grown"
	mv "$old/d3" "$old/d3-away" && ln -s d4 "$old/d3"
	export_tree "$many" "$two" --previous "$old" && same_as_commit "$many" "$two" "$out" && [ "$(copied)" -gt 400 ]
}
check "files touched in the previous release are unpacked afresh" tamper

copied_release() { # the same files, but not those that were exported: ctime and inode tell
	cp "$scratch/.$(basename "$first").manifest" "$scratch/.tampered.manifest" &&
		echo tampered > "$scratch/tampered/same" &&
		export_tree "$many" "$one" --previous "$scratch/tampered" && same_as_commit "$many" "$one" "$out" && equal 0 "$(copied)"
}
check "a copy of the previous release is not trusted" copied_release

bad_manifest() {
	local m
	m=$scratch/.$(basename "$first").manifest
	cp "$m" "$scratch/manifest.good"
	head -c 1000 "$scratch/manifest.good" > "$m"
	export_tree "$many" "$one" --previous "$first" && equal 0 "$(copied)" && same_as_commit "$many" "$one" "$out" || return 1
	rm "$m" && ln -s /dev/zero "$m"
	export_tree "$many" "$one" --previous "$first" && equal 0 "$(copied)" || return 1
	rm "$m"
	export_tree "$many" "$one" --previous "$first" && equal 0 "$(copied)" && export_tree "$many" "$one" --previous "$scratch/nothing"
}
check "without a usable manifest everything is unpacked" bad_manifest

finish
