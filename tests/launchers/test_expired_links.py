"""A job that has waited for longer than its links are good for is sent again, with new ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from metaflow.compute.jobs.entry import LINK_EXPIRED, Package
from metaflow.compute.protocol import Waiting
from support.launched import RemotePlace


class Expired(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"<Message>Request has expired</Message>")

    def log_message(self, *_: object) -> None:
        pass


class LateRemotePlace(RemotePlace):
    """One whose first links have expired when they are used; `late` of them."""

    def expire(self, late: int, url: str) -> None:
        real = self.launcher._make_packages  # type: ignore[attr-defined]
        made: list[list[Package]] = []

        def links() -> list[Package]:
            made.append([each._replace(url=url) for each in real()] if len(made) + 1 < late else real())
            return made[-1]

        self.launcher._packages = [each._replace(url=url) for each in real()]  # type: ignore[attr-defined]
        self.launcher._make_packages = links  # type: ignore[attr-defined]


@contextmanager
def place(directory: Path, late: int) -> Iterator[LateRemotePlace]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Expired) as server:
        Thread(target=server.serve_forever).start()
        found = LateRemotePlace(directory, "print('at work')\n")
        try:
            found.expire(late, f"http://127.0.0.1:{server.server_port}/x")
            yield found
        finally:
            found.close()
            found.leave()
            server.shutdown()


def test_new_links(tmp_path: Path) -> None:
    with place(tmp_path, late=2) as late:
        done = late.run()
        assert (done.ended.code, done.stdout, done.stderr) == (0, [b"at work"], [])
        reasons = [report.reason for report in late.reports if isinstance(report, Waiting)]
        assert reasons == ["its links to the code had expired: it is sent again"] * 2


def test_links_that_are_never_good(tmp_path: Path) -> None:
    with place(tmp_path, late=99) as late:
        done = late.run()
        assert done.ended.code == LINK_EXPIRED
        assert done.ended.failure is not None
        assert "its signed URL has expired" in done.ended.failure.message
        assert len([report for report in late.reports if isinstance(report, Waiting)]) == 4
