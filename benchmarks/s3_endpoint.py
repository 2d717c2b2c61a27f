"""A small S3 that answers quickly: objects in memory, one thread, no checks of signatures.

moto answers some 400 requests in a second, which hides what its clients do; this one answers thousands, to both sides
alike. It knows what the benchmarks ask for: objects, ranges, parts, listings. Not for anything else.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from bisect import bisect_left, bisect_right
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote
from xml.sax.saxutils import escape

_DATE = "Mon, 02 Jan 2023 00:00:00 GMT"


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    status: str
    headers: str = ""
    body: bytes | memoryview = b""
    length: int | None = None
    """If it is not that of the body: the answer to HEAD has none."""


class Object(NamedTuple):
    body: bytes
    tag: str
    headers: str


class Store:
    """Buckets, which need not be made; and uploads in parts."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Object]] = {}
        self._names: dict[str, list[str]] = {}
        self._parts: dict[str, dict[int, bytes]] = {}
        self._headers: dict[str, dict[str, str]] = {}

    def answer(self, request: Request) -> Answer:
        bucket, _, key = unquote(request.path)[1:].partition("/")
        method, query = request.method, request.query
        if not key:
            return self._list(bucket, query) if method == "GET" else Answer("200 OK")
        if method == "POST":
            return self._post(bucket, key, request)
        if method == "PUT":
            return self._put(bucket, key, request)
        if method == "DELETE":
            return Answer("204 No Content")
        return self._get(bucket, key, request)

    def _keep(self, bucket: str, key: str, body: bytes, headers: dict[str, str]) -> Object:
        kept = [f"{name}: {value}\r\n" for name, value in headers.items() if name.startswith("x-amz-meta-")]
        kept.append(f"content-type: {headers.get('content-type', 'binary/octet-stream')}\r\n")
        found = Object(body, f'"{hashlib.md5(body[:1024]).hexdigest()}-{len(body)}"', "".join(kept))
        if key not in self._objects.setdefault(bucket, {}):
            self._names.setdefault(bucket, []).append(key)
        self._objects[bucket][key] = found
        return found

    def _put(self, bucket: str, key: str, request: Request) -> Answer:
        if "partNumber" in request.query:
            self._parts[request.query["uploadId"]][int(request.query["partNumber"])] = request.body
            return Answer("200 OK", f'etag: "{request.query["partNumber"]}"\r\n')
        if request.headers.get("if-none-match") == "*" and key in self._objects.get(bucket, {}):
            return _error("412 Precondition Failed", "PreconditionFailed")
        return Answer("200 OK", f"etag: {self._keep(bucket, key, request.body, request.headers).tag}\r\n")

    def _post(self, bucket: str, key: str, request: Request) -> Answer:
        number = request.query.get("uploadId")
        if number is None:
            number = str(len(self._headers))
            self._parts[number], self._headers[number] = {}, request.headers
            text = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><UploadId>{number}</UploadId>"
            return _xml(f"<InitiateMultipartUploadResult>{text}</InitiateMultipartUploadResult>")
        parts = self._parts.pop(number)
        tag = self._keep(bucket, key, b"".join(parts[each] for each in sorted(parts)), self._headers[number]).tag
        text = f"<Bucket>{bucket}</Bucket><Key>{escape(key)}</Key><ETag>{escape(tag)}</ETag>"
        return _xml(f"<CompleteMultipartUploadResult>{text}</CompleteMultipartUploadResult>")

    def _get(self, bucket: str, key: str, request: Request) -> Answer:
        found = self._objects.get(bucket, {}).get(key)
        if found is None:
            return Answer("404 Not Found") if request.method == "HEAD" else _error("404 Not Found", "NoSuchKey")
        total = len(found.body)
        headers = f"{found.headers}etag: {found.tag}\r\nlast-modified: {_DATE}\r\naccept-ranges: bytes\r\n"
        if request.method == "HEAD":
            return Answer("200 OK", headers, b"", total)
        wanted = request.headers.get("range")
        if wanted is None:
            return Answer("200 OK", headers, found.body)
        begin, _, end = wanted.removeprefix("bytes=").partition("-")
        first, last = int(begin), min(int(end), total - 1) if end else total - 1
        if first >= total:
            return _error("416 Range Not Satisfiable", "InvalidRange")
        headers += f"content-range: bytes {first}-{last}/{total}\r\n"
        return Answer("206 Partial Content", headers, memoryview(found.body)[first : last + 1])

    def _list(self, bucket: str, query: dict[str, str]) -> Answer:
        names = self._names.setdefault(bucket, [])
        names.sort()
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = max(query.get("continuation-token", ""), query.get("start-after", ""))
        first = max(bisect_left(names, prefix), bisect_right(names, after))
        shown, folders, more = list[str](), dict[str, None](), ""
        for name in names[first:]:
            if not name.startswith(prefix):
                break
            if len(shown) == int(query.get("max-keys", 1000)):
                more = shown[-1]
                break
            head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                folders[prefix + head + found] = None
            else:
                shown.append(name)
        encode = quote if query.get("encoding-type") == "url" else escape
        rows = "".join(
            f"<Contents><Key>{encode(name)}</Key><LastModified>2023-01-02T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;0&quot;</ETag><Size>{len(self._objects[bucket][name].body)}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for name in shown
        )
        rows += "".join(f"<CommonPrefixes><Prefix>{encode(name)}</Prefix></CommonPrefixes>" for name in folders)
        token = f"<NextContinuationToken>{encode(more)}</NextContinuationToken>" if more else ""
        return _xml(
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{encode(prefix)}</Prefix><KeyCount>{len(shown)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}{rows}"
            "</ListBucketResult>"
        )


def _xml(text: str) -> Answer:
    return Answer("200 OK", "content-type: application/xml\r\n", b'<?xml version="1.0"?>' + text.encode())


def _error(status: str, code: str) -> Answer:
    return Answer(status, "content-type: application/xml\r\n", f"<Error><Code>{code}</Code></Error>".encode())


class Connection(asyncio.Protocol):
    """HTTP/1.1, as far as the clients here speak it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._come = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._come += data
        while self._head is not None or self._read_head():
            assert self._head is not None
            method, target, headers = self._head
            length = int(headers.get("content-length", 0))
            if len(self._come) < length:
                return
            body = bytes(memoryview(self._come)[:length])
            del self._come[:length]
            self._head = None
            path, _, query = target.partition("?")
            request = Request(method, path, dict(parse_qsl(query, keep_blank_values=True)), headers, body)
            answer = self._store.answer(request)
            size = len(answer.body) if answer.length is None else answer.length
            head = f"HTTP/1.1 {answer.status}\r\n{answer.headers}content-length: {size}\r\n\r\n"
            self._transport.write(head.encode())
            self._transport.write(answer.body)

    def _read_head(self) -> bool:
        end = self._come.find(b"\r\n\r\n")
        if end < 0:
            return False
        first, *lines = bytes(self._come[:end]).decode("latin-1").split("\r\n")
        del self._come[: end + 4]
        method, target, _ = first.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("expect"):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._head = method, target, headers
        return True


async def _serve() -> None:
    store = Store()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(store), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    closed = loop.create_future()

    def end() -> None:
        if not closed.done():
            closed.set_result(None)

    loop.add_reader(sys.stdin, end)  # ends with whoever started it
    await closed


if __name__ == "__main__":
    asyncio.run(_serve())
