// Loaded into Azurite by `node --require`, because Azurite neither ends with its parent nor announces commits.
//
// Ends Azurite, saving its data, as soon as stdin ends: whoever started it holds the other side of that pipe.
// Writes one JSON line per change of a blob to the descriptor named by COMMITS_FD. Query strings carry SAS
// signatures, so only `comp` and `restype` are passed on.
"use strict";

const fs = require("node:fs");
const http = require("node:http");

const SAVING_TAKES_AT_MOST_MS = 5000;

function endWithParent() {
  setTimeout(() => process.exit(1), SAVING_TAKES_AT_MOST_MS).unref();
  process.kill(process.pid, "SIGTERM");
}

// With the parent its ends of these pipes are gone; a farewell that nobody reads must not stop the saving.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
process.stdin.once("end", endWithParent).once("error", endWithParent);
process.stdin.resume();
process.stdin.unref();

const commits = Number(process.env.COMMITS_FD || 0);
if (commits) {
  const emit = http.Server.prototype.emit;
  http.Server.prototype.emit = function (event, request, response) {
    if (event === "request" && (request.method === "PUT" || request.method === "DELETE")) {
      response.once("finish", () => announce(request, response));
    }
    return emit.apply(this, arguments);
  };
}

function announce(request, response) {
  if (response.statusCode >= 300) return;
  const [path, query] = request.url.split("?", 2);
  const parameters = new URLSearchParams(query);
  const commit = {
    port: request.socket.localPort,
    method: request.method,
    path,
    comp: parameters.get("comp"),
    restype: parameters.get("restype"),
    copy: "x-ms-copy-source" in request.headers,
    length: Number(request.headers["content-length"] || 0),
    contentType: request.headers["x-ms-blob-content-type"] || request.headers["content-type"] || null,
    blobType: request.headers["x-ms-blob-type"] || null,
    etag: response.getHeader("etag") || null,
    requestId: response.getHeader("x-ms-request-id") || null,
    clientRequestId: request.headers["x-ms-client-request-id"] || null,
  };
  try {
    fs.writeSync(commits, JSON.stringify(commit) + "\n");
  } catch {
    // Nobody listens any more: the parent is gone, and stdin ends this process.
  }
}
