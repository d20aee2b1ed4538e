#!/usr/bin/env bash
# Attacks: builds, apps and local users that want what is not theirs, keys that want more than they have, and
# whoever wants to wear root's process out. Every wall holds, and an honest push works afterwards.
. "$(dirname "$0")/lib.sh"

here=$(dirname "$0")
inside sh -c 'cat > /tmp/hostile.py && chmod 755 /tmp/hostile.py' < "$here/hostile.py"

# two projects that must not reach each other, with a secret in each
hk provision villain --node > /dev/null
hk provision honesttoo --static > /dev/null
printf 'correct horse' | hk_in env set honesttoo SECRET_WORD=- > /dev/null
printf 'tr0ub4dor' | hk_in env set villain SECRET_WORD=- > /dev/null

# evil SCRIPT: what villain's next build runs
new_app villain hello-node
cat > "$scratch/villain/package.json" <<'END'
{ "name": "villain", "private": true, "scripts": { "postinstall": "sh ./evil.sh", "start": "node index.js" } }
END
sed -i '/escape-html/d; s/escape(/String(/g' "$scratch/villain/index.js"
evil() {
	cat > "$scratch/villain/evil.sh"
	date +%s%N >> "$scratch/villain/evil.sh.stamp"
	commit villain "evil"
}
honest_push() {
	PUSH_TIMEOUT=30 push honesttoo > /dev/null || { cat "$scratch/push.log"; return 1; }
}
new_app honesttoo hello-static

as_villain() { # a shell as the project's user, as whoever took over its app has
	inside timeout 60 runuser -u villain -- "$@"
}

# -- builds --

build_reads() {
	evil <<-'END'
	for f in /etc/shadow /root /var/lib/hostkit/hostkit.db /var/lib/hostkit/jobs /home/honesttoo /home/honesttoo/.env \
		/var/lib/hostkit/repos/honesttoo.git /var/log/projects/honesttoo /var/lib/hostkit/ssh /etc/ssl/private \
		/var/log/journal/*/system.journal /run/log/journal/*/system.journal; do
		if [ -d "$f" ]; then ls "$f/" > /dev/null 2>&1 && [ -n "$(ls "$f/")" ] && echo "BROKEN read $f"
		elif head -c1 "$f" > /dev/null 2>&1; then echo "BROKEN read $f"; fi
	done
	for f in /etc/x /usr/x /var/x /run/x /var/lib/hostkit/x "/var/lib/hostkit/repos/villain.git/hooks" \
		/etc/systemd/system/x.service /etc/cron.d/x /var/spool/cron/crontabs/villain; do
		touch "$f" 2> /dev/null && echo "BROKEN wrote $f"
	done
	for p in /proc/[0-9]*; do
		[ "$(stat -c %U "$p" 2> /dev/null)" = villain ] || [ ! -e "$p/cmdline" ] || echo "BROKEN sees $p"
	done
	mknod dev b 1 1 2> /dev/null && echo BROKEN mknod
	unshare -U true 2> /dev/null && echo BROKEN unshare
	cp /bin/sh sh && chmod 6755 sh && ./sh -pc 'id -u' | grep -qx 0 && echo BROKEN setuid
	su -c id < /dev/null > /dev/null 2>&1 && echo BROKEN su
	systemctl stop hostkitd 2> /dev/null && echo BROKEN systemctl
	systemd-run --user true 2> /dev/null && echo BROKEN systemd-run
	kill -9 1 2> /dev/null && echo BROKEN kill
	echo "read everything there is"
	END
	local out
	out=$(push villain) || fail "push failed" "$out" || return 1
	contains "$out" 'read everything' && lacks "$out" 'BROKEN|tr0ub4dor|correct horse'
}
check "a build reads and writes nothing but its own" build_reads

build_links() {
	evil <<-'END'
	cd "$HOME" || exit 0
	ln -s /etc/shadow "$OLDPWD/public" 2> /dev/null
	ln /etc/shadow "$OLDPWD/hard" 2> /dev/null && echo "BROKEN hard link"
	rm -rf "$OLDPWD/node_modules"; ln -s /root "$OLDPWD/node_modules"
	mv .env .env.good; ln -s /home/honesttoo/.env .env
	rm -rf shared; ln -s /etc shared
	END
	push villain
	local out shown
	out=$(hk env list villain --reveal 2>&1)
	shown=$(hk env get villain SECRET_WORD 2>&1)
	hk env set villain X=1 > /dev/null 2>&1
	lacks "$out$shown" 'correct horse' && ! inside grep -q X=1 /home/honesttoo/.env &&
		equal 'correct horse' "$(hk env get honesttoo SECRET_WORD)" || return 1
	inside sh -c 'cd /home/villain && rm -f .env && mv .env.good .env && rm shared && mkdir shared && chown villain: shared' &&
		equal 755 "$(inside stat -c %a /etc)" && equal 700 "$(inside stat -c %a /root)" &&
		equal root "$(inside stat -c %U /etc /root | sort -u)"
}
check "links in place of .env, shared and node_modules lead nowhere" build_links

build_moves_app() {
	local before
	before=$(inside sh -c 'sha256sum /etc/passwd; ls -la /etc | sha256sum')
	evil <<-'END'
	cd "$HOME" || exit 0
	mv releases gone; ln -s /etc releases; rm -f app; ln -s /etc app
	END
	push villain && fail "push succeeded" && return 1
	equal "$before" "$(inside sh -c 'sha256sum /etc/passwd; ls -la /etc | sha256sum')" || return 1
	inside runuser -u villain -- sh -c 'cd && [ -L releases ] && rm releases && mv gone releases; rm -f app
		ln -s releases/$(ls releases | grep -E "^[0-9-]+$" | tail -1) app; ls -la' &&
		evil <<< 'echo fine' && push villain
}
check "releases and app led to /etc: nothing of /etc is touched" build_moves_app

build_fork_bomb() {
	evil <<-'END'
	bomb() { bomb | bomb & sleep 1; }
	(bomb) 2> /dev/null
	sleep 5
	exit 1
	END
	PUSH_TIMEOUT=60 push villain > /dev/null &
	local pid=$! n=0
	sleep 3
	n=$(inside sh -c 'ps -u villain --no-headers | wc -l')
	[ "$n" -lt 1200 ] && timeout 10 ssh -F "$scratch/ssh_config" hostkit whoami < /dev/null || fail "$n processes" || return 1
	wait $pid
	few() {
		[ "$(inside sh -c 'ps -u villain --no-headers | wc -l')" -lt 20 ]
	}
	wait_for 10 few
}
check "a fork bomb is bounded, and others are served meanwhile" build_fork_bomb

build_daemon() {
	evil <<-'END'
	setsid sh -c 'trap "" TERM HUP; echo $$ > $HOME/daemon; while :; do sleep 1234; done' > /dev/null 2>&1 < /dev/null &
	setsid nohup sleep 1235 &
	echo started
	END
	push villain || return 1
	gone() {
		! inside pgrep -u villain -f 'sleep 123[45]'
	}
	wait_for 10 gone
}
check "a daemon does not outlive its build" build_daemon

build_output() {
	evil <<-'END'
	yes "$(printf '\033]0;owned\007\033[2Jred\r\b\302\233x%0200d' 7)" | head -c 300000000
	printf 'one line without an end '; head -c 50000000 /dev/zero | tr '\0' 'x'
	END
	local out
	push villain > /dev/null || { tail -5 "$scratch/push.log"; return 1; }
	out=$(head -c 40000000 "$scratch/push.log")
	contains "$(tail -c 2000 <<< "$out")" 'is left out' && [ ${#out} -gt 1000000 ] && [ ${#out} -lt 35000000 ] && lacks "$(head -c 100000 <<< "$out")" $'\e|\a|\b|\xc2\x9b' || fail "${#out} bytes" || return 1
	[ "$(inside sh -c 'stat -c %s /var/lib/hostkit/jobs/*.log | sort -n | tail -1')" -lt 35000000 ]
}
check "350 MB of terminal sequences are cut and harmless" build_output

build_shm() {
	evil <<-'END'
	head -c 3000000 /dev/zero > /dev/shm/left-by-build && echo "there is some"
	END
	contains "$(push villain)" 'there is some' && ! inside test -e /dev/shm/left-by-build
}
check "a build leaves nothing in shared memory" build_shm

# -- the project's user, on the machine --

local_reads() {
	as_villain sh -c '
	for f in /etc/shadow /home/honesttoo/.env /home/honesttoo/index.html /var/lib/hostkit/hostkit.db /var/lib/hostkit/jobs/1.log \
		/var/log/projects/honesttoo/app.log /var/lib/hostkit/ssh/ssh_host_ed25519_key /var/lib/hostkit/repos/honesttoo.git/HEAD; do
		head -c1 $f > /dev/null 2>&1 && echo "BROKEN read $f"
	done
	ls /var/lib/hostkit/jobs /var/lib/hostkit/repos /var/lib/hostkit > /dev/null 2>&1 && echo "BROKEN list"
	for p in $(pgrep "hostkit|nginx"); do
		[ "$(stat -c %U /proc/$p)" = villain ] && continue
		for f in environ mem maps fd; do
			{ ls /proc/$p/$f/ || head -c1 /proc/$p/$f; } > /dev/null 2>&1 && echo "BROKEN /proc/$p/$f"
		done
		kill -0 $p 2> /dev/null && echo "BROKEN kill $p"
	done
	for f in /var/log/projects/villain/x /var/lib/hostkit/repos/x /run/hostkit/x /etc/hostkit/x /usr/libexec/hostkit/x; do
		touch $f 2> /dev/null && echo "BROKEN wrote $f"
	done
	ln -sfn /etc/shadow /var/log/projects/villain/app.log 2> /dev/null && echo "BROKEN log link"
	mv /home/villain /home/other 2> /dev/null && echo "BROKEN mv"
	find / -xdev -perm -4000 -path "*hostkit*" 2> /dev/null
	true' > "$scratch/local" 2>&1
	lacks "$(cat "$scratch/local")" 'BROKEN|/'
}
check "a project's user reads, writes and signals nothing that is not its own" local_reads

socket_case() {
	as_villain python3 /tmp/hostile.py "$@"
}
check "requests about another project are as about none" socket_case foreign honesttoo
check "requests of other phases end the connection" socket_case phases
check "odd names in requests are refused" socket_case odd_names
check "descriptors nobody asked for are refused" socket_case descriptors

other_uids() {
	local user
	for user in nobody www-data daemon hostkit hostkit-sshd; do
		inside runuser -u "$user" -- hostkit project list && fail "as $user" && return 1
	done
	true
}
check "no other uid is served" other_uids

# attack USER CASE [ARG]: it goes on until attack_over
attack() {
	local user=$1
	shift
	mkfifo "$scratch/hold.$1"
	"$vps_tool" exec --name "$vps_name" runuser -u "$user" -- python3 /tmp/hostile.py "$@" < "$scratch/hold.$1" > "$scratch/held.$1" 2>&1 &
	attack_pid=$!
	exec 9> "$scratch/hold.$1"
	wait_for 30 test -s "$scratch/held.$1"
}
attack_over() {
	exec 9>&-
	wait "$attack_pid"
}

programs_held() {
	attack villain hold villain || return 1
	cat "$scratch/held.hold"
	local status=0
	honest_push && hk env list honesttoo > /dev/null && hk whoami > /dev/null || status=1
	attack_over
	return $status
}
check "one user holds all programs it can: others push" programs_held

# whoever stops root's helpers on their way, as a process of the same user can, holds up nobody but itself
helpers_stopped() {
	local before pid status=0
	before=$(inside systemctl show -p MainPID --value hostkitd)
	inside setpriv --reuid villain --regid villain --init-groups python3 -c 'if True:
		import os, signal, time
		end = time.monotonic() + 20
		while time.monotonic() < end:
			try: os.kill(-1, signal.SIGSTOP)
			except ProcessLookupError: pass
		os.kill(-1, signal.SIGKILL)' > /dev/null 2>&1 &
	pid=$!
	wait_for 10 inside pgrep -u villain python3 > /dev/null || return 1
	for _ in 1 2 3 4 5 6; do
		timeout 15 ssh -F "$scratch/ssh_config" hostkit env list villain < /dev/null > /dev/null 2>&1 &
	done
	for _ in 1 2 3 4 5; do
		timeout 4 ssh -F "$scratch/ssh_config" hostkit project list < /dev/null > /dev/null || status=1
	done
	honest_push || status=1
	wait $pid
	equal "$before" "$(inside systemctl show -p MainPID --value hostkitd)" "hostkitd" || status=1
	return $status
}
check "one user stops all helpers it can: others are served" helpers_stopped

answers_unread() {
	attack villain unread villain || return 1
	local fds
	fds=$(inside sh -c 'ls /proc/$(systemctl show -p MainPID --value hostkitd)/fd | wc -l')
	local status=0
	hk whoami > /dev/null && hk env list honesttoo > /dev/null && [ "$fds" -lt 2000 ] || status=1
	attack_over
	echo "$fds descriptors"
	return $status
}
check "answers nobody reads cost hostkitd little" answers_unread

no_descriptors() {
	local pid n before after status=0
	pid=$(inside systemctl show -p MainPID --value hostkitd)
	n=$(inside sh -c "ls /proc/$pid/fd | wc -l")
	inside prlimit --pid "$pid" --nofile=$((n + 3)):16384
	attack root crowd 40 || return 1
	before=$(inside awk '{ print $14 + $15 }' "/proc/$pid/stat")
	sleep 1
	after=$(inside awk '{ print $14 + $15 }' "/proc/$pid/stat")
	attack_over
	wait_for 5 inside hostkit whoami || status=1
	inside prlimit --pid "$pid" --nofile=16384:16384
	[ $((after - before)) -lt 20 ] || fail "$((after - before)) ticks of processor in a second" || return 1
	hk whoami > /dev/null && return $status
}
check "hostkitd without descriptors waits quietly and comes back" no_descriptors

# -- keys and clients --

idle_crowd() {
	python3 - "$address" "$ssh_port" <<-'END' &
	import socket, sys, time
	held = []
	until = time.time() + 12
	for i in range(500):
	    try:
	        held.append(socket.create_connection((sys.argv[1], int(sys.argv[2])), 2))
	        if i % 3 == 0: held[-1].send(b"SSH-2.0-x\r\n")
	    except OSError: pass
	time.sleep(max(0, until - time.time()))
	END
	local pid=$! status=0
	sleep 3
	date > "$scratch/honesttoo/crowd"
	commit honesttoo "in a crowd"
	honest_push || { sleep 2; honest_push; } || status=1
	kill $pid
	wait $pid 2> /dev/null
	return $status
}
check "500 idle connections from one address: a push still gets through" idle_crowd

revoked() {
	new_key tmpkey
	hk_in key add villain revoked --deploy < "$scratch/tmpkey.pub" || return 1
	cat >> "$scratch/ssh_config" <<-END
	Host tmpkey
		ControlPath $scratch/control
	END
	as tmpkey -M -N -f || return 1
	as tmpkey whoami && hk key remove revoked || return 1
	local status=0
	as tmpkey whoami && status=1
	as tmpkey jobs villain && status=1
	evil <<< 'echo by a revoked key'
	git -C "$scratch/villain" push "tmpkey:villain" main && status=1
	ssh -F "$scratch/ssh_config" -O exit tmpkey
	return $status
}
check "a revoked key gets nothing more from an open connection" revoked

verbs_of_deploy_key() {
	new_key deployer
	hk_in key add villain deployer --deploy < "$scratch/deployer.pub" || return 1
	local v
	for v in "env list villain" "env set villain A=1" "env get villain SECRET_WORD" "restart villain" "rollback villain" \
		"logs villain" "key list" "project delete villain --confirm villain" "provision another" "jobs honesttoo" \
		"logs --build 1 honesttoo" "releases honesttoo" "project info honesttoo" "status honesttoo"; do
		# shellcheck disable=SC2086
		as deployer $v && fail "it may: $v" && return 1
	done
	lacks "$(as deployer project list)$(as deployer jobs)$(as deployer status)" honesttoo && hk key remove deployer
}
check "a deploy key does what it is for and no more" verbs_of_deploy_key

exec_lines() {
	local line
	for line in 'whoami; id' '$(id)' '`id`' 'whoami && id' 'whoami | id' "git-receive-pack 'villain' '--exec=id'" \
		"git-upload-pack --upload-pack=id 'villain'" "git-receive-pack 'villain.git/../honesttoo'" \
		"git-receive-pack \"villain\"; id" $'whoami\nid' "env get villain '--output=/tmp/x'" "'" '\\' '   '; do
		out=$(as hostkit "$line" 2>&1) && contains "$out" 'uid=' && fail "ran: $line" && return 1
		lacks "$out" 'uid=[0-9]' || return 1
	done
	out=$(ssh -F "$scratch/ssh_config" -o SetEnv="LD_PRELOAD=/tmp/x.so GIT_TRACE=/tmp/trace PATH=/tmp" hostkit whoami < /dev/null) &&
		contains "$out" "$key_name" && ! inside test -e /tmp/trace
}
check "lines to execute are words, never a shell's" exec_lines

env_values() {
	local value file=$scratch/value n=0
	for value in '%n %i $HOME ${PATH} `id` $(id)' $'tab\there' 'a"b'"'"'c\' '\' '#no comment' ' blanks ' '=' \
		'[Service]' 'é\xff\n' "x' ; id ; '"; do
		n=$((n + 1))
		printf '%s' "$value" > "$file"
		hk_in env set villain HARD=- < "$file" > /dev/null || fail "set: $value" || return 1
		equal "$value" "$(hk env get villain HARD)" || return 1
		equal "$value" "$(as_villain /usr/libexec/hostkit/hostkit-run /home/villain /usr/bin/printenv HARD)" "as the app sees it" || return 1
	done
	printf 'one\nExecStartPre=/bin/sh -c id' > "$file"
	hk_in env set villain HARD=- < "$file" && fail "a line break was taken" && return 1
	for n in LD_PRELOAD 'A B' 'A=B' '' 1A 'BASH_FUNC_x%%' $'A\nB' PORT; do
		printf x | hk_in env set villain "'$n=-'" > /dev/null 2>&1 && [ "$n" != LD_PRELOAD ] && fail "key '$n' was taken" && return 1
	done
	hk env unset villain HARD LD_PRELOAD > /dev/null 2>&1
	lacks "$(inside cat /etc/systemd/system/hostkit-villain.service)" 'HARD|Pre'
}
check "environment values arrive byte for byte and nowhere else" env_values

log_sequences() {
	inside sh -c 'printf "\033]0;owned\007\033[2J\r\b\302\233 \342\200\256 \377\000 end of it\n" >> /var/log/projects/villain/app.log'
	local out
	out=$(hk logs villain -n 5 | tr '\0' '@')
	contains "$out" 'end of it' && lacks "$out" $'\e|\a|\b|\r|\xc2\x9b|@' &&
		hk logs villain -n 5 --json | python3 -c 'import json, sys; json.load(sys.stdin)'
}
check "terminal sequences in logs are shown, not sent" log_sequences

# -- two at once --

provision_twice() {
	hk provision twinned --node > "$scratch/one" 2>&1 &
	local one=$!
	hk provision twinned --static > "$scratch/two" 2>&1
	local two=$? first=0
	wait $one || first=$?
	cat "$scratch/one" "$scratch/two"
	[ $((first == 0)) -ne $((two == 0)) ] && hk project info twinned && hk project delete twinned --confirm twinned &&
		! inside id twinned && ! inside test -e /home/twinned
}
check "two provisions of one name: one is told, nothing half-made" provision_twice

deleted_in_push() {
	evil <<-'END'
	echo waiting now
	sleep 20
	END
	push villain > /dev/null &
	local pid=$! out
	wait_for 15 grep -q 'waiting now' "$scratch/push.log" || return 1
	out=$(hk project delete villain --confirm villain 2>&1)
	echo "$out"
	if contains "$out" 'is at work' > /dev/null; then
		# shellcheck disable=SC2046 # one word a process
		kill -9 $(jobs -p) 2> /dev/null
		inside sh -c 'systemctl kill -s KILL "hostkit-build-*"'
		deleted() {
			hk project delete villain --confirm villain
		}
		wait_for 20 deleted || return 1
	fi
	wait $pid 2> /dev/null
	! inside id villain && ! inside test -e /home/villain && ! inside test -e /var/lib/hostkit/repos/villain.git &&
		! inside test -e /etc/systemd/system/hostkit-villain.service && equal "" "$(inside pgrep -u villain 2> /dev/null)"
}
check "a project deleted in mid-push leaves nothing" deleted_in_push

check "an honest push works after all that" honest_push
for p in villain honesttoo twinned; do
	hk project delete $p --confirm $p > /dev/null 2>&1
done
e2e_finish
