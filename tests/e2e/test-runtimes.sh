#!/usr/bin/env bash
# The other runtimes: python with a package from a small index on loopback, static.
. "$(dirname "$0")/lib.sh"

static_site() {
	hk provision leaflet --static && new_app leaflet hello-static && push leaflet && page_has leaflet '<'
}
check "static: provision, push, served" static_site

static_change() {
	echo '<p>second edition</p>' >> "$scratch/leaflet/index.html"
	commit leaflet "second edition" && push leaflet && page_has leaflet 'second edition'
}
check "static: second push" static_change

# a wheel is a zip archive; this one holds a single module
make_index() {
	inside mkdir -p /srv/index/greeter
	inside python3 - <<'PY'
import base64, hashlib, zipfile
files = {
    "greeter.py": b"def greet():\n    return 'greetings from the index'\n",
    "greeter-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: greeter\nVersion: 1.0\n",
    "greeter-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
record = "".join(
    "%s,sha256=%s,%d\n" % (n, base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b"=").decode(), len(d))
    for n, d in files.items())
files["greeter-1.0.dist-info/RECORD"] = (record + "greeter-1.0.dist-info/RECORD,,\n").encode()
with zipfile.ZipFile("/srv/index/greeter/greeter-1.0-py3-none-any.whl", "w") as z:
    for n, d in files.items():
        z.writestr(n, d)
PY
	inside systemd-run -q --unit=test-index python3 -m http.server 3141 --bind 127.0.0.1 --directory /srv/index
	wait_for 10 inside curl -sf http://127.0.0.1:3141/greeter/
}

python_app() {
	make_index && hk provision calculator --python &&
		hk env set calculator PIP_INDEX_URL=http://127.0.0.1:3141/ PIP_TRUSTED_HOST=127.0.0.1 || return 1
	new_app calculator hello-python
	echo "greeter==1.0" > "$scratch/calculator/requirements.txt"
	sed -i '1i import greeter' "$scratch/calculator/__main__.py"
	commit calculator "use greeter"
	push calculator && page_has calculator '[Hh]ello'
}
check "python: venv, pip from an index on loopback, served" python_app

python_missing() {
	local out before
	before=$(live_release calculator)
	echo "no-such-package==1.0" >> "$scratch/calculator/requirements.txt"
	commit calculator "ask for too much"
	out=$(push calculator) && fail "push succeeded" && return 1
	contains "$out" 'build failed' && contains "$out" 'no-such-package' &&
		equal "$before" "$(live_release calculator)" && page_has calculator '[Hh]ello'
}
check "python: a missing package rejects the push" python_missing

next_app() {
	hk provision magazine --nextjs && new_app magazine hello-nextjs && PUSH_TIMEOUT=400 push magazine &&
		wait_for 20 page_has magazine '[Hh]ello'
}
if [ -d "$e2e_top/examples/hello-nextjs" ]; then
	check "nextjs: npm ci, build, served" next_app
else
	skip "nextjs: npm ci, build, served" "no example"
fi

e2e_finish
