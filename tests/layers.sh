#!/usr/bin/env bash
# layers.sh: compares what the folders include from each other with the table "What may include what" of
# docs/architecture.md, and sees that a folder's internal headers are included by that folder alone.
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.." || exit 1

# table: "FOLDER ALLOWED..." a line; a file of its own may have a line of its own
table=$(sed -n '/^## What may include what/,/^## /p' docs/architecture.md |
	sed -nE 's/^\| `([^`]+)` \|(.*)\|$/\1 \2/p' | tr -d '`,')

# allowed FOLDER_OR_FILE
allowed() {
	sed -nE "s#^$1 ##p" <<< "$table"
}

# includes FILE...: "FILE FOLDER" of each include of ours
includes() {
	grep -HE '^#include "' "$@" | sed -E 's#^([^:]+):\#include "([^/"]+)/.*#\1 \2#' | sort -u
}

folder_keeps_to_table() {
	local folder=$1 file other status=0
	[ -n "$(allowed "$folder/")" ] || fail "$folder/ is not in the table" || return 1
	while read -r file other; do
		case " $folder $(allowed "$folder/") $(allowed "$file") " in
		*" $other "*) ;;
		*)
			echo "$file includes $other/, which the table does not allow"
			status=1
			;;
		esac
	done < <(includes "$folder"/*.[ch])
	return $status
}

internal_stays_inside() {
	local found
	found=$(grep -rnE --include='*.[ch]' '^#include "[^"]*internal\.h"' "${folders[@]}" |
		sed -nE 's#^(([^/]+)/[^:]+):[0-9]+:.include "([^/]+)/(.*)"#\2 \3 \1 includes \3/\4#p' | awk '$1 != $2')
	[ -z "$found" ] || fail "$found"
}

mapfile -t folders < <(git ls-files '*.c' | cut -d/ -f1 | grep -vxE 'tests|examples|git' | sort -u)
for folder in "${folders[@]}"; do
	check "$folder/ includes what it may" folder_keeps_to_table "$folder"
done
check "internal headers stay inside" internal_stays_inside
finish
