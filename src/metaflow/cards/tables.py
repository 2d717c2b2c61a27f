"""`Table`: rows of values and components, and what a data frame has of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any

from metaflow.cards.component import MetaflowCardComponent, rendered
from metaflow.cards.plain import cut, plain, type_name

LARGEST_TABLE = 25_000_000
"""About as many characters of one table a card takes in; a cell that is no text counts eight."""

_WEIGHT = 8
_LONGEST_CELL = 2000
_TRUNCATED_ROWS = 100


class Table(MetaflowCardComponent):
    """A table of values and components.

    Parameters
    ----------
    data : list of list, optional
        Rows. A cell is text, a number, None, or a component.
    headers : list of str, optional
        One for each column.
    disable_updates : bool
        Whether `update` has no effect, which saves work at each refresh.
    """

    def __init__(
        self,
        data: Iterable[Iterable[Any]] | None = None,
        headers: Sequence[Any] | None = None,
        disable_updates: bool = False,
    ) -> None:
        self._rows = _rows_of(data)
        self._headers = list(headers) if headers is not None else []
        self._total = 0
        self.REALTIME_UPDATABLE = not disable_updates

    @classmethod
    def from_dataframe(cls, dataframe: Any = None, truncate: bool = True) -> Table:
        """Return the table of a pandas or polars data frame.

        Parameters
        ----------
        dataframe : DataFrame
            What to show. The index of pandas is the first column.
        truncate : bool
            Whether only the first 100 rows are shown.
        """
        table = cls()
        table._headers, table._rows, table._total = frame_rows(dataframe, _TRUNCATED_ROWS if truncate else None)
        return table

    def update(self, data: Iterable[Iterable[Any]] | None = None, headers: Sequence[Any] | None = None) -> None:
        """Show other rows, and other headers if they are given."""
        if self.REALTIME_UPDATABLE:
            self._rows, self._total = _rows_of(data), 0
            self._headers = list(headers) if headers is not None else self._headers

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        rows = list(_bounded(self._rows))
        total = max(self._total, len(self._rows))
        why = ": a card takes no more" if len(rows) > _TRUNCATED_ROWS else ""
        note = f"The first {len(rows):,} of {total:,} rows{why}." if len(rows) < total else None
        return {
            "type": "table",
            "id": self.component_id,
            "columns": [cut(str(header), _LONGEST_CELL) for header in self._headers],
            "data": rows,
            "vertical": False,
            **({"note": note} if note else {}),
        }


def _bounded(rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    """Yield rows as plain data, as many as a card takes in."""
    left = LARGEST_TABLE
    for row in rows:
        cells = [_cell(value) for value in row[: LARGEST_TABLE // _WEIGHT]]
        left -= sum(map(_weight, cells))
        if left < 0:
            return
        yield cells


def _cell(value: Any) -> Any:
    if type(value) is float or (type(value) is str and len(value) < _LONGEST_CELL):  # most of them
        return value if value == value and value not in (math.inf, -math.inf) else str(value)
    if isinstance(value, MetaflowCardComponent):
        return rendered(value)
    return plain(value, longest=_LONGEST_CELL, most=LARGEST_TABLE // 100)


def _weight(cell: Any) -> int:
    if isinstance(cell, str):
        return _WEIGHT + len(cell)
    return len(json.dumps(cell)) if isinstance(cell, (dict, list)) else _WEIGHT


def _rows_of(data: Iterable[Iterable[Any]] | None) -> list[Sequence[Any]]:
    if data is None or isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        return [[]]
    return [
        list(_first(row)) if isinstance(row, Iterable) and not isinstance(row, (str, bytes)) else [row]
        for row in _first(data)
    ]


def _first(values: Iterable[Any]) -> Iterable[Any]:
    """Return values, and not those of an iterator that no card takes in: it may have no end."""
    return values if isinstance(values, Sized) else islice(values, LARGEST_TABLE // _WEIGHT)


def frame_rows(frame: Any, most: int | None) -> tuple[list[str], list[Sequence[Any]], int]:
    """Return the headers, the first rows and the number of rows of a data frame of pandas or polars.

    Parameters
    ----------
    frame : DataFrame
        Of any size; never is more of it converted than a card takes in.
    most : int or None
        Rows.
    """
    columns = getattr(frame, "columns", None)
    if columns is None or not hasattr(frame, "head"):
        return [f"A {type_name(frame)} is not a data frame."], [[]], 0
    total = len(frame)
    bound = LARGEST_TABLE // _WEIGHT // (len(columns) + 1)
    first = frame.head(bound if most is None else min(most, bound))
    if hasattr(first, "itertuples"):  # pandas
        index = [" / ".join(map(str, names)) if isinstance(names, tuple) else names for names in first.index.tolist()]
        values = [first.iloc[:, number].tolist() for number in range(len(columns))]
        label = first.index.name if first.index.name is not None else ""
        headers = [" / ".join(map(str, name)) if isinstance(name, tuple) else name for name in columns]
        return [label, *headers], list(zip(index, *values, strict=True)), total
    return [str(name) for name in columns], list(first.rows()), total
