"""From environment and configuration files to one `Settings`.

Each name is looked up in three places, the first that has it wins (as in Metaflow 2.19):

1. the environment;
2. ``config.json`` in the nearest ``.metaflow`` directory of the working directory or its parents;
3. ``config.json``, or ``config_<profile>.json`` if METAFLOW_PROFILE is set, in METAFLOW_HOME (``~/.metaflowconfig``).

METAFLOW_PROFILE and METAFLOW_HOME say where to look and therefore count in the environment only. Start reading at
`load`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from metaflow.exception import MetaflowUnknownUser, SettingsError
from metaflow.settings import config_file
from metaflow.settings.config_file import ConfigFile

_USER_VARIABLES = ("SUDO_USER", "USERNAME", "USER")
_OFF = ("", "0", "false", "no", "off", "n", "f")


class Settings(NamedTuple):
    """What this installation is.

    Attributes
    ----------
    username : str or None
        Who runs this, if anybody can say; see `user`.
    home : str or None
        Directory of the configuration files; None without METAFLOW_HOME and a home directory.
    profile : str or None
        METAFLOW_PROFILE.
    default_metadata, default_datastore, default_environment : str
        Names in the registry; ``local`` unless set. METAFLOW_ENVIRONMENT goes before METAFLOW_DEFAULT_ENVIRONMENT.
    datastore_sysroot_local : str or None
        METAFLOW_DATASTORE_SYSROOT_LOCAL as given.
    local_root : str
        Absolute path of the local datastore, the ``.metaflow`` directory: below the sysroot if that is set, else the
        nearest in the working directory and its parents, else in the working directory. It need not exist.
    local_files_root : str
        Absolute path below which included files are kept: METAFLOW_DATATOOLS_LOCALROOT, else ``data`` (or
        METAFLOW_DATATOOLS_SUFFIX) below the sysroot, else below `local_root`.
    tempdir : str or None
        METAFLOW_TEMPDIR.
    local_isolation : str or None
        ``fork`` or ``exec``, from METAFLOW_LOCAL_ISOLATION.
    debug : frozenset of str
        Names in lower case of the METAFLOW_DEBUG_<NAME> switches that are on.
    entries : mapping of str to str
        Every METAFLOW_* name that is set anywhere, read-only.
    origins : mapping of str to str
        ``path:line:column`` of each entry that a file gave; an entry that is not here is from the environment.
    files : tuple of str
        The configuration files that were read.
    warnings : tuple of str
        A sentence for each name that looks misspelt.
    """

    username: str | None
    home: str | None
    profile: str | None
    default_metadata: str
    default_datastore: str
    default_environment: str
    datastore_sysroot_local: str | None
    local_root: str
    local_files_root: str
    tempdir: str | None
    local_isolation: str | None
    debug: frozenset[str]
    entries: Mapping[str, str]
    origins: Mapping[str, str]
    files: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def user(self) -> str:
        """Name of the person (or service) who runs this.

        The first of METAFLOW_USER, SUDO_USER, USERNAME and USER that is set and not ``root``, else the owner of the
        process, which in a container may well be ``root``.

        Raises
        ------
        metaflow.exception.MetaflowUnknownUser
            None of them is set and the process' uid has no name.
        """
        if self.username is None:
            raise MetaflowUnknownUser(
                "Nobody can say who runs this: METAFLOW_USER, SUDO_USER, USERNAME and USER are not set, "
                f"and the uid {os.getuid()} has no name.",
                hint="set METAFLOW_USER to your name",
            )
        return self.username


def load(environ: Mapping[str, str], directory: str | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environ : mapping
        The environment.
    directory : str, optional
        Absolute path of the working directory, if it is not the process'.

    Raises
    ------
    metaflow.exception.SettingsError
        A configuration file cannot be used, the profile does not exist, or a value has the wrong type.
    """
    directory = directory or _working_directory()
    nearest = _nearest_root(directory)
    home = _home(environ, directory)
    profile = environ.get("METAFLOW_PROFILE") or None
    files = [file for file in (_profile_file(home, profile), _local_file(nearest)) if file is not None]
    entries = _entries(environ, files)
    origins = {name: file.where(name) for file in files for name in file.texts() if name not in environ}
    for file in files:
        _check_types(file, origins)

    sysroot = entries.get("METAFLOW_DATASTORE_SYSROOT_LOCAL") or None
    suffix = entries.get("METAFLOW_DATATOOLS_SUFFIX") or "data"
    local_root = f"{sysroot}/.metaflow" if sysroot else nearest or f"{directory}/.metaflow"
    files_root = entries.get("METAFLOW_DATATOOLS_LOCALROOT") or f"{sysroot or local_root}/{suffix}"
    return Settings(
        username=_username(environ, entries),
        home=home,
        profile=profile,
        default_metadata=entries.get("METAFLOW_DEFAULT_METADATA") or "local",
        default_datastore=entries.get("METAFLOW_DEFAULT_DATASTORE") or "local",
        default_environment=(
            environ.get("METAFLOW_ENVIRONMENT") or entries.get("METAFLOW_DEFAULT_ENVIRONMENT") or "local"
        ),
        datastore_sysroot_local=sysroot,
        local_root=os.path.normpath(os.path.join(directory, local_root)),
        local_files_root=os.path.normpath(os.path.join(directory, files_root)),
        tempdir=entries.get("METAFLOW_TEMPDIR") or None,
        local_isolation=_local_isolation(entries, origins),
        debug=frozenset(
            name.removeprefix("METAFLOW_DEBUG_").lower()
            for name, value in entries.items()
            if name.startswith("METAFLOW_DEBUG_") and value.strip().lower() not in _OFF
        ),
        entries=MappingProxyType(entries),
        origins=MappingProxyType(origins),
        files=tuple(file.path for file in files),
        warnings=_warnings(entries, origins, files),
    )


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        raise SettingsError(
            "The working directory does not exist any more.", hint="change to another directory and try again"
        ) from None


def _nearest_root(directory: str) -> str | None:
    while True:
        root = os.path.join(directory, ".metaflow")
        if os.path.isdir(root):
            return root
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def _home(environ: Mapping[str, str], directory: str) -> str | None:
    chosen = environ.get("METAFLOW_HOME") or "~/.metaflowconfig"
    if not chosen.startswith("~"):
        return os.path.normpath(os.path.join(directory, chosen))
    if not chosen.startswith("~/") and chosen != "~":
        return os.path.expanduser(chosen)
    person = environ.get("HOME") or _account("pw_dir")
    return person + chosen[1:] if person else None


def _account(field: str) -> str | None:
    try:
        import pwd

        return getattr(pwd.getpwuid(os.getuid()), field) or None
    except (ImportError, KeyError):
        return None


def _profile_file(home: str | None, profile: str | None) -> ConfigFile | None:
    name = f"config_{profile}.json" if profile else "config.json"
    file = config_file.read(f"{home}/{name}") if home else None
    if profile and file is None:
        raise SettingsError(
            f"There is no profile '{profile}' (METAFLOW_PROFILE): {home or '~/.metaflowconfig'}/{name} does not exist.",
            hint=_profiles_hint(home),
        )
    return file


def _profiles_hint(home: str | None) -> str:
    try:
        names = sorted(os.listdir(home)) if home else []
    except OSError:
        names = []
    profiles = ", ".join(n[7:-5] for n in names if n.startswith("config_") and n.endswith(".json"))
    return f"profiles here: {profiles}" if profiles else "unset METAFLOW_PROFILE, or write this file"


def _local_file(nearest: str | None) -> ConfigFile | None:
    return config_file.read(f"{nearest}/config.json") if nearest else None


def _entries(environ: Mapping[str, str], files: list[ConfigFile]) -> dict[str, str]:
    entries: dict[str, str] = {}
    for file in files:
        entries |= file.texts()
    entries.update((name, value) for name, value in environ.items() if name.startswith("METAFLOW_"))
    return entries


def _username(environ: Mapping[str, str], entries: Mapping[str, str]) -> str | None:
    candidates = [entries.get("METAFLOW_USER"), *map(environ.get, _USER_VARIABLES)]
    for name in candidates:
        if name and name != "root":
            return name
    return _account("pw_name") or ("root" if "root" in candidates else None)


# Entries that this room itself uses: a list or an object there is a mistake.
_TEXT_ENTRIES = (
    "METAFLOW_DATASTORE_SYSROOT_LOCAL", "METAFLOW_DATATOOLS_LOCALROOT", "METAFLOW_DATATOOLS_SUFFIX",
    "METAFLOW_DEFAULT_DATASTORE", "METAFLOW_DEFAULT_ENVIRONMENT", "METAFLOW_DEFAULT_METADATA",
    "METAFLOW_LOCAL_ISOLATION", "METAFLOW_TEMPDIR", "METAFLOW_USER",
)  # fmt: skip


def _check_types(file: ConfigFile, origins: Mapping[str, str]) -> None:
    for name in _TEXT_ENTRIES:
        value: Any = file.values.get(name)
        if isinstance(value, (list, dict, bool)) and origins.get(name) == file.where(name):
            raise SettingsError(
                f"{name} in {file.where(name)} should be a text, not {config_file.text_of(value)}.",
                hint=f'write "{name}": "…"',
            )


def _local_isolation(entries: Mapping[str, str], origins: Mapping[str, str]) -> str | None:
    name = "METAFLOW_LOCAL_ISOLATION"
    value = entries.get(name) or None
    if value not in (None, "fork", "exec"):
        raise SettingsError(
            f"{name} in {origins.get(name, 'the environment')} is '{value}'.", hint="it can be 'fork' or 'exec'"
        )
    return value


def _warnings(entries: Mapping[str, str], origins: Mapping[str, str], files: list[ConfigFile]) -> tuple[str, ...]:
    if not entries and not files:
        return ()
    from metaflow.settings.known import misspellings

    sources = {name: origins.get(name, "the environment") for name in entries}
    for file in files:
        sources |= {name: file.where(name) for name in file.values if name not in sources}
    return tuple(
        f"{name} in {sources[name]} is no known setting: did you mean {near}?" for name, near in misspellings(sources)
    )
