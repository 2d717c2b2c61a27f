"""What an option of a command line is: one row of a table, from which everything else about it is made.

A table is a NamedTuple whose fields are annotated with an `Option`: the field gives name, kind and default, the row the
rest. So a table is at once a typed value for a Python caller (`RunOptions(max_workers=4)`), the options of a command
(`metaflow.cli.option_parser`), and words that can be written and read again (`write`, `read`), which is how a task gets
the options of its run. Words written here are of one form, ``--name=value``, and are read without a parser, since a run
does it ten thousand times.

Here annotations are evaluated: files that hold tables have no ``from __future__ import annotations``.
"""

from collections.abc import Container, Sequence
from typing import Any, NamedTuple, TypeVar

from metaflow.exception import CommandException

Table = TypeVar("Table", bound=tuple[Any, ...])


class Option(NamedTuple):
    """What a field's annotation says of an option, beside its name, kind and default.

    Attributes
    ----------
    help : str
        One sentence for people.
    word : str
        Its word, without the dashes, if that is not the name of the field.
    metavar : str
        What stands for its value in help.
    is_forwarded : bool
        Whether the tasks of a run get it.
    least : int or None
        Of a number: the smallest that is accepted.
    negative : str
        Of a flag: the word that turns it off.
    is_hidden : bool
        Whether help leaves it out.
    variable : str
        What its environment variable ends in, after ``METAFLOW_`` and the command, if that is not the field's name.
    needs : str
        The flow decorator without which a flow does not have it.
    """

    help: str
    word: str = ""
    metavar: str = ""
    is_forwarded: bool = False
    least: int | None = None
    negative: str = ""
    is_hidden: bool = False
    variable: str = ""
    needs: str = ""


class Row(NamedTuple):
    """One option of a table.

    Attributes
    ----------
    name : str
        The field.
    word : str
        ``--max-workers``.
    kind : type
        ``bool`` for a flag, ``int``, ``str``, ``tuple`` for one that can be repeated, or ``dict`` for one that can be
        repeated and takes a name and a value each time: pairs.
    is_required : bool
        Whether it has no default.
    default : object
        Its value when it is not given.
    option : Option
        The rest.
    """

    name: str
    word: str
    kind: type
    is_required: bool
    default: Any
    option: Option

    @property
    def variable(self) -> str:
        """What click calls it, and with it the environment variable; other than `name`, which Python callers write."""
        return self.option.variable or self.name


_KINDS: dict[Any, type] = {
    bool: bool, int: int, int | None: int, str: str, str | None: str, tuple[str, ...]: tuple,
    tuple[tuple[str, str], ...]: dict,
}  # fmt: skip
_ROWS: dict[type, tuple[Row, ...]] = {}


def rows(table: type[tuple[Any, ...]]) -> tuple[Row, ...]:
    """Return the rows of a table, in order."""
    if table not in _ROWS:
        defaults = table._field_defaults  # type: ignore[attr-defined]
        made = []
        for name, annotation in table.__annotations__.items():
            (option,) = annotation.__metadata__
            word = f"--{option.word or name.replace('_', '-')}"
            kind = _KINDS[annotation.__origin__]
            made.append(Row(name, word, kind, name not in defaults, defaults.get(name), option))
        _ROWS[table] = tuple(made)
    return _ROWS[table]


def check(values: tuple[Any, ...]) -> None:
    """Check the values that a Python caller has given, as the parser of a command line does.

    Raises
    ------
    CommandException
        A number is too small.
    """
    for row, value in zip(rows(type(values)), values, strict=True):
        least = row.option.least
        if least is not None and value is not None and value < least:
            raise CommandException(f"{row.name} is {value!r}, and must be at least {least}.")


def write(values: tuple[Any, ...], *, only_forwarded: bool = False, stated: Container[str] = ()) -> list[str]:
    """Return the words that give these values; what is as by default is left out, but for the names in `stated`."""
    words: list[str] = []
    for row, value in zip(rows(type(values)), values, strict=True):
        is_left_out = value == row.default and not row.is_required and row.name not in stated
        if is_left_out or (only_forwarded and not row.option.is_forwarded):
            continue
        if row.kind is bool:
            words.append(row.word if value else f"--{row.option.negative}")
        elif row.kind is tuple:
            words += [f"{row.word}={each}" for each in value]
        elif row.kind is dict:
            words += [word for pair in value for word in (row.word, *pair)]
        else:
            words.append(f"{row.word}={value}")
    return words


def read(table: type[Table], words: Sequence[str]) -> Table | None:
    """Return the values that `write` has written; None if the words are not of that form."""
    by_word = {row.word: row for row in rows(table)}
    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        row = by_word.get(name)
        if row is None or row.kind is dict or bool(equals) == (row.kind is bool):
            return None
        if row.kind is int:
            if not value.isdecimal():
                return None
            values[row.name] = int(value)
        elif row.kind is tuple:
            values[row.name] = (*values.get(row.name, ()), value)
        else:
            values[row.name] = True if row.kind is bool else value
    if any(row.is_required and row.name not in values for row in by_word.values()):
        return None
    return table(**values)
