"""The runtime package: our own code and the object store's client, for containers that have neither.

It is made once per version, minor version of Python and platform, and kept in a cache on this machine; in the storage
it is named by its hash and shared by all flows, so that it is uploaded once. It has our modules as source and as
compiled code of this Python (an image with another one compiles for itself), obstore as its wheel has it, and
``PLATFORM``, by which the boot program tells a wrong image. For another platform than this machine's, obstore's wheel
is fetched by pip.

Start reading at `runtime_archive`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from metaflow import files
from metaflow.compute.archive import Member, pack
from metaflow.exception import MetaflowException
from metaflow.store import layout

_FORM = 1
"""Counts changes of what is written here."""
_LEVEL = 6
_PURE = ("metaflow", "markdown_it", "mdurl", "yaml")
"""Packages that go along as source: ours, and what cards are made with."""
_KEPT = 4
"""Archives that stay in the cache."""
_UNCHECKED = b"\x01\x00\x00\x00"
"""The flags of compiled code that is used without a look at its source (PEP 552)."""
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
_GLIBC = tuple(f"manylinux_2_{minor}" for minor in range(28, 16, -1))


class Platform(NamedTuple):
    """What images are for.

    Attributes
    ----------
    machine : str
        As ``uname -m`` says.
    musl : bool
        Whether the C library is musl (Alpine), not glibc.
    """

    machine: str = "x86_64"
    musl: bool = False

    @property
    def name(self) -> str:
        """As the boot program says it."""
        return self.machine + ("-musl" if self.musl else "")

    @property
    def tags(self) -> list[str]:
        """As pip says it: every form that images of today can use, glibc 2.28 or musl 1.2."""
        forms = ("musllinux_1_2", "musllinux_1_1") if self.musl else ("manylinux2014", *_GLIBC)
        return [f"{form}_{self.machine}" for form in forms]


def platform_of(name: str) -> Platform:
    """Return the platform that METAFLOW_REMOTE_PLATFORM names, such as ``linux/arm64`` or ``linux/amd64/musl``."""
    machine, _, library = name.removeprefix("linux/").partition("/")
    return Platform(_MACHINES[machine], library == "musl")


class RuntimeArchive(NamedTuple):
    """The archive on this machine.

    Attributes
    ----------
    path : str
        Its file.
    sha256 : str
        Of its bytes.
    """

    path: str
    sha256: str

    @property
    def key(self) -> str:
        """Its name in every storage."""
        return layout.runtime_package(self.sha256)


def runtime_archive(cache: str, platform: Platform) -> RuntimeArchive:
    """Return the archive for a platform, made if it is not in the cache.

    Parameters
    ----------
    cache : str
        A directory; made if need be.
    platform : Platform
        What it shall be for.

    Raises
    ------
    MetaflowException
        The cache cannot be written, or the wheel for another platform cannot be had.
    """
    sources = [source for package in _PURE for source in _sources(package) if not source.name.endswith(".so")]
    local = platform == here()
    client = list(_sources("obstore")) if local else []
    prefix = f"runtime-{_fingerprint([*sources, *client], platform)}-"
    for name in _archives(cache):
        if name.startswith(prefix):
            return RuntimeArchive(f"{cache}/{name}", name.removeprefix(prefix).removesuffix(".tar.gz"))
    from hashlib import sha256

    wheel = _read(client) if local else _wheel(cache, platform)
    content = pack(_members(sources, wheel, platform), _LEVEL)
    digest = sha256(content).hexdigest()
    archive = RuntimeArchive(f"{cache}/{prefix}{digest}.tar.gz", digest)
    files.write(archive.path, content)
    for name in _archives(cache)[_KEPT:]:
        files.discard(f"{cache}/{name}")
    return archive


def here() -> Platform | None:
    """Return the platform of this machine; None if images cannot be for it."""
    if sys.platform != "linux" or not hasattr(os, "uname"):
        return None
    musl = "musl" in getattr(sys.implementation, "_multiarch", "")
    return Platform(_MACHINES.get(os.uname().machine, os.uname().machine), musl)


class _Source(NamedTuple):
    name: str
    path: str
    size: int
    changed: int


def _sources(package: str) -> Iterator[_Source]:
    """Yield the files of an installed package, in order."""
    from importlib.util import find_spec

    spec = find_spec(package)
    assert spec is not None
    top = next(iter(spec.submodule_search_locations or ()))
    for directory, below, names in os.walk(top):
        below[:] = sorted(name for name in below if name != "__pycache__" and not name.startswith("."))
        for name in sorted(names):
            if not name.endswith((".pyc", ".pyi", "py.typed")) and not name.startswith("."):
                path = f"{directory}/{name}"
                status = os.stat(path)
                inside = os.path.relpath(path, top).replace(os.sep, "/")
                yield _Source(f"{package}/{inside}", path, status.st_size, status.st_mtime_ns)


def _fingerprint(sources: list[_Source], platform: Platform) -> str:
    from hashlib import sha256

    text = repr((_FORM, sys.version_info[:2], platform.name, _client_version(), sources))
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _client_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("obstore")
    except PackageNotFoundError:
        return ""


def _archives(cache: str) -> list[str]:
    """Return the archives in the cache, the newest first."""
    try:
        names = [name for name in os.listdir(cache) if name.startswith("runtime-") and name.endswith(".tar.gz")]
    except FileNotFoundError:
        return []
    except OSError as error:
        files.unavailable(error, cache, "read")
    return sorted(names, key=lambda name: -_changed(f"{cache}/{name}"))


def _changed(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except OSError:  # another process has just removed it
        return 0.0


def _read(sources: list[_Source]) -> list[Member]:
    members = []
    for source in sources:
        with open(source.path, "rb") as file:
            members.append(Member(source.name, file.read()))
    return members


def _members(sources: list[_Source], client: list[Member], platform: Platform) -> Iterator[Member]:
    yield Member("PLATFORM", f"{platform.name}\n".encode())
    for member in (*_read(sources), *client):
        yield member
        if member.name.endswith(".py"):
            yield _compiled(member)


def _compiled(source: Member) -> Member:
    """Return the compiled form, which is used without a look at the source's time."""
    from importlib.util import MAGIC_NUMBER, source_hash
    from marshal import dumps

    code = compile(source.content, source.name, "exec", dont_inherit=True, optimize=0)
    header = MAGIC_NUMBER + _UNCHECKED + source_hash(source.content)
    directory, _, name = source.name.rpartition("/")
    name = f"{directory}/__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc"
    return Member(name, header + dumps(code))


def _wheel(cache: str, platform: Platform) -> list[Member]:
    """Return the files of obstore's wheel for another platform."""
    from zipfile import ZipFile

    path = _downloaded(f"{cache}/wheels-{platform.name}", platform)
    with ZipFile(path) as wheel:
        names = sorted(wheel.namelist())
        wanted = [
            name for name in names if name.startswith("obstore/") and not name.endswith((".pyi", "py.typed", "/"))
        ]
        return [Member(name, wheel.read(name)) for name in wanted]


def _downloaded(directory: str, platform: Platform) -> str:
    import subprocess

    requirement = f"obstore=={_client_version()}"
    python = ".".join(str(part) for part in sys.version_info[:2])
    wanted = requirement.replace("==", "-") + "-"
    for _ in range(2):
        found = [name for name in _listed(directory) if name.startswith(wanted) and name.endswith(".whl")]
        if found:
            return f"{directory}/{found[0]}"
        options = ["--no-deps", "--only-binary=:all:", "--python-version", python]
        options += [word for tag in platform.tags for word in ("--platform", tag)]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", directory, requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            break
    lines = [line for line in done.stderr.splitlines() if line.strip()] or ["pip gave no reason"]
    raise MetaflowException(
        f"Images for linux/{platform.name} need {requirement} for that platform, and it cannot be had: {lines[-1]}",
        hint=f"`{' '.join(command)}` shows more; METAFLOW_REMOTE_PLATFORM says what the images are for",
    )


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
