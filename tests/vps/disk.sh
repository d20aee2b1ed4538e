# shellcheck shell=bash
# shellcheck disable=SC2015,SC2154 # meant as it works; here is the caller's
# The disk of a VPS: an overlay of this machine's own root on a tmpfs, as a machine that was
# installed a moment ago. What belongs to this machine alone (homes, tmp, units, sites,
# registries' passwords) is not on it.

# Top-level folders that are the operating system's; all others are hidden.
disk_keep=" bin boot dev etc lib lib32 lib64 libx32 opt proc run sbin sys usr var "

# Hidden below them. No error where one is not there.
disk_hide=(
	/etc/hostkit
	/etc/letsencrypt
	/etc/nginx/sites-enabled
	/etc/systemd/system
	/usr/sbin/policy-rc.d
	/var/lib/hostkit
	/var/lib/redis
	/var/lib/systemd
	/var/log/journal
	/var/log/projects
	/var/spool/cron/crontabs
	/var/tmp
)

# Started by this machine's packages or by systemd itself, of no use to a VPS that lives for
# minutes, or not possible in one.
disk_masked_units=(
	cryptsetup.target dev-hugepages.mount getty.target integritysetup.target
	kmod-static-nodes.service machines.target proc-sys-fs-binfmt_misc.automount
	sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount
	sys-kernel-tracing.mount systemd-ask-password-console.path
	systemd-ask-password-wall.path systemd-binfmt.service systemd-firstboot.service
	systemd-journal-flush.service systemd-machine-id-commit.service
	systemd-modules-load.service systemd-networkd.service systemd-pcrphase.service
	systemd-pcrphase-sysinit.service systemd-pstore.service systemd-random-seed.service
	systemd-repart.service systemd-resolved.service systemd-sysctl.service
	systemd-timesyncd.service systemd-udevd.service systemd-udev-trigger.service
	systemd-update-utmp.service systemd-update-utmp-runlevel.service tmp.mount
	var-lib-machines.mount veritysetup.target
)

disk_enabled_units=(nginx redis-server postgresql)

# Mount points other than / that are part of the installed system, one a line, parents first.
disk_lowers()
{
	echo /
	awk '$3 ~ /^(ext[234]|xfs|btrfs|f2fs|zfs|bcachefs)$/ &&
		$2 ~ /^\/(usr|var|etc|opt)(\/|$)/ &&
		$2 !~ /^\/var\/(tmp|lib\/(docker|containers|containerd|lxc|machines|kubelet)|snap)(\/|$)/ {
		print $2 }' /proc/self/mounts | sort -u
}

# Puts a whiteout (what overlayfs takes for "deleted") for a path into the upper layer.
disk_whiteout()
{
	local path=$1 lower layer=/
	[ -e "$path" ] || [ -L "$path" ] || return 0
	for lower in "${lowers[@]}"; do
		case $path in
		"$lower") return 0 ;;
		"${lower%/}"/*) layer=$lower ;;
		esac
	done
	path=$(disk_layer "$layer")/up/${path#"${layer%/}"}
	mkdir -p -- "${path%/*}"
	mknod "$path" c 0 0
}

# Where the upper layer over the given mount point lives.
disk_layer()
{
	echo "/mnt/disk/layers$(tr / @ <<<"$1")"
}

disk_overlay()
{
	local layer options
	layer=$(disk_layer "$1")
	options=lowerdir=$1,upperdir=$layer/up,workdir=$layer/work
	# Without redirect_dir a folder of the lower layer cannot be renamed (EXDEV).
	mount -t overlay -o "$options,redirect_dir=on" hostkit-vps "/mnt/disk/root$1" 2>/dev/null ||
		mount -t overlay -o "$options" hostkit-vps "/mnt/disk/root$1"
}

disk_create()
{
	local path lower layer
	mount -t tmpfs -o "size=$1,mode=755" hostkit-vps /mnt/disk
	mkdir /mnt/disk/root
	mapfile -t lowers < <(disk_lowers)
	for lower in "${lowers[@]}"; do
		layer=$(disk_layer "$lower")
		mkdir -p "$layer/up" "$layer/work"
	done
	for path in /* /.[!.]*; do
		case $disk_keep in
		*" ${path#/} "*) ;;
		*) [ -L "$path" ] || disk_whiteout "$path" ;;
		esac
	done
	for path in "${disk_hide[@]}" /etc/systemd/system.control /etc/sudoers.d/hostkit-* \
		/etc/nginx/conf.d/hostkit*; do
		disk_whiteout "$path"
	done
	for lower in "${lowers[@]}"; do
		disk_overlay "$lower"
	done
}

disk_fill()
{
	local root=$1 name=$2 index=$3
	install -d -m 755 "$root"/{home,media,mnt,srv,etc/systemd/{system,system.conf.d,journald.conf.d}} \
		"$root"/{etc/nginx/sites-enabled,var/lib/systemd,usr/lib/hostkit-vps}
	install -d -m 1777 "$root/tmp" "$root/var/tmp"
	install -d -m 700 "$root/root"
	install -m 755 "$here/init" "$root/usr/lib/hostkit-vps/init"
	disk_identity "$root" "$name" "$index"
	disk_units "$root"
	disk_redis "$root"
	disk_postgres "$root"
	disk_registries "$root"
	[ ! -e /etc/nginx/sites-available/default ] ||
		ln -s /etc/nginx/sites-available/default "$root/etc/nginx/sites-enabled/default"
}

disk_identity()
{
	local root=$1 name=$2 index=$3
	tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
	: >"$root/etc/fstab"
	echo "$name" >"$root/etc/hostname"
	{
		echo "127.0.0.1 localhost"
		echo "::1 localhost ip6-localhost ip6-loopback"
		echo "10.203.$index.2 $name"
		# What this machine knows besides itself.
		grep -Ev '^[[:space:]]*(#|$|127\.|::1[[:space:]])' /etc/hosts || :
	} >"$root/etc/hosts"
	disk_resolver >"$root/etc/resolv.conf.new"
	rm -f "$root/etc/resolv.conf"
	mv "$root/etc/resolv.conf.new" "$root/etc/resolv.conf"
}

# The machine's name servers; one on its loopback is out of reach, those behind it are not.
disk_resolver()
{
	local file
	for file in /etc/resolv.conf /run/systemd/resolve/resolv.conf \
		/run/NetworkManager/no-stub-resolv.conf; do
		if grep -E '^nameserver[[:space:]]' "$file" 2>/dev/null |
			grep -Ev '[[:space:]](127\.|::1)'; then
			grep -E '^(search|options)[[:space:]]' "$file" || :
			return
		fi
	done
}

# Nothing this machine has enabled: what a VPS needs, from the vendor's units.
disk_units()
{
	local root=$1 units=$1/etc/systemd/system unit
	for unit in "${disk_masked_units[@]}"; do
		ln -s /dev/null "$units/$unit"
	done
	ln -s /lib/systemd/system/multi-user.target "$units/default.target"
	mkdir "$units/multi-user.target.wants"
	for unit in "${disk_enabled_units[@]}"; do
		ln -s "/lib/systemd/system/$unit.service" "$units/multi-user.target.wants/"
	done
	ln -s /lib/systemd/system/redis-server.service "$units/redis.service"
	# A machine that systemd does not boot lacks the package that has them.
	for unit in halt poweroff reboot runlevel shutdown telinit; do
		[ -e "$root/sbin/$unit" ] || ln -s /bin/systemctl "$root/sbin/$unit"
	done
	[ -e "$root/sbin/init" ] || ln -s /lib/systemd/systemd "$root/sbin/init"
	printf '%s\n' '[Journal]' Storage=volatile RuntimeMaxUse=32M ForwardToConsole=no \
		ForwardToWall=no >"$root/etc/systemd/journald.conf.d/50-vps.conf"
}

disk_redis()
{
	install -d -m 750 -o redis -g redis "$1/var/lib/redis"
}

# Clusters are this machine's, or fresh ones where these are in use: a copy of files that
# somebody writes is none. Debian's pg_ctlcluster waits in steps of half a second and knows
# no readiness; postgres itself does.
disk_postgres()
{
	local root=$1 conf version cluster data dropin
	for conf in /etc/postgresql/*/*/postgresql.conf; do
		[ -e "$conf" ] || continue
		cluster=${conf%/*}
		version=${cluster%/*}
		version=${version##*/}
		cluster=${cluster##*/}
		data=/var/lib/postgresql/$version/$cluster
		if [ -e "$data/postmaster.pid" ]; then
			rm -rf "${root:?}$data"
			install -d -m 700 -o postgres -g postgres "$root$data"
			setpriv --reuid postgres --regid postgres --init-groups \
				"/usr/lib/postgresql/$version/bin/initdb" --no-sync \
				--pgdata="$root$data" --encoding=UTF8 --locale=C.UTF-8 \
				--auth-local=peer --auth-host=scram-sha-256
		fi
		dropin=$root/etc/systemd/system/postgresql@$version-$cluster.service.d
		mkdir "$dropin"
		cat >"$dropin/vps.conf" <<-END
		[Service]
		Type=notify
		User=postgres
		PIDFile=
		ExecStart=
		ExecStart=/usr/lib/postgresql/$version/bin/postgres -D $data -c config_file=$conf
		ExecStop=
		ExecReload=
		ExecReload=/bin/kill -HUP \$MAINPID
		KillMode=mixed
		KillSignal=SIGINT
		END
	done
}

# How this machine reaches the package registries, in files that every user inside reads,
# because services and builds start with an environment of their own.
disk_registries()
{
	local root=$1 home file
	local -a homes=("${HOME:-/root}")
	[ -z "${SUDO_USER:-}" ] || homes=("$(getent passwd "$SUDO_USER" | cut -d: -f6)" "${HOME:-/root}")

	mkdir -p "$root/usr/etc" "$root/usr/local/etc"
	{
		cat /usr/local/etc/npmrc /usr/etc/npmrc /etc/npmrc 2>/dev/null || :
		for home in "${homes[@]}"; do
			cat "$home/.npmrc" 2>/dev/null || :
		done
		disk_npm_environment
	} | disk_npm_filter | disk_carry "$root" >"$root/etc/npmrc.new"
	for file in /usr/local/etc/npmrc /usr/etc/npmrc /etc/npmrc; do
		install -m 644 "$root/etc/npmrc.new" "$root$file"
	done
	rm "$root/etc/npmrc.new"

	{
		cat /etc/xdg/pip/pip.conf /etc/pip.conf 2>/dev/null || :
		for home in "${homes[@]}"; do
			cat "$home/.pip/pip.conf" "$home/.config/pip/pip.conf" 2>/dev/null || :
		done
		disk_pip_environment
	} | disk_pip_filter | disk_carry "$root" >"$root/etc/pip.conf.new"
	mv "$root/etc/pip.conf.new" "$root/etc/pip.conf"

	[ -z "${http_proxy:-${https_proxy:-}}" ] || {
		echo "Acquire::http::Proxy \"${http_proxy:-$https_proxy}\";"
		echo "Acquire::https::Proxy \"${https_proxy:-$http_proxy}\";"
	} >"$root/etc/apt/apt.conf.d/90hostkit-vps"

	disk_environment "$root"
}

disk_npm_environment()
{
	[ -z "${http_proxy:-}" ] || echo "proxy=$http_proxy"
	[ -z "${https_proxy:-}" ] || echo "https-proxy=$https_proxy"
	[ -z "${no_proxy:-}" ] || echo "noproxy=$no_proxy"
	env | sed -nE 's/^npm_config_([^=]+)=/\1=/Ip' | while IFS= read -r line; do
		key=${line%%=*}
		key=${key,,}
		echo "${key//_/-}=${line#*=}"
	done
	# For npm's own requests; what node itself fetches has the variable.
	[ -z "${NODE_EXTRA_CA_CERTS:-}" ] || echo "cafile=$NODE_EXTRA_CA_CERTS"
}

# Only what says where a registry is and how to get there; no passwords, which everybody
# inside could read.
disk_npm_filter()
{
	awk '{ key = $0; sub(/[ \t]*=.*/, "", key); sub(/^[ \t]+/, "", key) }
		/:\/\/[^\/]*@/ { next }
		key ~ /^((@[^:]+:)?registry|cafile|ca(\[\])?|proxy|https?-proxy|noproxy|strict-ssl)$/ ||
		key ~ /^(fetch-.*|maxsockets|audit|update-notifier|replace-registry-host)$/ ||
		key ~ /^omit-lockfile-registry-resolved$/ {
			line = $0
			sub(/[ \t]*=[ \t]*/, "=", line)
			if (key ~ /\[\]$/) print line
			else kept[key] = line
		}
		END { for (key in kept) print kept[key] }'
}

disk_pip_environment()
{
	[ -z "${https_proxy:-${http_proxy:-}}" ] || echo "proxy = ${https_proxy:-$http_proxy}"
	env | sed -nE 's/^PIP_([^=]+)=/\1=/p' | while IFS= read -r line; do
		key=${line%%=*}
		key=${key,,}
		echo "${key//_/-} = ${line#*=}"
	done
}

# One [global] section of what several pip.conf say, the last one winning.
disk_pip_filter()
{
	awk '/^[ \t]*([#;]|$)/ || /^\[/ { next }
		/:\/\/[^\/]*@/ { if (/^[^ \t]/) key = ""; next }
		/^[ \t]/ { if (key in kept) kept[key] = kept[key] "\n" $0; next }
		{
			key = $0
			sub(/[ \t]*[=:].*/, "", key)
			if (key ~ /^(index-url|extra-index-url|find-links|no-index|index|cert|proxy)$/ ||
			    key ~ /^(trusted-host|timeout|default-timeout|retries)$/ ||
			    key ~ /^disable-pip-version-check$/)
				kept[key] = $0
			else
				key = ""
		}
		BEGIN { print "[global]" }
		END { for (key in kept) print kept[key] }'
}

# Copies lines; a certificate file named by one that the VPS would not see goes with it.
disk_carry()
{
	local root=$1 line path copy
	while IFS= read -r line; do
		path=${line#*=}
		path=${path# }
		if [[ $path == /* && -f $path && ! -e $root$path ]]; then
			copy=/etc/ssl/hostkit-vps/$(tr / _ <<<"${path#/}")
			install -D -m 644 "$path" "$root$copy"
			line=${line%"$path"}$copy
		fi
		printf '%s\n' "$line"
	done
}

# The same for what only an environment says, for all that systemd starts.
disk_environment()
{
	local root=$1 variable value list=""
	for variable in NODE_EXTRA_CA_CERTS SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE \
		CURL_CA_BUNDLE GIT_SSL_CAINFO PIP_CERT http_proxy https_proxy no_proxy HTTP_PROXY \
		HTTPS_PROXY NO_PROXY; do
		value=${!variable:-}
		[ -n "$value" ] && [[ ! $value =~ ://[^/]*@ ]] || continue
		value=$(disk_carry "$root" <<<"$value")
		value=${value//\\/\\\\}
		value=${value//\"/\\\"}
		list+=" \"$variable=${value//%/%%}\""
	done
	printf '[Manager]\nDefaultEnvironment=%s\n' "$list" \
		>"$root/etc/systemd/system.conf.d/50-vps.conf"
}
