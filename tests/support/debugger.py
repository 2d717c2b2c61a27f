"""A debugger's client, as an editor is one: the Debug Adapter Protocol against debugpy, processes below followed.

https://microsoft.github.io/debug-adapter-protocol has the messages; ``debugpyAttach`` is debugpy's own event: a process
below has begun and waits for a session of its own.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from threading import Thread
from typing import Any


class Debugger:
    """Stops at one line of one file, evaluates an expression there, and goes on.

    Parameters
    ----------
    port : int
        Where ``python -m debugpy --listen`` waits.
    path : Path
        The file.
    line : int
        The line, from 1.
    expression : str
        What is evaluated at each stop.

    Attributes
    ----------
    seen : list of str
        What the expression was, stop by stop.
    """

    def __init__(self, port: int, path: Path, line: int, expression: str) -> None:
        self.path = path
        self.line = line
        self.expression = expression
        self.seen: list[str] = []
        self.follow({"host": "127.0.0.1", "port": port}, {"name": "test", "type": "debugpy", "subProcess": True})

    def follow(self, place: dict[str, Any], arguments: dict[str, Any]) -> None:
        """Attach to one process, in a thread of its own."""
        Thread(target=_Session(self, place, arguments).run, daemon=True).start()


class _Session:
    def __init__(self, debugger: Debugger, place: dict[str, Any], arguments: dict[str, Any]) -> None:
        self._debugger = debugger
        self._arguments = arguments
        self._socket = _connect(place["host"], place["port"])
        self._number = 0
        self._thread = 0

    def run(self) -> None:
        self._send("initialize", adapterID="debugpy", pathFormat="path")
        with self._socket, self._socket.makefile("rb") as file:
            while header := file.readline():
                file.readline()
                message = json.loads(file.read(int(header.split(b":")[1])))
                if message["type"] == "event":
                    self._on_event(message["event"], message.get("body", {}))
                elif message["type"] == "response" and message["success"]:
                    self._on_response(message["command"], message.get("body", {}))

    def _on_event(self, event: str, body: dict[str, Any]) -> None:
        if event == "initialized":
            debugger = self._debugger
            self._send("setBreakpoints", source={"path": str(debugger.path)}, breakpoints=[{"line": debugger.line}])
            self._send("configurationDone")
        elif event == "debugpyAttach":
            self._debugger.follow(body["connect"], body)
        elif event == "stopped":
            self._thread = body["threadId"]
            self._send("stackTrace", threadId=self._thread, levels=1)
        elif event == "terminated":
            self._send("disconnect")

    def _on_response(self, command: str, body: dict[str, Any]) -> None:
        if command == "initialize":
            self._send("attach", **self._arguments)
        elif command == "stackTrace":
            frame = body["stackFrames"][0]["id"]
            self._send("evaluate", expression=self._debugger.expression, frameId=frame)
        elif command == "evaluate":
            self._debugger.seen.append(body["result"])
            self._send("continue", threadId=self._thread)

    def _send(self, command: str, **arguments: Any) -> None:
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        text = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(text), text))


def _connect(host: str, port: int, within: float = 30.0) -> socket.socket:
    deadline = time.monotonic() + within
    while True:
        try:
            return socket.create_connection((host, port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
