#!/usr/bin/env bash
# Peers of hostkitd's socket that do not keep the rules are cut off, and nobody else notices.
. "$(dirname "$0")/lib.sh"

here=$(dirname "$0")
hk provision peer --static > /dev/null
inside sh -c 'cat > /tmp/requests.py' < "$here/requests.py"

by_hand() { # as a project's user, which anybody who may deploy is in the end
	inside runuser -u peer -- timeout 60 python3 /tmp/requests.py "$1"
}
check "a malformed request ends its connection only" by_hand malformed
check "a request out of phase ends its connection only" by_hand out_of_phase
check "one user cannot take all connections" by_hand many_connections
check "a peer that never reads is cut off" by_hand never_reads

stranger() {
	! inside runuser -u nobody -- hostkit whoami
}
check "a stranger is turned away" stranger

trapped_env() {
	inside sh -c 'rm /home/peer/.env; mkfifo /home/peer/.env; chown peer: /home/peer/.env' &&
		inside timeout 20 systemctl daemon-reload && inside hostkit project info peer
}
check "a FIFO in place of .env stops nobody" trapped_env

other_branch() {
	local client r
	mkfifo "$scratch/silence"
	timeout 60 ssh -F "$scratch/ssh_config" hostkit git-receive-pack peer \
		< "$scratch/silence" > "$scratch/advertisement" 2>&1 &
	client=$!
	exec 7> "$scratch/silence"
	for _ in $(seq 100); do
		[ -s "$scratch/advertisement" ] && break
		sleep 0.1
	done
	if inside runuser -u peer -- sh -c 'ls "/proc/$(pgrep -f "hostkit-receive --project peer " | head -1)/fd"'; then
		fail "the project's user can look into its receiver"
	else
		inside timeout 30 python3 /tmp/requests.py other_branch
	fi
	r=$?
	exec 7>&-
	wait "$client"
	lacks "$(hk jobs peer)" deploy && return $r
}
check "a receiver cannot deploy another branch than the project's" other_branch

new_app laggard
cat > "$scratch/laggard/package.json" << 'END'
{ "name": "laggard", "version": "1.0.0", "private": true }
END
cat > "$scratch/laggard/index.js" << 'END'
const server = require("http").createServer((request, response) => response.end("laggard\n"));
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => setTimeout(() => process.exit(0), 3000));
END
commit laggard "an app that takes its time to stop"
hk provision laggard --node > /dev/null
push laggard > /dev/null || cat "$scratch/push.log"

restarts_at_once() {
	local one
	timeout 60 ssh -F "$scratch/ssh_config" hostkit restart laggard < /dev/null > "$scratch/one" 2>&1 &
	one=$!
	sleep 1
	timeout 60 ssh -F "$scratch/ssh_config" hostkit restart laggard < /dev/null > "$scratch/two" 2>&1
	equal 4 $? "status of the second: $(cat "$scratch/two")" || return 1
	wait "$one"
	equal 0 $? "status of the first: $(cat "$scratch/one")" && page_has laggard laggard
}
check "two restarts at once: one waits for the app, the other is told" restarts_at_once

gone() {
	hk project delete peer --confirm peer > /dev/null && ! inside getent passwd peer &&
		! inside ls /home/peer && ! inside ls /var/lib/hostkit/repos/peer.git &&
		! inside ls /var/log/projects/peer && ! inside ls /etc/nginx/sites-available/hostkit-peer
}
check "deleting the project leaves no trace" gone
e2e_finish
