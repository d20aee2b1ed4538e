#!/usr/bin/env bash
# Bad input: one clear error with the command that helps, the documented exit status, nothing half-made.
. "$(dirname "$0")/lib.sh"

hk provision shelf --static > /dev/null 2>&1
new_app shelf hello-static
push shelf > /dev/null || { cat "$scratch/push.log"; fail "cannot push at all"; }

# refused PATTERN COMMAND...: fails, says so, and the live release stays
refused() {
	local pattern=$1 out before
	before=$(live_release shelf)
	shift
	out=$("$@" 2>&1) && fail "it succeeded:" "$out" && return 1
	echo "$out"
	contains "$out" "$pattern" && equal "$before" "$(live_release shelf)" "live release" &&
		equal "" "$(inside sh -c 'ls -d /var/lib/hostkit/repos/shelf.git/objects/incoming-* 2> /dev/null')" "left in the repository"
}

unknown_project() {
	git -C "$scratch/shelf" remote add nowhere hostkit:nowhere
	local out
	out=$(push shelf nowhere main 2>&1) && fail "it succeeded" && return 1
	contains "$out" "hostkit provision nowhere" && status_is 3 hk project info nowhere
}
check "unknown project: the command that would make it" unknown_project

wrong_key() {
	new_key stranger
	status_is 255 as stranger whoami
}
check "an unregistered key is not let in" wrong_key

bad_name() {
	local n
	for n in a ab -ab ab- a--b Shop a_b a.b .. 1ab 'a;b' 'a$b' root hostkit www-data shop-auth wildcard \
		abcdefghijklmnopqrstuvwxyzabcdefg; do
		status_is 2 hk provision -- "$n" --static > /dev/null 2>&1 ||
			status_is 2 hk provision --static "$n" > /dev/null 2>&1 || fail "name '$n'" || return 1
		! inside id -u "x$n" > /dev/null 2>&1
	done
	contains "$(hk provision My_App --static 2>&1)" 'lower-case'
}
check "bad names are refused with the rule" bad_name

git_paths() {
	local p
	for p in "'../x'" "'/etc'" "'shelf/../../y'" "'x;id'" "--upload-pack=id" "'--help'" ""; do
		as hostkit git-receive-pack "$p" > /dev/null 2>&1 && fail "accepted: $p" && return 1
	done
	for p in bash "scp -t /tmp" "rsync --server" "git-upload-archive shelf" "git-shell -c id"; do
		as hostkit "$p" > /dev/null 2>&1 && fail "accepted: $p" && return 1
	done
	true
}
check "hostile paths and programs are refused" git_paths

lfs_pointer() {
	printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n' 7 > "$scratch/shelf/film.mp4"
	commit shelf "a film by reference"
	refused 'film.mp4' push shelf
	local status=$?
	git -C "$scratch/shelf" reset -q --hard HEAD~1
	return $status
}
check "Git LFS pointers are named" lfs_pointer

# hostile_tree NAME MODE: a commit whose tree holds one entry that git itself would not write
hostile_tree() {
	local blob tree commit g="git -C $scratch/shelf"
	blob=$(echo evil | $g hash-object -w --stdin)
	tree=$( (printf '%s %s\0' "$2" "$1"; printf '%s' "$blob" | xxd -r -p) |
		$g hash-object -w --literally -t tree --stdin)
	commit=$($g commit-tree -p HEAD -m hostile "$tree")
	refused 'remote rejected|unpack' push shelf -f hostkit "$commit:main"
}
for entry in .git .GIT .. . a/b 'git~1'; do
	check "a tree with '$entry' is refused" hostile_tree "$entry" 100644
done
check "a tree with a device's mode is refused" hostile_tree device 20644

corrupt_pack() {
	# a client that sends a pack with one byte changed
	local g="git -C $scratch/shelf" old new
	old=$($g rev-parse HEAD)
	new=$($g commit-tree -p HEAD -m corrupt "HEAD^{tree}")
	{
		printf '%s %s refs/heads/main\0 report-status' "$old" "$new" > "$scratch/command"
		printf '%04x' $(($(stat -c %s "$scratch/command") + 4))
		cat "$scratch/command"
		printf '0000'
		printf '%s\n' "$new" | $g pack-objects --stdout -q | python3 -c '
import sys
d = bytearray(sys.stdin.buffer.read()); d[20] ^= 0xff
sys.stdout.buffer.write(d)'
	} > "$scratch/corrupt"
	refused 'unpack|corrupt' sh -c "ssh -F '$scratch/ssh_config' hostkit \"git-receive-pack 'shelf'\" < '$scratch/corrupt' | strings; false"
}
check "a corrupt pack is refused" corrupt_pack

no_runtime() {
	git -C "$scratch/shelf" rm -q index.html && commit shelf "no page"
	refused 'index.html' push shelf
	local status=$?
	git -C "$scratch/shelf" reset -q --hard HEAD~1
	return $status
}
check "no runtime recognised: what would be" no_runtime

oversize_pack() {
	inside sh -c 'cp /etc/hostkit/hostkit.conf /tmp/hostkit.conf.good &&
		sed -i "s/^#* *pack_bytes *=.*/pack_bytes = 1M/" /etc/hostkit/hostkit.conf &&
		grep -q "^pack_bytes = 1M" /etc/hostkit/hostkit.conf && systemctl restart hostkitd' || return 1
	head -c 3000000 /dev/urandom > "$scratch/shelf/big.bin"
	commit shelf "too much"
	refused 'pack_bytes|too large|exceeds' push shelf
	local status=$?
	git -C "$scratch/shelf" reset -q --hard HEAD~1
	inside sh -c 'cp /tmp/hostkit.conf.good /etc/hostkit/hostkit.conf && systemctl restart hostkitd'
	return $status
}
check "a pack over the limit is refused" oversize_pack

delete_branch() {
	refused 'remote rejected|deny|refus' push shelf hostkit :main
}
check "deleting the deploy branch is refused" delete_branch

deploy_key_of_another() {
	hk provision other --static > /dev/null 2>&1
	new_key ci
	hk_in key add shelf ci-shelf --deploy < "$scratch/ci.pub" || return 1
	git -C "$scratch/shelf" remote add ci-own ci:shelf
	git -C "$scratch/shelf" remote add ci-other ci:other
	echo '<!-- by ci -->' >> "$scratch/shelf/index.html"
	commit shelf "by ci"
	push shelf ci-own main || return 1
	local foreign missing
	foreign=$(push shelf ci-other main 2>&1) && fail "pushed to a foreign project" && return 1
	git -C "$scratch/shelf" remote add ci-none ci:elsewhere
	missing=$(push shelf ci-none main 2>&1)
	equal "${missing//elsewhere/other}" "$foreign" "a foreign project must look like none"
	status_is 3 as ci env list shelf && status_is 3 as ci key list && status_is 3 as ci logs other &&
		status_is 3 as ci rollback other
}
check "a deploy key can push to its project and to no other" deploy_key_of_another

key_removed() {
	hk key remove ci-shelf && status_is 255 as ci whoami
}
check "a removed key is not let in" key_removed

port_taken() {
	hk provision tenant --node > /dev/null || return 1
	local port
	port=$(inside sed -n 's/^PORT=//p' /home/tenant/.env)
	inside systemd-run -q --unit=test-squatter python3 -m http.server "$port" --bind 127.0.0.1
	wait_for 10 inside curl -sf "http://127.0.0.1:$port/"
	new_app tenant hello-node
	local out
	out=$(push tenant)
	local status=$?
	inside systemctl stop test-squatter
	[ $status -ne 0 ] || fail "push succeeded" || return 1
	contains "$out" "$port" && contains "$out" 'remote rejected' && push tenant
}
check "a port taken by somebody else is named" port_taken

disk_full() {
	# the releases of this project on a file system of two megabytes
	inside sh -c 'mount -t tmpfs -o size=2m,uid=$(id -u shelf),gid=$(id -g shelf),mode=0750 none /home/shelf/releases' || return 1
	local before out
	before=$(live_release shelf)
	head -c 3000000 /dev/urandom > "$scratch/shelf/film.bin"
	commit shelf "does not fit"
	out=$(push shelf)
	local status=$? left
	left=$(inside sh -c 'ls -A /home/shelf/releases')
	inside umount /home/shelf/releases
	git -C "$scratch/shelf" reset -q --hard HEAD~1
	[ $status -ne 0 ] || fail "push succeeded" || return 1
	contains "$out" '[Nn]o space|disk is full|disk full' && equal "$before" "$(live_release shelf)" && equal "" "$left" "left behind"
}
check "disk full during unpacking" disk_full

for p in tenant other shelf; do
	hk project delete $p --confirm $p > /dev/null 2>&1
done
e2e_finish
