# shellcheck shell=bash
# A handful of helpers for tests that run as shell scripts: one line per check, and a last
# line "N passed, N failed, N skipped". Source it, check things, end with `finish`.

passed=0 failed=0 skipped=0

# pass NAME [DETAIL...], fail NAME [WHY...], skip NAME WHY...: count and print one check.
pass()
{
	passed=$((passed + 1))
	echo "ok      $1${2:+: ${*:2}}"
}

fail()
{
	failed=$((failed + 1))
	echo "FAILED  $1${2:+: ${*:2}}"
}

skip()
{
	skipped=$((skipped + 1))
	echo "skipped $1${2:+: ${*:2}}"
}

# check NAME COMMAND...: passes when the command does; its output is shown when it does not.
check()
{
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		pass "$name"
	else
		fail "$name" "status $?"
		[ -z "$output" ] || tail -n 20 <<<"$output" | sed 's/^/        /'
	fi
}

# equal NAME EXPECTED ACTUAL
equal()
{
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1"
		diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") | sed 's/^/        /'
	fi
}

# matches NAME PATTERN ACTUAL: an extended regular expression somewhere in it.
matches()
{
	if [[ $3 =~ $2 ]]; then
		pass "$1"
	else
		fail "$1" "no /$2/ in:"
		tail -n 20 <<<"$3" | sed 's/^/        /'
	fi
}

# wait_until SECONDS COMMAND...: tries until the command succeeds; fails when it never does.
wait_until()
{
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $deadline ] || return 1
		sleep 0.05
	done
}

# Prints the last line and exits as the checks went.
finish()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed -eq 0 ]
	exit
}
