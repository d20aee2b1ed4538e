#!/usr/bin/env bash
# The same pushes against `git receive-pack` and `hostkit-receive --standalone`, with git's own client: exit
# status, what the client shows, refs, HEAD and `git fsck` must agree. Usage: compare.sh HOSTKIT_RECEIVE
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../lib.sh
. "$here/../lib.sh"
receive=$(realpath "${1:?usage: compare.sh HOSTKIT_RECEIVE}")
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT

export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL="$base/gitconfig" HOME="$base" LC_ALL=C
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
unset GIT_DIR GIT_PROTOCOL
cat > "$GIT_CONFIG_GLOBAL" <<-CONF
	[user]
		name = A
		email = a@example.com
	[init]
		defaultBranch = main
	[protocol]
		version = 0
	[advice]
		detachedHead = false
	[gc]
		auto = 0
CONF

mkdir "$base/bin"
printf '#!/bin/sh\nexec "%s" --standalone "$@"\n' "$receive" > "$base/bin/hostkit"
printf '#!/bin/sh\nexec git receive-pack "$@"\n' > "$base/bin/git-server"
chmod +x "$base"/bin/*

# what every scenario starts from: a work tree w with some history, a bare r.git that has a part of it
template=$base/template
mkdir "$template"
(
	cd "$template" || exit 1
	git init -q w && git init -q --bare r.git && cd w || exit 1
	for i in 1 2 3; do
		mkdir -p "d$i/e"
		seq 1 400 | sed "s/^/line $i /" > "f$i"
		echo "$i" > "d$i/e/x"
		git add . && git commit -qm "commit $i" || exit 1
	done
	git push -q ../r.git main~1:refs/heads/main main~2:refs/heads/side
	git tag light && git tag -a -m 'a tag' heavy
) || exit 1

w() { git -C w "$@"; }
r() { git -C r.git "$@"; }
# a push, and how it ended
push() {
	w push --receive-pack="$server" ../r.git "$@" 2>&1
	echo "exit $?"
}
commit() {
	echo "$1" >> w/f1
	w commit -qam "$1"
}
hex() { perl -e 'print pack("H*", shift)' "$1"; }
# entry MODE NAME OID: one entry of a tree
entry() {
	printf '%s %s\0' "$1" "$2"
	hex "$3"
}
blob() { printf '%s' "$1" | w hash-object -w --stdin; }
# raw_tree < ENTRIES, raw_commit TREE: as they are, without git's checks
raw() { w hash-object --literally -w -t "$1" --stdin; }
commit_of() { w commit-tree -m raw "$1"; }

# progress differs in timing, and so does the server's last word to a client that has left
normalise() { sed -E -e '/^remote: (Resolving|Unpacking|Checking)/d' -e '/^fatal: the remote end hung up/d' \
	-e "s#'[^']*/r.git/./#'#g" -e 's/[ \t]+$//' -e '/^$/d'; }

state() {
	echo "HEAD $(cat r.git/HEAD)"
	r for-each-ref
	r fsck --full --no-dangling 2>&1 | grep -v '^notice:'
	[ -z "$(find r.git/objects -name 'incoming-*' -o -name 'tmp_*')" ] || echo "left over objects"
	[ -z "$(find r.git -name '*.lock' ! -name 'hostkit*')" ] || echo "left over locks"
}

# run SCENARIO SERVER: in a directory of its own that has the same name for both
run() {
	local dir=$base/run
	rm -rf "$dir" && cp -a "$template" "$dir" && cd "$dir" || return 1
	server=$base/bin/$2
	{
		"$1"
		echo "--- state"
		state
	} 2>&1 | normalise > "$base/$2.out"
	cd "$base" || return 1
}

same() {
	run "$1" git-server
	run "$1" hostkit
	diff -u --label git --label hostkit "$base/git-server.out" "$base/hostkit.out"
}

scenarios=()
scenario() { scenarios+=("$1"); }

scenario first_push
first_push() {
	rm -rf r.git && git init -q --bare r.git
	push main
}
scenario new_branch
new_branch() { push main:new; }
scenario fast_forward
fast_forward() { push main; }
scenario several_at_once
several_at_once() { push main main:two main~1:three light heavy; }
scenario not_a_fast_forward_seen_by_the_client
not_a_fast_forward_seen_by_the_client() { push main~2:main; }
scenario force
force() { push -f main~2:main; }
scenario force_by_plus
force_by_plus() { push +main~2:main main:side; }
scenario force_with_lease
force_with_lease() { push --force-with-lease=main:"$(w rev-parse main~1)" main~2:main; }
scenario force_with_stale_lease
force_with_stale_lease() { push --force-with-lease=main:"$(w rev-parse main)" main~2:main; }
scenario delete_branch
delete_branch() { push :side; }
scenario delete_and_create
delete_and_create() { push :side main:other; }
scenario delete_missing
delete_missing() { push :nowhere; }
scenario delete_current
delete_current() {
	r config receive.denyDeleteCurrent refuse # the default adds advice
	push :main
}
scenario delete_current_allowed
delete_current_allowed() {
	r config receive.denyDeleteCurrent ignore
	push :main
}
scenario delete_packed
delete_packed() {
	push main:two heavy
	r pack-refs --all
	push :side :heavy
}
scenario update_packed
update_packed() {
	r pack-refs --all
	push main
	push :side
}
scenario delete_file_over_packed
delete_file_over_packed() {
	push main:two
	r pack-refs --all
	push -f main~1:two
	push :two
}
scenario light_tag
light_tag() { push light; }
scenario annotated_tag
annotated_tag() { push heavy; }
scenario tag_of_tag
tag_of_tag() {
	w tag -a -m again twice heavy 2> /dev/null
	push twice
}
scenario tag_of_tree
tag_of_tree() {
	w tag -a -m tree tree 'main^{tree}'
	push tree
}
scenario tag_of_blob
tag_of_blob() {
	w tag -a -m blob blob main:f1
	push blob
}
scenario branch_of_blob
branch_of_blob() { push "$(blob x):refs/heads/blob"; }
scenario branch_of_tag
branch_of_tag() { push heavy:refs/heads/heavy; }
scenario all_tags
all_tags() { push --tags; }
scenario follow_tags
follow_tags() { push --follow-tags main; }
scenario mirror
mirror() { push --mirror; }
scenario prune
prune() { push --prune 'refs/heads/*:refs/heads/*'; }
scenario up_to_date
up_to_date() { push main~1:main; }
scenario nothing_new_in_the_pack
nothing_new_in_the_pack() { push main~1:copy; }
scenario dry_run
dry_run() { push --dry-run main; }
scenario quiet
quiet() { push -q main; }
scenario porcelain
porcelain() { push --porcelain main :side; }
scenario no_thin
no_thin() {
	commit more
	push --no-thin main
}
scenario thin
thin() {
	push main
	commit thin
	push --thin main
}
scenario atomic
atomic() { push --atomic main main:new :side; }
scenario atomic_with_a_funny_one
atomic_with_a_funny_one() { push --atomic main main:refs/x; }
scenario atomic_with_conflict
atomic_with_conflict() { push --atomic main:new main:refs/heads/side/below; }
scenario atomic_not_offered
atomic_not_offered() {
	r config receive.advertiseAtomic false
	push --atomic main
}
scenario one_level_ref
one_level_ref() { push main:refs/x main:fine; }
scenario branch_named_head
branch_named_head() { push main:refs/heads/HEAD; }
scenario head_itself
head_itself() { push main:HEAD; }
scenario notes
notes() { push main:refs/notes/commits; }
scenario odd_names
odd_names() { push 'main:refs/heads/--exec=id' 'main:refs/heads/a;id' 'main:refs/heads/$(id)'; }
scenario long_name
long_name() { push "main:refs/heads/$(printf 'a%.0s' {1..200})"; }
scenario too_long_name
too_long_name() { push "main:refs/heads/$(printf 'a%.0s' {1..300})" | sed 's/aaa*/a/g'; }
scenario below_a_branch
below_a_branch() { push main:refs/heads/side/below; }
scenario above_a_branch
above_a_branch() {
	push main:refs/heads/up/down
	push main:refs/heads/up
}
scenario above_a_packed_branch
above_a_packed_branch() {
	push main:refs/heads/up/down
	r pack-refs --all
	push main:refs/heads/up
	push main:refs/heads/up/down/deeper
}
scenario directory_left_empty
directory_left_empty() {
	push main:refs/heads/up/down
	push :refs/heads/up/down
	push main:refs/heads/up
}
scenario below_a_deleted_branch
below_a_deleted_branch() {
	push :side main:refs/heads/side/below
	r pack-refs --all
	push :side/below main:refs/heads/side/other/below
	push :side/other/below main:refs/heads/side
}
scenario below_a_deleted_branch_atomic
below_a_deleted_branch_atomic() {
	push --atomic :side main:refs/heads/side/below
	push main:refs/heads/up/down
	push --atomic :up/down main:refs/heads/up
}
scenario below_a_missing_branch
below_a_missing_branch() { push main:refs/heads/new main:refs/heads/new/below; }
scenario too_long_name_atomic
too_long_name_atomic() { push --atomic main "main:refs/heads/$(printf 'a%.0s' {1..252})" | sed 's/aaa*/a/g'; }
scenario too_long_name_among_many
too_long_name_among_many() {
	for i in $(seq 1 300); do echo "create refs/heads/b/$i $(w rev-parse main)"; done | w update-ref --stdin
	push -q 'refs/heads/b/*:refs/heads/b/*' "main:refs/heads/b/$(printf 'a%.0s' {1..252})" | sed 's/aaa*/a/g'
}
scenario locked
locked() {
	: > r.git/refs/heads/main.lock
	# git goes on with advice
	push main main:other | sed -E -e 's/(File exists)\..*/\1/' -e '/^remote: (Another|an editor|are term|may have|remove the)/d' \
		-e '/^remote: *$/d'
	rm r.git/refs/heads/main.lock
}
scenario deny_deletes
deny_deletes() {
	r config receive.denyDeletes true
	push heavy
	push :side :heavy
}
scenario deny_non_fast_forwards
deny_non_fast_forwards() {
	r config receive.denyNonFastForwards true
	push -f main~2:main main:side
}
scenario deny_non_fast_forwards_new_history
deny_non_fast_forwards_new_history() {
	r config receive.denyNonFastForwards true
	w checkout -q --orphan o
	commit orphan
	push -f o:main
	push -f heavy:refs/tags/t
	push -f o:refs/tags/t
}
scenario deny_non_fast_forwards_atomic
deny_non_fast_forwards_atomic() {
	r config receive.denyNonFastForwards true
	push -f --atomic main~2:main main:side
}
scenario push_options_not_offered
push_options_not_offered() { push -o x main; }
scenario push_options
push_options() {
	r config receive.advertisePushOptions true
	push -o x -o y=z main
}
scenario too_large
too_large() {
	r config receive.maxInputSize 1k
	head -c 20000 /dev/urandom > w/big
	w add big && w commit -qm big
	push main 2>&1 | grep -vE 'send-pack|pack-objects|remote end hung|Broken pipe'
}
scenario just_small_enough
just_small_enough() {
	r config receive.maxInputSize 10m
	push main
}
scenario many_objects
many_objects() {
	mkdir w/many
	for i in $(seq 1 300); do echo "$i" > "w/many/$i"; done
	w add . && w commit -qm many
	push main
}
scenario many_objects_thin
many_objects_thin() {
	mkdir w/many
	for i in $(seq 1 300); do seq "$i" $((i + 200)) > "w/many/$i"; done
	w add . && w commit -qm many
	push main
	for i in $(seq 1 300); do echo more >> "w/many/$i"; done
	w commit -qam more
	push main
}
scenario unpack_limit
unpack_limit() {
	r config receive.unpackLimit 1
	push main
	commit kept
	push main
	find r.git/objects/pack -name '*.pack' | wc -l
}
scenario many_refs
many_refs() {
	for i in $(seq 1 600); do echo "create refs/heads/b/$i $(w rev-parse main)"; done | w update-ref --stdin
	push -q 'refs/heads/b/*:refs/heads/b/*'
	push -q :refs/heads/b/17 main:refs/heads/b/18/x
	push -q --prune 'refs/heads/none/*:refs/heads/b/*'
}
scenario merge
merge() {
	w checkout -q -b topic main~1
	echo t > w/topic && w add . && w commit -qm topic
	w merge -q -m merge main
	push topic
}
scenario empty_commit_and_tree
empty_commit_and_tree() { push "$(commit_of "$(w mktree < /dev/null)"):refs/heads/empty"; }
scenario modes_and_links
modes_and_links() {
	ln -s /etc/shadow w/link
	echo x > w/prog && chmod +x w/prog
	w add . && w commit -qm modes
	push main
}
scenario submodule
submodule() {
	w update-index --add --cacheinfo "160000,$(w rev-parse main),sub"
	w commit -qm sub
	push main
}
scenario large_blob
large_blob() {
	head -c 3000000 /dev/zero > w/zeros
	w add . && w commit -qm zeros
	push main
}
scenario non_ascii_names
non_ascii_names() {
	printf x > $'w/\303\251\n"'
	w add . && w commit -qm names
	push "main:refs/heads/$(printf '\303\251')"
}
scenario protocol_1
protocol_1() {
	w config protocol.version 1
	push main
}
scenario protocol_2
protocol_2() {
	w config protocol.version 2
	push main
}
scenario revert_to_old_tree
revert_to_old_tree() { push "$(w commit-tree -p main~1 -m revert 'main~2^{tree}'):main"; }
scenario old_commit_under_new_name
old_commit_under_new_name() {
	push main
	push -f main~2:main
	push main~1:again
}
scenario head_in_subdirectory_moves
head_in_subdirectory_moves() {
	mkdir w/below && w mv d1 d2 d3 below/ && w commit -qm move
	push main
}
scenario shallow_of_ours
shallow_of_ours() {
	r config receive.shallowUpdate true
	push main
	rm -rf w && git clone -q --depth 1 "file://$PWD/r.git" w
	commit more
	push HEAD:main
	[ ! -e r.git/shallow ] || cat r.git/shallow
	r rev-list --count main
}
scenario shallow_of_another
shallow_of_another() {
	rm -rf r.git && git init -q --bare r.git && r config receive.shallowUpdate true
	git clone -q --depth 1 "file://$PWD/w" s && rm -rf w && mv s w
	push HEAD:main
	cat r.git/shallow
	commit more
	push HEAD:main
	cat r.git/shallow
}

# objects that git's fsck refuses, each with and without it
bad_tree() { # ENTRIES on standard input
	local tree
	tree=$(raw tree) && push "$(commit_of "$tree"):refs/heads/bad"
}
dot_git() { entry 100644 .git "$(blob x)" | bad_tree; }
dot_git_directory() { entry 40000 .git "$(w rev-parse 'main^{tree}')" | bad_tree; }
dot_git_upper() { entry 100644 .GIT "$(blob x)" | bad_tree; }
dot_git_blank() { entry 100644 '.git ' "$(blob x)" | bad_tree; }
dot_git_dots() { entry 100644 '.git...' "$(blob x)" | bad_tree; }
dot_git_stream() { entry 100644 '.git::$INDEX_ALLOCATION' "$(blob x)" | bad_tree; }
dot_git_backslash() { entry 100644 'a\.git\x' "$(blob x)" | bad_tree; }
dot_git_short() { entry 100644 'git~1' "$(blob x)" | bad_tree; }
dot_git_zero_width() { entry 100644 $'.g\342\200\214it' "$(blob x)" | bad_tree; }
dot() { entry 100644 . "$(blob x)" | bad_tree; }
dot_dot() { entry 40000 .. "$(w rev-parse 'main^{tree}')" | bad_tree; }
full_path() { entry 100644 a/b "$(blob x)" | bad_tree; }
null_oid() { entry 100644 a 0000000000000000000000000000000000000000 | bad_tree; }
padded_mode() { entry 0100644 a "$(blob x)" | bad_tree; }
odd_mode() { entry 100666 a "$(blob x)" | bad_tree; }
group_writable() { entry 100664 a "$(blob x)" | bad_tree; }
twice() { { entry 100644 a "$(blob x)" && entry 100644 a "$(blob y)"; } | bad_tree; }
twice_as_directory() {
	{ entry 100644 a "$(blob x)" && entry 100644 a.b "$(blob y)" && entry 40000 a "$(w mktree < /dev/null)"; } | bad_tree
}
unsorted() { { entry 100644 b "$(blob x)" && entry 100644 a "$(blob y)"; } | bad_tree; }
modules_link() { entry 120000 .gitmodules "$(blob x)" | bad_tree; }
modules_link_short() { entry 120000 'GITMOD~1' "$(blob x)" | bad_tree; }
modules_link_hash() { entry 120000 'gi7eba~1' "$(blob x)" | bad_tree; }
attributes_link() { entry 120000 .gitattributes "$(blob x)" | bad_tree; }
modules() { entry 100644 .gitmodules "$(blob "$1")" | bad_tree; }
modules_fine() { modules $'[submodule "a"]\n\tpath = a\n\turl = https://example.com/a.git # x\n'; }
modules_url_option() { modules $'[submodule "a"]\n\turl = -u./x\n'; }
modules_url_newline() { modules $'[submodule "a"]\n\turl = "https://a%0ahost=b"\n'; }
modules_name() { modules $'[submodule "../../x"]\n\turl = a\n'; }
modules_path_option() { modules $'[submodule "a"]\n\tpath = -x\n'; }
modules_update_command() { modules $'[submodule "a"]\n\tupdate = !id\n'; }
modules_garbage() { modules $'[submodule "a\n x ]'; }
no_author() { push "$(printf 'tree %s\ncommitter A <a@b> 1 +0000\n\nx\n' "$(w rev-parse 'main^{tree}')" | raw commit):refs/heads/bad"; }
two_authors() { push "$(printf 'tree %s\nauthor A <a@b> 1 +0000\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n' "$(w rev-parse 'main^{tree}')" | raw commit):refs/heads/bad"; }
ident() { push "$(printf 'tree %s\nauthor %s\ncommitter A <a@b> 1 +0000\n\nx\n' "$(w rev-parse 'main^{tree}')" "$1" | raw commit):refs/heads/bad"; }
bad_email() { ident 'A <a@b> <c> 1 +0000'; }
no_email() { ident 'A 1 +0000'; }
no_space() { ident 'A<a@b> 1 +0000'; }
bad_zone() { ident 'A <a@b> 1 +00'; }
padded_date() { ident 'A <a@b> 01 +0000'; }
huge_date() { ident 'A <a@b> 99999999999999999999 +0000'; }
no_date() { ident 'A <a@b> x +0000'; }
nul_in_commit() { push "$(printf 'tree %s\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\0y\n' "$(w rev-parse 'main^{tree}')" | raw commit):refs/heads/bad"; }
tag_without_tagger() { push "$(printf 'object %s\ntype commit\ntag x\n\nx\n' "$(w rev-parse main)" | raw tag):refs/tags/bad"; }
tag_without_name() { push "$(printf 'object %s\ntype commit\n\nx\n' "$(w rev-parse main)" | raw tag):refs/tags/bad"; }

for s in dot_git dot_git_directory dot_git_upper dot_git_blank dot_git_dots dot_git_stream dot_git_backslash \
	dot_git_short dot_git_zero_width dot dot_dot full_path null_oid padded_mode odd_mode group_writable twice \
	twice_as_directory unsorted modules_link modules_link_short modules_link_hash attributes_link modules_fine \
	modules_url_option modules_url_newline modules_name modules_path_option modules_update_command modules_garbage \
	no_author two_authors bad_email no_email no_space bad_zone padded_date huge_date no_date nul_in_commit \
	tag_without_tagger tag_without_name; do
	eval "fsck_$s() { r config receive.fsckObjects true; $s; }"
	scenario "fsck_$s"
done
for s in dot_git dot_dot full_path unsorted modules_link no_author bad_zone; do
	eval "lenient_$s() { $s; }"
	scenario "lenient_$s"
done

for s in "${scenarios[@]}"; do
	# shellcheck disable=SC2053 # a pattern
	[ -z "${ONLY:-}" ] || [[ $s == $ONLY ]] || continue
	check "$s" same "$s"
done
finish
