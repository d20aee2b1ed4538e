# shellcheck shell=bash
# shellcheck disable=SC2015,SC2154 # meant as it works; state is the caller's
# What ./vps and ./supervise share: messages, the state folder, finding processes again.

# shellcheck disable=SC2034 # used by those who source this
VPS_STATE=/run/hostkit-vps

say()
{
	echo "vps: $*" >&2
}

die()
{
	say "$@"
	exit 1
}

# Seconds since the given $EPOCHREALTIME, with two decimals.
since()
{
	local usec=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
	printf '%d.%02d' $((usec / 1000000)) $((usec % 1000000 / 10000))
}

# PID, start time, boot: names a process for good, where a number alone may be used again.
stamp()
{
	local stat fields boot
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
	read -r -a fields <<<"${stat##*) }"
	# A zombie is gone already (proc(5): field 3 is the state, field 22 the start time).
	[ "${fields[0]}" != Z ] || return 1
	read -r boot </proc/sys/kernel/random/boot_id
	echo "$1 ${fields[19]} $boot"
}

# Prints the PID that a file written with stamp() names, if that process still lives.
live_pid()
{
	local line
	{ read -r line <"$1"; } 2>/dev/null || return 1
	[ -n "$line" ] && [ "$(stamp "${line%% *}")" = "$line" ] || return 1
	echo "${line%% *}"
}

is_alive()
{
	live_pid "$1" >/dev/null
}

# The VPS's PID 1, as the machine numbers it: the child of nspawn that is 1 in its own eyes.
leader()
{
	local nspawn child key ids
	nspawn=$(live_pid "$1/nspawn") || return 1
	# shellcheck disable=SC2013 # words are what that file has
	for child in $(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null || pgrep -P "$nspawn"); do
		while read -r key ids; do
			[ "$key" = NSpid: ] && [[ $ids =~ [[:space:]]1$ ]] || continue
			echo "$child"
			return
		done 2>/dev/null <"/proc/$child/status"
	done
	return 1
}

# Becomes a command inside, below the VPS's own init, as a login as root would see it.
enter()
{
	local pid=$1
	shift
	cgroup_join_like "$state/cgroups" "$pid"
	# The command must not outlive the shell that stands for it out here. nsenter itself
	# would fork, too, but stop with a child that systemd-shutdown(8) stops, never reap
	# it, and so keep the VPS's PID namespace, and its reboot, from ending.
	# shellcheck disable=SC2016 # expanded by that shell
	exec nsenter --no-fork --target "$pid" --all -- /bin/sh -c '"$@"; exit $?' exec \
		/usr/bin/setpriv --pdeathsig TERM \
		/usr/bin/env -i -C /root -- \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 "$@"
}

# The same without giving up our own process.
inside()
{
	(enter "$@")
}

# Locks are on the state folder itself, so that none is left behind; a folder that was
# removed while we waited for it is made again.
take_lock()
{
	local how=$1
	for _ in {1..50}; do
		mkdir -p -- "$state"
		exec {lock_fd}<"$state"
		# shellcheck disable=SC2086 # options
		if ! flock $how "$lock_fd"; then
			exec {lock_fd}<&-
			return 1
		fi
		[ ! "/proc/self/fd/$lock_fd" -ef "$state" ] || return 0
		exec {lock_fd}<&-
	done
	return 1
}

try_lock()
{
	take_lock --nonblock
}

wait_lock()
{
	take_lock "--timeout $1"
}
