# shellcheck shell=bash
# What the tests of hostkit-build share: the program, a scratch directory, repositories.

build_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$build_top/tests/lib.sh"
builder=${HOSTKIT_BUILD:-$build_top/build/release}/builder/hostkit-build
[ -x "$builder" ] || {
	echo "no $builder: set HOSTKIT_BUILD to a build directory" >&2
	exit 1
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/hostkit-build-XXXXXX")
clean_up() {
	local pid
	for pid in $(jobs -p); do
		kill "$pid" 2> /dev/null
	done
	if mountpoint -q "$scratch/small"; then umount "$scratch/small"; fi
	rm -rf "$scratch" "$_check_log"
}
trap clean_up EXIT

export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=Test GIT_AUTHOR_EMAIL=test@localhost
export GIT_COMMITTER_NAME=Test GIT_COMMITTER_EMAIL=test@localhost
unset GIT_DIR GIT_WORK_TREE

# new_repo NAME: an empty bare repository; its path is printed
new_repo() {
	git init -q --bare -b main "$scratch/$1.git" && echo "$scratch/$1.git"
}

# commit_dir REPO DIRECTORY: everything in it as a commit on main; its id is printed
commit_dir() {
	local index tree
	index=$(mktemp -u "$scratch/index-XXXXXX")
	tree=$(GIT_DIR=$1 GIT_WORK_TREE=$2 GIT_INDEX_FILE=$index sh -c 'cd "$GIT_WORK_TREE" && git add -A -f . && git write-tree') &&
		rm -f "$index" && commit_tree "$1" "$tree"
}

# commit_tree REPO TREE
commit_tree() {
	local commit
	commit=$(git -C "$1" commit-tree -m test "$2") && git -C "$1" update-ref refs/heads/main "$commit" && echo "$commit"
}
