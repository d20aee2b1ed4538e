// A page, a health check and a clean end: all that HostKit asks of an app.
const fs = require("fs");
const http = require("http");
const path = require("path");
const escape = require("escape-html");

const port = Number(process.env.PORT || 3000);
const host = process.env.HOST || "127.0.0.1";
const release = path.basename(fs.realpathSync(__dirname));
const started = new Date().toISOString();

function page() {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escape(process.env.PROJECT_NAME || "app")}</title>
<h1>Hello from Node.js ${escape(process.version)}</h1>
<p>Release <b>${escape(release)}</b>, running since ${escape(started)}.</p>
</html>
`;
}

const server = http.createServer((request, response) => {
  if (request.url === "/api/health") {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ status: "ok", release }) + "\n");
  } else if (request.url === "/") {
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
    response.end(page());
  } else {
    response.writeHead(404, { "Content-Type": "text/plain" });
    response.end("not found\n");
  }
});

server.listen(port, host, () => console.log(`listening on http://${host}:${port}`));

// answer what is under way, then end
process.on("SIGTERM", () => {
  console.log("stopping");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
