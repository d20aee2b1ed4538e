#!/usr/bin/env bash
# headers.sh: every header compiles alone, is guarded by #pragma once and documents the functions it declares.
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.." || exit 1

flags=(-std=gnu17 -D_GNU_SOURCE -DHOSTKIT_VERSION='"0"' -DHOSTKIT_LIBEXEC_DIR='"/usr/libexec/hostkit"'
	-I. -Wall -Wextra -Werror -Wno-missing-field-initializers -Wno-unused-function -fsyntax-only)
mapfile -t headers < <(git ls-files '*.h')

# twice in one file, so that a header without its guard shows as well
compiles() {
	# shellcheck disable=SC2016 # the inner shell's
	printf '%s\n' "${headers[@]}" | xargs -P 2 -n 1 bash -c 'printf "#include \"%s\"\n#include \"%s\"\n" "${@: -1}" "${@: -1}" |
		"${CC:-cc}" "${@:1:$#-1}" -x c - || { echo "${@: -1} does not compile alone"; exit 1; }' bash "${flags[@]}"
}

guarded() {
	local without
	without=$(grep -L '^#pragma once$' "${headers[@]}")
	[ -z "$without" ] || fail "$without"
}

# A function, or a group of them, has a comment in front; so a declaration behind a blank line is one without.
# What _done(), _free(), _ref() and _unref() do is the same everywhere (CONTRIBUTING.md).
documented() {
	local bare public
	mapfile -t public < <(printf '%s\n' "${headers[@]}" | grep -v '^tests/')
	bare=$(awk '
		FNR == 1 { before = ""; comment = 0 }
		/^[a-z].*\(/ && !/_(done|free|ref|unref)\(/ && !/^(static inline|typedef|extern "C")/ && !/^struct [a-z_]+$/ && before == "blank" {
			print FILENAME ":" FNR ": " $0
		}
		{ before = /^[[:space:]]*$/ ? "blank" : "text" }
	' "${public[@]}")
	[ -z "$bare" ] || fail "$bare"
}

check "${#headers[@]} headers compile alone" compiles
check "each has #pragma once" guarded
check "functions are documented" documented
finish
