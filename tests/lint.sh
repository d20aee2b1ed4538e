#!/usr/bin/env bash
# lint.sh [BUILD|--quick]: clang-format, shellcheck, and clang-tidy with the compile commands of a build made with
# clang (default: build/clang), of the files whose path matches the pattern $LINT_FILES (default: all). With --quick
# without clang-tidy, which takes minutes.
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.." || exit 1
build=${1:-${HOSTKIT_BUILD_ROOT:-$PWD/build}/clang}

formatted() {
	git ls-files -z '*.[ch]' | xargs -0 clang-format --dry-run -Werror
}

shell() {
	local files
	mapfile -t files < <(git ls-files | grep -E '\.sh$|^(demo|test|hostkit)$|^\.ci/run$|^packaging/install-packages$|^tests/vps/vps$')
	shellcheck -x -S warning "${files[@]}"
}

# what it has to say of one file
tidy() {
	clang-tidy -p "$build" --quiet "$1" 2> /dev/null
}

check "clang-format" formatted
check "shellcheck" shell
[ "$build" != --quick ] || finish
if ! command -v clang-tidy > /dev/null; then
	skip "clang-tidy" "it is not installed"
elif [ ! -f "$build/compile_commands.json" ]; then
	skip "clang-tidy" "no $build/compile_commands.json: CC=clang meson setup --native-file build-dev.ini $build"
else
	# only what is compiled: a source that this configuration leaves out has no command
	mapfile -t sources < <(python3 -c '
import json, os, sys
for c in json.load(open(sys.argv[1])):
    path = os.path.relpath(os.path.join(c["directory"], c["file"]))
    if path.endswith(".c") and not path.startswith(".."):
        print(path)' "$build/compile_commands.json" | sort -u | grep -E "${LINT_FILES:-.}")
	results=$(mktemp -d)
	export -f tidy
	export build results
	# shellcheck disable=SC2016 # the inner shell's
	printf '%s\n' "${sources[@]}" | xargs -r -P "$(nproc)" -n 1 bash -c \
		'tidy "$1" > "$results/${1//\//-}" || : > "$results/${1//\//-}.bad"' bash
	verdict() { [ ! -e "$results/${1//\//-}.bad" ] || fail "$(cat "$results/${1//\//-}")"; }
	for source in "${sources[@]}"; do
		check "clang-tidy $source" verdict "$source"
	done
	rm -r "$results"
fi
finish
