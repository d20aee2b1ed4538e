# shellcheck shell=bash
# cgroups of a VPS, for the unified hierarchy, for controllers mounted one by one (v1), and
# for both at once. Below the VPS's own cgroup in every hierarchy:
#   loop   the supervising process; it must not sit in an inner node of the unified hierarchy
#   boot   systemd-nspawn and all that runs inside; thrown away between two boots
#
# They are listed in a file, one hierarchy a line: controllers as /proc/PID/cgroup names
# them ("-" for the unified one), where the hierarchy is mounted, the VPS's cgroup.

# Prints "controllers mount-point own-path" for every hierarchy a VPS takes part in.
cgroup_hierarchies()
{
	local controllers path point
	while IFS=: read -r _ controllers path; do
		case $controllers in
		# Nothing a service asks for; joining a fresh cpuset fails until it is filled in.
		cpuset | net_cls* | net_prio* | perf_event | hugetlb | rdma | misc) continue ;;
		'') point=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts) ;;
		*) point=$(awk -v c="${controllers%%,*}" '
			$3 == "cgroup" && index("," $4 ",", "," c ",") { print $2; exit }' \
			/proc/self/mounts) ;;
		esac
		[ -z "$point" ] || echo "${controllers:--} $point $path"
	done </proc/self/cgroup
}

# Makes the VPS's cgroups, writes them to the file, and moves the caller to "loop".
cgroup_create()
{
	local file=$1 name=$2 controllers point path top
	while read -r controllers point path; do
		top=$point/hostkit-vps-$name
		# A scope of this machine's systemd is ours to fill (Delegate=yes).
		case $path in
		*/hostkit-vps-"$name".scope) top=$point$path ;;
		esac
		# In a container some hierarchies are read-only: then we do without.
		[ -d "$top" ] || mkdir -- "$top" 2>/dev/null || continue
		echo "$controllers $point $top" >>"$file"
		mkdir -p -- "$top/loop" "$top/boot"
		echo $$ >"$top/loop/cgroup.procs"
		if [ "$controllers" = - ]; then
			[ -d /run/systemd/system ] || cgroup_enable "$point"
			cgroup_enable "$top"
		fi
	done < <(cgroup_hierarchies)
}

# Hands down every controller there is to the children of a unified cgroup, one by one:
# some may be bound to a hierarchy of their own.
cgroup_enable()
{
	local controller
	for controller in $(<"$1/cgroup.controllers"); do
		{ echo "+$controller" >"$1/cgroup.subtree_control"; } 2>/dev/null || :
	done
}

# Moves a process to the VPS's "boot".
cgroup_boot()
{
	local top
	while read -r _ _ top; do
		echo "$2" >"$top/boot/cgroup.procs"
	done <"$1"
}

# Takes away what the last boot left, limits included.
cgroup_clear()
{
	local top
	while read -r _ _ top; do
		cgroup_rmdir "$top/boot" || :
		mkdir -p -- "$top/boot"
	done <"$1"
}

# Moves the caller to where the given process is, in the hierarchies the VPS takes part in.
cgroup_join_like()
{
	local file=$1 pid=$2 controllers point path
	local -A points=()
	while read -r controllers point _; do
		points[$controllers]=$point
	done <"$file"
	while IFS=: read -r _ controllers path; do
		point=${points[${controllers:--}]:-}
		[ -z "$point" ] || echo "$BASHPID" >"$point$path/cgroup.procs"
	done <"/proc/$pid/cgroup"
}

# Removes a cgroup and those below it, which takes a moment after the last process went.
cgroup_rmdir()
{
	for _ in {1..200}; do
		[ -d "$1" ] || return 0
		find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || :
		[ -d "$1" ] || return 0
		sleep 0.01
	done
	return 1
}

# Kills whatever is in the VPS's cgroups and removes them.
cgroup_remove()
{
	local file=$1 top pids
	[ -e "$file" ] || return 0
	while read -r _ _ top; do
		# Never anything else, whatever that file says.
		[[ $top == /*hostkit-vps-* ]] || continue
		for _ in {1..500}; do
			pids=$(find "$top" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un) || :
			pids=$(sed '/^0$/d' <<<"$pids")
			[ -n "$pids" ] || break
			# shellcheck disable=SC2086 # a list of numbers
			kill -KILL $pids 2>/dev/null || :
			sleep 0.01
		done
		cgroup_rmdir "$top" || say "could not remove the cgroup $top"
	done <"$file"
}
