"""A simulated API server of Kubernetes, in the test's own event loop: jobs, pods, watches, and whatever goes wrong.

A created job gets a pod at once, in the phase Pending; what becomes of it is up to the test (`start`, `finish`,
`change`, `remove`). Requests are written down. It does what the API promises to a client that lists, watches, creates
and deletes; it validates nothing.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sys
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from metaflow.settings.kubeconfig import Cluster

JSON = dict[str, Any]
STARTED = "2026-01-01T00:00:00Z"


class Request(NamedTuple):
    """A request that came by."""

    method: str
    path: str
    query: dict[str, str]
    body: JSON
    authorization: str | None


Fault = Callable[[Request], tuple[int, JSON] | None]


def status(code: int, reason: str, message: str, **details: Any) -> tuple[int, JSON]:
    """Return an error as the API has it."""
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}


class KubernetesServer:
    """The server.

    Attributes
    ----------
    requests : list of Request
        All that came, watches too.
    fault : callable or None
        Looks at each request first; what it returns is the answer.
    makes_pods, starts_pods : bool
        Whether a new job gets its pod, and whether that runs at once.
    jobs, pods : dict
        By ``namespace/name``.
    objects : dict
        Further objects and lists by path.
    logs : dict
        By the pod's name.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.fault: Fault | None = None
        self.makes_pods = True
        self.starts_pods = False
        self.jobs: dict[str, JSON] = {}
        self.pods: dict[str, JSON] = {}
        self.objects: dict[str, JSON] = {
            "/version": {"major": "1", "minor": "29+"},
            "/api/v1/namespaces/default": {},
            "/api/v1/nodes/node1": {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        }
        self.logs: dict[str, str] = {}
        self.forbidden: set[str] = set()
        self.version = 100
        self._oldest = 0
        self._history: list[tuple[int, str, JSON]] = []
        self._news = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[KubernetesServer]:
        await self.up()
        try:
            yield self
        finally:
            await self.down()

    @property
    def cluster(self) -> Cluster:
        return Cluster(f"http://127.0.0.1:{self._port}", "the test")

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Go away; what was stored stays."""
        assert self._server is not None
        self._server.close()
        self.drop()
        await self._server.wait_closed()

    def drop(self) -> None:
        """Break all connections."""
        for writer in list(self._connections):
            writer.transport.abort()
        self._tell()

    def forget(self) -> None:
        """Make all versions up to now too old for a watch."""
        self._oldest = self.version
        self._history.clear()
        self._tell()

    # --- what becomes of pods ---------------------------------------------------------------------------------------

    def pod_of(self, job: str) -> JSON:
        return next(pod for pod in self.pods.values() if pod["metadata"]["labels"].get("job-name") == job)

    def change(self, pod: JSON, **fields: Any) -> None:
        """Set fields of a pod's status and tell the watches."""
        pod["status"].update(fields)
        self._record("MODIFIED", pod)

    def start(self, pod: JSON, node: str = "node1") -> None:
        pod["spec"]["nodeName"] = node
        state = {"running": {"startedAt": STARTED}}
        self.change(pod, phase="Running", containerStatuses=[{"name": "step", "state": state}])

    def waits(self, pod: JSON, reason: str, message: str = "") -> None:
        pod["spec"]["nodeName"] = "node1"
        self.change(pod, containerStatuses=[{"state": {"waiting": {"reason": reason, "message": message}}}])

    def finish(self, pod: JSON, code: int = 0, reason: str = "", message: str = "", **fields: Any) -> None:
        reason = reason or ("Error" if code else "Completed")
        ended = {"exitCode": code, "reason": reason, "message": message, "startedAt": STARTED}
        self.change(
            pod,
            phase="Failed" if code else "Succeeded",
            containerStatuses=[{"state": {"terminated": ended}}],
            **fields,
        )

    def take(self, pod: JSON) -> None:
        """Ask for a pod's deletion, as an eviction does."""
        pod["metadata"]["deletionTimestamp"] = STARTED
        self._record("MODIFIED", pod)

    def remove(self, pod: JSON) -> None:
        del self.pods[_key(pod)]
        self._record("DELETED", pod)

    def _record(self, kind: str, pod: JSON) -> None:
        self.version += 1
        pod["metadata"]["resourceVersion"] = str(self.version)
        self._history.append((self.version, kind, copy.deepcopy(pod)))
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # --- HTTP -------------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = [line.split(": ", 1) for line in head[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = head[0].split()
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        content = json.loads(body) if body else {}
        request = Request(method, unquote(url.path), query, content, headers.get("authorization"))
        self.requests.append(request)
        answer = self.fault(request) if self.fault is not None else None
        if answer is None and "watch" in query:
            return await self._stream(request, writer)
        code, document = answer or self._respond(request)
        data = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()
        return True

    async def _stream(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        version = int(request.query["resourceVersion"])
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            news = self._news
            if version < self._oldest:
                _, gone = status(410, "Expired", f"too old resource version: {version}")
                _chunk(writer, {"type": "ERROR", "object": gone})
                writer.write(b"0\r\n\r\n")
                await writer.drain()
                return True
            for _, kind, pod in self._history[bisect_right(self._history, version, key=itemgetter(0)) :]:
                if _is_selected(pod, request):
                    _chunk(writer, {"type": kind, "object": pod})
            version = max(version, self.version)
            await writer.drain()
            await news.wait()
        return False

    def _respond(self, request: Request) -> Any:
        method, path = request.method, request.path
        if method == "POST" and path.endswith("/selfsubjectaccessreviews"):
            attributes = request.body["spec"]["resourceAttributes"]
            allowed = f"{attributes['verb']} {attributes['resource']}" not in self.forbidden
            return 200, {"status": {"allowed": allowed}}
        if path in self.objects:
            return 200, self.objects[path]
        words = path.strip("/").split("/")
        if words[-1] == "log":
            return 200, self.logs.get(words[-2], "")
        for kind, store in (("jobs", self.jobs), ("pods", self.pods)):
            if words[-1] == kind:
                return self._create(request.body) if method == "POST" else (200, self._list(request, store))
            if words[-2:-1] == [kind]:
                return self._one(method, store, f"{words[-3]}/{words[-1]}")
        if words[-1] in ("events", "nodes", "limitranges", "resourcequotas"):
            return 200, {"metadata": {}, "items": []}
        return status(404, "NotFound", f"{path} not found")

    def _list(self, request: Request, store: dict[str, JSON]) -> JSON:
        found = [item for item in store.values() if _is_selected(item, request)]
        begin, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 10**9))
        rest = str(begin + limit) if begin + limit < len(found) else ""
        return {
            "metadata": {"resourceVersion": str(self.version), "continue": rest},
            "items": found[begin : begin + limit],
        }

    def _one(self, method: str, store: dict[str, JSON], key: str) -> tuple[int, JSON]:
        if key not in store:
            return status(404, "NotFound", f"{key} not found")
        if method != "DELETE":
            return 200, store[key]
        item = store.pop(key)
        for pod in [pod for pod in self.pods.values() if pod["metadata"]["labels"]["job-name"] == key.split("/")[1]]:
            if pod["status"]["phase"] == "Running":
                self.take(pod)
            else:
                self.remove(pod)
        return 200, item

    def _create(self, job: JSON) -> tuple[int, JSON]:
        if _key(job) in self.jobs:
            return status(409, "AlreadyExists", f"{_key(job)} exists")
        job = copy.deepcopy(job)
        job["metadata"]["creationTimestamp"] = STARTED
        self.jobs[_key(job)] = job
        if self.makes_pods:
            self.make_pod(job)
        return 201, job

    def make_pod(self, job: JSON, suffix: str = "abcde") -> JSON:
        """Make a pod of a job, as the job controller does."""
        template = copy.deepcopy(job["spec"]["template"])
        name = job["metadata"]["name"]
        pod: JSON = {
            "metadata": {
                **template["metadata"],
                "name": f"{name}-{suffix}",
                "namespace": job["metadata"]["namespace"],
                "uid": f"uid-{name}-{suffix}",
                "labels": {**template["metadata"]["labels"], "job-name": name},
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        self.pods[_key(pod)] = pod
        self._record("ADDED", pod)
        if self.starts_pods:
            self.start(pod)
        return pod


def _key(item: JSON) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _is_selected(item: JSON, request: Request) -> bool:
    words = request.path.split("/")
    if "namespaces" in words and item["metadata"]["namespace"] != words[words.index("namespaces") + 1]:
        return False
    labels = item["metadata"]["labels"]
    wanted = [pair.split("=", 1) for pair in request.query.get("labelSelector", "").split(",") if pair]
    return all(labels.get(name) == value for name, value in wanted)


def _chunk(writer: asyncio.StreamWriter, event: JSON) -> None:
    data = json.dumps(event).encode() + b"\n"
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def _serve_until_closed() -> None:
    """Run a server whose pods start at once, print its address, and end when standard input is closed."""
    server = KubernetesServer()
    server.starts_pods = True
    async with server.running():
        sys.stdout.write(f"{server.cluster.server}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve_until_closed())
