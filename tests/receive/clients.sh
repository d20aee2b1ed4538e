#!/usr/bin/env bash
# Clients made by hand: what libraries other than git's client do differently at the end of a push, what old
# clients lack, and what hostile ones try. Usage: clients.sh HOSTKIT_RECEIVE
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../lib.sh
. "$here/../lib.sh"
receive=$(realpath "${1:?usage: clients.sh HOSTKIT_RECEIVE}")
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
cd "$base" || exit 1

export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null HOME="$base" LC_ALL=C
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b
unset GIT_DIR GIT_PROTOCOL
zero=0000000000000000000000000000000000000000

git init -q -b main w
for i in 1 2 3; do
	seq 1 300 | sed "s/^/$i /" > w/f$i
	git -C w add . && git -C w commit -qm "$i"
done
new=$(git -C w rev-parse main) old=$(git -C w rev-parse main~1)

fresh() {
	rm -rf r.git && "$receive" --init r.git || return 1
	git -C w push -q --receive-pack="$base/server" ../r.git main~1:refs/heads/main
}
printf '#!/bin/sh\nexec "%s" --standalone "$@"\n' "$receive" > server && chmod +x server

# line TEXT: one pkt-line; \0 and other escapes are those of printf
line() {
	local text
	printf '%b' "$1" > line.tmp
	text=$(stat -c %s line.tmp)
	printf '%04x' $((text + 4))
	cat line.tmp
}
flush() { printf 0000; }
pack() { git -C w pack-objects -q --stdout --revs --thin <<< "$(printf '%s\n' "$new" "^$old")"; }
whole_pack() { git -C w pack-objects -q --stdout --revs <<< "$new"; }
empty_pack() { git -C w pack-objects -q --stdout < /dev/null; }
bytes() { perl -e 'print pack("H*", shift)' "$1"; }

# serve REQUEST [keep|close]: run the server on it; "keep" leaves its input open, as clients do that wait for the
# report first. Sets status, output (control bytes as text), and seconds.
serve() {
	local request=$1 input=${2:-close} pid begun=$SECONDS
	rm -f in && mkfifo in
	timeout 20 "$receive" --standalone r.git < in > out 2> err &
	pid=$!
	exec 9> in
	cat "$request" >&9 2> /dev/null
	[ "$input" = keep ] || exec 9>&-
	status=0
	wait "$pid" || status=$?
	exec 9>&-
	seconds=$((SECONDS - begun))
	output=$(tr '\0\1\2\n' '@12 ' < out)
}
clean() { # nothing of a refused push stays
	equal "" "$(find r.git -name 'incoming-*' -o -name '*.lock' ! -name 'hostkit*')" "left over" &&
		git -C r.git fsck --full --strict > /dev/null
}
at() { equal "$1" "$(git -C r.git rev-parse -q --verify "$2" || echo none)" "$2"; }

prompt_and_moved() {
	[ "$seconds" -lt 10 ] || fail "it waited for the client to close"
	equal 0 "$status" status && at "$new" refs/heads/main && clean
}

# JGit and libgit2 keep the channel open until they have the report
keeps_channel_open() {
	fresh || return 1
	{ line "$old $new refs/heads/main\0 report-status side-band-64k agent=JGit/6"; flush; pack; } > req
	serve req keep
	prompt_and_moved && contains "$output" 'unpack ok.*ok refs/heads/main'
}
check "a client that keeps the channel open after the pack" keeps_channel_open

closes_at_once() {
	fresh || return 1
	{ line "$old $new refs/heads/main\0 report-status side-band-64k"; flush; pack; } > req
	serve req close
	prompt_and_moved && contains "$output" 'ok refs/heads/main'
}
check "a client that closes right after the pack" closes_at_once

many_objects_kept_open() {
	fresh || return 1
	git -C r.git config receive.unpackLimit 1
	{ line "$old $new refs/heads/main\0report-status"; flush; whole_pack; } > req
	serve req keep
	prompt_and_moved && equal 1 "$(find r.git/objects/pack -name '*.idx' | wc -l)" packs
}
check "the same with a pack that is kept as one" many_objects_kept_open

bytes_behind_pack() {
	fresh || return 1
	{ line "$old $new refs/heads/main\0report-status"; flush; pack; flush; flush; } > req
	serve req keep
	prompt_and_moved
}
check "bytes behind the pack" bytes_behind_pack

delete_only() {
	fresh || return 1
	git -C r.git update-ref refs/heads/x "$old"
	{ line "$old $zero refs/heads/x\0report-status delete-refs"; flush; } > req
	serve req keep
	[ "$seconds" -lt 10 ] && equal 0 "$status" && at none refs/heads/x && contains "$output" 'ok refs/heads/x'
}
check "a deletion without a pack, channel open" delete_only

no_op_with_empty_pack() {
	fresh || return 1
	{ line "$zero $old refs/heads/copy\0report-status"; flush; empty_pack; } > req
	serve req keep
	[ "$seconds" -lt 10 ] && equal 0 "$status" && at "$old" refs/heads/copy
}
check "an empty pack, channel open" no_op_with_empty_pack

no_report() {
	fresh || return 1
	{ line "$old $new refs/heads/main"; flush; pack; } > req
	serve req keep
	prompt_and_moved && lacks "$output" 'unpack|side-band.*1000e'
}
check "a client without any capability" no_report

no_side_band() {
	fresh || return 1
	{ line "$zero $new refs/x\0report-status"; flush; whole_pack; } > req
	serve req keep
	equal 0 "$status" && contains "$output" 'unpack ok' && contains "$output" 'ng refs/x funny refname' &&
		contains "$(cat err)" "refusing to create funny ref 'refs/x'"
}
check "a client without side-band sees errors on standard error" no_side_band

no_atomic_means_each() {
	fresh || return 1
	{ line "$old $new refs/heads/main\0report-status"; line "$zero $new refs/x"; flush; pack; } > req
	serve req
	at "$new" refs/heads/main && contains "$output" 'ng refs/x'
}
check "one refusal harms no other ref" no_atomic_means_each

newlines_in_commands() {
	fresh || return 1
	{ line "$old $new refs/heads/main\0report-status\n"; flush; pack; } > req
	serve req
	prompt_and_moved
}
check "commands that end in newlines" newlines_in_commands

nothing_to_do() {
	fresh || return 1
	flush > req
	serve req keep
	equal 0 "$status" && at "$old" refs/heads/main
}
check "no command at all" nothing_to_do

hangs_up() {
	fresh || return 1
	: > req
	serve req
	equal 128 "$status" && contains "$(cat err)" 'fatal: the remote end hung up unexpectedly'
}
check "a client that leaves after the advertisement" hangs_up

stale_old() {
	fresh || return 1
	{ line "$new $old refs/heads/main\0report-status"; flush; empty_pack; } > req
	serve req
	at "$old" refs/heads/main && contains "$output" 'ng refs/heads/main failed to update ref' &&
		contains "$(cat err)" "cannot lock ref 'refs/heads/main': is at $old but expected $new"
}
check "an old value that is not the present one" stale_old

create_existing() {
	fresh || return 1
	{ line "$zero $new refs/heads/main\0report-status"; flush; pack; } > req
	serve req
	at "$old" refs/heads/main && contains "$(cat err)" 'reference already exists'
}
check "creating what exists" create_existing

same_ref_twice() {
	fresh || return 1
	{ line "$old $new refs/heads/main\0report-status atomic"; line "$old $new refs/heads/main"; flush; pack; } > req
	serve req
	at "$old" refs/heads/main && contains "$output" 'ng refs/heads/main'
}
check "one ref twice in an atomic push" same_ref_twice

deletes_nothing() {
	fresh || return 1
	{ line "$zero $zero refs/heads/none\0report-status"; flush; } > req
	serve req keep
	contains "$output" 'ok refs/heads/none' && contains "$(cat err)" 'deleting a non-existent ref'
}
check "deleting what does not exist" deletes_nothing

shallow_push() {
	rm -rf r.git s && "$receive" --init r.git && git clone -q --depth 1 "file://$base/w" s || return 1
	git -C s commit -q --allow-empty -m shallow
	git -C s push -q --receive-pack="$base/server" ../r.git HEAD:refs/heads/shallow || return 1
	equal "$new" "$(cat r.git/shallow)" "shallow file" && git -C r.git fsck > /dev/null || return 1
	git -C s commit -q --allow-empty -m again
	git -C s push -q --receive-pack="$base/server" ../r.git HEAD:refs/heads/shallow &&
		at "$(git -C s rev-parse HEAD)" refs/heads/shallow
}
check "a push from a shallow clone, and one more" shallow_push

whole() { # COUNT REF: a full clone of it has so many commits, and nothing says that history ends
	[ ! -e r.git/shallow ] || fail "history ends at" "$(cat r.git/shallow)" || return 1
	rm -rf c && git clone -q --branch "$2" "file://$base/r.git" c || return 1
	equal "$1" "$(git -C c rev-list --count HEAD)" commits && [ ! -e c/.git/shallow ] && clean
}
shallow_of_ours() {
	fresh && rm -rf s && git -C w push -q --receive-pack="$base/server" ../r.git main || return 1
	git clone -q --depth 1 "file://$base/r.git" s && git -C s commit -q --allow-empty -m more || return 1
	git -C s push -q --receive-pack="$base/server" origin HEAD:main && whole 4 main
}
check "a push from a shallow clone of what is here" shallow_of_ours

shallow_above_ours() { # its last commit is new here, that one's parent is not
	fresh && rm -rf s && git clone -q --depth 1 "file://$base/w" s || return 1
	git -C s push -q --receive-pack="$base/server" ../r.git HEAD:refs/heads/shallow && whole 3 shallow
}
check "a push from a shallow clone that goes on from what is here" shallow_above_ours

shallow_rumours() { # a commit with parents, nothing, a tree, another's history
	fresh || return 1
	{
		for i in "$new" "$old" "$(git -C w rev-parse main~2)" "$(printf '%040d' 17)" "$(git -C w rev-parse 'main^{tree}')"; do
			line "shallow $i"
		done
		line "$old $new refs/heads/main\0report-status"; flush; pack
	} > req
	serve req
	at "$new" refs/heads/main && whole 3 main
}
check "shallow lines that are not true" shallow_rumours

shallow_refused() {
	rm -rf r.git && "$receive" --init r.git || return 1
	{ line "shallow $new"; line "$old $new refs/heads/main\0report-status"; flush
		git -C w pack-objects -q --stdout --revs <<< "$(printf '%s\n' "$new" "^$old")"; } > req
	serve req
	contains "$output" 'ng refs/heads/main' && [ ! -e r.git/shallow ]
}
check "a shallow push that is refused says nothing about history" shallow_refused

shallow_on_refused() { # a commit without parents lies about; the next push ends history above it
	shallow_refused || return 1
	git -C w commit -q --allow-empty -m above
	local above
	above=$(git -C w rev-parse HEAD)
	git -C w reset -q --hard "$new"
	# what a client without its parent sends: all of its tree
	{ line "shallow $above"; line "$zero $above refs/heads/x\0report-status"; flush
		{ echo "$above"; git -C w rev-parse "$above^{tree}"; git -C w ls-tree -r "$above" | cut -c 13-52; } |
			git -C w pack-objects -q --stdout; } > req
	serve req
	at "$above" refs/heads/x && equal "$above" "$(cat r.git/shallow)" shallow && git -C r.git fsck > /dev/null
}
check "a shallow push above what a refused one left" shallow_on_refused

names() { perl -e 'srand 1; print map({ sprintf "%08x", rand 1 << 32 } 1 .. 5), "\n" for 1 .. $ARGV[0]' "$1"; }
shallow_unending() {
	fresh || return 1
	{ names 20001 | sed 's/^/0034shallow /' | tr -d '\n'; line "$old $new refs/heads/main\0report-status"; flush; pack; } > req
	protocol_error 'more than 20000 shallow commits' req && [ ! -e r.git/shallow ] || return 1
	# as many as go in are no burden later on
	names 409199 > r.git/shallow
	{ line "$old $new refs/heads/main\0report-status"; flush; pack; } > req
	serve req
	[ "$seconds" -lt 10 ] || fail "took $seconds s" || return 1
	at "$new" refs/heads/main
}

shallow_full() {
	rm -rf r.git s && "$receive" --init r.git && git clone -q --depth 1 "file://$base/w" s || return 1
	names 409200 > r.git/shallow
	status_is 1 git -C s push --receive-pack="$base/server" ../r.git HEAD:refs/heads/main > out 2>&1 || return 1
	contains "$(cat out)" 'too many shallow commits' && at none refs/heads/main &&
		equal 409200 "$(wc -l < r.git/shallow)" || return 1
	git -C w push -q --receive-pack="$base/server" ../r.git main && at "$new" refs/heads/main
}
check "a list of shallow commits that is full" shallow_full

# bad requests: the conversation ends with git's words, and nothing has changed
protocol_error() { # WANTED REQUEST-FILE
	serve "$2"
	equal 128 "$status" && contains "$(cat err)" "$1" && at "$old" refs/heads/main && clean
}
check "shallow lines without end" shallow_unending
bad_line_length() { fresh && printf 'zzzz' > req && protocol_error 'bad line length character: zzzz' req; }
check "a length that is no number" bad_line_length
short_line() { fresh && printf '0100abc' > req && protocol_error 'hung up unexpectedly' req; }
check "a line cut short" short_line
no_command() { fresh && { line 'hello' && flush; } > req && protocol_error "expected old/new/ref, got 'hello'" req; }
check "a line that is no command" no_command
bad_shallow() { fresh && { line 'shallow 12' && flush; } > req && protocol_error "expected shallow sha, got '12'" req; }
check "a shallow line without a name" bad_shallow
other_hash() { fresh && { line "$old $new refs/heads/main\0object-format=sha256" && flush; } > req && protocol_error 'unsupported object format' req; }
check "another hash" other_hash

# bad packs: reported, nothing stays
bad_pack() { # WANTED, the pack on standard input
	{ line "$old $new refs/heads/main\0report-status"; flush; cat; } > req
	serve req "${2:-close}"
	equal 0 "$status" && contains "$output" 'ng refs/heads/main unpacker error' &&
		contains "$(cat err)$output" "$1" && at "$old" refs/heads/main && clean
}
truncated() { fresh && pack | head -c 100 | bad_pack 'early EOF'; }
check "a pack cut short" truncated
nothing() { fresh && bad_pack 'eof before pack header was fully read' < /dev/null; }
check "no pack at all" nothing
signature() { fresh && printf 'KCAP\0\0\0\2\0\0\0\0' | bad_pack 'pack signature mismatch' keep; }
check "another signature" signature
version() { fresh && printf 'PACK\0\0\0\11\0\0\0\0' | bad_pack 'pack version unsupported' keep; }
check "another version" version
checksum() { fresh && pack > p && { head -c -20 p && printf '12345678901234567890'; } | bad_pack 'SHA1 mismatch' keep; }
check "a wrong checksum, channel open" checksum
flipped() {
	fresh && pack > p || return 1
	perl -e 'local $/; $_ = <>; substr($_, 60, 1) ^= "\xff"; print' p | bad_pack 'inflate returned|SHA1 mismatch|bad object'
}
check "a flipped byte" flipped
announced_more() {
	fresh && pack > p && { printf 'PACK\0\0\0\2\0\0\1\0' && tail -c +13 p; } | bad_pack 'inflate|early EOF|bad object|bad line|out of bound'
}
check "more objects announced than sent" announced_more
thin_without_base() {
	fresh && git -C w commit -q --amend -m other && printf '%0300d\n' 7 >> w/f1 && git -C w commit -qam base || return 1
	local tip
	printf x >> w/f1 && git -C w commit -qam tip && tip=$(git -C w rev-parse HEAD)
	git -C w pack-objects -q --stdout --revs --thin <<< "$tip"$'\n'"^$tip~1" > p
	git -C w reset -q --hard "$new"
	if git verify-pack p 2> /dev/null; then return 0; fi
	bad_pack 'unresolved delta' < p
}
check "a thin pack without its base" thin_without_base
type_zero() { fresh && { bytes 5041434b0000000200000001 && bytes 05 && bytes 789c030000000001; } | bad_pack 'bad object type' keep; }
check "an object of no type" type_zero
bomb_size() { fresh && { bytes 5041434b0000000200000001 && bytes bfffffffffffffff7f && bytes 789c; } | bad_pack 'maximum allowed size|object size' keep; }
check "an object that says it is huge" bomb_size
delta_offset() { fresh && { bytes 5041434b0000000200000001 && bytes 617f && bytes 789c030000000001; } | bad_pack 'out of bound' keep; }
check "a delta on what is before the pack" delta_offset
missing_objects() {
	fresh || return 1
	{ line "$old $new refs/heads/main\0report-status"; flush; git -C w pack-objects -q --stdout <<< "$new"; } > req
	serve req
	contains "$output" 'ng refs/heads/main missing necessary objects' && at "$old" refs/heads/main && clean
}
check "a commit without its tree" missing_objects
wrong_kind() {
	local commit
	fresh || return 1
	commit=$(printf 'tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n' "$(git -C w rev-parse main:f1)" |
		git -C w hash-object --literally -w -t commit --stdin)
	{ line "$zero $commit refs/heads/bad\0report-status"; flush; printf '%s\n' "$commit" "$(git -C w rev-parse main:f1)" |
		git -C w pack-objects -q --stdout; } > req
	serve req
	contains "$output" 'ng refs/heads/bad missing necessary objects' && clean
}
check "a commit whose tree is a blob" wrong_kind
unrelated_object() {
	fresh || return 1
	{ line "$zero 1234567890123456789012345678901234567890 refs/heads/bad\0report-status"; flush; empty_pack; } > req
	serve req
	contains "$output" 'ng refs/heads/bad missing necessary objects' && clean
}
check "a name of nothing" unrelated_object

zeros_in_small_pack() {
	fresh && git -C r.git config receive.fsckObjects true || return 1
	head -c 300000000 /dev/zero > w/zeros && git -C w add zeros && git -C w commit -qm zeros || return 1
	( ulimit -v 1500000; git -C w push -q --receive-pack="$base/server" ../r.git HEAD:refs/heads/zeros ) || return 1
	git -C w reset -q --hard "$new"
	clean
}
if grep -q __asan "$receive"; then
	skip "300 MB of zeros in a small pack, in bounded memory" "the address sanitizer needs more"
else
	check "300 MB of zeros in a small pack, in bounded memory" zeros_in_small_pack
fi

many_refs() {
	fresh || return 1
	{ echo "# pack-refs with: sorted " && seq 100000 199999 | sed "s#^#$old refs/heads/b/#"; } > r.git/packed-refs
	{ line "$old $new refs/heads/main\0report-status"; flush; pack; } > req
	serve req
	[ "$seconds" -lt 10 ] || fail "took $seconds s"
	prompt_and_moved && equal 100002 "$(grep -ac refs/heads < out)" "advertised"
}
check "100,000 refs" many_refs

many_new_refs() {
	fresh || return 1
	{ line "$zero $old refs/heads/b/0\0report-status"; perl -e '
		for (1 .. 100000) { my $l = "'"$zero $old"' refs/heads/b/$_"; printf "%04x%s", length($l) + 4, $l }'
		flush; empty_pack; } > req
	serve req
	[ "$seconds" -lt 15 ] || fail "took $seconds s"
	equal 100001 "$(git -C r.git for-each-ref refs/heads/b | wc -l)" refs && clean
}
check "100,000 new refs in one push" many_new_refs

packed_full() { # what is written must be read again
	fresh || return 1
	perl -e '$| = 1; print "# pack-refs with: sorted \n"; printf "%s refs/heads/a/%s%04d\n", $ARGV[0], "x" x 60000, $_ for 1 .. 2234' "$old" > r.git/packed-refs
	local before
	before=$(stat -c %s r.git/packed-refs)
	[ "$before" -lt $((128 << 20)) ] && [ "$before" -gt $(((128 << 20) - 100000)) ] || fail "size $before" || return 1
	{ line "$zero $old refs/heads/b/0\0report-status"; perl -e '
		for (1 .. 2000) { my $l = "'"$zero $old"' refs/heads/b/$_"; printf "%04x%s", length($l) + 4, $l }'
		flush; empty_pack; } > req
	serve req
	contains "$(tr '\0' ' ' < out | grep -a '^00' | grep -av shallow | tail -c 1000)" 'ng refs/heads/b/1999 failed to update ref' &&
		contains "$(head -c 1000 err)" 'File too large' && equal "$before" "$(stat -c %s r.git/packed-refs)" size
}
check "a packed-refs that would be too large" packed_full

# nested_tags COUNT COMMIT: a pack of tags, each of the one before; the last one's name goes to the file "last"
nested_tags() {
	perl -MDigest::SHA=sha1,sha1_hex -MCompress::Zlib -e '
		my ($n, $oid) = @ARGV;
		my ($type, $pack) = ("commit", pack("a4NN", "PACK", 2, $n));
		for my $i (1 .. $n) {
			my $tag = "object $oid\ntype $type\ntag t$i\ntagger A <a\@b> 1700000000 +0000\n\n";
			my $size = length $tag;
			$pack .= pack("CC", 0xc0 | $size & 15, $size >> 4) . compress($tag);
			($oid, $type) = (sha1_hex("tag $size\0$tag"), "tag");
		}
		print $pack, sha1($pack);
		open my $last, ">", "last"; print $last $oid' "$1" "$2"
}
deep_tags() {
	fresh || return 1
	nested_tags 40000 "$old" > tags.pack
	{ line "$zero $(cat last) refs/tags/deep\0report-status"; flush; cat tags.pack; } > req
	serve req
	contains "$output" 'ok refs/tags/deep' || return 1
	{ line "$old $new refs/heads/main\0report-status"; flush; pack; } > req
	serve req
	prompt_and_moved && git -C w ls-remote -q --upload-pack="$receive --upload-pack" ../r.git > /dev/null
}
check "a tag of a tag of ... 40,000 deep" deep_tags

merge_of_many() { # of commits that no ref points to
	rm -rf r.git m && "$receive" --init r.git || return 1
	perl -e 'for (1 .. 20000) {
		print "commit refs/heads/main\nmark :$_\ncommitter A <a\@b> ", 1700000000 + $_, " +0000\ndata 1\nx\n";
		print "from :", $_ - 1, "\n" if $_ > 1 }' | git -C r.git fast-import --quiet || return 1
	git clone -q r.git m || return 1
	local parents merge begun
	parents=$(git -C m rev-list main~1 | awk 'NR % 4 == 0 { print "-p", $0 }')
	# shellcheck disable=SC2086
	merge=$(git -C m commit-tree -m merge $parents 'main^{tree}') || return 1
	begun=$SECONDS
	timeout 60 git -C m push -q --receive-pack="$base/server" ../r.git "$merge:refs/heads/x" || fail "status $?" || return 1
	[ $((SECONDS - begun)) -lt 10 ] || fail "took $((SECONDS - begun)) s" || return 1
	at "$merge" refs/heads/x
}
check "a merge of 5,000 old commits" merge_of_many

swept() {
	fresh || return 1
	local dead=r.git/objects/incoming-00000000dead live=r.git/objects/incoming-00000000beef
	mkdir -p $dead/pack $live/pack r.git/objects/incoming-git123
	{ line "$old $new refs/heads/main\0report-status"; flush; pack; } > req
	exec 8< $live
	flock 8
	serve req
	exec 8<&-
	[ ! -e $dead ] && [ -e $live ] && [ -e r.git/objects/incoming-git123 ]
}
check "a dead process's quarantine is swept, nobody else's" swept

killed() {
	fresh || return 1
	{ line "$old $new refs/heads/main\0report-status"; flush; pack | head -c 200; } > req
	mkfifo in2
	"$receive" --standalone r.git < in2 > /dev/null 2>&1 &
	local pid=$!
	exec 9> in2
	cat req >&9
	wait_for 5 compgen -G 'r.git/objects/incoming-*'
	kill -9 $pid
	wait $pid 2> /dev/null
	exec 9>&-
	at "$old" refs/heads/main && git -C r.git fsck > /dev/null
}
check "killed in mid-pack, the repository is as before" killed

upkeep() {
	fresh || return 1
	"$receive" --init r.git && "$receive" --init r.git || return 1
	equal 'ref: refs/heads/main' "$(cat r.git/HEAD)" || return 1
	git -C w push -q --receive-pack="$base/server" ../r.git main:refs/heads/x || return 1
	"$receive" --update-ref r.git refs/heads/main "$old" "$new" && at "$new" refs/heads/main || return 1
	"$receive" --update-ref r.git refs/heads/main "$old" "$new" || fail "not idempotent" || return 1
	status_is 1 "$receive" --update-ref r.git refs/heads/main "$zero" "$old" 2> /dev/null && at "$new" refs/heads/main || return 1
	"$receive" --update-ref r.git refs/heads/y "$zero" "$new" && at "$new" refs/heads/y || return 1
	status_is 1 "$receive" --update-ref r.git refs/heads/z "$zero" 1234567890123456789012345678901234567890 2> /dev/null
}
check "--init and --update-ref" upkeep

consolidated() {
	fresh || return 1
	git -C r.git config receive.unpackLimit 1
	for i in $(seq 53); do
		git -C w commit -q --allow-empty -m "pack $i"
		git -C w push -q --receive-pack="$base/server" ../r.git HEAD:refs/heads/main || return 1
	done
	wait_for 20 packs_are 5
	git -C w fetch -q ../r.git main || return 1
	equal "$(git -C w rev-parse HEAD)" "$(git -C w rev-parse FETCH_HEAD)" && clean
	git -C w reset -q --hard "$new"
}
packs_are() { [ "$(find r.git/objects/pack -name '*.idx' | wc -l)" -le "$1" ]; }
check "many packs become one by themselves" consolidated

no_process_left() { # for the consolidation that is due
	fresh && git -C r.git config receive.unpackLimit 1 || return 1
	for i in $(seq 60); do : > "r.git/objects/pack/pack-$(printf '%040d' "$i").idx"; done
	{ line "$old $new refs/heads/main\0report-status"; flush; pack; } > req
	chmod 755 "$base" && chown -R 54321 r.git || return 1
	status=0
	ASAN_OPTIONS=detect_leaks=0 setpriv --reuid 54321 --regid 54321 --clear-groups prlimit --nproc=1 "$receive" --standalone r.git < req > out 2> err ||
		status=$?
	chmod 700 "$base"
	contains "$(tr "\0" " " < out)" "ok refs/heads/main" && contains "$(cat err)" "consolidate r.git: .*, ignoring" && equal 0 "$status"
}
if [ "$(id -u)" = 0 ] && setpriv --reuid 54321 --regid 54321 --clear-groups "$receive" --version > /dev/null 2>&1; then
	check "upkeep that cannot be begun does not hide the report" no_process_left
else
	skip "upkeep that cannot be begun does not hide the report" "only root can limit another user"
fi

# many_packs FILE: FILE is in the first of 55 packs of r.git, in whose history the branch main ends
many_packs() {
	local i
	fresh && git -C w push -q ../r.git "$new:refs/heads/new" && git -C w add "$1" && git -C w commit -qm "$1" || return 1
	for i in $(seq 55); do
		git -C w rev-list --objects HEAD~1..HEAD | git -C w pack-objects -q ../r.git/objects/pack/pack > /dev/null || return 1
		git -C w commit -q --allow-empty -m "pack $i"
	done
	git -C r.git update-ref refs/heads/main "$(git -C w rev-parse HEAD~55)"
	git -C r.git update-ref refs/heads/last "$(git -C w rev-parse HEAD~1)"
}
large_pack() { # larger than what libgit2 maps at once, and the push reads from it
	head -c 70000000 /dev/urandom > w/random
	many_packs random || return 1
	git -C w push -q --receive-pack="$base/server" ../r.git HEAD~55:refs/heads/again HEAD:refs/heads/main || return 1
	wait_for 40 packs_are 5 && git -C r.git fsck --connectivity-only > /dev/null || return 1
	equal "$(git -C w rev-parse HEAD:random)" "$(git -C r.git rev-parse main:random)" || return 1
	git -C w reset -q --hard "$new"
}
check "also when one is larger than a window on it" large_pack

damaged_pack() {
	local pack
	head -c 20000 /dev/urandom > w/random
	many_packs random || return 1
	pack=$(find r.git/objects/pack -name '*.pack' -size +10k) && chmod u+w "$pack" || return 1
	printf '\377\377\377\377' | dd of="$pack" bs=1 seek=15000 conv=notrunc status=none
	cp -r r.git damaged.git
	status_is 1 "$receive" --consolidate damaged.git 2> said && contains "$(cat said)" 'damaged.git: ' || return 1
	equal 55 "$(find damaged.git/objects/pack -name '*.pack' | wc -l)" packs && rm -rf damaged.git || return 1
	# what is said in the background goes to /dev/log, which is ours in a mount namespace of its own
	unshare -m true 2> /dev/null || { echo "(not seen: what the log gets)" && git -C w reset -q --hard "$new" && return 0; }
	export base && unshare -m bash -c '
		mkdir dev && touch dev/null && mount -t tmpfs none dev && cp -a /dev/null /dev/zero /dev/random /dev/urandom dev && mount --rbind dev /dev || exit 1
		perl -MSocket -e "socket S, AF_UNIX, SOCK_DGRAM, 0; bind S, sockaddr_un(\"/dev/log\"); alarm 30; recv S, \$m, 2000, 0; print \$m" > logged &
		until [ -S /dev/log ]; do sleep 0.1; done
		git -C w push -q --receive-pack="$base/server" ../r.git HEAD:refs/heads/main
		wait' && contains "$(cat logged)" 'hostkit-receive.*consolidate .*r\.git: status 1: ' || return 1
	git -C w reset -q --hard "$new"
}
check "a pack that cannot be read stays, with the others, and is spoken of" damaged_pack

command_line() {
	status_is 0 "$receive" --version && status_is 0 "$receive" --help && status_is 2 "$receive" &&
		status_is 2 "$receive" r.git && status_is 2 "$receive" --standalone a b &&
		status_is 2 "$receive" --nonsense r.git && status_is 2 "$receive" --project ../x --branch main r.git &&
		status_is 2 "$receive" --update-ref r.git refs/heads/a 1 2
	status_is 128 "$receive" --standalone nowhere.git < /dev/null
}
check "options and usage errors" command_line

finish
