#!/usr/bin/env bash
# Tests of the disposable VPS itself. Needs root; boots a few of them, none for longer than it
# takes, and looks afterwards whether anything is left on this machine.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2016,SC2317 # single quotes and functions for later are meant
set -uo pipefail

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
vps=$here/vps
# shellcheck source=../lib.sh
. "$here/../lib.sh"

# matches WHAT PATTERN TEXT
matches()
{
	check "$1" contains "$3" "$2"
}

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
		nft list ruleset | grep "hostkit-vps-$n\""
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

check "no verb: status 2" equal 2 "$("$vps" >/dev/null 2>&1; echo $?)"
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

# A firewall that drops what is forwarded, in a network namespace of its own

unshare --net bash -c '
	. "$1/network.sh"
	nft add table ip filter
	nft add chain ip filter FORWARD "{ type filter hook forward priority 0; policy drop; }"
	nft add rule ip filter FORWARD counter drop
	nft add table inet mine
	nft add chain inet mine onward "{ type filter hook forward priority 10; policy drop; }"
	before=$(nft list ruleset)
	firewall_open 7
	firewall_open 77
	nft list chain ip filter FORWARD >"$2/open"
	nft list chain inet mine onward >"$2/open2"
	firewall_close 7
	nft list ruleset >"$2/half"
	firewall_close 77
	[ "$before" = "$(nft list ruleset)" ] && echo same >"$2/closed"' - "$here" "$scratch"
matches "firewall: opened before it drops" 'hkv7" .*accept.*hkv7" .*accept.* drop[[:space:]}]*$' \
	"$(tr '\n' ' ' <"$scratch/open")"
matches "firewall: opened in every chain" 'hkv7" accept' "$(cat "$scratch/open2")"
check "firewall: closing one leaves the other" equal 4 "$(grep -c hostkit-vps "$scratch/half")"
check "firewall: closed as it was" equal same "$(cat "$scratch/closed")"

# Boot

others=$("$vps" list) # also removes what killed ones left, forwarding for instance
forwarding=$(cat /proc/sys/net/ipv4/conf/*/forwarding | sort | uniq -c)
began=$(date +%s%N)
# With a pipe that it must not keep: reading all of it ends when `up` does.
address_a=$(umask 077 && "$vps" up --bare --name "$a" 5>&1 2>"$scratch/up.log")
status=$?
msec=$((($(date +%s%N) - began) / 1000000))
check "up --bare" sh -c 'cat "$1"; exit "$2"' - "$scratch/up.log" $status
[ $status -eq 0 ] || finish
remember "$a"
check "boot in under 5 s ($msec ms)" test $msec -lt 5000
matches "up prints the address line alone" '^10\.203\.[0-9]+\.2 [0-9]+ 80$' "$address_a"
check "address prints the same" equal "$address_a" "$("$vps" address --name "$a")"
matches "up says on stderr how long it took" 'booted in' "$(cat "$scratch/up.log")"
matches "list shows it" "$a $address_a up" "$("$vps" list)"
matches "up again is refused with what to type" "running already.*down --name $a" \
	"$("$vps" up --bare --name "$a" 2>&1)"
check "its init is systemd" equal systemd "$(on "$a" cat /proc/1/comm)"
check "systemd is content" equal running "$(on "$a" systemctl is-system-running)"
read -r ip_a _ <<<"$address_a"
matches "its nginx answers on port 80" '^HTTP/1.1 200' "$(curl -sI --max-time 5 "http://$ip_a/")"
check "Redis answers" equal PONG "$(on "$a" redis-cli ping)"
check "PostgreSQL answers" equal 42 "$(on "$a" setpriv --reuid postgres --regid postgres --init-groups \
	env -C / psql -X -A -t -d template1 -c 'select 6 * 7')"

# Running commands

head -c 3000000 /dev/urandom >"$scratch/data"
on "$a" cat <"$scratch/data" >"$scratch/back"
check "exec: three megabytes of random bytes come back the same" cmp "$scratch/data" "$scratch/back"
printf 'a\nb\r\n\0\x1b[1m\xff' >"$scratch/data"
on "$a" cat <"$scratch/data" >"$scratch/back"
check "exec: control bytes come back the same" cmp "$scratch/data" "$scratch/back"
on "$a" sh -c 'echo out; echo err >&2' >"$scratch/out" 2>"$scratch/err"
check "exec: standard output apart" equal out "$(cat "$scratch/out")"
check "exec: standard error apart" equal err "$(cat "$scratch/err")"
on "$a" sh -c 'exit 37'
check "exec: exit status 37" equal 37 $?
on "$a" no-such-command 2>/dev/null
check "exec: no such command" equal 127 $?
on "$a" sh -c 'kill -TERM $$' 2>/dev/null
check "exec: ended by a signal" equal 143 $?
check "exec: arguments arrive as they are" equal "$(printf '[%s]' 'a b' '' '*' '$x' --name)" \
	"$(on "$a" printf '[%s]' 'a b' '' '*' '$x' --name)"
check "exec: environment" equal "HOME LANG PATH TERM" \
	"$(SECRET=1 on "$a" sh -c 'env -u PWD env' | cut -d= -f1 | sort | xargs)"
check "exec: in root's home, which is empty but for what tools made" equal "/root" "$(on "$a" pwd)"
on "$a" sh -c 'sleep 300 & echo $!' >"$scratch/pid"
matches "exec: what it leaves behind belongs to the VPS's init" 'init.scope' \
	"$(on "$a" cat "/proc/$(cat "$scratch/pid")/cgroup")"
timeout 0.5 "$vps" exec --name "$a" sleep 4711
check "exec: killed outside" equal 124 $?
check "exec: and then gone inside, too" wait_for 5 on "$a" sh -c '! pgrep -f "^sleep 4711"'

# What of this machine is inside

check "homes and temporary files are not this machine's" equal "" \
	"$(on "$a" sh -c 'ls -A /home /mnt /media /srv; ls -A /var/tmp /tmp | grep -v "^\.\|^systemd-private"' |
	grep -v ':$' | xargs)"
check "nor is what runs on it" on "$a" test ! -e /run/hostkit-vps
check "PATH is Debian's own" equal /usr/bin/env "$(on "$a" sh -c 'command -v env')"
check "a folder of the lower layer can be renamed" \
	on "$a" sh -c 'mv /usr/share/doc /usr/share/doc2 && mv /usr/share/doc2 /usr/share/doc'

# Registries, as a user that has nothing

matches "npm reaches its registry" '^[0-9]+\.[0-9]+\.[0-9]+' \
	"$(on "$a" systemd-run --quiet --pipe --wait -p DynamicUser=yes -p PrivateTmp=yes \
		-E HOME=/tmp npm view is-number version 2>&1)"
matches "npm reaches its registry without any environment" '^[0-9]+\.[0-9]+\.[0-9]+' \
	"$(on "$a" setpriv --reuid nobody --regid nogroup --clear-groups env -i -C / PATH=/usr/bin:/bin \
		HOME=/nonexistent npm_config_cache=/tmp/none npm view is-number version 2>&1)"
check "npm has nothing to complain of" equal "" \
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
	check "without a limit 100 MB are no trouble" equal 100000000 \
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

# Installing a build: a small project with units of HostKit's names, so that it can fail, too

project=$scratch/project
mkdir -p "$project"
cat >"$project/meson.build" <<'END'
project('small', version: '1')
install_data('hostkitd', install_dir: get_option('sbindir'), install_mode: 'rwxr-xr-x')
install_data('hostkit.conf', install_dir: get_option('sysconfdir') / 'hostkit')
install_data('hostkitd.service', 'hostkit-sshd.service', install_dir: '/usr/lib/systemd/system')
install_data('small.sysusers', rename: 'small.conf', install_dir: '/usr/lib/sysusers.d')
install_data('small.tmpfiles', rename: 'small.conf', install_dir: '/usr/lib/tmpfiles.d')
END
cp /bin/sleep "$project/hostkitd"
printf '[domain]\nlisten = 1\n[ssh]\n# listen = 22\nlisten = 127.0.0.1:22 0.0.0.0:2022 [::]:2023 ; any\n[s]\nlisten = 3\n' >"$project/hostkit.conf"
echo 'u small - "Small"' >"$project/small.sysusers"
echo 'd /var/lib/small 0750 small small' >"$project/small.tmpfiles"
for unit in hostkitd hostkit-sshd; do
	printf '[Service]\nUser=small\nExecStart=/usr/sbin/hostkitd %s\n[Install]\nWantedBy=multi-user.target\n' \
		infinity >"$project/$unit.service"
done
install_small()
{
	HOME=/root "$here/install-build" --name "$a" "$scratch/build" 2>&1
}
if command -v meson >/dev/null && meson setup --prefix=/usr --sysconfdir=/etc "$scratch/build" \
	"$project" >"$scratch/meson.log" 2>&1; then
	check "install-build" install_small
	check "install-build: the services run" equal "active active" \
		"$(on "$a" systemctl is-active hostkitd hostkit-sshd | xargs)"
	check "install-build: and start at boot" equal "enabled enabled" \
		"$(on "$a" systemctl is-enabled hostkitd hostkit-sshd | xargs)"
	check "install-build: users and folders are there" equal "small:small 750" \
		"$(on "$a" stat -c '%U:%G %a' /var/lib/small)"
	check "install-build: the system's folders stay as they are" equal "755 755 1777 700" \
		"$(on "$a" stat -c %a / /etc /tmp /root | xargs)"
	check "address has the port of the configuration" equal "$ip_a 2022 80" \
		"$("$vps" address --name "$a")"
	before=$(on "$a" systemctl show --property=MainPID hostkitd)
	began=$(date +%s%N)
	check "install-build again, over a program that runs" install_small
	check "install-build: it runs anew" test \
		"$before" != "$(on "$a" systemctl show --property=MainPID hostkitd)"
	msec=$((($(date +%s%N) - began) / 1000000))
	check "install-build of what is up to date takes under 3 s ($msec ms)" test $msec -lt 3000
	cp /bin/false "$project/hostkitd"
	sed -i '/^ExecStart/i Type=notify' "$project/hostkitd.service"
	matches "install-build: a service that does not start is said" "HostKit does not start in $a" \
		"$(install_small)"
	sed -i '/hostkit-sshd.service/d' "$project/meson.build"
	matches "install-build: no units to install is said" 'this checkout has no units to install' \
		"$(install_small)"
	sed -i 's/^project/projekt/' "$project/meson.build"
	matches "install-build: a build that fails is said" 'this failed: ninja' "$(install_small)"
	matches "up ends when the build fails" 'this failed: ninja' \
		"$(HOSTKIT_BUILD=$scratch/build "$vps" up --name "$b" 2>&1)"
	check "and leaves nothing" test ! -e "/run/hostkit-vps/$b"
	on "$a" systemctl disable --quiet --now hostkitd hostkit-sshd
	on "$a" rm -r /etc/hostkit
else
	skip "install-build" "meson is not installed"
fi

# This checkout, in a VPS of its own

banner()
{
	local ip port
	read -r ip port _ <<<"$1"
	timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"; head -n 1 <&3' - "$ip" "$port"
}
if command -v meson >/dev/null; then
	address_b=$("$vps" up --name "$b" 2>"$scratch/up.log")
	check "up installs this checkout" sh -c 'cat "$1"; exit "$2"' - "$scratch/up.log" $?
	remember "$b"
	check "HostKit runs" equal "active active" \
		"$(on "$b" systemctl is-active hostkitd hostkit-sshd | xargs)"
	check "systemd is content with it" equal running "$(on "$b" systemctl is-system-running)"
	matches "its SSH server answers at the address" '^SSH-2.0-' "$(banner "$address_b" 2>&1)"
	matches "the command is there" '^hostkit' "$(on "$b" hostkit --version 2>&1)"
	check "HostKit: crash" "$vps" crash --name "$b"
	check "HostKit is back after a crash" equal "active active" \
		"$(on "$b" systemctl is-active hostkitd hostkit-sshd | xargs)"
	matches "and answers" '^SSH-2.0-' "$(banner "$address_b" 2>&1)"
	check "HostKit: down" "$vps" down --name "$b"
else
	skip "up installs this checkout" "meson is not installed"
fi

# Two at once

address_b=$("$vps" up --bare --name "$b" --size 512M 2>"$scratch/up.log")
check "a second one" sh -c 'cat "$1"; exit "$2"' - "$scratch/up.log" $?
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
	# What is asked of a systemd that is about to go may never be answered.
	timeout 5 "$vps" exec --name "$1" systemctl show --property=UserspaceTimestampMonotonic
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
check "reboot comes back" wait_for 30 rebooted "$a"
check "reboot: files are kept" equal kept "$(on "$a" cat /var/lib/kept)"
check "reboot: Redis has its data" equal kept "$(on "$a" redis-cli get key)"
matches "reboot: nginx answers" '^HTTP/1.1 200' "$(curl -sI --max-time 5 "http://$ip_a/")"
check "reboot: same address" equal "$address_a" "$("$vps" address --name "$a")"
check "reboot: systemd is content" equal running "$(on "$a" systemctl is-system-running)"

on "$a" setpriv --reuid postgres --regid postgres --init-groups env -C / psql -X -q -d template1 \
	-c 'create table kept as select 42 as v'
on "$a" sh -c 'echo cut >/var/lib/kept; sleep 300 </dev/null >/dev/null 2>&1 &'
before=$(boot_id "$a")
check "crash" "$vps" crash --name "$a"
check "crash: it is up again at once" rebooted "$a"
check "crash: files are kept" equal cut "$(on "$a" cat /var/lib/kept)"
check "crash: PostgreSQL recovers" equal 42 "$(on "$a" setpriv --reuid postgres --regid postgres \
	--init-groups env -C / psql -X -A -t -d template1 -c 'select v from kept')"
check "crash: no process survives" equal "" "$(on "$a" pgrep -x sleep)"
check "crash: systemd is content" equal running "$(on "$a" systemctl is-system-running)"
if [ "$memory_limits" = yes ]; then
	check "crash: limits still bite" \
		test "$(memory_hog -p MemoryMax=30M -p MemorySwapMax=0)" != 100000000
fi
check "the other one did not notice" equal running "$(on "$b" systemctl is-system-running)"

# The end

remember "$a"
remember "$b"
on "$a" sleep 300 &
reader=$!
check "down" "$vps" down --name "$a"
{ wait $reader; } 2>/dev/null
check "down ends commands that run inside" test $? -ne 0
matches "down of one leaves the other" "^$b " "$("$vps" list | grep "^$b ")"
matches "which still answers" '^HTTP/1.1 200' "$(curl -sI --max-time 5 "http://$ip_b/")"

supervisor=$(cut -d' ' -f1 "/run/hostkit-vps/$b/supervisor")
# shellcheck disable=SC2046 # numbers
kill -KILL "$supervisor" $(pgrep -P "$supervisor")
check "killed supervisor: it is over at once" wait_for 5 test ! -e "/proc/$supervisor"
check "killed supervisor: list no longer shows it" equal "" "$("$vps" list | grep "^$b ")"
check "killed supervisor: down succeeds" "$vps" down --name "$b"
wait_for 5 no_traces
check "nothing is left behind" equal "" "$(traces)"
if [ -z "$others$("$vps" list)" ]; then
	check "forwarding is as it was" equal "$forwarding" \
		"$(cat /proc/sys/net/ipv4/conf/*/forwarding | sort | uniq -c)"
	check "the state folder is gone" test ! -e /run/hostkit-vps
else
	skip "forwarding is as it was" "somebody else's VPS runs"
fi

# Killed in the midst of starting: `up` of the same name cleans up by itself.
"$vps" up --bare --name "$b" >/dev/null 2>&1 &
starter=$!
wait_for 5 test -s "/run/hostkit-vps/$b/nspawn"
remember "$b" 2>/dev/null
kill -KILL $starter
# shellcheck disable=SC2046
kill -KILL $(cut -d' ' -f1 "/run/hostkit-vps/$b/supervisor")
{ wait $starter; } 2>/dev/null
check "up after a killed up" "$vps" up --bare --name "$b"
remember "$b"
on "$b" poweroff 2>/dev/null
check "power-off inside ends it" wait_for 30 sh -c "! '$vps' list | grep -q '^$b '"
"$vps" down --name "$b" 2>/dev/null
wait_for 5 no_traces
check "nothing is left behind after all that" equal "" "$(traces)"

finish
