"""As much of the Hub's API as a push uses, on loopback: repositories of small files, which are sent inside the commit.

Not imitated: large files, which the real one takes through LFS or Xet; branches other than as names; who may write.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "a-token-that-may-write"


@dataclass
class Repository:
    """What is in it, and how it was made."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    branches: list[str] = field(default_factory=list)
    commits: int = 0


@dataclass
class Hub:
    """A server and what it holds; `refused` are owners for whom the token may not write."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub  # of a class made for each server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        _, _, _, owner, name, *_ = f"{self.path}////".split("/")
        found = self.hub.repositories.get(f"{owner}/{name}")
        if found is None:
            self._say(404, {"error": "Repository not found"})
        elif self._known():
            siblings = [{"rfilename": file} for file in found.files]
            self._say(200, {"id": f"{owner}/{name}", "private": found.private, "sha": "0" * 40, "siblings": siblings})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/validate-yaml":
            self._say(200, {"errors": [], "warnings": []})
        elif not self._known():
            return
        elif self.path == "/api/repos/create":
            self._create(json.loads(body))
        else:
            self._change(body)

    def _change(self, body: bytes) -> None:
        _, _, _, owner, name, what, *rest = self.path.split("?")[0].split("/")
        found = self.hub.repositories[f"{owner}/{name}"]
        if what == "branch":
            found.branches.append(rest[0])
            self._say(200, {})
        elif what == "preupload":
            self._say(200, {"files": [_small(file["path"]) for file in json.loads(body)["files"]]})
        else:
            _commit(found, body)
            address = f"{self.hub.address}/{owner}/{name}/commit/1"
            self._say(200, {"commitUrl": address, "commitOid": "1" * 40})

    def _create(self, asked: dict[str, Any]) -> None:
        owner = asked.get("organization") or "me"
        repo = f"{owner}/{asked['name']}"
        if owner in self.hub.refused:
            self._say(403, {"error": "no"})
        elif repo in self.hub.repositories:
            self._say(409, {"error": "You already created this repo", "url": f"{self.hub.address}/{repo}"})
        else:
            private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.hub.repositories[repo] = Repository(private, {".gitattributes": b""})
            self._say(200, {"url": f"{self.hub.address}/{repo}"})

    def _known(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self._say(401, {"error": "Invalid username or password."})
        return False

    def _say(self, code: int, told: dict[str, Any]) -> None:
        data = json.dumps(told).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def running() -> Iterator[Hub]:
    """A hub until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _small(path: str) -> dict[str, object]:
    return {"path": path, "uploadMode": "regular", "shouldIgnore": False, "oid": None}


def _commit(repository: Repository, body: bytes) -> None:
    for line in body.splitlines():
        said = json.loads(line)
        if said["key"] == "file":
            repository.files[said["value"]["path"]] = base64.b64decode(said["value"]["content"])
        elif said["key"] == "deletedFile":
            del repository.files[said["value"]["path"]]
    repository.commits += 1
