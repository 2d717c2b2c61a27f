"""Files on a local disk that are there whole or not at all.

Used by every room that writes below a datastore root. A file appears under its final name by one rename, so a reader,
or a process that comes after a `kill -9`, never sees a part of it. Nothing here knows what the files mean.
"""

from __future__ import annotations

import errno
import os
from itertools import count
from typing import NoReturn

from metaflow.exception import StorageUnavailable

_serial = count()
_FIRST_READ = 1 << 14
_FURTHER_READ = 1 << 22

NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What is raised where no file has the name; any other `OSError` is trouble."""

_HINTS = {
    errno.ENOSPC: "free some space; `resume` continues from the tasks that finished",
    errno.EDQUOT: "free some of your quota; `resume` continues from the tasks that finished",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or run fewer tasks at a time (--max-workers)",
    errno.ENFILE: "the whole machine has too many files open",
    errno.EACCES: "choose a directory you may write to, or set METAFLOW_DATASTORE_SYSROOT_LOCAL",
    errno.EPERM: "choose a directory you may write to, or set METAFLOW_DATASTORE_SYSROOT_LOCAL",
    errno.EROFS: "the file system is read-only: set METAFLOW_DATASTORE_SYSROOT_LOCAL to a directory you may write to",
    errno.ENOTDIR: "a part of this path is a file: set METAFLOW_DATASTORE_SYSROOT_LOCAL to another directory",
}


def unavailable(error: OSError, path: str, verb: str = "write") -> NoReturn:
    """Raise `error` as a sentence about `path`; for one about writing, with a hint for the causes people meet."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = _HINTS.get(error.errno or 0) if verb == "write" else None
    raise StorageUnavailable(f"Cannot {verb} {path}: {reason}.", hint=hint) from error


def temporary_name(directory: str) -> str:
    """Return a name in `directory` that no other process or thread uses; files of this form are rubbish if left."""
    return f"{directory}/.tmp-{os.getpid()}-{next(_serial)}"


def make_directory(path: str) -> None:
    """Make a directory and those above it, as far as they are not there."""
    try:
        os.mkdir(path)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(path, exist_ok=True)


def write(path: str, data: bytes, *, overwrite: bool = True) -> None:
    """Write `data` to `path`, atomically, making the directories it needs.

    Parameters
    ----------
    path : str
        The final name.
    data : bytes
        The content.
    overwrite : bool
        If False, an existing file stays as it is.

    Raises
    ------
    StorageUnavailable
        The disk is full, the directory cannot be written, …
    """
    if not overwrite and os.path.exists(path):
        return
    directory = os.path.dirname(path) or "."
    temporary = temporary_name(directory)
    try:
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        except FileNotFoundError:
            make_directory(directory)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        discard(temporary)
        unavailable(error, path)


def link(path: str, name: str) -> None:
    """Give the file at `path` a second name, which must be new, making the directories it needs.

    Where the file system has no links, or no more for this file, its content is copied.

    Raises
    ------
    StorageUnavailable
        There is no such file, the disk is full, the directory cannot be written, …
    """
    try:
        try:
            os.link(path, name)
        except FileNotFoundError:
            make_directory(os.path.dirname(name))
            os.link(path, name)
    except FileExistsError:
        pass
    except FileNotFoundError as error:
        unavailable(error, path, "read")
    except OSError:
        write(name, read(path) or b"")


def read(path: str) -> bytes | None:
    """Return the content of `path`, or None if there is no such file.

    Raises
    ------
    StorageUnavailable
        Whether it is there cannot be found out, or it cannot be read.
    """
    try:  # plain calls: a task reads a dozen small files, and a file object costs three times the system calls
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = [os.read(fd, _FIRST_READ)]
            if len(parts[0]) == _FIRST_READ:
                while parts[-1]:
                    parts.append(os.read(fd, _FURTHER_READ))
        finally:
            os.close(fd)
    except NOT_THERE:
        return None
    except OSError as error:
        unavailable(error, path, "read")
    return b"".join(parts)


def discard(path: str) -> None:
    """Remove `path` if it is there."""
    try:
        os.unlink(path)
    except OSError:
        pass
