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
from typing import NamedTuple

from metaflow.exception import MetaflowUnknownUser, SettingsError
from metaflow.settings import config_file, table
from metaflow.settings.config_file import ConfigFile
from metaflow.settings.datastores import SDK_NAMES, Datastores
from metaflow.settings.datatools import Datatools
from metaflow.settings.groups import BatchSettings, KubernetesSettings, PackageSettings, RunSettings, ServiceSettings
from metaflow.settings.values import Values

_USER_VARIABLES = ("SUDO_USER", "USERNAME", "USER")


class Settings(NamedTuple):
    """What this installation is.

    What every command needs is read at once. The groups are read when they are asked for, so that a mistake in a
    setting stops only who uses it; each of them raises `SettingsError` for a value that cannot be used.

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
    local_root : str
        Absolute path of the local datastore, the ``.metaflow`` directory: below METAFLOW_DATASTORE_SYSROOT_LOCAL if
        that is set, else the nearest in the working directory and its parents, else in the working directory. It need
        not exist.
    local_files_root : str
        Absolute path below which included files are kept: METAFLOW_DATATOOLS_LOCALROOT, else ``data`` (or
        METAFLOW_DATATOOLS_SUFFIX) below the sysroot, else below `local_root`.
    spin_root : str
        Absolute path of the results of spun tasks, the ``.metaflow_spin`` directory: below
        METAFLOW_DATASTORE_SYSROOT_SPIN, or found as `local_root` is. It need not exist.
    tempdir : str or None
        METAFLOW_TEMPDIR.
    local_isolation : str or None
        ``fork`` or ``exec``, from METAFLOW_LOCAL_ISOLATION.
    values : Values
        Every METAFLOW_* name that is set anywhere.
    sdk : mapping of str to str
        Those variables of the clouds' SDKs that matter here and are set.
    files : tuple of str
        The configuration files that were read.
    """

    username: str | None
    home: str | None
    profile: str | None
    default_metadata: str
    default_datastore: str
    default_environment: str
    local_root: str
    local_files_root: str
    spin_root: str
    tempdir: str | None
    local_isolation: str | None
    values: Values
    sdk: Mapping[str, str]
    files: tuple[str, ...]

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
                "The user cannot be determined: METAFLOW_USER, SUDO_USER, USERNAME and USER are not set, "
                f"and the uid {os.getuid()} has no name.",
                hint="set METAFLOW_USER to your name",
            )
        return self.username

    @property
    def datastores(self) -> Datastores:
        """How object stores are reached."""
        return Datastores.of(self.values, self.sdk)

    @property
    def datatools(self) -> Datatools:
        """What `metaflow.S3` needs to know."""
        return Datatools.of(self.values, self.datastores)

    @property
    def runs(self) -> RunSettings:
        """How runs are carried out."""
        return RunSettings.of(self.values)

    @property
    def packages(self) -> PackageSettings:
        """What goes into the packages of remote tasks."""
        return PackageSettings.of(self.values)

    @property
    def kubernetes(self) -> KubernetesSettings:
        """How the cluster is reached."""
        return KubernetesSettings.of(self.values)

    @property
    def batch(self) -> BatchSettings:
        """How AWS Batch is reached."""
        return BatchSettings.of(self.values)

    @property
    def service(self) -> ServiceSettings:
        """How the metadata service is called."""
        return ServiceSettings.of(self.values)


def load(
    environ: Mapping[str, str] | None = None, directory: str | None = None, *, profile: str | None = None
) -> Settings:
    """Read the settings.

    Parameters
    ----------
    environ : mapping of str to str, optional
        The environment, if it is not the process'.
    directory : str, optional
        Absolute path of the working directory, if it is not the process'.
    profile : str, optional
        Instead of METAFLOW_PROFILE.

    Raises
    ------
    metaflow.exception.SettingsError
        A configuration file cannot be used, the profile does not exist, or a value that every command needs is not
        what it should be.
    """
    environ = os.environ if environ is None else environ
    directory = directory or _working_directory()
    nearest = _nearest_root(directory, ".metaflow")
    home = _home(environ, directory)
    profile = profile or environ.get(table.PROFILE.name) or None
    files = [file for file in (_local_file(nearest), _profile_file(home, profile)) if file is not None]
    values = Values(environ, files)

    sysroot = values[table.DATASTORE_SYSROOT_LOCAL]
    local_root = f"{sysroot}/.metaflow" if sysroot else nearest or f"{directory}/.metaflow"
    above = values[table.DATASTORE_SYSROOT_SPIN]
    nearest_spin = None if above else _nearest_root(directory, ".metaflow_spin")
    spin_root = nearest_spin or f"{above or directory}/.metaflow_spin"
    files_root = values[table.DATATOOLS_LOCALROOT] or f"{sysroot or local_root}/{values[table.DATATOOLS_SUFFIX]}"
    return Settings(
        username=_username(environ, values),
        home=home,
        profile=profile,
        default_metadata=values[table.DEFAULT_METADATA],
        default_datastore=values[table.DEFAULT_DATASTORE],
        default_environment=environ.get(table.ENVIRONMENT.name) or values[table.DEFAULT_ENVIRONMENT],
        local_root=os.path.normpath(os.path.join(directory, local_root)),
        local_files_root=os.path.normpath(os.path.join(directory, files_root)),
        spin_root=os.path.normpath(os.path.join(directory, spin_root)),
        tempdir=values[table.TEMPDIR],
        local_isolation=values[table.LOCAL_ISOLATION],
        values=values,
        sdk={name: environ[name] for name in SDK_NAMES if environ.get(name)},
        files=tuple(file.path for file in reversed(files)),
    )


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        raise SettingsError(
            "The working directory no longer exists.", hint="change to another directory and try again"
        ) from None


def _nearest_root(directory: str, name: str) -> str | None:
    while True:
        root = os.path.join(directory, name)
        if os.path.isdir(root):
            return root
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def _home(environ: Mapping[str, str], directory: str) -> str | None:
    chosen = environ.get(table.HOME.name) or table.HOME.default
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
    return f"profiles: {profiles}" if profiles else "unset METAFLOW_PROFILE, or create this file"


def _local_file(nearest: str | None) -> ConfigFile | None:
    return config_file.read(f"{nearest}/config.json") if nearest else None


def _username(environ: Mapping[str, str], values: Values) -> str | None:
    candidates = [values[table.USER], *map(environ.get, _USER_VARIABLES)]
    for name in candidates:
        if name and name != "root":
            return name
    return _account("pw_name") or ("root" if "root" in candidates else None)
