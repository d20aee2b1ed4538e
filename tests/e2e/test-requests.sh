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

gone() {
	hk project delete peer --confirm peer > /dev/null && ! inside getent passwd peer &&
		! inside ls /home/peer && ! inside ls /var/lib/hostkit/repos/peer.git &&
		! inside ls /var/log/projects/peer && ! inside ls /etc/nginx/sites-available/hostkit-peer
}
check "deleting the project leaves no trace" gone
e2e_finish
