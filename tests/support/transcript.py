"""Type the lines of a file into Python, and print what a person would see: `support.guide` runs this."""

from __future__ import annotations

import code
import os
import sys
import traceback
from pathlib import Path


class _Typist(code.InteractiveConsole):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = iter(lines)

    def raw_input(self, prompt: str = "") -> str:
        line = next(self._lines, None)
        if line is None:
            raise EOFError
        print(f"{prompt}{line}".rstrip(), flush=True)
        return line

    def showtraceback(self) -> None:
        """Print an error without the way to it, which says where Python is installed."""
        print("Traceback (most recent call last):", "    ...", sep="\n")
        print(*traceback.format_exception_only(sys.exception()), sep="", end="", flush=True)

    def write(self, data: str) -> None:
        if data != "\n":  # at the end
            super().write(data)


sys.path[0] = os.getcwd()
_Typist(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()).interact(banner="", exitmsg="")
