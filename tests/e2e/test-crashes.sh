#!/usr/bin/env bash
# Whoever dies in the middle: the live release keeps serving, nothing half-made stays, the next push works.
. "$(dirname "$0")/lib.sh"

# an app whose build waits as long as the file says
slow_app() {
	hk provision slow --node > /dev/null || return 1
	new_app slow hello-node
	push slow > /dev/null || return 1
	python3 - "$scratch/slow/package.json" <<'PY'
import json, sys
p = json.load(open(sys.argv[1]))
p.setdefault("scripts", {})["build"] = "echo building slowly; sleep ${BUILD_SLEEP:-8}; echo built"
json.dump(p, open(sys.argv[1], "w"), indent=2)
PY
}

start_slow_push() { # in the background; returns when the build has begun
	date +%s%N > "$scratch/slow/stamp"
	commit slow "slowly"
	setsid timeout 180 git -C "$scratch/slow" push hostkit main > "$scratch/slow-push.log" 2>&1 &
	slow_pid=$!
	wait_for 30 grep -q 'building slowly' "$scratch/slow-push.log"
}

idle() { # no job of the project is waiting or running
	lacks "$(hk jobs slow)" 'waiting|running'
}

no_leftovers() {
	idle && equal "" "$(inside sh -c 'systemctl list-units --plain --no-legend "hostkit-job-*" "hostkit-build-*" | grep -v failed')" &&
		equal "" "$(inside sh -c 'ls -d /var/lib/hostkit/repos/slow.git/objects/incoming-* 2> /dev/null')"
}

check "an app with a slow build" slow_app

client_killed() {
	start_slow_push || return 1
	kill -KILL -- "-$slow_pid" # git and its ssh with it
	wait $slow_pid 2> /dev/null
	contains "$(hk jobs slow)" 'running' || return 1
	# the job goes on without its viewer and the branch moves
	wait_for 60 idle && contains "$(git -C "$scratch/slow" ls-remote hostkit main)" "$(git -C "$scratch/slow" rev-parse HEAD)" &&
		page_has slow '[Hh]ello'
}
check "client killed in mid-build: the deployment goes on" client_killed

daemon_killed() {
	start_slow_push || return 1
	inside systemctl kill -s KILL --kill-who=main hostkitd.service
	wait $slow_pid
	cat "$scratch/slow-push.log"
	wait_for 60 no_leftovers && page_has slow '[Hh]ello' && push slow &&
		contains "$(git -C "$scratch/slow" ls-remote hostkit main)" "$(git -C "$scratch/slow" rev-parse HEAD)"
}
check "hostkitd killed in mid-build: nothing is lost" daemon_killed

job_killed() {
	local before
	before=$(live_release slow)
	start_slow_push || return 1
	inside sh -c 'systemctl kill -s KILL "$(systemctl list-units --plain --no-legend "hostkit-job-*" | awk "{print \$1; exit}")"'
	wait $slow_pid && fail "push succeeded" && return 1
	wait_for 60 no_leftovers && equal "$before" "$(live_release slow)" && page_has slow '[Hh]ello' && push slow
}
check "the job killed in mid-build: rejected, the next push works" job_killed

two_at_once() {
	git clone -q hostkit:slow "$scratch/slow2"
	start_slow_push || return 1
	git -C "$scratch/slow2" commit -q --allow-empty -m "a second one at the same time"
	timeout 120 git -C "$scratch/slow2" push origin HEAD:main > "$scratch/second.log" 2>&1
	local second=$?
	wait $slow_pid || fail "the first push failed" || return 1
	cat "$scratch/slow-push.log" "$scratch/second.log"
	# one of them has won, the other was told; the releases never share a directory
	[ $second -ne 0 ] && wait_for 30 no_leftovers &&
		contains "$(git -C "$scratch/slow" ls-remote hostkit main)" "$(git -C "$scratch/slow" rev-parse HEAD)"
}
check "two pushes at once: one wins, the other is told" two_at_once

reboot() {
	local before
	before=$(live_release slow)
	inside systemctl reboot
	sleep 1
	wait_for 60 page_has slow '[Hh]ello' && equal "$before" "$(live_release slow)" && wait_for 20 hk whoami
}
check "reboot: the app and HostKit come back" reboot

power_cut() {
	start_slow_push || return 1
	vps crash > /dev/null
	wait $slow_pid
	wait_for 60 hk whoami && wait_for 60 page_has slow '[Hh]ello' && wait_for 60 no_leftovers && push slow
}
check "power cut in mid-build: the old release serves, the next push works" power_cut

hk project delete slow --confirm slow > /dev/null 2>&1
e2e_finish
