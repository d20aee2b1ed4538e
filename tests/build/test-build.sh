#!/usr/bin/env bash
# From a commit to a release that runs: static, node, Next.js and python, and what is said when it cannot be.
. "$(dirname "$0")/lib.sh"

home=$scratch/home
mkdir -p "$home/releases"
stamp=0

# app NAME: an empty directory in $app for the files of a commit
app() {
	app=$scratch/app-$1
	repo=$(new_repo "$1")
	mkdir -p "$app"
}

# build RUNTIME [OPTIONS]: $app as a new commit into a fresh release; output in $said, its place in $release
build() {
	local runtime=$1 status=0
	shift
	commit=$(commit_dir "$repo" "$app") || return 1
	stamp=$((stamp + 1))
	name=20250101-$(printf '%06d' "$stamp")
	release=$home/releases/$name
	(cd "$home" && env -i HOME="$HOME" PATH=/usr/sbin:/usr/bin:/sbin:/bin "${build_env[@]}" \
		timeout 300 "$builder" --repo "$repo" --commit "$commit" --releases releases --release "$name" \
		--runtime "$runtime" "$@") > "$scratch/said" 2>&1 || status=$?
	said=$(cat "$scratch/said")
	cat "$scratch/said"
	return "$status"
}
build_env=(LANG=C.UTF-8)

# fails STATUS PATTERN RUNTIME [OPTIONS]: and nothing of the release stays
fails() {
	local status=$1 pattern=$2
	shift 2
	status_is "$status" build "$@" || return 1
	contains "$said" "$pattern" || return 1
	[ ! -e "$release" ] || fail "$release was left behind" || return 1
	[ ! -e "$home/releases/.$name.manifest" ] || fail "a manifest was left behind"
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# serves PATTERN COMMAND...: started in $home with app -> release, answers, is healthy, ends cleanly on SIGTERM
serves() {
	local pattern=$1 port pid status=0 page
	shift
	port=$(free_port)
	ln -sfn "releases/$name" "$home/app"
	(cd "$home/${run_in:-.}" && exec env -i HOME="$HOME" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOST=127.0.0.1 HOSTNAME=127.0.0.1 \
		PORT="$port" PROJECT_NAME=hello "$@") > "$scratch/served" 2>&1 &
	pid=$!
	wait_for 20 curl -sf "http://127.0.0.1:$port/api/health" || cat "$scratch/served"
	page=$(curl -s "http://127.0.0.1:$port/")
	contains "$page" "$pattern" && contains "$page" "$name" &&
		contains "$(curl -s "http://127.0.0.1:$port/api/health")" '"ok"' || status=1
	kill -TERM "$pid"
	wait "$pid" || fail "it ended with $? on SIGTERM" || status=1
	return "$status"
}

# --- static, and which app it is

app static
cp -r "$build_top/examples/hello-static/." "$app"
static() {
	build static && contains "$said" '^-----> Unpacking [0-9a-f]{7} into releases/' &&
		contains "$said" '^-----> static site detected \(index.html\)' && cmp "$app/index.html" "$release/index.html"
}
check "a static site" static

static_again() {
	local old=$name
	echo '<p>more</p>' >> "$app/index.html"
	build static --previous "$old" --previous-commit "$commit" && cmp "$app/index.html" "$release/index.html" &&
		test -e "$home/releases/$old"
}
check "the next one, beside the first" static_again

lfs() {
	printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 12345\n' 7 > "$app/film.mp4"
	fails 2 "film.mp4.*Git LFS pointer" static
	local status=$?
	rm "$app/film.mp4"
	return "$status"
}
check "a Git LFS pointer is named and refused" lfs
check "a static site pushed to a node project" fails 2 "this is a node project.*static site \(index.html\)" node

app unknown
echo text > "$app/README"
check "nothing known: what would be recognised" fails 2 "nextjs  package.json" python
app linked
ln -s /etc/hostname "$app/index.html"
check "a link is no index.html" fails 2 "no static site" static

# objects that the repository borrows from elsewhere: git would read them, a static build may not look there
shut_in() {
	local elsewhere=$scratch/elsewhere
	app borrowed
	echo hello > "$app/index.html"
	commit=$(commit_dir "$repo" "$app")
	mkdir -p "$elsewhere"
	mv "$repo"/objects/[0-9a-f][0-9a-f] "$elsewhere"
	echo "$elsewhere" > "$repo/objects/info/alternates"
	git -C "$repo" cat-file -e "$commit" && "$builder" --export-only "$repo" "$commit" "$scratch/borrowed" || return 1
	status_is 1 "$builder" --repo "$repo" --commit "$commit" --releases "$home/releases" --release 20250101-700000 \
		--runtime static && [ ! -e "$home/releases/20250101-700000" ]
}
# landlock_create_ruleset(2) with LANDLOCK_CREATE_RULESET_VERSION
if python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 2)'; then
	check "a static build opens nothing outside its repository" shut_in
else
	skip "a static build opens nothing outside its repository" "this kernel has no Landlock"
fi

# --- node

app plain
printf 'require("http").createServer((q, r) => r.end("ok")).listen(process.env.PORT);\n' > "$app/index.js"
node_plain() {
	build node && contains "$said" 'nothing to install' && lacks "$said" 'npm'
}
check "node without package.json runs no npm" node_plain
printf '{"name":"x","version":"1.0.0"}' > "$app/package.json"
check "node without dependencies runs no npm" node_plain

printf '{"name":' > "$app/package.json"
check "a package.json that is no JSON" fails 2 'package.json: .*line 1' node
printf '{"main":"dist/server.js"}' > "$app/package.json"
mv "$app/index.js" "$app/other.js"
check "index.js is missing: what package.json names" fails 2 'index.js is missing' node
missing_main() { contains "$said" 'require\("./dist/server.js"\)'; }
check "and the fix" missing_main

app tool
mkdir "$app/tool"
printf '{"name":"tool","version":"1.0.0","bin":{"make-it":"make-it.js"}}' > "$app/tool/package.json"
cat > "$app/tool/make-it.js" <<'JS'
#!/usr/bin/env node
const e = process.env;
require("fs").writeFileSync("index.js", `// ${e.NODE_ENV} ${e.FROM_ENV}\n`);
console.log("made with", e.NODE_ENV, e.FROM_ENV, e.CI, e.npm_config_fund);
JS
chmod 755 "$app/tool/make-it.js"
printf '{"name":"x","version":"1.0.0","scripts":{"build":"make-it"},"devDependencies":{"tool":"file:tool"}}' > "$app/package.json"
build_env+=(FROM_ENV=value-of-env)
dev_tool() {
	build node && contains "$said" '^       \$ npm install --include=dev' && contains "$said" 'no package-lock.json' &&
		contains "$said" '^made with production value-of-env 1 false' && contains "$said" 'npm prune --omit=dev' &&
		equal "// production value-of-env" "$(cat "$release/index.js")" && [ ! -e "$release/node_modules/tool" ]
}
check "a build with a dev dependency, which is gone afterwards; .env is there" dev_tool

locked() {
	(cd "$app" && npm install --package-lock-only --ignore-scripts --no-audit --no-fund > /dev/null 2>&1) && build node &&
		contains "$said" '^       \$ npm ci --include=dev' && lacks "$said" 'no package-lock.json'
}
check "with a lock file it is npm ci" locked

# what the project sets itself wins
build_env+=(NODE_ENV=staging)
own_env() { build node && contains "$said" '^made with staging'; }
check "the project's own NODE_ENV is kept" own_env
build_env=("${build_env[@]:0:2}")

failing() {
	sed -i 's/"build":"make-it"/"build":"echo on it; exit 7"/' "$app/package.json"
	fails 5 "'npm run build' failed with exit status 7" node && contains "$said" '^on it'
}
check "a failing build script" failing

no_entry() {
	sed -i 's/"build":"[^"]*"/"build":"true"/' "$app/package.json"
	fails 2 'index.js is missing' node
}
check "a build that leaves no index.js" no_entry

stopped() {
	sed -i 's/"build":"[^"]*"/"build":"echo waiting; exec sleep 4711"/' "$app/package.json"
	commit=$(commit_dir "$repo" "$app")
	name=20250101-900000
	(cd "$home" && exec env -i HOME="$HOME" PATH=/usr/bin:/bin "$builder" --repo "$repo" --commit "$commit" \
		--releases releases --release "$name" --runtime node) > "$scratch/said" 2>&1 &
	local pid=$! begun
	wait_for 60 grep -q '^waiting' "$scratch/said" || return 1
	begun=$SECONDS
	kill -TERM "$pid"
	status_is 8 wait "$pid" && ! pgrep -f '^sleep 4711' && [ $((SECONDS - begun)) -le 5 ] && [ ! -e "$home/releases/$name" ] &&
		contains "$(cat "$scratch/said")" 'told to stop'
}
check "SIGTERM ends it quickly and nothing stays" stopped

yarn_lock() {
	rm "$app/package-lock.json"
	: > "$app/yarn.lock"
	sed -i 's/"build":"[^"]*"/"build":"true"/' "$app/package.json"
	if [ -x /usr/bin/yarn ] || [ -x /usr/local/bin/yarn ] || [ -x /usr/bin/yarnpkg ]; then
		build node || true # with yarn there, what counts is that it was asked
		contains "$said" 'yarn(pkg)? install'
	else
		fails 2 'yarn.lock, but yarn is not installed' node
	fi
}
check "a yarn.lock goes to yarn, or says that there is none" yarn_lock

hostile_package() {
	rm "$app/yarn.lock" "$app/package.json"
	ln -s /etc/passwd "$app/package.json"
	echo > "$app/index.js"
	build node && lacks "$said" root: && rm "$app/package.json" &&
		python3 -c 'print("{\"a\":" * 200000)' > "$app/package.json" && fails 2 'package.json' node &&
		head -c 2000000 /dev/zero > "$app/package.json" && fails 2 'larger than' node
}
check "package.json as a link, as a bomb, as zeros" hostile_package

registry=
if timeout 20 npm view escape-html version > /dev/null 2>&1; then registry=yes; fi
app hello-node
cp -r "$build_top/examples/hello-node/." "$app"
rm -rf "$app/node_modules"
hello_node() {
	build node && contains "$said" 'npm ci --omit=dev' && contains "$said" 'Node.js app detected \(package.json\)' &&
		run_in=app serves 'Hello from Node' /usr/bin/node "$home/app/index.js"
}
no_package() {
	local before
	before=$(ls -A "$home/releases")
	rm "$app/package-lock.json"
	sed -i 's/"dependencies": {/"dependencies": { "no-such-package-of-anybody-4711": "1.0.0",/' "$app/package.json"
	fails 5 "'npm install[^']*' failed" node && equal "$before" "$(ls -A "$home/releases")"
}
if [ -n "$registry" ]; then
	check "examples/hello-node: npm ci, served, ends cleanly" hello_node
	check "a package that does not exist" no_package
else
	skip "examples/hello-node" "the npm registry cannot be reached"
	skip "a package that does not exist" "the npm registry cannot be reached"
fi

# --- Next.js: the rules around its build; the build itself is in the end-to-end tests

app next
printf '{"scripts":{"build":"node fake.js"},"dependencies":{}}' > "$app/package.json"
: > "$app/next.config.js"
cat > "$app/fake.js" <<'JS'
const fs = require("fs");
for (const d of [".next/static/chunks", ".next/standalone/apps/web/.next", ".next/standalone/node_modules/x"])
  fs.mkdirSync(d, { recursive: true });
fs.writeFileSync(".next/static/chunks/a.js", "a");
fs.symlinkSync("a.js", ".next/static/chunks/link.js");
fs.writeFileSync(".next/standalone/node_modules/x/server.js", "not this one");
fs.writeFileSync(".next/standalone/apps/web/server.js", "server");
JS
mkdir "$app/public"
echo icon > "$app/public/icon"
check "Next.js without a start script" fails 2 'no start script' nextjs
sed -i 's/"build"/"start":"next start","build"/' "$app/package.json"
standalone() {
	local server
	build nextjs && server=$release/.next/standalone/apps/web && equal a "$(cat "$server/.next/static/chunks/a.js")" &&
		equal a.js "$(readlink "$server/.next/static/chunks/link.js")" && equal icon "$(cat "$server/public/icon")"
}
check "a standalone server gets its static files and public/" standalone
no_modules() {
	sed -i 's#"node_modules/x"#"x"#; s#.next/standalone/node_modules/x#.next/standalone/x#' "$app/fake.js"
	fails 5 'holds no node_modules' nextjs
}
check "a standalone server without node_modules" no_modules
no_build() {
	sed -i 's/"build":"[^"]*"/"other":"x"/' "$app/package.json"
	fails 2 'no build script' nextjs
}
check "Next.js without a build script" no_build

# --- python

app hello-python
cp -r "$build_top/examples/hello-python/." "$app"
hello_python() {
	build python && contains "$said" 'nothing to install' && test -x "$release/.venv/bin/python" &&
		ln -sfn app/.venv "$home/venv" && serves 'Hello from Python' "$home/venv/bin/python" -m app
}
check "examples/hello-python: served, ends cleanly" hello_python

# a wheel is a zip archive; this one holds a single module
index=$scratch/index
mkdir -p "$index/greeter"
python3 - "$index/greeter/greeter-1.0-py3-none-any.whl" <<'PY'
import base64, hashlib, sys, zipfile
files = {
    "greeter.py": b"def greet():\n    return 'greetings from the index'\n",
    "greeter-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n",
    "greeter-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = "".join("%s,sha256=%s,%d\n" % (n, base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode(), len(d))
                 for n, d in files.items())
files["greeter-1.0.dist-info/RECORD"] = (record + "greeter-1.0.dist-info/RECORD,,\n").encode()
with zipfile.ZipFile(sys.argv[1], "w") as z:
    for n, d in files.items():
        z.writestr(n, d)
PY
index_port=$(free_port)
python3 -m http.server "$index_port" --bind 127.0.0.1 --directory "$index" > /dev/null 2>&1 &
wait_for 10 curl -sf "http://127.0.0.1:$index_port/greeter/" || exit 1
build_env+=(PIP_INDEX_URL="http://127.0.0.1:$index_port/" PIP_TRUSTED_HOST=127.0.0.1)

with_pip() {
	echo "greeter==1.0" > "$app/requirements.txt"
	sed -i '1i import greeter' "$app/__main__.py"
	build python && contains "$said" 'pip install .* -r requirements.txt' && contains "$said" 'Installing dependencies' &&
		serves 'Hello from Python' "$home/venv/bin/python" -m app
}
check "requirements.txt from an index on loopback" with_pip

pip_missing() {
	local before
	before=$(ls -A "$home/releases")
	echo "no-such-package==1.0" >> "$app/requirements.txt"
	fails 5 "no-such-package" python && equal "$before" "$(ls -A "$home/releases")" && contains "$said" "failed with exit status 1"
}
check "a package that is not there" pip_missing

settings_only() {
	rm "$app/requirements.txt"
	printf '[tool.black]\nline-length = 100\n' > "$app/pyproject.toml"
	sed -i 1d "$app/__main__.py"
	build python && contains "$said" 'nothing to install'
}
check "a pyproject.toml with settings only installs nothing" settings_only

committed_venv() {
	mkdir -p "$app/.venv/bin" && echo > "$app/.venv/bin/activate"
	fails 2 'holds .venv' python
	local status=$?
	rm -r "$app/.venv"
	return "$status"
}
check "a committed .venv" committed_venv

no_main() {
	mkdir "$app/app" && mv "$app/__main__.py" "$app/app/"
	fails 2 '__main__.py is missing' python && contains "$said" 'it is in app/'
}
check "__main__.py is missing: where it is" no_main

# --- where it runs

as_nobody() {
	local own=$scratch/nobody
	mkdir -p "$own/home/releases"
	cp -r "$repo" "$own/r.git"
	cp "$builder" "$own/hostkit-build"
	chown -R 65534:65534 "$own" && chmod 0700 "$own/home" "$own/r.git" && chmod 0755 "$scratch"
	(cd "$own/home" && env -i HOME="$own/home" PATH=/usr/bin:/bin setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
		"$own/hostkit-build" --repo "$own/r.git" --commit "$commit" --releases releases --release 20250101-000001 --runtime node) &&
		equal 65534:65534:644 "$(stat -c %u:%g:%a "$own/home/releases/20250101-000001/index.js")"
}
disk_full_in_build() {
	local status=0 left
	mkdir -p "$scratch/small" && mount -t tmpfs -o size=3m none "$scratch/small" || return 1
	printf '{"scripts":{"build":"head -c 9000000 /dev/zero > large"}}' > "$app/package.json"
	commit=$(commit_dir "$repo" "$app")
	"$builder" --repo "$repo" --commit "$commit" --releases "$scratch/small" --release 20250101-000001 --runtime node \
		> "$scratch/said" 2>&1 || status=$?
	left=$(ls -A "$scratch/small")
	umount "$scratch/small"
	cat "$scratch/said"
	equal 5 "$status" "exit status" && contains "$(cat "$scratch/said")" '^ !     disk full' && equal "" "$left" "left behind"
}
app user
echo "// nothing" > "$app/index.js"
commit=$(commit_dir "$repo" "$app")
if [ "$(id -u)" -eq 0 ]; then
	check "as an ordinary user with nothing but its home" as_nobody
	check "disk full in the build: said, and nothing left" disk_full_in_build
else
	skip "as another user; disk full in the build" "needs root"
fi

# --- the repository and the directory of releases

taken() {
	app taken
	echo hello > "$app/index.html"
	build static && echo mine > "$release/mine" || return 1
	status_is 1 "$builder" --repo "$repo" --commit "$commit" --releases "$home/releases" --release "$name" --runtime static &&
		equal mine "$(cat "$release/mine")"
}
check "a release of that name is left alone" taken

swept() {
	: > "$home/releases/.20240101-000000.manifest"
	build static && [ ! -e "$home/releases/.20240101-000000.manifest" ]
}
check "the manifest of a release that is gone goes too" swept

missing_places() {
	status_is 1 "$builder" --repo "$repo" --commit "$commit" --releases "$scratch/nowhere" --release 20250101-000000 --runtime static &&
		status_is 1 "$builder" --repo "$scratch/nowhere" --commit "$commit" --releases "$home/releases" \
			--release 20250101-800000 --runtime static && [ ! -e "$home/releases/20250101-800000" ]
}
check "no repository, no directory" missing_places

finish
