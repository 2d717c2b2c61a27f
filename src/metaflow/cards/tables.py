"""`Table`: rows of values and components, and what a data frame has of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from metaflow.cards.component import MetaflowCardComponent, rendered
from metaflow.cards.plain import plain, type_name

MOST_CELLS = 5_000_000
"""Cells of one table that a card takes in."""

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
        data: Sequence[Sequence[Any]] | None = None,
        headers: Sequence[Any] | None = None,
        disable_updates: bool = False,
    ) -> None:
        self._rows = _rows_of(data)
        self._headers = list(headers) if headers is not None else []
        self._note: str | None = None
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
        headers, rows, total = frame_rows(dataframe, _TRUNCATED_ROWS if truncate else None)
        table._headers, table._rows = headers, rows
        if total > len(rows):
            table._note = f"The first {len(rows):,} of {total:,} rows."
        return table

    def update(self, data: Sequence[Sequence[Any]] | None = None, headers: Sequence[Any] | None = None) -> None:
        """Show other rows, and other headers if they are given."""
        if self.REALTIME_UPDATABLE:
            self._rows = _rows_of(data)
            self._headers = list(headers) if headers is not None else self._headers

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        width = max((len(self._headers), *map(len, self._rows[:1000])), default=0)
        most = max(MOST_CELLS // max(width, 1), 1)
        note = self._note
        if len(self._rows) > most:
            note = f"The first {most:,} of {len(self._rows):,} rows: a card takes {MOST_CELLS:,} cells."
        return {
            "type": "table",
            "id": self.component_id,
            "columns": [str(header) for header in self._headers],
            "data": [[_cell(value) for value in row] for row in self._rows[:most]],
            "vertical": False,
            **({"note": note} if note else {}),
        }


def _rows_of(data: Sequence[Sequence[Any]] | None) -> list[Sequence[Any]]:
    if data is None or isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        return [[]]
    return [list(row) if isinstance(row, Iterable) and not isinstance(row, (str, bytes)) else [row] for row in data]


def _cell(value: Any) -> Any:
    return rendered(value) if isinstance(value, MetaflowCardComponent) else plain(value, longest=2000)


def frame_rows(frame: Any, most: int | None) -> tuple[list[str], list[Sequence[Any]], int]:
    """Return the headers, the first rows and the number of rows of a data frame of pandas or polars."""
    columns = getattr(frame, "columns", None)
    if columns is None or not hasattr(frame, "head"):
        return [f"A {type_name(frame)} is not a data frame."], [[]], 0
    total = len(frame)
    first = frame.head(most) if most is not None else frame
    if hasattr(first, "itertuples"):  # pandas
        index = [" / ".join(map(str, names)) if isinstance(names, tuple) else names for names in first.index.tolist()]
        values = [first.iloc[:, number].tolist() for number in range(len(columns))]
        label = first.index.name if first.index.name is not None else ""
        headers = [" / ".join(map(str, name)) if isinstance(name, tuple) else name for name in columns]
        return [label, *headers], list(zip(index, *values, strict=True)), total
    return [str(name) for name in columns], list(first.rows()), total
