#!/usr/bin/env bash
# What hostkit-home writes into a .env is what systemd puts into a process's environment, byte for byte.
. "$(dirname "$0")/lib.sh"

values_arrive() {
	inside python3 - < "$e2e_top/tests/e2e/env_file.py"
}
check "500 values arrive as they were set" values_arrive

root_refused() {
	! inside /usr/libexec/hostkit/hostkit-home layout < /dev/null
}
check "hostkit-home does not run as root" root_refused

e2e_finish
