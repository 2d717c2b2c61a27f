"""A wire to a TCP service that can be held: connections stay and nothing comes through, as from a stopped process."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Wire:
    """A port of this machine that leads to a service.

    Parameters
    ----------
    host, port : str, int
        The service.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._is_free = threading.Event()
        self._is_free.set()
        self._ends: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in (self._server, *self._ends):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        self._is_free.set()

    def hold(self) -> None:
        """Let nothing through."""
        self._is_free.clear()

    def let_go(self) -> None:
        """Let everything through that has waited, and what comes."""
        self._is_free.set()

    def _accept(self) -> None:
        try:
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()
        except OSError:
            pass  # closed

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._is_free.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
