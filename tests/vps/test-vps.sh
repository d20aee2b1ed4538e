#!/usr/bin/env bash
# Tests of the disposable VPS itself. Needs root; boots a few of them, none for longer than it
# takes, and looks afterwards whether anything is left on this machine.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2016,SC2317 # single quotes and functions for later are meant
set -uo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
vps=$here/vps
# shellcheck source=lib.sh
. "$here/lib.sh"

if [ "$(id -u)" -ne 0 ]; then
	matches "not being root is said with what to type" 'sudo ' "$("$vps" up --bare 2>&1)"
	skip "everything else" "needs root"
	finish
fi

a=t$$a b=t$$b
scratch=$(mktemp -d)

clean_up()
{
	"$vps" down --name "$a" 2>/dev/null
	"$vps" down --name "$b" 2>/dev/null
	rm -rf -- "$scratch"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

on()
{
	"$vps" exec --name "$@"
}

# What there is on the machine of the VPSs of this test; others' may come and go meanwhile.
traces()
{
	local n
	for n in $numbers; do
		ip link show "hkv$n" 2>/dev/null
		nft list table ip "hostkit_vps_$n" 2>/dev/null
		nft list chain ip filter FORWARD 2>/dev/null | grep "hostkit-vps-$n\""
		ip route | grep "10\.203\.$n\."
	done
	for n in "$a" "$b"; do
		find /sys/fs/cgroup -type d -name "hostkit-vps-$n*"
		ls -d "/run/hostkit-vps/$n" 2>/dev/null
		find /run/hostkit-vps/.index -lname "$n" 2>/dev/null
		grep -E "hostkit-vps/$n( |/)" /proc/self/mountinfo
		find /run/systemd/nspawn -name "*$n*" 2>/dev/null
		pgrep -fa "(supervise|systemd-nspawn|--machine).*$n"
	done
	for n in $namespaces; do
		lsns --noheadings --output NS,COMMAND | grep -w "$n"
	done
	for n in $processes; do
		ps -o pid=,args= --pid "$n"
	done
}

no_traces()
{
	[ -z "$(traces)" ]
}

# Takes down what traces() looks for while it is there.
remember()
{
	local pid
	numbers+=" $("$vps" address --name "$1" | cut -d. -f3)"
	pid=$(cut -d' ' -f1 "/run/hostkit-vps/$1/supervisor")
	processes+=" $pid $(pgrep -P "$pid")"
	namespaces+=" $(readlink "/proc/$pid/ns/net" "/proc/$pid/ns/mnt" | tr -dc '0-9\n' | tr '\n' ' ')"
}
numbers="" namespaces="" processes=""

# Usage

equal "no verb: status 2" 2 "$("$vps" >/dev/null 2>&1; echo $?)"
matches "no verb: usage" 'usage: vps up' "$("$vps" 2>&1)"
matches "--help: usage on standard output" 'usage: vps up' "$("$vps" --help 2>/dev/null)"
matches "unknown verb" "there is no 'fly'" "$("$vps" fly 2>&1)"
matches "unknown option" 'up does not know the option --fast' "$("$vps" up --fast 2>&1)"
matches "argument too many" "does not take the argument 'x'" "$("$vps" down x 2>&1)"
matches "--name without a name" 'needs a name' "$("$vps" down --name 2>&1)"
for name in '' . .. ../x 'a b' A -a a_b "$(printf 'a%.0s' {1..33})"; do
	matches "name '$name' refused" 'is no name' "$("$vps" up --bare --name="$name" 2>&1)"
done
matches "bad size refused" 'is no size' "$("$vps" up --bare --size=big 2>&1)"
matches "exec without a command" 'needs a command' "$("$vps" exec --name "$a" 2>&1)"
matches "exec without a VPS" "vps up --name $a" "$("$vps" exec --name "$a" true 2>&1)"
matches "address without a VPS" "no VPS named $a" "$("$vps" address --name "$a" 2>&1)"
matches "crash without a VPS" "no VPS named $a" "$("$vps" crash --name "$a" 2>&1)"
check "down without a VPS succeeds" "$vps" down --name "$a"
mkdir "$scratch/bin"
for tool in bash dirname readlink id grep; do
	ln -s "$(command -v $tool)" "$scratch/bin/"
done
matches "missing tools are named with what to type" 'apt-get install.*systemd-container' \
	"$(PATH=$scratch/bin "$vps" up --bare 2>&1)"

# Boot

forwarding=$(cat /proc/sys/net/ipv4/conf/*/forwarding | sort | uniq -c)
began=$(date +%s%N)
address_a=$("$vps" up --bare --name "$a" 2>"$scratch/up.log")
status=$?
usec=$((($(date +%s%N) - began) / 1000))
if [ $status -ne 0 ]; then
	fail "up --bare" "$(cat "$scratch/up.log")"
	finish
fi
remember "$a"
if [ $usec -lt 5000000 ]; then
	pass "boot in under 5 s" "$((usec / 1000)) ms"
else
	fail "boot in under 5 s" "$((usec / 1000)) ms"
fi
matches "up prints the address line alone" '^10\.203\.[0-9]+\.2 [0-9]+ 80$' "$address_a"
equal "address prints the same" "$address_a" "$("$vps" address --name "$a")"
matches "up says on stderr how long it took" 'booted in' "$(cat "$scratch/up.log")"
matches "list shows it" "$a $address_a up" "$("$vps" list)"
matches "up again is refused with what to type" "running already.*down --name $a" \
	"$("$vps" up --bare --name "$a" 2>&1)"
equal "its init is systemd" systemd "$(on "$a" cat /proc/1/comm)"
equal "systemd is content" running "$(on "$a" systemctl is-system-running)"
read -r ip_a _ <<<"$address_a"
matches "its nginx answers on port 80" '^HTTP/1.1 200' "$(curl -sI --max-time 5 "http://$ip_a/")"
equal "Redis answers" PONG "$(on "$a" redis-cli ping)"
equal "PostgreSQL answers" 42 "$(on "$a" setpriv --reuid postgres --regid postgres --init-groups \
	env -C / psql -X -A -t -d template1 -c 'select 6 * 7')"

# Running commands

head -c 3000000 /dev/urandom >"$scratch/data"
on "$a" cat <"$scratch/data" >"$scratch/back"
check "exec: three megabytes of random bytes come back the same" cmp "$scratch/data" "$scratch/back"
printf 'a\nb\r\n\0\x1b[1m\xff' >"$scratch/data"
on "$a" cat <"$scratch/data" >"$scratch/back"
check "exec: control bytes come back the same" cmp "$scratch/data" "$scratch/back"
on "$a" sh -c 'echo out; echo err >&2' >"$scratch/out" 2>"$scratch/err"
equal "exec: standard output apart" out "$(cat "$scratch/out")"
equal "exec: standard error apart" err "$(cat "$scratch/err")"
on "$a" sh -c 'exit 37'
equal "exec: exit status 37" 37 $?
on "$a" no-such-command 2>/dev/null
equal "exec: no such command" 127 $?
on "$a" sh -c 'kill -TERM $$' 2>/dev/null
equal "exec: ended by a signal" 143 $?
equal "exec: arguments arrive as they are" "$(printf '[%s]' 'a b' '' '*' '$x' --name)" \
	"$(on "$a" printf '[%s]' 'a b' '' '*' '$x' --name)"
equal "exec: environment" "HOME LANG PATH TERM" \
	"$(SECRET=1 on "$a" sh -c 'env -u PWD env' | cut -d= -f1 | sort | xargs)"
equal "exec: in root's home, which is empty but for what tools made" "/root" "$(on "$a" pwd)"
on "$a" sh -c 'sleep 300 & echo $!' >"$scratch/pid"
matches "exec: what it leaves behind belongs to the VPS's init" 'init.scope' \
	"$(on "$a" cat "/proc/$(cat "$scratch/pid")/cgroup")"
timeout 0.5 "$vps" exec --name "$a" sleep 4711
equal "exec: killed outside" 124 $?
check "exec: and then gone inside, too" wait_until 5 on "$a" sh -c '! pgrep -f "^sleep 4711"'

# What of this machine is inside

equal "homes and temporary files are not this machine's" "" \
	"$(on "$a" sh -c 'ls -A /home /mnt /media; ls -A /var/tmp /tmp | grep -v "^\.\|^systemd-private"' |
	grep -v ':$' | xargs)"
for path in "$here" /run/hostkit-vps; do
	check "$path is not inside" on "$a" test ! -e "$path"
done
equal "PATH is Debian's own" /usr/bin/env "$(on "$a" sh -c 'command -v env')"
check "a folder of the lower layer can be renamed" \
	on "$a" sh -c 'mv /usr/share/doc /usr/share/doc2 && mv /usr/share/doc2 /usr/share/doc'

# Registries, as a user that has nothing

matches "npm reaches its registry" '^[0-9]+\.[0-9]+\.[0-9]+' \
	"$(on "$a" systemd-run --quiet --pipe --wait -p DynamicUser=yes -p PrivateTmp=yes \
		-E HOME=/tmp npm view is-number version 2>&1)"
equal "npm has nothing to complain of" "" \
	"$(on "$a" systemd-run --quiet --pipe --wait -p DynamicUser=yes -p PrivateTmp=yes \
		-E HOME=/tmp npm view is-number version 2>&1 >/dev/null)"
# Without the machine's lists, which may be fresh enough not to be asked for again.
on "$a" mkdir -p /tmp/lists/partial
check "apt reaches its mirror" on "$a" timeout 60 apt-get -q update \
	-o Dir::State::lists=/tmp/lists -o APT::Update::Error-Mode=any \
	-o Acquire::Languages=none -o Acquire::IndexTargets::deb::Packages::DefaultEnabled=false

# Limits

limited()
{
	on "$a" systemd-run --quiet --pipe --wait "$@" 2>&1
}

# How many of 100 MB that must be in memory at once get through; fewer when it is killed.
memory_hog()
{
	limited "$@" sh -c 'head -c 100000000 /dev/zero | tail -c 100000000 | wc -c' | tail -n 1
}

if on "$a" sh -c 'grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null ||
	[ -d /sys/fs/cgroup/memory/init.scope ]'; then
	memory_limits=yes
	equal "without a limit 100 MB are no trouble" 100000000 \
		"$(memory_hog)"
	check "MemoryMax bites" test "$(memory_hog -p MemoryMax=30M -p MemorySwapMax=0)" != 100000000
else
	memory_limits=no
	skip "MemoryMax bites" "this machine hands no memory controller down"
fi
if on "$a" sh -c 'grep -qw pids /sys/fs/cgroup/cgroup.controllers 2>/dev/null ||
	[ -d /sys/fs/cgroup/pids/init.scope ] || [ -d /sys/fs/cgroup/pids/system.slice ]'; then
	matches "TasksMax bites" 'annot fork' \
		"$(limited -p TasksMax=3 sh -c 'for i in 1 2 3 4 5; do sleep 1 & done; wait')"
else
	skip "TasksMax bites" "this machine hands no pids controller down"
fi

# Two at once

address_b=$("$vps" up --bare --name "$b" --size 512M 2>"$scratch/up.log") ||
	fail "a second one" "$(cat "$scratch/up.log")"
remember "$b"
read -r ip_b _ <<<"$address_b"
check "the second one has an address of its own" test "$ip_a" != "$ip_b"
matches "both are listed" "$a .*$b " "$("$vps" list | sort | tr '\n' ' ')"
matches "the nginx of the second one answers" '^HTTP/1.1 200' \
	"$(curl -sI --max-time 5 "http://$ip_b/")"
on "$a" sh -c 'echo here >/etc/only-here'
check "what one writes the other does not see" on "$b" test ! -e /etc/only-here
check "nor this machine" test ! -e /etc/only-here
matches "--size limits the disk" 'No space left' \
	"$(on "$b" sh -c 'head -c 600M /dev/zero >/var/big' 2>&1)"
check "and the disk is usable afterwards" on "$b" rm /var/big

# Reboot and power cut

boot_id()
{
	on "$1" systemctl show --property=UserspaceTimestampMonotonic
}

rebooted()
{
	local now
	now=$(boot_id "$1" 2>/dev/null) && [ -n "$now" ] && [ "$now" != "$before" ] &&
		[[ $(on "$1" systemctl is-system-running) =~ ^(running|degraded)$ ]]
}
on "$a" sh -c 'echo kept >/var/lib/kept; sync; redis-cli set key kept >/dev/null; redis-cli save >/dev/null'
before=$(boot_id "$a")
on "$a" reboot 2>/dev/null
check "reboot comes back" wait_until 30 rebooted "$a"
equal "reboot: files are kept" kept "$(on "$a" cat /var/lib/kept)"
equal "reboot: Redis has its data" kept "$(on "$a" redis-cli get key)"
matches "reboot: nginx answers" '^HTTP/1.1 200' "$(curl -sI --max-time 5 "http://$ip_a/")"
equal "reboot: same address" "$address_a" "$("$vps" address --name "$a")"
equal "reboot: systemd is content" running "$(on "$a" systemctl is-system-running)"

on "$a" setpriv --reuid postgres --regid postgres --init-groups env -C / psql -X -q -d template1 \
	-c 'create table kept as select 42 as v'
on "$a" sh -c 'echo cut >/var/lib/kept; sleep 300 </dev/null >/dev/null 2>&1 &'
before=$(boot_id "$a")
check "crash" "$vps" crash --name "$a"
check "crash: it is up again at once" rebooted "$a"
equal "crash: files are kept" cut "$(on "$a" cat /var/lib/kept)"
equal "crash: PostgreSQL recovers" 42 "$(on "$a" setpriv --reuid postgres --regid postgres \
	--init-groups env -C / psql -X -A -t -d template1 -c 'select v from kept')"
equal "crash: no process survives" "" "$(on "$a" pgrep -x sleep)"
equal "crash: systemd is content" running "$(on "$a" systemctl is-system-running)"
if [ "$memory_limits" = yes ]; then
	check "crash: limits still bite" \
		test "$(memory_hog -p MemoryMax=30M -p MemorySwapMax=0)" != 100000000
fi
equal "the other one did not notice" running "$(on "$b" systemctl is-system-running)"

# The end

remember "$a"
remember "$b"
on "$a" sleep 300 &
reader=$!
check "down" "$vps" down --name "$a"
wait $reader
check "down ends commands that run inside" test $? -ne 0
matches "down of one leaves the other" "^$b " "$("$vps" list | grep "^$b ")"
matches "which still answers" '^HTTP/1.1 200' "$(curl -sI --max-time 5 "http://$ip_b/")"

supervisor=$(cut -d' ' -f1 "/run/hostkit-vps/$b/supervisor")
# shellcheck disable=SC2046 # numbers
kill -KILL "$supervisor" $(pgrep -P "$supervisor")
check "killed supervisor: it is over at once" wait_until 5 test ! -e "/proc/$supervisor"
equal "killed supervisor: list no longer shows it" "" "$("$vps" list | grep "^$b ")"
check "killed supervisor: down succeeds" "$vps" down --name "$b"
wait_until 5 no_traces
equal "nothing is left behind" "" "$(traces)"
if [ -z "$("$vps" list)" ]; then
	equal "forwarding is as it was" "$forwarding" \
		"$(cat /proc/sys/net/ipv4/conf/*/forwarding | sort | uniq -c)"
	check "the state folder is gone" test ! -e /run/hostkit-vps
else
	skip "forwarding is as it was" "somebody else's VPS runs"
fi

# Killed in the midst of starting: `up` of the same name cleans up by itself.
"$vps" up --bare --name "$b" >/dev/null 2>&1 &
starter=$!
wait_until 5 test -s "/run/hostkit-vps/$b/nspawn"
remember "$b" 2>/dev/null
kill -KILL $starter
# shellcheck disable=SC2046
kill -KILL $(cut -d' ' -f1 "/run/hostkit-vps/$b/supervisor")
wait $starter 2>/dev/null
check "up after a killed up" "$vps" up --bare --name "$b"
remember "$b"
on "$b" poweroff 2>/dev/null
check "power-off inside ends it" wait_until 30 sh -c "! '$vps' list | grep -q '^$b '"
"$vps" down --name "$b" 2>/dev/null
wait_until 5 no_traces
equal "nothing is left behind after all that" "" "$(traces)"

finish
