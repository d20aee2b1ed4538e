#!/usr/bin/env bash
# hostkit-sshd with real clients and with clients that no one would write, in front of a small far end.
#
#   test-ssh.sh [BUILD_DIR [CASE]]    BUILD_DIR: else $HOSTKIT_BUILD; CASE: only checks that match this pattern
#
# Needs openssh-client and git; uses dbclient, plink and python3-cryptography where they are installed.
# Works with and without root; as root the server runs as nobody, for it refuses to be root.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-${HOSTKIT_BUILD:?build directory}}" && pwd)
only=${2:-.}
# shellcheck source=tests/lib.sh
. "$here/../lib.sh"

dir=$(mktemp -d "${TMPDIR:-/tmp}/hostkit-ssh.XXXXXX")
pids=()
# set by serve
port_main='' port_strict='' port_starved='' pid_main='' pid_starved=''
cleanup() {
	kill "${pids[@]}" 2> /dev/null
	[ -S "$dir/agent" ] && SSH_AUTH_SOCK=$dir/agent ssh-agent -k > /dev/null 2>&1
	rm -rf "$dir"
}
trap cleanup EXIT
chmod 755 "$dir"
export PYTHONDONTWRITEBYTECODE=1

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# serve NAME OPTIONS...: start a hostkit-sshd; its port is in $port_NAME, its pid in $pid_NAME
serve() {
	local name=$1 port as=()
	shift
	port=$(free_port)
	[ "$(id -u)" -eq 0 ] && as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	"${as[@]}" "$build/sshd/hostkit-sshd" --config /dev/null --listen "127.0.0.1:$port" \
		--socket "$dir/socket" --host-key-dir "$dir/hostkeys/ssh" "$@" 2>> "$dir/log.$name" &
	pids+=($!)
	printf -v "pid_$name" %s $!
	printf -v "port_$name" %s "$port"
	for _ in $(seq 200); do
		python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2> /dev/null &&
			[ -f "$dir/hostkeys/ssh/ssh_host_rsa_key" ] && return
		sleep 0.05
	done
	echo "hostkit-sshd does not come up:" && cat "$dir/log.$name"
	exit 1
}

# a build of what is installed has no tests: make the far end here
fake=$build/tests/ssh/fake_hostkitd
if [ ! -x "$fake" ]; then
	fake=$dir/fake_hostkitd
	cc -std=gnu17 -D_GNU_SOURCE -I"$here/../.." -o "$fake" "$here/fake_hostkitd.c" \
		"$build/protocol/libprotocol.a" "$build/base/libbase.a" -linih -lcrypto || exit 1
fi

start_far_end() {
	"$fake" "$dir/socket" "$dir/known" "$dir/repositories" &
	far_end=$!
	pids+=("$far_end")
	for _ in $(seq 100); do
		[ -S "$dir/socket" ] && return
		sleep 0.05
	done
}

know() { # know NAME: its key may log in
	awk -v name="$(basename "$1")" '{ print $2, name }' "$dir/$1.pub" >> "$dir/known"
}

mkdir "$dir/hostkeys" "$dir/repositories"
[ "$(id -u)" -eq 0 ] && chown 65534:65534 "$dir/hostkeys"
: > "$dir/known"
for k in id other fido stranger; do ssh-keygen -q -t ed25519 -N '' -C "$k" -f "$dir/$k"; done
for bits in 256 384 521; do ssh-keygen -q -t ecdsa -b $bits -N '' -f "$dir/ecdsa$bits"; done
ssh-keygen -q -t rsa -b 3072 -N '' -f "$dir/rsa3072"
ssh-keygen -q -t rsa -b 1024 -N '' -f "$dir/rsa1024" 2> /dev/null
awk '{ print $2, "me" }' "$dir/id.pub" > "$dir/known"
for k in other ecdsa256 ecdsa384 ecdsa521 rsa3072 rsa1024; do know "$k"; done
crypto=$(python3 -c 'import cryptography; print("yes")' 2> /dev/null)
if [ -n "$crypto" ]; then
	PYTHONPATH=$here python3 - "$dir/fido" >> "$dir/known" << 'PY'
import base64, sys
from rawssh import FidoKey, Key
print(base64.b64encode(FidoKey(1, Key.load(sys.argv[1]).private).blob).decode(), "fido")
PY
fi
start_far_end
serve main --max-per-source 60

ssh_options=(-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile="$dir/known_hosts"
	-o LogLevel=ERROR -o IdentitiesOnly=yes -o BatchMode=yes)
# on: ssh to the server; anything may come before the command
on() { timeout 60 ssh "${ssh_options[@]}" -p "$port_main" -i "$dir/id" "git@127.0.0.1" "$@"; }
as() { timeout 60 ssh "${ssh_options[@]}" -p "$port_main" -i "$dir/$1" git@127.0.0.1 "${@:2}"; }

run() { # run "what" FUNCTION: a check, if it was asked for
	[[ "$1 $2" =~ $only ]] && check "$@"
}

# --- login

each_key_type() {
	local k
	for k in ecdsa256 ecdsa384 ecdsa521 rsa3072; do
		equal "$k" "$(as $k whoami)" || return 1
	done
	for k in rsa-sha2-256 rsa-sha2-512; do
		equal rsa3072 "$(timeout 20 ssh "${ssh_options[@]}" -o PubkeyAcceptedAlgorithms=$k \
			-p "$port_main" -i "$dir/rsa3072" git@127.0.0.1 whoami)" || return 1
	done
}
run "ed25519, ecdsa and rsa-sha2 keys log in" each_key_type

refused_keys() {
	status_is 255 as stranger whoami || return 1
	status_is 255 timeout 20 ssh "${ssh_options[@]}" -o RequiredRSASize=1024 -p "$port_main" \
		-i "$dir/rsa1024" git@127.0.0.1 whoami || return 1
	status_is 255 timeout 20 ssh "${ssh_options[@]}" -o PubkeyAcceptedAlgorithms=ssh-rsa \
		-p "$port_main" -i "$dir/rsa3072" git@127.0.0.1 whoami
}
run "unknown keys, short RSA keys and SHA-1 signatures do not" refused_keys

certificate() {
	local only=ssh-ed25519-cert-v01@openssh.com out
	cp "$dir/id" "$dir/certified" && cp "$dir/id.pub" "$dir/certified.pub"
	ssh-keygen -q -s "$dir/other" -I x -n git -V always:forever "$dir/certified.pub" || return 1
	out=$(as certified -v -o LogLevel=DEBUG1 -o PubkeyAcceptedAlgorithms=$only whoami 2>&1)
	equal 255 $? || return 1
	contains "$out" 'Offering public key: .*ED25519-CERT' || return 1
	equal me "$(as certified -o PubkeyAcceptedAlgorithms=$only,ssh-ed25519 whoami)"
}
run "a certificate is refused, the plain key behind it is not" certificate

agent_with_twenty() {
	local i
	eval "$(ssh-agent -a "$dir/agent")" > /dev/null
	for i in $(seq 20); do
		ssh-keygen -q -t ed25519 -N '' -f "$dir/agent$i" && ssh-add -q "$dir/agent$i" || return 1
	done
	ssh-add -q "$dir/id" || return 1
	equal me "$(timeout 20 ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile="$dir/known_hosts" \
		-o LogLevel=ERROR -o BatchMode=yes -p "$port_main" git@127.0.0.1 whoami)"
}
run "an agent with twenty other keys logs in" agent_with_twenty

users() {
	local user
	for user in hostkit git; do
		equal me "$(timeout 20 ssh "${ssh_options[@]}" -p "$port_main" -i "$dir/id" \
			$user@127.0.0.1 whoami)" || return 1
	done
	for user in root me nobody; do
		status_is 255 timeout 20 ssh "${ssh_options[@]}" -p "$port_main" -i "$dir/id" \
			$user@127.0.0.1 whoami || return 1
	done
}
run "only the user names of the configuration are let in" users

dropbear_client() {
	dropbearconvert openssh dropbear "$dir/rsa3072" "$dir/db" > /dev/null 2>&1 || # its format lacks ed25519
		dropbearkey -t ed25519 -f "$dir/db" > /dev/null 2>&1 || return 1
	dropbearkey -y -f "$dir/db" | awk '/^ssh-/ { print $2, "db" }' >> "$dir/known"
	contains "$(timeout 20 dbclient -y -y -p "$port_main" -i "$dir/db" git@127.0.0.1 whoami 2> /dev/null)" . &&
		status_is 37 timeout 20 dbclient -y -y -p "$port_main" -i "$dir/db" git@127.0.0.1 exit 37
}
putty_client() {
	puttygen "$dir/id" -O private -o "$dir/id.ppk" || return 1
	local key
	key=$(ssh-keygen -l -f "$dir/hostkeys/ssh/ssh_host_ed25519_key.pub" 2> /dev/null | awk '{ print $2 }')
	[ -n "$key" ] || key=$(ssh-keyscan -p "$port_main" -t ed25519 127.0.0.1 2> /dev/null |
		ssh-keygen -lf - | awk '{ print $2 }')
	equal me "$(timeout 20 plink -batch -hostkey "$key" -P "$port_main" -i "$dir/id.ppk" \
		git@127.0.0.1 whoami)" || return 1
	head -c 3000000 "$dir/data" |
		timeout 60 plink -batch -hostkey "$key" -P "$port_main" -i "$dir/id.ppk" git@127.0.0.1 cat |
		cmp - <(head -c 3000000 "$dir/data")
}
on source 10485760 > "$dir/data"
if [ -n "$(command -v dbclient)" ]; then run "dropbear's client" dropbear_client; else skip "dropbear's client" "not installed"; fi
if [ -n "$(command -v plink)" ]; then run "PuTTY's client" putty_client; else skip "PuTTY's client" "not installed"; fi

# --- commands

statuses() {
	local n
	for n in 0 1 37 255; do status_is $n on exit $n || return 1; done
	status_is 137 on signal 9 && status_is 143 on signal 15
}
run "exit status 0, 1, 37, 255 and death by signal" statuses

words() {
	equal $'terminal=0\nword=<show>\nword=<a  b>\nword=<>\nword=<$HOME;id>' \
		"$(on show "'a  b'" "''" "'\$HOME;id'")"
}
run "words arrive as they were quoted" words

no_command() {
	equal terminal=0 "$(on < /dev/null)" || return 1
	equal $'terminal=1\r' "$(on -tt < /dev/null)"
}
run "no command is a verb without words, with and without terminal" no_command

streams() {
	on both 20000 > "$dir/out" 2> "$dir/err" || return 1
	equal 20000 "$(grep -c '^out' "$dir/out")" && equal 20000 "$(grep -c '^err' "$dir/err")" &&
		lacks "$(cat "$dir/out")" err && lacks "$(cat "$dir/err")" out
}
run "standard output and error stay apart" streams

bad_lines() {
	local line err
	for line in "git-receive-pack '../x'" "git-receive-pack" "git-receive-pack a b" "whoami 'x" \
		$'whoami\nid' "git-upload-archive x" "git-shell -c x" "git-receive-pack '--help'"; do
		err=$(on "$line" 2>&1 > /dev/null)
		equal 2 $? "status of <$line>" && contains "$err" '^ !     ' || return 1
	done
	err=$(on "git-upload-pack missing" 2>&1 > /dev/null)
	equal 3 $? && contains "$err" "project 'missing' does not exist"
}
run "bad command lines and projects: one clear complaint" bad_lines

refusal_statuses() {
	status_is 3 on git-upload-pack missing && status_is 4 on git-upload-pack busy &&
		status_is 9 on git-upload-pack often
}
run "what hostkitd refuses ends with the documented status" refusal_statuses

# --- git

git_over_ssh() {
	local repo=$dir/repositories/shop.git url="ssh://git@127.0.0.1:$port_main"
	export GIT_SSH_COMMAND="ssh ${ssh_options[*]} -i $dir/id"
	git init -q --bare -b main "$repo" || return 1
	[ "$(id -u)" -eq 0 ] || git config --global --add safe.directory "$repo"
	git init -q -b main "$dir/work" && cp "$dir/data" "$dir/work/data" || return 1
	(cd "$dir/work" && git add . && git -c user.name=x -c user.email=x@y commit -qm one &&
		timeout 60 git push -q "$url/shop" main) || return 1
	for form in shop /shop.git /~/shop; do
		rm -rf "$dir/clone"
		timeout 60 git -c protocol.version=2 clone -q "ssh://git@127.0.0.1:$port_main/${form#/}" "$dir/clone" &&
			cmp "$dir/data" "$dir/clone/data" || return 1
	done
	timeout 20 git ls-remote "git@127.0.0.1:shop" > /dev/null 2>&1 # another port: must fail, not hang
	contains "$(GIT_TRACE_PACKET=1 timeout 20 git -c protocol.version=2 ls-remote "$url/shop" 2>&1)" 'version 2'
}
run "git pushes and clones, protocol version 2 passed" git_over_ssh

# --- the relay

both_ways() { # OPTIONS...
	on "$@" cat < "$dir/data" > "$dir/back" && cmp "$dir/data" "$dir/back"
}
run "10 MB there and back, byte for byte" both_ways
one_way() {
	on "$@" source 60000000 > "$dir/big" && equal 60000000 "$(stat -c %s "$dir/big")" &&
		equal 60000000 "$(on "$@" sink < "$dir/big")"
	local r=$?
	rm -f "$dir/big"
	return $r
}
run "60 MB down and up" one_way
for cipher in chacha20-poly1305@openssh.com aes128-gcm@openssh.com aes256-ctr; do
	rekey_both() { both_ways -o RekeyLimit=100K -c $cipher; }
	rekey_one() { one_way -o RekeyLimit=2M -c $cipher; }
	run "keys renewed every 100 KB, both ways, $cipher" rekey_both
	run "keys renewed every 2 MB, one way, $cipher" rekey_one
done

deaf_process() {
	contains "$(on deaf 300 < "$dir/data")" deaf
}
run "a process that does not read its input still ends well" deaf_process

vanishing_client() {
	rm -f "$dir/witness"
	mkfifo "$dir/never" 2> /dev/null
	exec 7<> "$dir/never" # open at both ends: neither data nor an end
	ssh "${ssh_options[@]}" -p "$port_main" -i "$dir/id" git@127.0.0.1 \
		witness "$dir/witness" < "$dir/never" &
	local client=$!
	sleep 0.7
	kill -KILL $client
	wait $client 2> /dev/null
	exec 7>&-
	for _ in $(seq 30); do
		[ -e "$dir/witness" ] && return
		sleep 0.1
	done
	fail "the process did not notice that its client is gone"
}
run "the process notices when the client vanishes" vanishing_client

# From some point on the process gets no more of it in large pieces: better no bytes than some of them.
out_of_memory() {
	local pid kib client as_server=()
	[ "$(id -u)" -eq 0 ] && as_server=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	serve starved
	rm -f "$dir/tap" && mkfifo "$dir/tap" || return 1
	timeout 20 ssh "${ssh_options[@]}" -p "$port_starved" -i "$dir/id" git@127.0.0.1 tap 60000000 \
		< "$dir/tap" > /dev/null 2>&1 &
	client=$!
	exec 7> "$dir/tap"
	for _ in $(seq 100); do
		grep -q "command 'tap'" "$dir/log.starved" && break
		sleep 0.05
	done
	for pid in $(pgrep -P "$pid_starved"); do
		kib=$(awk '/VmSize/ { print $2 }' "/proc/$pid/status")
		"${as_server[@]}" prlimit --pid "$pid" --as=$((kib * 1024 + 40000)) || return 1
	done
	echo >&7
	exec 7>&-
	wait $client
	equal 255 $? "status of the client" || return 1
	kill "$pid_starved"
	contains "$(cat "$dir/log.starved")" 'closed: out of memory'
}
if grep -q __asan_init "$build/sshd/hostkit-sshd"; then
	skip "a connection without memory ends" "AddressSanitizer cannot do without"
elif ! [ -x "$(command -v prlimit)" ]; then
	skip "a connection without memory ends" "prlimit is not installed"
else
	run "a connection without memory ends" out_of_memory
fi

mux() {
	local control=(-o ControlPath="$dir/mux" -o ControlMaster=auto -o ControlPersist=20)
	on "${control[@]}" whoami > /dev/null || return 1
	local i jobs=()
	for i in 1 2 3 4 5 6; do
		on "${control[@]}" cat < "$dir/data" > "$dir/mux.$i" &
		jobs+=($!)
	done
	wait "${jobs[@]}"
	for i in 1 2 3 4 5 6; do cmp "$dir/data" "$dir/mux.$i" || return 1; done
	equal 1 "$(grep -c "mux-marker" <(on "${control[@]}" show mux-marker))" || return 1
	for i in 41 42 43; do status_is $i on "${control[@]}" exit $i || return 1; done
	on "${control[@]}" -O exit 2> /dev/null
}
run "several channels over one connection (ControlMaster)" mux

forwarding() {
	local out
	out=$(on -o ExitOnForwardFailure=yes -R 0:127.0.0.1:1 whoami 2>&1)
	equal 255 $? || return 1
	contains "$out" 'remote port forwarding failed' || return 1
	contains "$(on -W 127.0.0.1:1 2>&1)" 'prohibited|failed' || return 1
	contains "$(on -A -X whoami 2> /dev/null)" '^me$'
}
run "forwarding is refused, what was asked beside it works" forwarding
sftp_refused() { status_is 255 timeout 20 sftp "${ssh_options[@]}" -P "$port_main" -i "$dir/id" git@127.0.0.1; }
run "no subsystem" sftp_refused
alive() { on -o ServerAliveInterval=1 -o ServerAliveCountMax=1 sleep 4000; }
run "keep-alive questions of clients are answered" alive

# --- hostile clients

export SSHD_PID=$pid_main
attack() { timeout 60 python3 "$here/attack.py" "$1" "$dir" "$2"; }
clocks='stall_in_handshake drip per_source idle_and_silent'
if [ -n "$crypto" ]; then
	for name in $(python3 "$here/attack.py"); do
		[[ " $clocks " == *" $name "* ]] || run "attack: $name" attack "$port_main" "$name"
	done
	serve strict --login-grace 2 --idle 3 --alive 1 --max-per-source 8
	for name in $clocks; do run "attack: $name" attack "$port_strict" "$name"; done
else
	skip "attacks" "python3-cryptography is not installed"
fi

# --- around it

host_keys() {
	equal 2 "$(stat -c %a "$dir"/hostkeys/ssh/ssh_host_*_key | grep -c 600)" || return 1
	equal 700 "$(stat -c %a "$dir/hostkeys/ssh")" || return 1
	equal $'ssh_host_ed25519_key\nssh_host_rsa_key' "$(ls -A "$dir/hostkeys/ssh")" || return 1
	contains "$(ssh-keyscan -p "$port_main" 127.0.0.1 2> /dev/null)" 'ssh-ed25519' &&
		contains "$(ssh-keyscan -t rsa -p "$port_main" 127.0.0.1 2> /dev/null)" 'ssh-rsa'
}
run "host keys: made once, private, both offered" host_keys

# the process that makes the RSA key is held meanwhile
restart_at_first_start() {
	local port as=() helper='' first second
	port=$(free_port)
	[ "$(id -u)" -eq 0 ] && as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	listen_again() {
		"${as[@]}" "$build/sshd/hostkit-sshd" --config /dev/null --listen "127.0.0.1:$port" \
			--socket "$dir/socket" --host-key-dir "$dir/hostkeys/$1" 2>> "$dir/log.again" &
		pids+=($!)
	}
	reachable() { python3 -c "import socket; socket.create_connection(('127.0.0.1', $port), 1)" 2> /dev/null; }
	for try in 1 2 3 4 5; do
		listen_again "try$try"
		first=$!
		for _ in $(seq 100); do
			helper=$(pgrep -f "host-key-dir $dir/hostkeys/try$try" | grep -vx "$first" | tail -1)
			[ -n "$helper" ] && reachable && break
			sleep 0.02
		done
		[ -n "$helper" ] && kill -STOP "$helper" 2> /dev/null && break
		kill $first && wait $first # the key was there before we looked
	done
	pids+=("$helper")
	kill $first && wait $first
	listen_again "try$try"
	second=$!
	for _ in $(seq 100); do
		kill -0 $second 2> /dev/null || break
		reachable && break
		sleep 0.02
	done
	kill -0 $second 2> /dev/null || fail "$(tail -3 "$dir/log.again")"
	local r=$?
	kill -CONT "$helper"
	kill $second
	return $r
}
run "a restart while the first keys are made finds its port free" restart_at_first_start

log_is_clean() {
	lacks "$(cat "$dir/log.main")" $'\033|\001' || return 1
	contains "$(cat "$dir/log.main")" "127.0.0.1 port [0-9]+ SHA256:[^ ]+: logged in as key 'me', client SSH-2.0-" ||
		return 1
	lacks "$(cat "$dir/log.main")" 'ended with status|ERROR: |runtime error'
}
run "the log names address and key, escapes bytes, has no crash" log_is_clean

far_end_gone() {
	local out
	on -o ControlPath="$dir/gone" -o ControlMaster=yes -o ControlPersist=20 whoami > /dev/null || return 1
	kill "$far_end" && wait "$far_end" 2> /dev/null
	pkill -P "$far_end" 2> /dev/null
	for p in $(pgrep -f "^$fake $dir/socket"); do kill "$p"; done
	sleep 0.3
	out=$(on -o ControlPath="$dir/gone" whoami 2>&1)
	equal 1 $? || return 1
	contains "$out" '^ !     hostkitd does not answer' || return 1
	out=$(on whoami 2>&1)
	equal 255 $? || return 1
	contains "$out" 'HostKit is being restarted' || return 1
	start_far_end
	sleep 1.5
	equal me "$(on whoami)"
}
run "hostkitd gone: one clear line; back: all is well" far_end_gone

not_root() {
	[ "$(id -u)" -eq 0 ] || return 0
	contains "$("$build/sshd/hostkit-sshd" --config /dev/null --listen 127.0.0.1:1 2>&1)" 'does not run as root'
}
run "it refuses to run as root" not_root

ends_well() {
	kill "$pid_main"
	wait "$pid_main"
	equal 0 $? && [ -z "$(pgrep -P "$pid_main")" ]
}
run "SIGTERM ends the listener and its spare processes" ends_well

finish
