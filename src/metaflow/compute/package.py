"""The code package: a flow's source as it was when a run began, for tasks that run elsewhere.

In go the files beside the flow file and below (of a flow that was started as a module, those of its topmost package),
with the endings that are asked for (``.py``, ``.R``, ``.RDS`` if nothing is), symbolic links followed, each under its
relative path; the user's own modules from elsewhere (`metaflow.compute.modules`), below ``.mf_code``, which a task
has on its path; and what decorators add (`metaflow.flow.package_content`). Left out are hidden files, virtual
environments, what `metaflow.compute.ignore` excludes, and what looks like a secret. The archive is a tar.gz as Metaflow
2.19 has it, with a description in ``.mf_meta/INFO``; the same files make the same bytes.

Start reading at `gather`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any, NamedTuple

from metaflow.compute.archive import Member, pack
from metaflow.compute.command import ELSEWHERE
from metaflow.compute.finding import import_root, read
from metaflow.compute.ignore import FILE, Ignored
from metaflow.compute.modules import Module, modules_elsewhere
from metaflow.exception import CommandException
from metaflow.flow.package_content import Addition, ContentType

FORMAT = {"version": 0, "archive_format": "tgz", "mfcontent_version": 1}
"""What the fact about a package says of its form."""

_SOURCE = (".py", ".r")
_SECRETS = (
    ".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".npmrc", ".pypirc", ".htpasswd",
    ".git-credentials", "credentials", "credentials.*", "secret.*", "secrets.*", "client_secret*.json",
    "service[-_]account*.json", "kubeconfig", "*.kubeconfig",
)  # fmt: skip
_ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})
_LEVEL = 6
_MOST_SUFFIXES = 200
"""More of them are no kinds of files, but numbers or dates."""


class PackagedFile(NamedTuple):
    """A file that goes in.

    Attributes
    ----------
    name : str
        In the archive.
    path : str
        On this disk.
    size : int
        Bytes.
    """

    name: str
    path: str
    size: int


class Manifest(NamedTuple):
    """What goes in.

    Attributes
    ----------
    script : str
        The flow file's name in the archive.
    directory : str
        What the names are relative to.
    suffixes : tuple of str
        The endings.
    files : list of PackagedFile
        By name.
    modules : list of Module
        From elsewhere.
    secrets : list of str
        What was left out because it looks like a secret.
    other_suffixes : tuple of str
        Endings of files that were left out because nobody asks for them.
    """

    script: str
    directory: str
    suffixes: tuple[str, ...]
    files: list[PackagedFile]
    modules: list[Module]
    secrets: list[str]
    other_suffixes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def suffixes_of(text: str | None, configured: Sequence[str]) -> tuple[str, ...]:
    """Return the endings of files that go in.

    Parameters
    ----------
    text : str or None
        Further endings, separated by commas, as ``--package-suffixes`` gives them.
    configured : sequence of str
        METAFLOW_DEFAULT_PACKAGE_SUFFIXES.
    """
    words = [*configured, *(text or "").split(",")]
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


def name_in_package(path: str, module: str = "") -> str:
    """Return the name of the flow file in the archive."""
    # Of a link, the task shall see the name that the user gave.
    return os.path.relpath(path, import_root(path, module)) if "." in module else os.path.basename(path)


def gather(
    path: str, suffixes: Sequence[str], limit_mb: float, module: str = "", additions: Iterable[Addition] = ()
) -> Manifest:
    """Find what goes in.

    Parameters
    ----------
    path : str
        The flow file.
    suffixes : sequence of str
        Endings of files, from `suffixes_of`.
    limit_mb : float
        Most MB of all files together.
    module : str, optional
        The flow file's dotted name, if it was started by that.
    additions : iterable of Addition
        What decorators add.

    Raises
    ------
    CommandException
        There are more; or a decorator adds a file that does not exist, or in the place of another one.
    """
    additions = list(additions)
    suffixes = (*suffixes, *(each for added in additions if added.is_suffixes for each in added.suffixes or ()))
    package = module.partition(".")[0] if "." in module else ""
    directory = import_root(path, module) if package else os.path.dirname(os.path.realpath(path))
    script = name_in_package(path, module)
    walk = _Walk(suffixes, _ignored(directory))
    prefix = f"{package}/" if package else ""
    files = {file.name: file for file in walk.below(os.path.join(directory, package), prefix)}
    files[script] = PackagedFile(script, path, os.path.getsize(path))
    modules = modules_elsewhere(path, module)
    known = {each.name for each in modules}
    modules += [each for each in map(_module, additions) if each is not None and each.name not in known]
    for each in modules:
        name = each.name.replace(".", "/")
        if os.path.isdir(each.path):
            found = list(walk.below(each.path, f"{name}/"))
        elif os.path.exists(each.path):
            found = [PackagedFile(f"{name}.py", each.path, os.path.getsize(each.path))]
        else:
            found = list(_zipped(each.path, name, suffixes))
        files |= {f"{ELSEWHERE}/{file.name}": file._replace(name=f"{ELSEWHERE}/{file.name}") for file in found}
    for added in additions:
        for file in _added(walk, added):
            there = files.setdefault(file.name, file)
            if os.path.realpath(there.path) != os.path.realpath(file.path):
                raise CommandException(
                    f"Two files would be {file.name} in the code package: {there.path} and {file.path}.",
                    hint="let the decorator that adds one of them give it another name",
                )
    ordered = [files[name] for name in sorted(files)]
    others = tuple(sorted(walk.other_suffixes))
    manifest = Manifest(script, directory, suffixes, ordered, modules, sorted(walk.secrets), others)
    if manifest.size > limit_mb * 1e6:
        raise _too_large(manifest, limit_mb)
    return manifest


_PLACES = {
    ContentType.USER_CONTENT: "",
    ContentType.CODE_CONTENT: f"{ELSEWHERE}/",
    ContentType.OTHER_CONTENT: ".mf_meta/",
}


def _module(added: Addition) -> Module | None:
    if not isinstance(added.source, ModuleType):
        return None
    file = added.source.__file__ or ""
    paths = getattr(added.source, "__path__", None)
    return Module(added.source.__name__, str(next(iter(paths))) if paths else file)


def _added(walk: _Walk, added: Addition) -> Iterator[PackagedFile]:
    """Yield the files that a decorator adds."""
    if isinstance(added.source, ModuleType) or added.is_suffixes:
        return
    path, name = os.path.abspath(added.source), _PLACES[added.type] + added.name
    if os.path.isdir(path):
        suffixes = ("",) if added.suffixes is None else added.suffixes
        inside = _Walk((*suffixes, *map(str.lower, suffixes), *map(str.upper, suffixes)), Ignored())
        yield from inside.below(path, f"{name}/")
        walk.secrets |= inside.secrets
    elif os.path.isfile(path):
        yield PackagedFile(name, path, os.path.getsize(path))
    else:
        raise CommandException(f"There is no file {path}, which a decorator adds to the code package.")


def archive(manifest: Manifest, info: Mapping[str, Any]) -> bytes:
    """Return the package.

    Parameters
    ----------
    manifest : Manifest
        From `gather`.
    info : mapping
        What ``INFO`` says of the environment besides the script.

    Raises
    ------
    CommandException
        A file cannot be read.
    """
    return pack(_members(manifest, info), _LEVEL)


def described(info: Mapping[str, Any], script: str) -> dict[str, str]:
    """Return the generated files: name in the archive to content."""
    return {
        ".mf_meta/INFO": json.dumps({**info, "script": script}),
        ".mf_meta/CONFIG": "{}",
        ".mf_meta/DIST_INFO": "{}",
        ".mf_install": json.dumps({"version": 1, "module_files": []}),
    }


def _members(manifest: Manifest, info: Mapping[str, Any]) -> Iterator[Member]:
    for name, text in described(info, manifest.script).items():
        yield Member(name, text.encode())
    for name, path, _ in manifest.files:
        try:
            executable = os.path.exists(path) and bool(os.stat(path).st_mode & 0o100)
            yield Member(name, read(path), executable)
        except OSError as error:
            raise CommandException(
                f"The file {path} belongs to the code package and cannot be read: {error.strerror}.",
                hint=f"make it readable, or name it in {FILE}",
            ) from None


def _zipped(path: str, name: str, suffixes: tuple[str, ...]) -> Iterator[PackagedFile]:
    """Yield the files of a module or package at a path that leads into a zip file."""
    from zipfile import ZipFile

    archive = path
    while not os.path.exists(archive):
        archive = os.path.dirname(archive)
    inside = path[len(archive) + 1 :]
    with ZipFile(archive) as opened:
        for member in opened.infolist():
            if member.filename == inside:
                yield PackagedFile(f"{name}.py", path, member.file_size)
            elif member.filename.startswith(f"{inside}/") and member.filename.endswith(suffixes):
                rest = member.filename[len(inside) :]
                yield PackagedFile(f"{name}{rest}", f"{path}{rest}", member.file_size)


class _Walk:
    """Looks through directories."""

    def __init__(self, suffixes: tuple[str, ...], ignored: Ignored) -> None:
        self._suffixes = suffixes
        self._ignored = ignored
        self.secrets: set[str] = set()
        self.other_suffixes: set[str] = set()

    def below(self, directory: str, prefix: str) -> Iterator[PackagedFile]:
        """Yield what goes in of a directory; `prefix` is its name in the archive, with a slash."""
        yield from self._scan(directory, prefix, (os.path.realpath(directory),))

    def _scan(self, directory: str, prefix: str, way: tuple[str, ...]) -> Iterator[PackagedFile]:
        """Look through a directory; `way` has the real paths of those that led to it, its own last."""
        try:
            with os.scandir(directory) as scan:
                entries = list(scan)
        except OSError:  # what cannot be listed cannot be imported either
            return
        if len(way) > 1 and not _ENVIRONMENT_MARKS.isdisjoint(entry.name for entry in entries):
            return
        for entry in entries:
            name = f"{prefix}{entry.name}"
            try:
                is_directory = entry.is_dir()
            except OSError:  # a link that leads to itself
                continue
            if is_directory:
                yield from self._enter(entry, name, way)
            elif not self._wants(entry.name):
                self._note_suffix(entry.name)
            elif entry.is_file() and not self._leaves_out(name, entry):
                yield PackagedFile(name, entry.path, entry.stat().st_size)

    def _enter(self, entry: os.DirEntry[str], name: str, way: tuple[str, ...]) -> Iterator[PackagedFile]:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            return
        if self._ignored.verdict(name, directory=True):
            return
        inside = os.path.realpath(entry.path) if entry.is_symlink() else f"{way[-1]}/{entry.name}"
        if inside not in way and not f"{way[-1]}/".startswith(f"{inside}/"):  # a link that leads back
            yield from self._scan(entry.path, f"{name}/", (*way, inside))

    def _wants(self, name: str) -> bool:
        return name.endswith(self._suffixes) and (not name.startswith(".") or name in self._suffixes)

    def _note_suffix(self, name: str) -> None:
        suffix = os.path.splitext(name)[1]
        if suffix and len(self.other_suffixes) < _MOST_SUFFIXES:
            self.other_suffixes.add(suffix)

    def _leaves_out(self, name: str, entry: os.DirEntry[str]) -> bool:
        verdict = self._ignored.verdict(name)
        if verdict is not None:
            return verdict
        lower = entry.name.lower()
        if not lower.endswith(_SOURCE) and any(fnmatchcase(lower, pattern) for pattern in _SECRETS):
            self.secrets.add(entry.path)
            return True
        return False


def _ignored(directory: str) -> Ignored:
    try:
        with open(f"{directory}/{FILE}", encoding="utf-8") as file:
            return Ignored(file)
    except FileNotFoundError:
        return Ignored()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandException(f"The file {directory}/{FILE} cannot be read: {error}.") from None


def _too_large(manifest: Manifest, limit_mb: float) -> CommandException:
    largest = sorted(manifest.files, key=lambda file: -file.size)[:5]
    listed = "\n".join(f"{file.size / 1e6:10.1f} MB  {file.name}" for file in largest)
    return CommandException(
        f"The code package has {len(manifest.files)} files of {manifest.size / 1e6:.0f} MB together, "
        f"and may have {limit_mb:g} MB. The largest:\n{listed}",
        hint=f"name what tasks do not need in {manifest.directory}/{FILE}, or raise METAFLOW_CODE_PACKAGE_LIMIT (MB)",
    )
