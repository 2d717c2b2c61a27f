"""From tables of options (`metaflow.options`) to click, and from what click has read to their values."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, TypeVar

import click

from metaflow.options import rows

Table = TypeVar("Table", bound=tuple[Any, ...])


def options_of(table: type[tuple[Any, ...]], decorators: Container[str] = ()) -> list[click.Option]:
    """Return the options of a table, in its order.

    Parameters
    ----------
    table : type
        The table.
    decorators : container of str
        Flow decorators that are known to be there. An option that needs another one is not shown, and no variable of
        the environment stands for it; it is read nevertheless, since a mutator may add the decorator.
    """
    made = []
    for row in rows(table):
        option = row.option
        is_there = not option.needs or option.needs in decorators
        words = f"{row.word}/--{option.negative}" if option.negative else row.word
        number = click.IntRange(min=option.least) if option.least is not None else int
        made.append(
            click.Option(
                [words, row.variable],
                is_flag=row.kind is bool,
                type=number if row.kind is int else None,
                metavar=option.metavar or None,
                help=option.help,
                required=row.is_required,
                default=None if row.kind in (tuple, dict) else row.default,
                multiple=row.kind in (tuple, dict),
                nargs=2 if row.kind is dict else 1,
                show_default=row.kind is int and row.default is not None,
                hidden=option.is_hidden or not is_there,
                allow_from_autoenv=is_there,
            )
        )
    return made


def values_of(table: type[Table], read: Mapping[str, Any]) -> Table:
    """Return the values of a table from the dictionary that click gives to a command; other names are ignored."""
    return table(**{row.name: read[row.variable] for row in rows(table)})
