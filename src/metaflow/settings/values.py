"""What is set: the values of METAFLOW_* names as they were written, read by the rows of the table.

Each name is looked up in the environment, then in the files, the first that has it wins; an empty value hides the later
ones and means the default. Start reading at `Values`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from metaflow.exception import SettingsError
from metaflow.settings.config_file import ConfigFile, string_of
from metaflow.settings.kinds import shown
from metaflow.settings.table import ENVIRONMENT_ONLY, FAMILIES, NAMES, OPTIONS, PREFIX, Setting, row_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

ENVIRONMENT = "the environment"

_OFF = ("", "0", "false", "no", "off")


class Given(NamedTuple, Generic[T_co]):
    """A value that somebody has set.

    Attributes
    ----------
    value : object
        In typed form.
    source : str
        For people: ``METAFLOW_TEMPDIR in /home/ada/.metaflowconfig/config.json:3:5``.
    """

    value: T_co
    source: str


class Values:
    """The METAFLOW_* names that are set.

    Parameters
    ----------
    environ : mapping of str to str
        The environment.
    files : sequence of ConfigFile
        Configuration files, the one that goes before the others first.
    """

    __slots__ = ("_environment", "_files")

    def __init__(self, environ: Mapping[str, str], files: Sequence[ConfigFile] = ()) -> None:
        self._environment = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        self._files = tuple(files)

    def __getitem__(self, row: Setting[T]) -> T:
        """Return the value of a setting, or its default.

        Raises
        ------
        SettingsError
            What is set is not what it accepts.
        """
        given = self.find(row)
        return row.default if given is None else given.value

    def find(self, row: Setting[T]) -> Given[T] | None:
        """Return what somebody has set, and where.

        Raises
        ------
        SettingsError
            It is not what the setting accepts.
        """
        written = self._written(row.name)
        if written is None or (isinstance(written, str) and not written.strip()):
            return None
        try:
            return Given(row.kind.read(written), f"{row.name} in {self.origin(row.name)}")
        except ValueError as error:
            meant = row.kind.correction(written) or row.kind.example
            seen = "***" if row.is_secret else shown(written)
            raise SettingsError(
                f"{row.name} in {self.origin(row.name)} is {seen}: {row.kind.problem(error)}.",
                hint=f"write {row.name}={meant}" if meant else None,
            ) from None

    def origin(self, name: str) -> str:
        """Return where a name is set: ``the environment``, ``path:line:column``, or ``default``."""
        if name in self._environment:
            return ENVIRONMENT
        file = next((file for file in self._files if file.values.get(name) is not None), None)
        return "default" if file is None else file.where(name)

    def names(self) -> list[str]:
        """Return every METAFLOW_* name that is set anywhere, sorted."""
        return sorted({*self._environment, *(name for file in self._files for name in file.names())})

    def string(self, name: str) -> str:
        """Return a value as an environment has it; empty if it is not set."""
        written = self._written(name)
        return "" if written is None else string_of(written)

    def for_tasks(self) -> dict[str, str]:
        """Return the variables of those settings that hold in tasks on other machines too."""
        rows = {name: row_of(name) for name in self.names()}
        return {name: self.string(name) for name, row in rows.items() if row is not None and row.travels}

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each name that has no effect although somebody may rely on it."""
        misspelled = (
            f"{name} in {origin} is not a known setting: did you mean {near}?"
            for name, (origin, near) in self.misspelled().items()
        )
        return (*misspelled, *self._unused())

    def _written(self, name: str) -> object:
        if name in self._environment:
            return self._environment[name]
        return next((file.values[name] for file in self._files if file.values.get(name) is not None), None)

    def no_effect(self, name: str) -> str:
        """Return why a name has no effect as it is set; empty if it has one, or nobody can rely on it."""
        row = row_of(name)
        value = self.string(name).strip()
        if name not in self._environment and (name in OPTIONS or name in ENVIRONMENT_ONLY):
            return "it is read from the environment only"
        if row is None or isinstance(row, Setting) or value in row.harmless or value.lower() in _OFF:
            return ""
        return row.reason

    def _unused(self) -> Iterator[str]:
        for name in self.names():
            reason = self.no_effect(name)
            if reason:
                yield f"{name} in {self.origin(name)} has no effect: {reason}."

    def misspelled(self) -> dict[str, tuple[str, str]]:
        """Return each name that is probably a mistake, with where it is and which name was probably meant.

        In a file, the names of settings without their prefix count too.
        """
        found = {name: (self.origin(name), near) for name in self.names() if (near := _nearest(name)) is not None}
        for file in self._files:
            bare = [name for name in file.values if PREFIX + name in NAMES]
            found |= {name: (file.where(name), PREFIX + name) for name in bare}
        return found


def _nearest(name: str) -> str | None:
    """Return the name with a meaning that was meant; None if it has one itself, or resembles nothing.

    Names that resemble nothing are left alone: extensions and the users' own scripts have settings of their own.
    """
    if name in NAMES or name.startswith(FAMILIES):
        return None
    from difflib import get_close_matches

    tails = [known.removeprefix(PREFIX) for known in NAMES]
    near = get_close_matches(name.removeprefix(PREFIX), tails, n=1, cutoff=0.89)
    return PREFIX + near[0] if near else None
