"""A page, a health check and a clean end: all that HostKit asks of an app."""

import html
import json
import os
import platform
import signal
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(os.environ.get("PORT", "3000"))
HOST = os.environ.get("HOST", "127.0.0.1")
RELEASE = os.path.basename(os.path.dirname(os.path.realpath(__file__)))
STARTED = datetime.now(timezone.utc).isoformat(timespec="seconds")


def page():
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{html.escape(os.environ.get("PROJECT_NAME", "app"))}</title>
<h1>Hello from Python {platform.python_version()}</h1>
<p>Release <b>{html.escape(RELEASE)}</b>, running since {STARTED}.</p>
</html>
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/api/health":
            self.answer(200, "application/json", json.dumps({"status": "ok", "release": RELEASE}) + "\n")
        elif self.path == "/":
            self.answer(200, "text/html; charset=utf-8", page())
        else:
            self.answer(404, "text/plain", "not found\n")

    def answer(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    server = ThreadingHTTPServer((HOST, PORT), Handler)
    # shutdown() waits for the loop that the signal interrupts, so it needs a thread of its own
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on http://{HOST}:{PORT}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


main()
