#!/usr/bin/env bash
# Pushes that deploy: git's own client, hostkit-receive as hostkitd starts it, and a played hostkitd behind it.
# Usage: deploy.sh HOSTKIT_RECEIVE PLAY_HOSTKITD
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../lib.sh
. "$here/../lib.sh"
receive=$(realpath "${1:?usage: deploy.sh HOSTKIT_RECEIVE PLAY_HOSTKITD}")
play=$(realpath "${2:?usage: deploy.sh HOSTKIT_RECEIVE PLAY_HOSTKITD}")
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
cd "$base" || exit 1

export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null HOME="$base" LC_ALL=C
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b
unset GIT_DIR GIT_PROTOCOL

git init -q -b main w
echo '{}' > w/package.json && git -C w add . && git -C w commit -qm first
first=$(git -C w rev-parse HEAD)

cat > server <<SH
#!/bin/sh
exec "$play" "\$(cat "$base/script")" "$base/log" "$receive" --project shop --branch main \$(cat "$base/limits") "\$@"
SH
chmod +x server

# fresh SCRIPT [LIMITS]
fresh() {
	rm -rf r.git log && "$receive" --init r.git || return 1
	: > log
	echo "$1" > script
	echo "${2:-}" > limits
	git -C w checkout -q -B main "$first" && git -C w clean -qfd
}
# push ARGUMENTS: sets output and status
push() {
	status=0
	output=$(git -C w push --receive-pack="$base/server" ../r.git "$@" 2>&1) || status=$?
}
refs_are() { equal "$1" "$(git -C r.git for-each-ref --format='%(refname)' | tr '\n' ' ')" refs; }
accepted() { [ -s log ] || fail "no request was made:" "$output"; }
untouched() { # refused before anything was asked or kept
	equal 1 "$status" status && equal "" "$(cat log)" "requests" && refs_are "" &&
		equal "" "$(find r.git/objects -type f)" "objects"
}
commit_file() { # MODE NAME CONTENTS
	mkdir -p "w/$(dirname "$2")" && printf '%s' "$3" > "w/$2" && git -C w add -f "$2" && git -C w commit -qm "$2"
}

job_moves() { "$receive" --update-ref r.git refs/heads/main "${2:-0000000000000000000000000000000000000000}" "$1"; }

deploys() {
	fresh ok && push main
	equal 0 "$status" && accepted && contains "$output" 'remote: -----> Building' &&
		contains "$output" 'remote:        npm ci' && contains "$output" 'remote: =====> Live' &&
		contains "$output" '\[new branch\] +main -> main' &&
		equal "PUSH_ACCEPT refs/heads/main 0000000000000000000000000000000000000000 $first 0 whole" "$(cat log)" &&
		refs_are "" && git -C r.git cat-file -e "$first" # the job moves the branch
}
check "a push is accepted, shown, and left to the job" deploys

second() {
	fresh ok && push main
	"$receive" --update-ref r.git refs/heads/main 0000000000000000000000000000000000000000 "$first" || return 1
	commit_file 100644 x y && push main
	equal 0 "$status" && contains "$(tail -1 log)" "PUSH_ACCEPT refs/heads/main $first $(git -C w rev-parse main) 0 whole"
}
check "a second push" second

build_fails() {
	fresh fail && push main
	equal 1 "$status" && contains "$output" 'remote:  !     npm ci failed' &&
		contains "$output" 'remote:        read the lines above' &&
		contains "$output" 'main -> main \(build failed\)' && refs_are "" || return 1
	echo ok > script && push main && equal 0 "$status" # again, without a new commit
}
check "a failed build is a rejected push, and can be pushed again" build_fails

refused() {
	fresh refuse && push main
	equal 1 "$status" && contains "$output" 'deployments are paused' && contains "$output" 'ssh hostkit status' &&
		contains "$output" '\(not accepted\)' && refs_are ""
}
check "hostkitd refuses" refused

vanishes() {
	fresh vanish && push main
	equal 1 "$status" && contains "$output" 'interrupted' && refs_are ""
}
check "the job dies" vanishes

# a shallow clone of a history that is elsewhere: two commits, the first cut off
shallow_clone() {
	rm -rf s && fresh "$1" && commit_file 100644 x y && git clone -q --depth 1 "file://$base/w" s && tip=$(git -C s rev-parse HEAD)
}
shallow_push() {
	status=0
	output=$(git -C s push --receive-pack="$base/server" ../r.git "$@" 2>&1) || status=$?
}

shallow_waits() {
	shallow_clone ok && shallow_push HEAD:main
	equal 0 "$status" && [ ! -e r.git/shallow ] || return 1
	job_moves "$tip" && equal "$tip" "$(cat r.git/shallow)" && git -C r.git fsck > /dev/null &&
		[ ! -e r.git/hostkit-shallow ]
}
check "a shallow push ends history when the branch moves" shallow_waits

shallow_fails() {
	shallow_clone fail && shallow_push HEAD:main
	equal 1 "$status" && [ ! -e r.git/shallow ] || return 1
	echo ok > script
	push main # the same commit, with its history
	equal 0 "$status" && job_moves "$tip" && [ ! -e r.git/shallow ] &&
		equal 2 "$(git -C r.git rev-list --count main)" && git -C r.git fsck > /dev/null
}
check "a shallow push whose build fails does not end history" shallow_fails

shallow_after_failure() {
	shallow_clone fail && shallow_push HEAD:main && equal 1 "$status" || return 1
	echo ok > script
	git -C w commit -q --allow-empty -m above && rm -rf s && git clone -q --depth 1 "file://$base/w" s || return 1
	tip=$(git -C s rev-parse HEAD)
	shallow_push HEAD:main
	equal 0 "$status" && job_moves "$tip" && equal "$tip" "$(cat r.git/shallow)" && git -C r.git fsck > /dev/null
}
check "a shallow push after one whose build failed" shallow_after_failure

shallow_of_ours() {
	fresh ok && commit_file 100644 x y && push main && tip=$(git -C w rev-parse main) && job_moves "$tip" || return 1
	rm -rf s && git clone -q --depth 1 "file://$base/r.git" s && git -C s commit -q --allow-empty -m more || return 1
	shallow_push HEAD:main
	equal 0 "$status" && job_moves "$(git -C s rev-parse HEAD)" "$tip" && [ ! -e r.git/shallow ] &&
		equal 3 "$(git -C r.git rev-list --count main)"
}
check "a push from a shallow clone of what is here" shallow_of_ours

shallow_detached() {
	shallow_clone ok && shallow_push -o detach HEAD:main
	equal 0 "$status" && equal "$tip" "$(cat r.git/shallow)" && git -C r.git fsck > /dev/null
}
check "-o detach from a shallow clone" shallow_detached

silent() {
	fresh slow && push main
	equal 0 "$status" && contains "$output" 'Live'
}
check "a job that says nothing for a while" silent

other_branch() {
	fresh ok && push main:staging
	untouched && contains "$output" "'staging' is not the branch that deploys" &&
		contains "$output" 'git push hostkit staging:main'
}
check "another branch" other_branch

both_branches() {
	fresh ok && push main main:staging
	equal 1 "$status" && accepted && contains "$output" 'main -> staging \(not the branch' &&
		contains "$output" 'main -> main$'
}
check "another branch beside the right one" both_branches

both_atomic() {
	fresh ok && push --atomic main main:staging
	untouched && contains "$output" 'atomic'
}
check "the same, all or none" both_atomic

atomic_fails() {
	fresh fail && push --atomic main main:refs/tags/v1.2
	equal 1 "$status" && contains "$output" 'main -> main \(build failed\)' &&
		contains "$output" 'main -> v1.2 \(atomic push failure\)' && refs_are "" || return 1
	echo ok > script && push --atomic main main:refs/tags/v1.2
	equal 0 "$status" && contains "$output" 'main -> v1.2$' && refs_are "refs/tags/v1.2 "
}
check "a tag beside a build that fails, all or none" atomic_fails

atomic_stale() { # the tag cannot be made, so nothing is built
	fresh ok && push main:refs/tags/v1 && local line="$first $first refs/heads/main" || return 1
	job_moves "$first"
	{
		printf '%04x%s\0report-status atomic' $((4 + ${#line} + 21)) "$line"
		line="${line%% *} $first refs/tags/v2" && printf '%04x%s0000' $((4 + ${#line})) "$line"
		git -C w pack-objects -q --stdout < /dev/null
	} > req
	./server r.git < req > out 2> err
	contains "$(tr '\0' ' ' < out)" 'ng refs/heads/main atomic push failure.*|ng refs/tags/v2 failed to update ref' &&
		equal "" "$(cat log)" requests && refs_are "refs/heads/main refs/tags/v1 "
}
check "a tag that has moved beside the branch, all or none" atomic_stale

deletes() {
	fresh ok && "$receive" --init r.git && push main
	"$receive" --update-ref r.git refs/heads/main 0000000000000000000000000000000000000000 "$first" || return 1
	push :main
	equal 1 "$status" && refs_are "refs/heads/main " && contains "$output" 'cannot be deleted' &&
		contains "$output" 'deletion prohibited'
}
check "deleting the branch that deploys" deletes

tags() {
	fresh ok && git -C w tag -f -a -m x v1 2> /dev/null && push v1
	equal 0 "$status" && equal "" "$(cat log)" requests && refs_are "refs/tags/v1 "
}
check "a tag is stored and deploys nothing" tags

killed_writer() { # its lock files are all that is left of it
	fresh ok && push main && push main:refs/tags/a main:refs/tags/b && mkdir -p r.git/refs/heads || return 1
	git -C r.git pack-refs --all
	: > r.git/refs/heads/main.lock && : > r.git/packed-refs.lock
	job_moves "$first" && refs_are "refs/heads/main refs/tags/a refs/tags/b " || return 1
	: > r.git/refs/tags/a.lock && : > r.git/packed-refs.lock && : > r.git/refs/tags/c.lock
	push :refs/tags/a main:refs/tags/c
	equal 0 "$status" && refs_are "refs/heads/main refs/tags/b refs/tags/c " || return 1
	commit_file 100644 x y && : > r.git/refs/heads/main.lock && push -o detach main
	equal 0 "$status" && equal "$(git -C w rev-parse main)" "$(git -C r.git rev-parse main)" &&
		equal "" "$(find r.git -name '*.lock' ! -name 'hostkit*')" "locks"
}
check "lock files of a writer that was killed" killed_writer

long_names() {
	local name
	name=$(printf 'a%.0s' {1..251})
	fresh ok && push main "main:refs/tags/$name"
	equal 1 "$status" && contains "$output" 'funny ref .* the name is too long' && contains "$output" 'funny refname' &&
		refs_are "" || return 1
	name=$(printf 'a%.0s' {1..240})
	push "main:refs/tags/$name/$name/$name/$name/$name" && contains "$output" 'the name is too long' && refs_are "" || return 1
	push "main:refs/tags/$name/$name" && equal 0 "$status"
}
check "names too long" long_names

other_refs() {
	fresh ok && push main:refs/notes/x main:refs/replace/y
	untouched && contains "$output" 'Only branches and tags' && contains "$output" 'COMMIT:refs/tags/NAME'
}
check "refs that are neither branch nor tag" other_refs

options() {
	fresh ok && push -o no-cache main
	equal 0 "$status" && contains "$(cat log)" ' 2 whole'
}
check "-o no-cache" options

detached() {
	fresh ok && push -o detach main
	equal 0 "$status" && contains "$(cat log)" ' 1 whole' && contains "$output" 'job 17' &&
		contains "$output" 'logs [a-z]+ --build 17 -f' && lacks "$output" Building && refs_are "refs/heads/main "
}
check "-o detach moves the branch at once and says how to follow" detached

unknown_option() {
	fresh ok && push -o turbo main
	untouched && contains "$output" "Unknown push option 'turbo'" && contains "$output" '-o detach, -o no-cache'
}
check "an unknown push option is named" unknown_option

lfs() {
	fresh ok && commit_file 100644 img/a.png $'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n'
	push main
	untouched && contains "$output" 'Git LFS' && contains "$output" 'img/a.png' || return 1
	push main:refs/tags/lfs && equal 0 "$status" || return 1
	push main # what a tag brought is looked at as well
	equal 1 "$status" && contains "$output" 'img/a.png' && equal "" "$(cat log)"
}
check "Git LFS pointers are named" lfs

submodule() {
	fresh ok && git -C w update-index --add --cacheinfo "160000,$first,vendor/lib" && git -C w commit -qm sub
	push main
	untouched && contains "$output" 'submodules' && contains "$output" 'vendor/lib'
}
check "submodules are named" submodule

too_many_files() {
	fresh ok '--max-tree-files 20'
	for i in $(seq 30); do echo "$i" > "w/f$i"; done
	git -C w add . && git -C w commit -qm many && push main
	untouched && contains "$output" 'more than 20 files' && contains "$output" 'node_modules'
}
check "too many files" too_many_files

wide_tree() { # ten levels of ten times the same: ten thousand million files
	local tree i j
	fresh ok
	tree=$(git -C w rev-parse 'main^{tree}')
	for i in $(seq 10); do
		tree=$(for j in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\td%s\n' "$tree" "$j"; done | git -C w mktree)
	done
	push "$(git -C w commit-tree -m bomb "$tree"):refs/heads/main"
	untouched && contains "$output" 'more than 200000 files'
}
check "a small tree that unpacks to thousands of millions of files" wide_tree

# a commit whose tree is unpacked to 2^60 files
doubling() {
	local tree i
	tree=$(git -C w rev-parse 'main^{tree}')
	for i in $(seq 60); do tree=$(printf '040000 tree %s\ta\n040000 tree %s\tb\n' "$tree" "$tree" | git -C w mktree); done
	git -C w commit-tree -m doubling "$tree"
}
untrue_old() { # the pack brings what the client says is live
	fresh ok && commit_file 100644 x y || return 1
	local bomb new line
	bomb=$(doubling) new=$(git -C w rev-parse main)
	line="$bomb $new refs/heads/main"
	{
		printf '%04x%s\0report-status0000' $((4 + ${#line} + 14)) "$line"
		git -C w pack-objects -q --stdout --revs <<< "$bomb"$'\n'"$new"
	} > req
	timeout 20 ./server r.git < req > out 2> err
	contains "$(tr '\0' ' ' < out)" 'ng refs/heads/main failed to update ref' &&
		contains "$(cat err)" 'moved by another push' && equal "" "$(cat log)" && refs_are ""
}
check "a client that is wrong about what is live" untrue_old

doubling_is_live() {
	fresh ok || return 1
	local bomb
	bomb=$(doubling) && push "$bomb:refs/tags/x" && equal 0 "$status" && job_moves "$bomb" || return 1
	output=$(timeout 20 git -C w push -f --receive-pack="$base/server" ../r.git main 2>&1) && accepted
}
check "what is live would be unpacked to thousands of millions of files" doubling_is_live

deep_tree() {
	local tree i
	fresh ok
	tree=$(git -C w rev-parse 'main^{tree}')
	for i in $(seq 200); do tree=$(printf '040000 tree %s\td\n' "$tree" | git -C w mktree); done
	push "$(git -C w commit-tree -m deep "$tree"):refs/heads/main"
	untouched && contains "$output" 'deeper than 128:' && contains "$output" '^remote:          d/d/d/[d/]*d' &&
		contains "$output" 'git mv OLD NEW'
}
check "directories too deep" deep_tree

too_large() {
	fresh ok '--max-pack-bytes 10000'
	head -c 100000 /dev/urandom > w/big && git -C w add . && git -C w commit -qm big && push main
	untouched && contains "$output" 'exceeds maximum allowed size'
}
check "too large a pack" too_large

unpacks_to_too_much() { # 40 KB that ask for 150 GB to be hashed
	fresh ok
	perl -MDigest::SHA=sha1 -MCompress::Zlib -e '
		sub size { my $n = shift; my $s = ""; while ($n > 127) { $s .= chr($n & 127 | 128); $n >>= 7 } $s . chr $n }
		my $delta = size(1) . size(500000000) . "\x90\x01";
		my $pack = pack("a4NN", "PACK", 2, 301) . "\x31" . compress("x");
		$pack .= pack("C", 0x70 | length $delta) . sha1("blob 1\0x") . compress($delta) for 1 .. 300;
		my $line = "0" x 40 . " '"$first"' refs/heads/main\0report-status";
		printf "%04x%s0000", 4 + length $line, $line;
		print $pack, sha1($pack)' > bomb
	local begun=$SECONDS
	output=$(timeout 60 "$receive" --project shop --branch main r.git < bomb 2>&1 | tr -d '\0')
	contains "$output" 'the objects of the pack, unpacked, exceed the maximum allowed size' &&
		contains "$output" 'ng refs/heads/main unpacker error' && equal "" "$(find r.git/objects -type f)" objects || return 1
	[ $((SECONDS - begun)) -lt 10 ] || fail "took $((SECONDS - begun)) s"
}
check "deltas that make more than all limits together" unpacks_to_too_much

bad_names() {
	local tree
	fresh ok
	tree=$(printf '100644 blob %s\t.git\n' "$(git -C w rev-parse main:package.json)" | git -C w mktree)
	push "$(git -C w commit-tree -m bad "$tree"):refs/heads/main"
	untouched && contains "$output" "hasDotgit: contains '.git'"
}
check "objects are checked without being asked to" bad_names

leaves() {
	fresh slow
	git -C w push --receive-pack="$base/server" ../r.git main > /dev/null 2>&1 &
	local pid=$!
	wait_for 10 test -s log
	kill -9 $pid
	wait $pid 2> /dev/null
	wait_for 15 idle
}
idle() { ! pgrep -f "$base/log" > /dev/null; }
check "a client that leaves: the program ends by itself" leaves

finish
