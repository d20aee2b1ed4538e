# shellcheck shell=bash
# Counting and printing for every shell test: one line a check, one closing line.
#
#   check "what" COMMAND...       passes when the command succeeds; its output is shown when it does not
#   skip "what" "why"
#   finish                        prints "N passed, N failed, N skipped", exits 1 if any failed

_passed=0 _failed=0 _skipped=0
_check_log=$(mktemp)

check() {
	local what=$1
	shift
	if "$@" > "$_check_log" 2>&1; then
		_passed=$((_passed + 1))
		printf 'ok    %s\n' "$what"
	else
		local status=$?
		_failed=$((_failed + 1))
		printf 'FAIL  %s (status %d)\n' "$what" "$status"
		sed 's/^/      | /' "$_check_log" | tail -"${CHECK_LINES:-40}"
	fi
}

skip() {
	_skipped=$((_skipped + 1))
	printf 'skip  %s: %s\n' "$1" "$2"
}

finish() {
	rm -f "$_check_log"
	printf '%d passed, %d failed, %d skipped\n' "$_passed" "$_failed" "$_skipped"
	[ "$_failed" -eq 0 ]
	exit
}

# assertions, to be used inside the functions given to check

fail() {
	echo "$*"
	return 1
}

# equal EXPECTED ACTUAL [what]
equal() {
	[ "$1" = "$2" ] || fail "${3:-value}: expected '$1', got '$2'"
}

# contains TEXT PATTERN: an extended regular expression somewhere in the text
contains() {
	grep -qE -- "$2" <<< "$1" || fail "no match for /$2/ in:" "$1"
}

lacks() {
	! grep -qE -- "$2" <<< "$1" || fail "unwanted match for /$2/ in:" "$1"
}

# status_is N COMMAND...: run it, show its output, and compare its exit status
status_is() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" -eq "$want" ] || fail "exit status $got instead of $want: $*"
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local until=$((SECONDS + $1)) said
	shift
	until said=$("$@" 2>&1); do
		[ $SECONDS -lt $until ] || fail "still not after a while: $*" "$said" || return 1
		sleep 0.1
	done
}
