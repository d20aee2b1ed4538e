# shellcheck shell=bash
# The network of a VPS: 10.203.N.1 is this machine, 10.203.N.2 the VPS. N is a symbolic link
# $VPS_STATE/.index/N to the name, because making one is atomic and says whose it is.

index_take()
{
	local n
	for ((n = 1; n <= 254; n++)); do
		mkdir -p -- "$VPS_STATE/.index"
		[ ! -e "/sys/class/net/hkv$n" ] || continue
		# This machine may be a VPS of another one.
		[ -z "$(ip -4 -o address show to "10.203.$n.0/30")" ] || continue
		if ln -sT -- "$1" "$VPS_STATE/.index/$n" 2>/dev/null; then
			echo "$n"
			return
		fi
	done
	return 1
}

index_release()
{
	local link
	for link in "$VPS_STATE"/.index/*; do
		[ "$(readlink -- "$link")" != "$1" ] || rm -f -- "$link"
	done
	rmdir -- "$VPS_STATE/.index" 2>/dev/null || :
}

# The interface of the default route; empty where this machine has none.
outer_interface()
{
	ip -4 -o route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1
}

# Runs a command while nobody else changes what all VPSs share.
with_shared_lock()
{
	(
		mkdir -p -- "$VPS_STATE"
		exec 8<"$VPS_STATE"
		flock --timeout 30 8 || die "$VPS_STATE is locked by somebody else for 30 seconds now"
		"$@" 8<&-
	)
}

# Packets are forwarded between the VPS and the outer interface only; what that one had
# before is kept until the last VPS goes.
forward_enable()
{
	local sysctl=/proc/sys/net/ipv4/conf
	[ -e "$VPS_STATE/.forwarding" ] || [ "$(<"$sysctl/$2/forwarding")" = 1 ] ||
		echo "$2" >"$VPS_STATE/.forwarding"
	echo 1 >"$sysctl/$2/forwarding"
	echo 1 >"$sysctl/$1/forwarding"
}

forward_restore()
{
	local outer
	[ ! -d "$VPS_STATE/.index" ] && [ -e "$VPS_STATE/.forwarding" ] || return 0
	outer=$(<"$VPS_STATE/.forwarding")
	{ echo 0 >"/proc/sys/net/ipv4/conf/$outer/forwarding"; } 2>/dev/null || :
	rm -f -- "$VPS_STATE/.forwarding"
}

network_restore()
{
	[ ! -e "$VPS_STATE/.forwarding" ] || with_shared_lock forward_restore
}

# "family table chain" of every chain that may drop what is forwarded (Docker, ufw, firewalld).
firewall_chains()
{
	nft list chains 2>/dev/null | awk '
		$1 == "table" { family = $2; table = $3 }
		$1 == "chain" { chain = $2 }
		/hook forward/ && (family == "ip" || family == "inet") { print family, table, chain }'
}

# A table of our own cannot overrule such a chain; a rule at its top can.
firewall_open()
{
	local chain
	firewall_chains | while read -r chain; do
		nft -f - <<-END
		insert rule $chain iifname "hkv$1" accept comment "hostkit-vps-$1"
		insert rule $chain oifname "hkv$1" accept comment "hostkit-vps-$1"
		END
	done
}

firewall_close()
{
	local chain handle
	firewall_chains | while read -r chain; do
		# shellcheck disable=SC2086 # family, table and chain are three words
		nft -a list chain $chain |
			sed -n "s/.*comment \"hostkit-vps-$1\" # handle \([0-9]*\)$/\1/p" |
			while read -r handle; do
				nft delete rule $chain handle "$handle"
			done
	done
}

# Connects the network namespace of process PID as VPS number N.
network_up()
{
	local n=$1 pid=$2 outer mtu=1500
	while [ "/proc/$pid/ns/net" -ef /proc/self/ns/net ]; do
		sleep 0.005
	done
	outer=$(outer_interface)
	[ -z "$outer" ] || mtu=$(<"/sys/class/net/$outer/mtu")
	ip link add "hkv$n" mtu "$mtu" type veth peer name eth0 mtu "$mtu" netns "$pid"
	ip -batch - <<-END
	address add 10.203.$n.1/30 dev hkv$n
	link set hkv$n up
	END
	nsenter --target "$pid" --net ip -batch - <<-END
	link set lo up
	address add 10.203.$n.2/30 dev eth0
	link set eth0 up
	route add default via 10.203.$n.1
	END
	if [ -z "$outer" ]; then
		say "this machine has no default route: nothing outside it can be reached from inside"
		return
	fi
	nft -f - <<-END
	table ip hostkit_vps_$n {
		chain outward {
			type nat hook postrouting priority srcnat
			ip saddr 10.203.$n.2 oifname != "hkv$n" masquerade
		}
	}
	END
	firewall_open "$n"
	with_shared_lock forward_enable "hkv$n" "$outer"
}

network_down()
{
	ip link delete "hkv$1" 2>/dev/null || :
	nft delete table ip "hostkit_vps_$1" 2>/dev/null || :
	firewall_close "$1" || :
}
