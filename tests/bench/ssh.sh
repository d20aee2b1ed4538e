#!/usr/bin/env bash
# hostkit-sshd beside OpenSSH's sshd as Debian configures it, in one run, alternating, medians; only ratios mean
# anything. Prints: a command's latency, bulk throughput, uploads over a round trip of 50 ms, memory of
# idle connections.
#
#   ssh.sh BUILD_DIR [ROUNDS]      as root (sshd wants to be), BUILD_DIR without sanitizers
set -u
build=$(cd "${1:?build directory}" && pwd)
rounds=${2:-11}
dir=$(mktemp -d /tmp/hostkit-bench.XXXXXX)
chmod 755 "$dir"
pids=()
trap 'kill "${pids[@]}" 2> /dev/null; rm -rf "$dir"' EXIT

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
wait_for() { # wait_for PORT
	for _ in $(seq 100); do
		python3 -c "import socket; socket.create_connection(('127.0.0.1', $1), 1)" 2> /dev/null && return
		sleep 0.1
	done
	echo "nothing listens on port $1" >&2
	exit 1
}

ssh-keygen -q -t ed25519 -N '' -f "$dir/id"
awk '{ print $2, "me" }' "$dir/id.pub" > "$dir/known"
mkdir "$dir/hostkeys" "$dir/repositories" && chown 65534 "$dir/hostkeys"
"$build/tests/ssh/fake_hostkitd" "$dir/socket" "$dir/known" "$dir/repositories" &
pids+=($!)
sleep 0.3
ours=$(free_port)
setpriv --reuid=65534 --regid=65534 --clear-groups "$build/sshd/hostkit-sshd" --config /dev/null \
	--listen "127.0.0.1:$ours" --socket "$dir/socket" --host-key-dir "$dir/hostkeys/ssh" \
	--max-per-source 200 --max-connections 200 2> "$dir/log" &
listener=$!
pids+=("$listener")

theirs=$(free_port)
ssh-keygen -q -t ed25519 -N '' -f "$dir/sshd_key"
ssh-keygen -q -t rsa -b 3072 -N '' -f "$dir/sshd_rsa"
ssh-keygen -q -t ecdsa -N '' -f "$dir/sshd_ecdsa"
mkdir -p /run/sshd
# Debian's own configuration, but for the port, the keys, and limits the measuring itself would hit
cat > "$dir/sshd_config" << EOF
Port $theirs
ListenAddress 127.0.0.1
HostKey $dir/sshd_key
HostKey $dir/sshd_rsa
HostKey $dir/sshd_ecdsa
AuthorizedKeysFile $dir/id.pub
StrictModes no
PidFile $dir/sshd.pid
MaxStartups 200
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
EOF
/usr/sbin/sshd -D -f "$dir/sshd_config" 2> "$dir/sshd.log" &
pids+=($!)
wait_for "$ours"
wait_for "$theirs"

ssh=(ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile="$dir/known_hosts" -o LogLevel=ERROR
	-o IdentitiesOnly=yes -o BatchMode=yes -i "$dir/id")
# to PORT COMMAND: both servers have a command of the same effect
to() {
	local port=$1 user=git
	shift
	[ "$port" = "$theirs" ] || [ "$port" = "${far_theirs:-}" ] && user=root
	"${ssh[@]}" -p "$port" "$user@127.0.0.1" "$@"
}
true_ours() { to "$ours" exit 0; }
true_theirs() { to "$theirs" true; }
true_theirs_curve() { to "$theirs" -o KexAlgorithms=curve25519-sha256 true; }

export -f to
# compare "what" UNIT BYTES OURS THEIRS...: alternate, print medians and the ratio of each to the first of THEIRS
compare() {
	local what=$1 bytes=$2 n=$3 names=("${@:4}") name i
	for name in "${names[@]}"; do : > "$dir/times.$name"; done
	for i in $(seq "$n"); do
		for name in "${names[@]}"; do
			local start=${EPOCHREALTIME/./}
			"$name" > /dev/null || echo "$name failed" >&2
			echo $((${EPOCHREALTIME/./} - start)) >> "$dir/times.$name"
		done
	done
	python3 - "$what" "$bytes" "$dir" "${names[@]}" << 'PY'
import statistics, sys
what, size, dir, *names = sys.argv[1:]
size = int(size)
times = {n: [int(x) for x in open(f"{dir}/times.{n}")] for n in names}
median = {n: statistics.median(times[n]) for n in names}
base = names[1]
for n in names:
    ratio = statistics.median(a / b for a, b in zip(times[n], times[base]))
    if size:
        print(f"{what:34} {n:20} {size / median[n]:8.1f} MB/s   speed x{1 / ratio:.2f}")
    else:
        print(f"{what:34} {n:20} {median[n] / 1000:8.1f} ms     time x{ratio:.2f}")
PY
}

true_ours && true_theirs || exit 1
compare "a command that does nothing" 0 "$rounds" true_ours true_theirs true_theirs_curve

size=200000000
to "$ours" source $size > "$dir/data"
upload_ours() { to "$ours" sink < "$dir/data"; }
upload_theirs() { to "$theirs" 'cat > /dev/null' < "$dir/data"; }
download_ours() { to "$ours" source $size; }
download_theirs() { to "$theirs" "head -c $size $dir/data"; }
compare "upload, loopback" $size 10 upload_ours upload_theirs
compare "download, loopback" $size 10 download_ours download_theirs

far_ours=$(free_port)
"$build/tests/bench/delay_proxy" "$far_ours" "$ours" 25 &
pids+=($!)
far_theirs=$(free_port)
"$build/tests/bench/delay_proxy" "$far_theirs" "$theirs" 25 &
pids+=($!)
sleep 0.3
far=50000000
head -c $far "$dir/data" > "$dir/part"
far_upload_ours() { to "$far_ours" sink < "$dir/part"; }
far_upload_theirs() { to "$far_theirs" 'cat > /dev/null' < "$dir/part"; }
far_download_ours() { to "$far_ours" source $far; }
far_download_theirs() { to "$far_theirs" "head -c $far $dir/data"; }
far_true_ours() { to "$far_ours" exit 0; }
far_true_theirs() { to "$far_theirs" true; }
compare "a command, round trip 50 ms" 0 10 far_true_ours far_true_theirs
compare "upload, round trip 50 ms" $far 10 far_upload_ours far_upload_theirs
compare "download, round trip 50 ms" $far 10 far_download_ours far_download_theirs

# memory: connections that have logged in and run a command, and now wait
idle=50
for i in $(seq $idle); do
	to "$ours" -o ControlMaster=yes -o ControlPath="$dir/c$i" -o ControlPersist=120 -o ConnectTimeout=10 whoami > /dev/null
done
sleep 1
pgrep -P $listener | while read -r pid; do
	awk -v pid="$pid" '/^Pss:/ { pss = $2 } /^Private_Dirty:/ { dirty = $2 } /^Rss:/ { rss = $2 }
		END { print pss, dirty, rss }' "/proc/$pid/smaps_rollup"
done | sort -n | awk -v idle=$idle '{ pss[NR] = $1; sum += $1; dirty += $2 }
	END { printf "memory of %d processes (%d idle connections, the rest spare): median PSS %d kB, mean %.0f kB, private dirty %.0f kB\n",
		NR, idle, pss[int((NR + 1) / 2)], sum / NR, dirty / NR }'
awk '/^Pss:/ { print "memory of the listener: PSS " $2 " kB" }' "/proc/$listener/smaps_rollup"
for i in $(seq $idle); do ssh -o ControlPath="$dir/c$i" -O exit git@127.0.0.1 2> /dev/null; done
