#!/bin/sh
# privileges-doc.sh REQUEST.H PRIVILEGES.MD: every request has its line in the documentation, with its phase, and no
# line is about a request that does not exist.
set -eu

table=$(sed -n 's/^\tX(\([A-Z_]*\), \([A-Z]*\), [a-z]*).*/\1 \2/p' "$1")
doc=$(sed -n '/^## Requests/,/^## Provisioning/s/^| \([A-Z_]*\) | \([A-Z]*\)[, ].*/\1 \2/p' "$2")
[ -n "$table" ] && [ -n "$doc" ]
if [ "$table" != "$doc" ]; then
	echo "the requests of $1 (request, phase) and of $2 differ:" >&2
	printf '%s\n' "$table" >"${TMPDIR:-/tmp}/requests.$$"
	printf '%s\n' "$doc" | diff "${TMPDIR:-/tmp}/requests.$$" - >&2 || :
	rm -f "${TMPDIR:-/tmp}/requests.$$"
	exit 1
fi
