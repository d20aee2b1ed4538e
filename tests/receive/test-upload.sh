#!/usr/bin/env bash
# clone, fetch and ls-remote through hostkit-receive --upload-pack, each compared with what the same client gets from
# git's own upload-pack. Needs: git.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
. ../lib.sh

build=$(cd "${HOSTKIT_BUILD:-../../build/release}" 2> /dev/null && pwd) || build=
program=$build/receiver/hostkit-receive
if [ ! -x "$program" ]; then
	echo "no hostkit-receive in '$build': build first, or set HOSTKIT_BUILD" >&2
	exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
ours="$program --upload-pack --standalone"
theirs="git upload-pack"
export HOME=$scratch GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 LC_ALL=C TZ=UTC
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org
git config --global init.defaultBranch main
git config --global advice.detachedHead false
git config --global gc.auto 0
git config --global fetch.writeCommitGraph false

# --- repositories -------------------------------------------------------------------------------------------------

# commits BRANCH FIRST LAST [FROM]: a stream for fast-import; one commit a day, two files each, a merge every 16th
commits() {
	awk -v branch="$1" -v first="$2" -v last="$3" -v from="${4:-}" 'BEGIN {
		for (i = first; i <= last; i++) {
			printf "commit refs/heads/%s\nmark :%d\n", branch, i
			printf "committer t <t@example.org> %d +0000\n", 1500000000 + i * 86400
			printf "data 9\ncommit %02d\n", i % 100
			if (i == first && from != "") printf "from %s\n", from
			if (i > first + 8 && i % 16 == 0) printf "merge :%d\n", i - 7
			text = ""
			for (j = 0; j < 40; j++) text = text sprintf("line %d of %d\n", j, j == i % 40 ? i : 0)
			printf "M 100644 inline dir%d/file%d\ndata %d\n%s\n", i % 7, i % 13, length(text), text
			printf "M 100755 inline deep/%d/a/b/c\ndata 4\n%04d\n", i % 3, i
		}
	}'
}

make_repository() {
	git init -q --bare repo.git
	commits main 1 120 | git -C repo.git fast-import --quiet --export-marks=../marks
	git -C repo.git repack -adq
	commits topic 121 130 refs/heads/main~40 | sed 's/^mark :/mark :9/;s/merge :/merge :9/' | git -C repo.git fast-import --quiet
	git -C repo.git tag light main~3
	git -C repo.git tag -a -m annotated v1 main~50
	git -C repo.git tag -a -m annotated v2 main
	git -C repo.git -c advice.nestedTag=false tag -a -m nested nested v2
	git -C repo.git tag blob "$(git -C repo.git rev-parse main:dir0/file0)"
	git -C repo.git tag -a -m tree tree "$(git -C repo.git rev-parse 'main^{tree}')"
	git -C repo.git update-ref refs/notes/x main~2
	# some more as loose objects
	git clone -q repo.git work 2> /dev/null
	for i in 1 2 3; do
		echo "$i" > work/new
		git -C work add new
		GIT_COMMITTER_DATE="@$((1600000000 + i)) +0000" GIT_AUTHOR_DATE="@1600000000 +0000" git -C work commit -qm "new $i"
	done
	git -C work push -q origin main
}

# --- comparing ----------------------------------------------------------------------------------------------------

# state CLONE: everything that a server decides: refs, boundary, objects
state() {
	git -C "$1" for-each-ref --format='%(refname) %(objectname) %(symref)'
	git -C "$1" symbolic-ref HEAD 2> /dev/null || git -C "$1" rev-parse HEAD
	echo "shallow:"
	# each once: git's server names the end of a shallow repository's own history once for every want
	sort -u "$1/shallow" "$1/.git/shallow" 2> /dev/null
	echo "objects:"
	git -C "$1" rev-list --objects --all 2>&1 | cut -d' ' -f1 | sort | git hash-object --stdin
}

# same SCENARIO VERSION: run it against both servers and compare; the clone it leaves must pass fsck
same() {
	local scenario=$1 version=$2 side
	for side in theirs ours; do
		rm -rf "$side" "$side.state"
		git config --global protocol.version "$version"
		"$scenario" "$side" "${!side}" > "$side.log" 2>&1 || { echo "$side:"; cat "$side.log"; return 1; }
		state "$side" > "$side.state" || return 1
		git -C "$side" fsck --full --strict --no-dangling > "$side.fsck" 2>&1 || { cat "$side.fsck"; return 1; }
	done
	diff theirs.state ours.state
}

url=file://$scratch/repo.git
clone() { # DIRECTORY SERVER [ARGUMENTS]
	local dir=$1 server=$2
	shift 2
	git clone -q --upload-pack="$server" "$@" "$url" "$dir"
}
fetch() {
	local dir=$1 server=$2
	shift 2
	git -C "$dir" fetch -q --upload-pack="$server" "$@"
}

full_clone() { clone "$1" "$2"; }
mirror_clone() { clone "$1" "$2" --mirror; }
single_branch() { clone "$1" "$2" --single-branch --branch topic; }
no_tags() { clone "$1" "$2" --no-tags; }
one_tag() { clone "$1" "$2" --single-branch --branch v1; }
empty() { git clone -q --upload-pack="$2" "file://$scratch/empty.git" "$1"; }
depth_1() { clone "$1" "$2" --depth 1; }
depth_all_branches() { clone "$1" "$2" --depth 3 --no-single-branch; }
depth_root() { git clone -q --upload-pack="$2" --depth 5 "file://$scratch/single.git" "$1"; }
depth_beyond() { clone "$1" "$2" --depth 500; }
since() { clone "$1" "$2" --shallow-since=2017-10-20; }
exclude() { clone "$1" "$2" --shallow-exclude=v1; }
since_and_exclude() { clone "$1" "$2" --shallow-since=2017-08-01 --shallow-exclude=light; }
deepen() { clone "$1" "$2" --depth 2 && fetch "$1" "$2" --deepen=5; }
deepen_twice() { clone "$1" "$2" --depth 2 && fetch "$1" "$2" --depth=9 && fetch "$1" "$2" --depth=4; }
unshallow() { clone "$1" "$2" --depth 2 && fetch "$1" "$2" --unshallow; }
unshallow_all() { clone "$1" "$2" --depth 1 --no-single-branch && fetch "$1" "$2" --unshallow --tags; }
shallow_then_fetch() {
	old_clone "$1" --depth 3 && fetch "$1" "$2"
}
shallow_to_since() { clone "$1" "$2" --depth 2 && fetch "$1" "$2" --shallow-since=2017-10-01; }
from_shallow() { git clone -q --upload-pack="$2" "file://$scratch/shallow.git" "$1"; }
from_shallow_depth() { git clone -q --depth 2 --upload-pack="$2" "file://$scratch/shallow.git" "$1"; }
from_shallow_unshallow() { from_shallow_depth "$@" && fetch "$1" "$2" --unshallow; }
fetch_new() { old_clone "$1" && fetch "$1" "$2"; }
fetch_nothing() { clone "$1" "$2" && fetch "$1" "$2"; }
fetch_tags() { clone "$1" "$2" --single-branch --no-tags --branch topic && fetch "$1" "$2" --tags; }
fetch_one() { old_clone "$1" && fetch "$1" "$2" origin refs/heads/topic:refs/heads/t; }
fetch_prune() { old_clone "$1" && git -C "$1" update-ref refs/remotes/origin/gone HEAD && fetch "$1" "$2" --prune; }
fetch_blob() { clone "$1" "$2" --single-branch --no-tags && fetch "$1" "$2" origin refs/tags/blob:refs/tags/b refs/tags/tree:refs/tags/t; }
fetch_nested_tag() { old_clone "$1" --single-branch --no-tags && fetch "$1" "$2" origin refs/tags/nested:refs/tags/nested; }
many_haves() { # an unrelated history as long as the client's patience, and a bit in common
	old_clone "$1" && commits other 5000 5900 | git -C "$1" fast-import --quiet && fetch "$1" "$2"
}
skipping() { many_haves "$1" "git -c protocol.version=2 upload-pack" > /dev/null && rm -rf "$1" &&
	old_clone "$1" && commits other 5000 5300 | git -C "$1" fast-import --quiet &&
	git -C "$1" -c fetch.negotiationAlgorithm=skipping fetch -q --upload-pack="$2"; }
noop_negotiation() { old_clone "$1" && git -C "$1" -c fetch.negotiationAlgorithm=noop fetch -q --upload-pack="$2"; }
no_progress_quiet() { git clone --progress --upload-pack="$2" "$url" "$1"; }
ref_delta() { clone "$1" "$2" && git -C "$1" -c repack.useDeltaBaseOffset=false repack -adq; }

# the repository as it was some time ago, fetched with git's own server
old_clone() {
	local dir=$1
	shift
	git clone -q "$@" "file://$scratch/old.git" "$dir" && git -C "$dir" remote set-url origin "$url"
}

make_others() {
	git init -q --bare empty.git
	git clone -q --bare repo.git old.git
	git -C old.git for-each-ref --format='delete %(refname)' refs/tags refs/notes | git -C old.git update-ref --stdin
	git -C old.git update-ref refs/heads/main main~20
	git -C old.git update-ref -d refs/heads/topic
	git clone -q --bare --depth 6 "$url" shallow.git
	git init -q --bare single.git
	commits main 1 1 | git -C single.git fast-import --quiet
}

# --- lists --------------------------------------------------------------------------------------------------------

same_list() { # VERSION [ARGUMENTS]: ls-remote
	local version=$1
	shift
	git config --global protocol.version "$version"
	diff <(git ls-remote --symref --upload-pack="$theirs" "$@" 2>&1) <(git ls-remote --symref --upload-pack="$ours" "$@" 2>&1)
}

# --- requests by hand ---------------------------------------------------------------------------------------------

line() { printf '%04x%s\n' $((${#1} + 5)) "$1"; }
flush() { printf 0000; }
delim() { printf 0001; }

raw() { # VERSION SERVER: standard input is the request; prints answer and status
	local status=0
	GIT_PROTOCOL=version=$1 $2 repo.git > raw.out 2> raw.err || status=$?
	tr '\0\r' '@ ' < raw.out | sed -E 's/([0-9a-f]{4})?(.*)agent=[^ ]*/LENGTH\2agent=X/'
	sed -n 1p raw.err
	echo "status $status"
}
same_raw() { # VERSION: standard input
	cat > request
	raw "$1" "$theirs" < request > theirs.out
	raw "$1" "$ours" < request > ours.out
	diff -a theirs.out ours.out
}

unknown=0123456789012345678901234567890123456789
unknown_want_v0() { { line "want $unknown multi_ack side-band-64k"; flush; line "done"; } | same_raw 0; }
unadvertised_want_v0() { { line "want $(git -C repo.git rev-parse main~7)"; flush; line "done"; } | same_raw 0; }
unknown_want_v2() { { line command=fetch; delim; line "want $unknown"; line "done"; flush; } | raw 2 "$ours" > out; contains "$(cat out)" "ERR upload-pack: not our ref $unknown" && contains "$(cat out)" 'status 128'; }
unadvertised_want_v2() { # allowed in version 2
	{ line command=fetch; delim; line "want $(git -C repo.git rev-parse main~7)"; line "done"; flush; } | raw 2 "$ours" > out
	contains "$(head -c 3000 out | strings)" 'PACK' && contains "$(tail -1 out)" 'status 0'
}
nothing_v2() { flush | same_raw 2; }
no_wants_v2() { { line command=fetch; delim; flush; } | same_raw 2; }
common_v2() {
	{
		line command=fetch; line agent=x; line object-format=sha1; delim
		line "want $(git -C repo.git rev-parse main)"; line "have $(git -C repo.git rev-parse main~30)"; line "have $unknown"
		line wait-for-done; flush
	} | same_raw 2
}
not_common_v2() {
	{ line command=fetch; delim; line "want $(git -C repo.git rev-parse main)"; line "have $unknown"; flush; } | same_raw 2
}
list_unborn_v2() {
	{ line command=ls-refs; delim; line peel; line symrefs; line unborn; line "ref-prefix HEAD"; line "ref-prefix refs/tags/v"; flush; } | same_raw 2
}
object_info_v2() {
	{
		line command=object-info; delim; line size
		line "oid $(git -C repo.git rev-parse main)"; line "oid $unknown"; line "oid $(git -C repo.git rev-parse main:dir0/file0)"; flush
	} | same_raw 2
}
acks_v0() { # MULTI_ACK: flushes with and without something in common, then the end
	{
		line "want $(git -C repo.git rev-parse main) $1"; flush
		line "have $unknown"; flush
		line "have $(git -C repo.git rev-parse main)"; flush
		line "have $unknown"; line "have $(git -C repo.git rev-parse main~5)"; flush; line "done"
	} > request
	for side in theirs ours; do
		GIT_PROTOCOL=version=0 ${!side} repo.git < request 2> /dev/null | sed '1,/^0000/d' | head -c 20000 |
			LC_ALL=C grep -aoE '(ACK [0-9a-f]{40}( (common|ready|continue))?|NAK)$' > $side.acks
	done
	[ -s ours.acks ] && diff theirs.acks ours.acks
}

bad_request() { # VERSION, standard input: refused with 128 and a message, not a crash
	raw "$1" "$ours" > out
	contains "$(tail -1 out)" 'status 128' && contains "$(cat raw.err)" '^fatal: ' && lacks "$(cat raw.err)" 'Sanitizer|runtime error'
}
bad_hex() { printf '00zz' | bad_request "$1"; }
cut_packet() { printf '0032want 1234' | bad_request "$1"; }
bad_length() { printf '0003' | bad_request "$1"; }
bad_line_v0() { { line "wish $unknown"; flush; } | bad_request 0; }
bad_oid_v0() { { line "want ${unknown:1}"; flush; } | bad_request 0; }
bad_have_v0() { { line "want $(git -C repo.git rev-parse main)"; flush; line "have 12"; } | bad_request 0; }
bad_negotiation_v0() { { line "want $(git -C repo.git rev-parse main)"; flush; line "thing"; } | bad_request 0; }
bad_depth() { { line "want $(git -C repo.git rev-parse main)"; line "deepen -3"; flush; } | bad_request 0; }
two_cuts() { { line command=fetch; delim; line "want $(git -C repo.git rev-parse main)"; line "deepen 3"; line "deepen-since 12"; line "done"; flush; } | bad_request 2; }
bad_not() { { line command=fetch; delim; line "want $(git -C repo.git rev-parse main)"; line "deepen-not nonesuch"; line "done"; flush; } | bad_request 2; }
bad_command_v2() { { line command=push; flush; } | bad_request 2; }
two_commands_v2() { { line command=fetch; line command=ls-refs; flush; } | bad_request 2; }
no_command_v2() { { line agent=x; flush; } | bad_request 2; }
bad_capability_v2() { { line frobnicate; flush; } | bad_request 2; }
bad_format_v2() { { line command=fetch; line object-format=sha256; flush; } | bad_request 2; }
bad_argument_v2() { { line command=fetch; delim; line "filter blob:none"; flush; } | bad_request 2; }
cut_request_v2() { { line command=fetch; delim; line "want $unknown"; } | bad_request 2; }
no_repository() { status_is 128 $ours nonesuch.git < /dev/null > out 2>&1 && contains "$(cat out)" 'does not appear to be a git repository'; }

# --- faults -------------------------------------------------------------------------------------------------------

client_vanishes() {
	local status
	{ line command=fetch; delim; line "want $(git -C repo.git rev-parse main)"; line "done"; flush; sleep 0.2; } > request
	(GIT_PROTOCOL=version=2 $ours big.git < request 2> vanish.err; echo $? > vanish.status) | head -c 100 > /dev/null
	status=$(cat vanish.status)
	[ ! -s vanish.err ] || fail "not quiet: $(cat vanish.err)"
	[ "$status" -lt 129 ] || fail "status $status"
}
damaged_pack() { # a byte changed in the middle of the pack: the client is told and gets nothing
	rm -rf damaged.git broken
	cp -r repo.git damaged.git
	local pack size
	pack=$(ls damaged.git/objects/pack/*.pack | head -1)
	size=$(stat -c %s "$pack")
	chmod u+w "$pack"
	printf '\377\377\377\377' | dd of="$pack" bs=1 seek=$((size / 2)) conv=notrunc status=none
	if git clone -q --upload-pack="$ours" "file://$scratch/damaged.git" broken > out 2>&1; then fail "cloned all the same"; fi
	contains "$(cat out)" 'corruption on the remote side'
}
missing_object() {
	rm -rf damaged.git broken
	cp -r repo.git damaged.git
	rm -f damaged.git/objects/"$(git -C repo.git rev-parse 'main^{tree}' | sed 's,^..,&/,')"
	if git clone -q --upload-pack="$ours" "file://$scratch/damaged.git" broken > out 2>&1; then fail "cloned all the same"; fi
	contains "$(cat out)" 'corruption on the remote side'
}

# --- size ---------------------------------------------------------------------------------------------------------

make_big() {
	cp -r repo.git big.git
	head -c 3000000 /dev/urandom > work/random
	git -C work add random && git -C work commit -qm random && git -C work push -q ../big.git main
}
make_many() {
	cp -r repo.git many.git
	local oid
	oid=$(git -C many.git rev-parse main~1)
	seq 100000 | sed "s,.*,create refs/heads/many/& $oid," | git -C many.git update-ref --stdin
	git -C many.git pack-refs --all
}
clone_many() { git clone -q --upload-pack="$2" --mirror "file://$scratch/many.git" "$1"; }
fetch_many() { git clone -q --mirror "file://$scratch/many.git" "$1" && git -C "$1" update-ref refs/heads/main main~9 && git -C "$1" fetch -q --upload-pack="$2"; }

make_repository
make_others
make_big

check "advertisement, v0" eval 'same_raw 0 < /dev/null || contains "$(cat ours.out)" multi_ack'
for version in 0 1 2; do
	for scenario in full_clone mirror_clone single_branch no_tags one_tag empty depth_1 depth_all_branches depth_root \
		depth_beyond since exclude since_and_exclude deepen deepen_twice unshallow unshallow_all shallow_then_fetch \
		shallow_to_since from_shallow from_shallow_depth from_shallow_unshallow fetch_new fetch_nothing fetch_tags \
		fetch_one fetch_prune fetch_blob fetch_nested_tag many_haves skipping noop_negotiation no_progress_quiet ref_delta; do
		check "$scenario, v$version" same "$scenario" "$version"
	done
	check "ls-remote, v$version" same_list $version "$url"
	check "ls-remote --heads, v$version" same_list $version --heads "$url"
	check "ls-remote --tags PATTERN, v$version" same_list $version --tags "$url" 'v*'
	check "ls-remote PATTERN, v$version" same_list $version "$url" main 'refs/notes/*'
	check "ls-remote of an empty repository, v$version" same_list $version "file://$scratch/empty.git"
	check "ls-remote of a shallow repository, v$version" same_list $version "file://$scratch/shallow.git"
	check "bad length digits, v$version" bad_hex $version
	check "packet cut off, v$version" cut_packet $version
	check "packet of length 3, v$version" bad_length $version
done
for mode in "" multi_ack multi_ack_detailed; do
	check "acknowledgements, ${mode:-single}" acks_v0 "$mode"
done
for t in unknown_want_v0 unadvertised_want_v0 unknown_want_v2 unadvertised_want_v2 nothing_v2 no_wants_v2 common_v2 \
	not_common_v2 list_unborn_v2 object_info_v2 bad_line_v0 bad_oid_v0 bad_have_v0 bad_negotiation_v0 bad_depth two_cuts bad_not \
	bad_command_v2 two_commands_v2 no_command_v2 bad_capability_v2 bad_format_v2 bad_argument_v2 cut_request_v2 \
	no_repository client_vanishes damaged_pack missing_object; do
	check "${t//_/ }" $t
done
make_many
for version in 0 2; do
	check "ls-remote of 100,000 refs, v$version" same_list $version "file://$scratch/many.git"
	check "clone of 100,000 refs, v$version" same clone_many $version
	check "fetch among 100,000 refs, v$version" same fetch_many $version
done
finish
