#!/bin/sh
# boundary.sh BUILD: reads the link line of each program in a build and compares it with what docs/architecture.md
# and docs/dependencies.md allow. A library that is not named here needs a decision, not an exception.
set -eu

# What every program has: the C library and its loader, and the run-time libraries of a build with sanitizers.
common='libc libm ld-linux-x86-64 ld-linux-aarch64 libgcc_s libasan libubsan libpthread librt libdl linux-vdso'

allowed()
{
	case $1 in
	hostkitd) echo 'libsystemd libsqlite3 libinih' ;;
	hostkit-sshd) echo 'libssh libcrypto libseccomp libinih libz libresolv' ;;
	hostkit) echo 'libjansson' ;;
	hostkit-receive) echo 'libgit2 libz' ;;
	hostkit-build) echo 'libgit2 libjansson libz' ;;
	hostkit-home | hostkit-run) echo '' ;;
	hostkit-job) echo 'libsystemd' ;;
	hostkit-probe) echo 'libcurl libcurl-gnutls' ;;
	*) return 1 ;;
	esac
}

# Never in root, whatever the list above may come to say.
forbidden='libssh libgit2 libarchive libpq libhiredis libcurl libcurl-gnutls libjansson libcrypto libz'

failed=0 seen=''
programs=$(find "$1" -maxdepth 2 -type f -name 'hostkit*' -perm -u+x)
for program in $programs; do
	name=${program##*/}
	if ! list=$(allowed "$name"); then
		echo "$name: not in tests/boundary.sh: say what it may link" >&2
		failed=1
		continue
	fi
	needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
	[ -n "$needed" ] || {
		echo "$name: no dynamic section to read" >&2
		failed=1
	}
	for library in $needed; do
		base=${library%%.so*}
		case " $common $list " in
		*" $base "*) ;;
		*)
			echo "$name links $library, which it may not" >&2
			failed=1
			;;
		esac
		[ "$name" = hostkitd ] || continue
		case " $forbidden " in
		*" $base "*)
			echo "hostkitd links $library: root must not" >&2
			failed=1
			;;
		esac
	done
	printf '%s:' "$name"
	# shellcheck disable=SC2086 # one word a library
	printf ' %s' $needed
	echo
	seen="$seen $name"
done
for name in hostkitd hostkit-sshd hostkit hostkit-receive hostkit-build hostkit-home hostkit-run \
	hostkit-job hostkit-probe; do
	case "$seen " in
	*" $name "*) ;;
	*)
		echo "$name: not in the build" >&2
		failed=1
		;;
	esac
done
exit $failed
