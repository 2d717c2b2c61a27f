"""Files on a local disk that are there whole or not at all, and the temporary files behind them.

Used by every room that writes files. A file appears under its final name in one step, so a reader, or a process that
comes after a `kill -9`, never sees a part of it. Until then it has no name, where the system allows that: then nothing
is left of a writer that is killed, and nobody else can find what is being written. Elsewhere (NFS, macOS) it has a
name that cannot be met twice, also by processes of other hosts or containers, and is locked: who comes later removes
what nobody holds. Nothing here knows what the files mean. Start reading at `NewFile`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
import zlib
from functools import cache
from typing import NoReturn

from metaflow.exception import StorageUnavailable

_FIRST_READ = 1 << 14
_FURTHER_READ = 1 << 22
_QUIET = 86400.0
"""Seconds without a write after which a temporary file of another machine may be abandoned."""

_looked_through: set[str] = set()

_EXCLUSIVE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NAMELESS: int = getattr(os, "O_TMPFILE", 0) if os.path.isdir("/proc/self/fd") else 0
_NOT_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)
"""What file systems and kernels say that do not know `O_TMPFILE`."""

TEMPORARY = ".tmp-millrace-"
"""How the names of temporary files begin; no listing shows them."""

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)

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


def is_absent(error: OSError) -> bool:
    """Tell whether it is raised because no file has, or can have, the name; any other is trouble."""
    return error.errno in _NOT_THERE


def make_directory(path: str) -> None:
    """Make a directory and those above it, as far as they are not there."""
    try:
        os.mkdir(path)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(path, exist_ok=True)


class NewFile:
    """A file that is being written, which nobody finds before `publish` gives it its name.

    Parameters
    ----------
    directory : str
        Where it is made: on the file system of its final name, if it shall get one.
    mode : int
        Its permissions, less the umask.
    dir_fd : int, optional
        An open directory that `directory` is relative to.

    Attributes
    ----------
    fd : int
        Its descriptor, open for writing and reading.
    directory : str
        As given.

    Raises
    ------
    OSError
        By all methods.
    """

    __slots__ = ("_dir_fd", "_name", "directory", "fd")

    def __init__(self, directory: str, mode: int = 0o666, *, dir_fd: int | None = None) -> None:
        self.directory = directory
        self._dir_fd = dir_fd
        self._name: str | None = None
        if _NAMELESS:
            try:
                self.fd = os.open(directory, _NAMELESS | os.O_RDWR | os.O_CLOEXEC, mode, dir_fd=dir_fd)
                return
            except OSError as error:
                if error.errno not in _NOT_NAMELESS:
                    raise
        self.fd, self._name = _named(directory, mode, dir_fd)

    @classmethod
    def in_memory(cls) -> NewFile:
        """Return a file that is in no directory and gets no name, or a temporary one where the system has no such."""
        if not hasattr(os, "memfd_create"):
            from tempfile import gettempdir

            return cls(gettempdir())
        file = cls.__new__(cls)
        file.directory, file._dir_fd, file._name = "memory", None, None
        file.fd = os.memfd_create("millrace")
        return file

    @property
    def path(self) -> str:
        """A name by which this process, and others of the same user, can open it while it is open here."""
        return self._name or f"/proc/{os.getpid()}/fd/{self.fd}"

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        written = os.write(self.fd, data)
        if written < len(data):
            view = memoryview(data)
            while view := view[written:]:
                written = os.write(self.fd, view)

    def publish(self, path: str, *, overwrite: bool = True, dir_fd: int | None = None) -> bool:
        """Give the file its final name; without `overwrite`, return False if there is a file of that name.

        The directory must be there. `path` is relative to `dir_fd`, if given.
        """
        try:
            if self._name is not None:
                return self._move(self._name, path, overwrite, dir_fd)
            self._link(path, dir_fd)
            return True
        except FileExistsError:
            if not overwrite:
                return False
        except OSError:  # no links here, or another file system
            return self._publish_copy(path, overwrite, dir_fd)
        temporary = temporary_name(os.path.dirname(path) or ".")
        self._link(temporary, dir_fd)
        _rename(temporary, path, dir_fd)
        return True

    def close(self) -> None:
        """Let go of the file; what was not published is gone."""
        if self.fd < 0:
            return
        if self._name is not None:
            discard(self._name, dir_fd=self._dir_fd)
            self._name = None
        os.close(self.fd)
        self.fd = -1

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _link(self, path: str, dir_fd: int | None) -> None:
        # With the number of a directory, even if it is not needed, Python asks for links to be followed.
        os.link(f"/proc/self/fd/{self.fd}", path, src_dir_fd=self.fd, dst_dir_fd=dir_fd)

    def _move(self, name: str, path: str, overwrite: bool, dir_fd: int | None) -> bool:
        if not overwrite:
            try:
                os.link(name, path, src_dir_fd=self._dir_fd, dst_dir_fd=dir_fd)
                return True  # `close` takes the other name away
            except FileExistsError:
                return False
            except OSError:
                if _exists(path, dir_fd):
                    return False
        os.rename(name, path, src_dir_fd=self._dir_fd, dst_dir_fd=dir_fd)
        self._name = None
        return True

    def _publish_copy(self, path: str, overwrite: bool, dir_fd: int | None) -> bool:
        mode = stat.S_IMODE(os.fstat(self.fd).st_mode)
        fd, name = _named(os.path.dirname(path) or ".", mode, dir_fd)
        try:
            os.lseek(self.fd, 0, os.SEEK_SET)
            while data := memoryview(os.read(self.fd, _FURTHER_READ)):
                while data:
                    data = data[os.write(fd, data) :]
            if not overwrite and _exists(path, dir_fd):
                discard(name, dir_fd=dir_fd)
                return False
            _rename(name, path, dir_fd)
        except OSError:
            discard(name, dir_fd=dir_fd)
            raise
        finally:
            os.close(fd)
        return True


def temporary_name(directory: str) -> str:
    """Return a name in `directory` that nobody has used or will use, on whatever host."""
    return f"{directory}/{TEMPORARY}{_boot()}-{os.urandom(12).hex()}"


def _named(directory: str, mode: int, dir_fd: int | None) -> tuple[int, str]:
    """Make a file under a temporary name, and lock it; return its descriptor and name."""
    if dir_fd is None:
        _remove_abandoned(directory)
    while True:
        name = temporary_name(directory)
        fd = os.open(name, _EXCLUSIVE, mode, dir_fd=dir_fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody is looking whether it is abandoned
            os.close(fd)
            discard(name, dir_fd=dir_fd)
            continue
        except OSError:
            return fd, name  # no locks here
        if os.fstat(fd).st_nlink:
            return fd, name
        os.close(fd)  # it was taken for abandoned before it was locked


def _remove_abandoned(directory: str) -> None:
    """Remove temporary files that no living process holds, once per process and directory.

    Of files of this boot of this machine, in whatever container, the lock says whether somebody holds them. A lock may
    not reach to other machines, so theirs must have been quiet for a day, too.
    """
    if directory in _looked_through:
        return
    _looked_through.add(directory)
    try:
        names = [name for name in os.listdir(directory) if name.startswith(TEMPORARY)]
    except OSError:
        return
    for name in names:
        path = f"{directory}/{name}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            status = os.fstat(fd)
            quiet = name.startswith(f"{TEMPORARY}{_boot()}-") or time.time() - status.st_mtime > _QUIET
            if stat.S_ISREG(status.st_mode) and quiet:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
        except OSError:
            pass  # somebody holds it, or it is not ours to remove
        finally:
            os.close(fd)


def create(path: str, data: bytes, *, overwrite: bool = True, dir_fd: int | None = None) -> bool:
    """Write `data` to `path`, atomically; without `overwrite`, return False if there is a file of that name.

    Parameters
    ----------
    path : str
        The final name; its directory must be there.
    data : bytes
        The content.
    overwrite : bool
        If False, an existing file stays as it is.
    dir_fd : int, optional
        An open directory that `path` is relative to.

    Raises
    ------
    OSError
        The disk is full, the directory cannot be written, …
    """
    if not overwrite and _exists(path, dir_fd):
        return False
    with NewFile(os.path.dirname(path) or ".", dir_fd=dir_fd) as file:
        file.write(data)
        return file.publish(path, overwrite=overwrite, dir_fd=dir_fd)


def write(path: str, data: bytes, *, overwrite: bool = True) -> bool:
    """Do what `create` does, and make the directories that it needs.

    Raises
    ------
    StorageUnavailable
        The disk is full, the directory cannot be written, …
    """
    try:
        try:
            return create(path, data, overwrite=overwrite)
        except FileNotFoundError:
            make_directory(os.path.dirname(path))
            return create(path, data, overwrite=overwrite)
    except OSError as error:
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
    except OSError as error:
        if is_absent(error):
            return None
        unavailable(error, path, "read")
    return b"".join(parts)


def discard(path: str, *, dir_fd: int | None = None) -> None:
    """Remove `path` if it is there."""
    try:
        os.unlink(path, dir_fd=dir_fd)
    except OSError:
        pass


@cache
def _boot() -> str:
    """Return what the processes of one boot of one machine have in common."""
    boot = read("/proc/sys/kernel/random/boot_id")
    return boot.decode()[:8] if boot else f"{zlib.crc32(os.uname().nodename.encode()):08x}"


def _exists(path: str, dir_fd: int | None) -> bool:
    return os.access(path, os.F_OK, dir_fd=dir_fd)


def _rename(name: str, path: str, dir_fd: int | None) -> None:
    try:
        os.rename(name, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except OSError:
        discard(name, dir_fd=dir_fd)
        raise
