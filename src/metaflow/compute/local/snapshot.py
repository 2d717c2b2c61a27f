"""The source of a flow as it was when its run began, for tasks of this machine that start later.

In a snapshot are the flow file and the user's own modules that are imported with it, by import statements. It is held
in memory by the process that tasks come from. Once it is installed in a task, these modules are loaded from it,
whatever has become of their files; tracebacks and `inspect` show the lines that run. What only a step imports is taken
from the disk as it is then, since a step may have written it; if its file was there at the start and has changed, the
task says so. A module that is imported by a computed name, one that is reloaded, compiled modules and data come from
the disk, too.

Which files those are, `metaflow.compute.local.own_sources` finds out. Start reading at `Snapshot.install`.
"""

from __future__ import annotations

import linecache
import marshal
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import decode_source, spec_from_file_location
from tempfile import TemporaryFile
from types import CodeType, ModuleType
from typing import Any, NamedTuple, NoReturn

from metaflow.compute.interpreter import run_main
from metaflow.compute.report import report_unbegun


class File(NamedTuple):
    """A file as it was.

    Attributes
    ----------
    content : bytes
        Its text.
    mtime : float
        When it was changed last, seconds since the epoch; what compiled code is compared with.
    """

    content: bytes
    mtime: float


class Snapshot:
    """Files as they were, by absolute path.

    Parameters
    ----------
    files : mapping of str to File
        What tasks load from here.
    late : mapping of str to float
        What only steps import: when each file had been changed last.
    """

    def __init__(self, files: Mapping[str, File], late: Mapping[str, float] | None = None) -> None:
        self._files = dict(files)
        self._late = dict(late or {})
        self._names = {_name_of(path) for path in (*self._files, *self._late)}

    def code(self, path: str) -> CodeType | None:
        """Compile a file; None leaves it to the interpreter to say what is wrong."""
        try:
            return compile(self._files[path].content, path, "exec", dont_inherit=True)
        except (KeyError, SyntaxError, ValueError):
            return None

    def loader(self, name: str, path: str) -> SourceFileLoader:
        """Return the loader of a module of the snapshot."""
        return _Loader(name, path, self._files)

    def install(self) -> None:
        """Have this process load modules from here, and show their lines."""
        at = next((n for n, f in enumerate(sys.meta_path) if getattr(f, "__name__", "") == "PathFinder"), 0)
        sys.meta_path.insert(at, _Finder(self, self._names))
        for path, file in self._files.items():
            try:
                lines = decode_source(file.content).splitlines(keepends=True)
            except (SyntaxError, ValueError):
                continue
            linecache.cache[path] = (len(file.content), None, lines, path)  # without a time it is never read again

    def __contains__(self, path: str) -> bool:
        return path in self._files

    def tell_if_changed(self, path: str) -> None:
        """Say, once, that a file which comes from the disk is another one than at the start of the run."""
        before = self._late.pop(path, None)
        if before is not None and os.stat(path).st_mtime != before:
            sys.stderr.write(f"Note: {path} has changed since this run began; this task imports it as it is now.\n")

    def to_descriptor(self) -> int:
        """Return the descriptor of a file without a name that has all this, for a program that this process becomes."""
        data = marshal.dumps(({path: tuple(file) for path, file in self._files.items()}, self._late))
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("flow", 0)
        else:
            with TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
            os.set_inheritable(descriptor, True)
        while data:
            data = data[os.write(descriptor, data) :]
        return descriptor

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Snapshot:
        """Read what `to_descriptor` has written, and close it."""
        with open(descriptor, "rb") as opened:
            opened.seek(0)
            files, late = marshal.loads(opened.read())
            return cls({path: File(*file) for path, file in files.items()}, late)


def main(descriptor: int, path: str, module: str, words: Sequence[str]) -> NoReturn:
    """Be the flow file of a snapshot, in an interpreter that was started for that."""
    snapshot = Snapshot.from_descriptor(descriptor)
    snapshot.install()
    sys.argv = list(words)
    on_error = partial(report_unbegun, environ=os.environ)
    run_main(snapshot.code(path), path, on_error, snapshot.loader(module or "__main__", path), module)


class _Loader(SourceFileLoader):
    """Loads a module from a snapshot; compiled code is used and written while the file is as it was."""

    def __init__(self, name: str, path: str, files: Mapping[str, File]) -> None:
        super().__init__(name, path)
        self._files = files

    def get_data(self, path: str) -> bytes:
        file = self._files.get(os.fspath(path))
        return super().get_data(path) if file is None else file.content

    def path_stats(self, path: Any) -> dict[str, float]:
        file = self._files.get(path)
        if file is None:
            return dict(super().path_stats(path))
        return {"mtime": file.mtime, "size": len(file.content)}

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o666) -> None:
        try:
            if os.stat(self.path).st_mtime == self._files[self.path].mtime:
                super().set_data(path, data, _mode=_mode)
        except (OSError, KeyError):
            pass


class _Finder:
    """Finds the modules of a snapshot where the path leads to them first."""

    def __init__(self, snapshot: Snapshot, names: set[str]) -> None:
        self._snapshot = snapshot
        self._names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        tail = name.rpartition(".")[2]
        if tail not in self._names or target is not None:  # a module that is reloaded is wanted as it is now
            return None
        for entry in sys.path if path is None else path:
            directory = os.path.abspath(entry)
            for place in (f"{directory}/{tail}/__init__.py", f"{directory}/{tail}.py"):
                if place in self._snapshot:
                    return spec_from_file_location(name, place, loader=self._snapshot.loader(name, place))
                if os.path.exists(place):
                    self._snapshot.tell_if_changed(place)
                    return None
        return None


def _name_of(path: str) -> str:
    directory, file = os.path.split(path)
    return os.path.basename(directory) if file == "__init__.py" else file.removesuffix(".py")
