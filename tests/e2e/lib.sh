# shellcheck shell=bash
# A running HostKit in a disposable VPS, and a developer with a key and the ordinary git and ssh.
#
# Every script sources this first: it boots the VPS named by E2E_VPS (kept and shared when a whole suite runs; one
# of its own otherwise), makes a scratch folder, an admin key and the ssh configuration "hostkit".

set -u
e2e_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/lib.sh
. "$e2e_top/tests/lib.sh"

vps_name=${E2E_VPS:-e2e-$$}
vps_tool=$e2e_top/tests/vps/vps
scratch=$(mktemp -d)

vps() {
	"$vps_tool" "$1" --name "$vps_name" "${@:2}"
}

inside() {
	"$vps_tool" exec --name "$vps_name" "$@"
}

e2e_cleanup() {
	rm -rf "$scratch"
	[ -n "${E2E_VPS:-}" ] || vps down > /dev/null 2>&1
}
trap e2e_cleanup EXIT
trap 'exit 130' INT TERM

if ! vps address > /dev/null 2>&1; then
	vps up > /dev/null || { echo "cannot boot the disposable VPS"; exit 1; }
fi
read -r address ssh_port http_port < <(vps address)
export address ssh_port http_port

# new_key NAME: an unregistered key and an ssh host "NAME" that offers it alone
new_key() {
	ssh-keygen -q -t "${2:-ed25519}" -N '' -C "$1" -f "$scratch/$1"
	cat >> "$scratch/ssh_config" <<END
Host $1
	HostName $address
	Port $ssh_port
	User hostkit
	IdentityFile $scratch/$1
	IdentitiesOnly yes
	IdentityAgent none
	StrictHostKeyChecking no
	UserKnownHostsFile $scratch/known_hosts
	LogLevel ERROR
	BatchMode yes
	ConnectTimeout 20
END
}

hk() { # as the admin
	ssh -F "$scratch/ssh_config" hostkit "$@" < /dev/null
}

hk_in() { # the same with standard input
	ssh -F "$scratch/ssh_config" hostkit "$@"
}

as() { # as KEY VERB...
	ssh -F "$scratch/ssh_config" "$@" < /dev/null
}

export GIT_SSH_COMMAND="ssh -F $scratch/ssh_config"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=Test GIT_AUTHOR_EMAIL=test@localhost
export GIT_COMMITTER_NAME=Test GIT_COMMITTER_EMAIL=test@localhost

# new_app PROJECT [EXAMPLE]: a repository in $scratch/PROJECT with the remote "hostkit"
new_app() {
	local dir=$scratch/$1
	if [ -n "${2:-}" ]; then
		cp -r "$e2e_top/examples/$2" "$dir"
		rm -rf "$dir/node_modules"
	else
		mkdir -p "$dir"
	fi
	git -C "$dir" init -q -b main
	git -C "$dir" remote add hostkit "hostkit:$1"
	[ -z "${2:-}" ] || commit "$1" "first"
}

# commit PROJECT MESSAGE: everything in the work tree
commit() {
	git -C "$scratch/$1" add -A && git -C "$scratch/$1" commit -q -m "$2" --allow-empty
}

# push PROJECT [ARGS]: output in $scratch/push.log and on standard output
push() {
	local project=$1
	shift
	[ $# -gt 0 ] || set -- hostkit main
	timeout "${PUSH_TIMEOUT:-180}" git -C "$scratch/$project" push "$@" > "$scratch/push.log" 2>&1
	local status=$?
	cat "$scratch/push.log"
	return $status
}

# fetch PROJECT [PATH]: through nginx, as a visitor would
fetch() {
	curl -sS --max-time 10 --fail-with-body -H "Host: $1.localhost" "http://$address:$http_port${2:-/}"
}

page_has() { # page_has PROJECT PATTERN
	contains "$(fetch "$1" 2>&1)" "$2"
}

live_release() {
	inside readlink "/home/$1/app"
}

# The last check of every script: what went wrong inside without anybody here noticing.
no_faults() {
	lacks "$(inside journalctl --no-pager --output=cat | grep -a -A8 \
		-E 'AddressSanitizer|runtime error:|Assertion .* failed|hostkit.*(status=(6/ABRT|11/SEGV)|Watchdog timeout)')" .
}
e2e_finish() {
	check "no program of HostKit's reports a fault" no_faults
	finish
}

key_name=e2e-admin-$$
new_key hostkit
inside hostkit key add "$key_name" --admin < "$scratch/hostkit.pub" > "$scratch/key.log" 2>&1 ||
	{ cat "$scratch/key.log"; echo "cannot add the first key"; exit 1; }
