"""The components of cards: `Markdown`, `Table`, `Image`, charts, progress, values, timelines.

Each renders itself as the dictionary that Metaflow's has, so that cards of users that look into it go on working.
A component that cannot be rendered becomes a message on the card (`rendered`), never an error of the step.
"""

from __future__ import annotations

import base64
import binascii
import inspect
import io
import json
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from metaflow.cards.component import MetaflowCardComponent
from metaflow.cards.plain import cut, plain, summary, type_name

LARGEST_IMAGE = 5 * 1024 * 1024
"""Bytes of one image that a card takes in."""

MOST_CELLS = 5_000_000
"""Cells of one table that a card takes in."""

_TRUNCATED_ROWS = 100
_LARGEST_SOURCE = 1024 * 1024


def rendered(component: Any) -> Any:
    """Return what a component shows, as plain data; a message if it cannot be rendered.

    Parameters
    ----------
    component : object
        A component; anything else is shown as an `Artifact`.
    """
    if not isinstance(component, MetaflowCardComponent):
        component = Artifact(component)
    try:
        shown = component.render()
    except Exception as error:  # noqa: BLE001 - code of users
        text = "".join(traceback.format_exception(error))
        return _message(f"The component {type(component).__name__} could not be rendered.\n\n{text}", component)
    if isinstance(shown, Mapping):
        return {**shown, "id": component.component_id}
    return {"type": "text", "text": cut(str(shown)), "id": component.component_id}


def _message(text: str, component: MetaflowCardComponent) -> dict[str, Any]:
    return {"type": "log", "data": text, "id": component.component_id}


class Markdown(MetaflowCardComponent):
    """A block of Markdown (CommonMark with tables). HTML in it is shown, not interpreted.

    Parameters
    ----------
    text : str, optional
        The Markdown. Lines that are all indented alike are shifted to the left.
    """

    REALTIME_UPDATABLE = True

    def __init__(self, text: str | None = None) -> None:
        self._text = text

    def update(self, text: str | None = None) -> None:
        """Replace the text."""
        self._text = text

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        text = textwrap.dedent(str(self._text)) if self._text is not None else None
        return {"type": "markdown", "id": self.component_id, "source": cut(text, _LARGEST_SOURCE) if text else text}


class Artifact(MetaflowCardComponent):
    """Any object, in a few lines.

    Parameters
    ----------
    artifact : object
        What to show.
    name : str, optional
        Its heading.
    compressed : bool
        Whether long containers and strings are shortened; if not, plain values are shown whole.
    """

    REALTIME_UPDATABLE = True

    def __init__(self, artifact: Any, name: str | None = None, compressed: bool = True) -> None:
        self._artifact = artifact
        self._name = name
        self._compressed = compressed

    def update(self, artifact: Any) -> None:
        """Show another object."""
        self._artifact = artifact

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        value = self._artifact
        whole = not self._compressed and isinstance(value, (str, int, float, bool, list, tuple, dict, type(None)))
        shown = {
            "name": str(self._name) if self._name is not None else None,
            "type": type_name(value),
            "data": plain(value) if whole else summary(value),
            "large_object": False,
            "supported_type": whole,
            "only_repr": not whole,
        }
        return {"type": "artifacts", "id": self.component_id, "data": [shown]}


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


class Image(MetaflowCardComponent):
    """An image, which becomes part of the card.

    Parameters
    ----------
    src : bytes or str
        The file's bytes (PNG, JPEG, GIF, WebP, SVG), or a ``data:image/…`` URL.
    label : str, optional
        A caption.
    disable_updates : bool
        Whether `update` has no effect.
    """

    def __init__(self, src: bytes | str | None = None, label: str | None = None, disable_updates: bool = True) -> None:
        self._src = src
        self._label = label
        self._failure: str | None = None
        self.REALTIME_UPDATABLE = not disable_updates

    @classmethod
    def from_matplotlib(cls, plot: Any, label: str | None = None, disable_updates: bool = False) -> Image:
        """Return the image of a figure of matplotlib, or of that which the axes are on.

        Parameters
        ----------
        plot : Figure or Axes
            What to show.
        label, disable_updates
            As for `Image`.
        """
        return cls._of(_matplotlib_png, plot, label, disable_updates)

    @classmethod
    def from_pil_image(cls, pilimage: Any, label: str | None = None, disable_updates: bool = False) -> Image:
        """Return the image of one of Pillow.

        Parameters
        ----------
        pilimage : PIL.Image.Image
            What to show.
        label, disable_updates
            As for `Image`.
        """
        return cls._of(_pillow_png, pilimage, label, disable_updates)

    @classmethod
    def _of(cls, png: Callable[[Any], bytes], source: Any, label: str | None, disable_updates: bool) -> Image:
        image = cls(None, label, disable_updates)
        image._draw(png, source)
        return image

    def _draw(self, png: Callable[[Any], bytes], source: Any) -> None:
        try:
            self._src, self._failure = png(source), None
        except Exception as error:  # noqa: BLE001 - whatever a library says of what it was given
            self._failure = f"A {type_name(source)} could not be drawn: {type(error).__name__}: {error}"

    def update(self, image: Any, label: str | None = None) -> None:
        """Show another image.

        Parameters
        ----------
        image : bytes, str, Figure, Axes or PIL.Image.Image
            What to show.
        label : str, optional
            Another caption.
        """
        if not self.REALTIME_UPDATABLE:
            return
        if label is not None:
            self._label = label
        if isinstance(image, (bytes, str)):
            self._src, self._failure = image, None
        else:
            self._draw(_matplotlib_png if hasattr(image, "get_figure") else _pillow_png, image)

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        try:
            if self._failure is not None:
                raise ValueError(self._failure)
            source = image_url(self._src)
        except ValueError as error:
            return _message(f"This image cannot be shown. {error}", self)
        return {"type": "image", "id": self.component_id, "src": source, "label": self._label}


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
    (b"BM", "bmp"),
    (b"<svg", "svg+xml"),
    (b"<?xml", "svg+xml"),
)


def image_url(source: Any) -> str:
    """Return an image as a ``data:`` URL.

    Raises
    ------
    ValueError
        It is none that a browser shows, or too large.
    """
    if isinstance(source, str):
        head, comma, text = source.partition(",")
        if not comma or not head.startswith("data:image/"):
            raise ValueError("A string must be a data:image/… URL.")
        try:
            source = base64.b64decode(text, validate=False)
        except binascii.Error as error:
            raise ValueError(f"Its base64 is damaged: {error}.") from None
    if not isinstance(source, (bytes, bytearray, memoryview)):
        raise ValueError(f"It needs the bytes of a PNG, JPEG, GIF, WebP or SVG file, not a {type_name(source)}.")
    data = bytes(source)
    kind = next((kind for start, kind in _SIGNATURES if data.lstrip()[:8].startswith(start)), None)
    if kind is None:
        raise ValueError("Its bytes are not a PNG, JPEG, GIF, WebP or SVG file.")
    if len(data) > LARGEST_IMAGE:
        raise ValueError(
            f"It has {len(data) / 1e6:.1f} MB, and a card takes images up to {LARGEST_IMAGE / 1e6:.1f} MB: "
            "make it smaller, or keep it as an artifact."
        )
    return f"data:image/{kind};base64, {base64.b64encode(data).decode()}"


def _matplotlib_png(plot: Any) -> bytes:
    figure = plot if hasattr(plot, "savefig") else plot.get_figure()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _pillow_png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


class VegaChart(MetaflowCardComponent):
    """A chart of Vega-Lite.

    Parameters
    ----------
    spec : dict
        A Vega-Lite specification with its data. https://vega.github.io/vega-lite/docs/spec.html
    show_controls : bool
        Whether the interactive chart has a menu to save it.
    """

    type = "vegaChart"
    REALTIME_UPDATABLE = True

    def __init__(self, spec: dict[str, Any], show_controls: bool = False) -> None:
        self._spec = spec
        self._show_controls = show_controls

    @classmethod
    def from_altair_chart(cls, altair_chart: Any) -> VegaChart:
        """Return the chart of one of Altair."""
        return cls(json.loads(altair_chart.to_json()))

    def update(self, spec: dict[str, Any] | None = None) -> None:
        """Show another specification, with all of its data."""
        if spec is not None:
            self._spec = spec

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        if not isinstance(self._spec, Mapping):
            return _message(f"A chart needs a dictionary of Vega-Lite, not a {type_name(self._spec)}.", self)
        spec = json.loads(json.dumps(self._spec, default=plain))
        spec.setdefault("width", "container")
        options = {} if self._show_controls else {"options": {"actions": False}}
        return {"type": "vegaChart", "id": self.component_id, "spec": spec, **options}


class ProgressBar(MetaflowCardComponent):
    """A bar that shows how far something is.

    Parameters
    ----------
    max : float
        The value at the end.
    label : str, optional
        What it is about.
    value : float
        The value now.
    unit : str, optional
        What is counted.
    metadata : str, optional
        A note under the bar.
    """

    type = "progressBar"
    REALTIME_UPDATABLE = True

    def __init__(
        self,
        max: float = 100,
        label: str | None = None,
        value: float = 0,
        unit: str | None = None,
        metadata: str | None = None,
    ) -> None:
        self._max = max
        self._label = label
        self._value = value
        self._unit = unit
        self._metadata = metadata

    def update(self, new_value: float, metadata: str | None = None) -> None:
        """Set the value, and the note if one is given."""
        self._value = new_value
        if metadata is not None:
            self._metadata = metadata

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        shown = {"label": self._label, "unit": self._unit, "details": self._metadata}
        return {
            "type": self.type,
            "id": self.component_id,
            "max": plain(self._max),
            "value": plain(self._value),
            **{key: str(value) for key, value in shown.items() if value},
        }


class PythonCode(MetaflowCardComponent):
    """Source code.

    Parameters
    ----------
    code_func : callable, optional
        A function whose source is shown.
    code_string : str, optional
        The source.
    """

    def __init__(self, code_func: Callable[..., Any] | None = None, code_string: str | None = None) -> None:
        self._function = code_func
        self._code = code_string

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        code = self._code
        if code is None:
            try:
                code = textwrap.dedent(inspect.getsource(self._function))  # type: ignore[arg-type]
            except (OSError, TypeError):
                return _message(f"The source of {summary(self._function)} cannot be read.", self)
        return {"type": "pythonCode", "id": self.component_id, "data": cut(str(code), _LARGEST_SOURCE)}


class ValueBox(MetaflowCardComponent):
    """One value, large.

    Parameters
    ----------
    title : str, optional
        What it is.
    value : str or float
        The value.
    subtitle : str, optional
        A line under it.
    theme : str, optional
        One of `VALID_THEMES`.
    change_indicator : str, optional
        How it has changed: ``"+3 %"``.

    Raises
    ------
    ValueError
        There is no such theme.
    """

    type = "valueBox"
    REALTIME_UPDATABLE = True
    VALID_THEMES = frozenset({"default", "success", "warning", "danger", "bg-gradient-indigo-purple"})

    def __init__(
        self,
        title: str | None = None,
        value: str | float = "",
        subtitle: str | None = None,
        theme: str | None = None,
        change_indicator: str | None = None,
    ) -> None:
        self._shown: dict[str, Any] = {"value": value}
        self.update(title, None, subtitle, theme, change_indicator)

    def update(
        self,
        title: str | None = None,
        value: str | float | None = None,
        subtitle: str | None = None,
        theme: str | None = None,
        change_indicator: str | None = None,
    ) -> None:
        """Change what is given."""
        _check_theme(theme, self.VALID_THEMES)
        given = {
            "title": title,
            "value": value,
            "subtitle": subtitle,
            "theme": theme,
            "change_indicator": change_indicator,
        }
        self._shown |= {key: each for key, each in given.items() if each is not None}

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        return {"type": self.type, "id": self.component_id, **plain(self._shown)}


def _check_theme(theme: str | None, valid: Iterable[str]) -> None:
    if theme is not None and theme not in valid:
        raise ValueError(f"there is no theme {theme!r}; themes are: {', '.join(sorted(valid))}")


class EventsTimeline(MetaflowCardComponent):
    """What has happened, the latest first.

    Parameters
    ----------
    title : str, optional
        Its heading.
    max_events : int
        How many of the latest events are shown.
    """

    type = "eventsTimeline"
    REALTIME_UPDATABLE = True
    VALID_THEMES = frozenset(
        {"default", "success", "warning", "error", "info", "primary", "secondary", "tool_call", "ai_response"}
    )

    def __init__(self, title: str | None = None, max_events: int = 100) -> None:
        self._title = title
        self._max_events = max_events
        self._events: list[dict[str, Any]] = []
        self._count = 0
        self._first: float | None = None
        self._last: float | None = None
        self._finished = False

    def update(
        self,
        event_data: Mapping[str, Any],
        style_theme: str | None = None,
        priority: str | None = None,
        payloads: Mapping[str, MetaflowCardComponent] | None = None,
        finished: bool | None = None,
    ) -> None:
        """Add an event.

        Parameters
        ----------
        event_data : mapping of str to object
            What happened; ``timestamp``, seconds since the epoch, is now if it is not given.
        style_theme : str, optional
            One of `VALID_THEMES`.
        priority : str, optional
            ``low``, ``normal``, ``high`` or ``critical``.
        payloads : mapping of str to component, optional
            Details.
        finished : bool, optional
            Whether no more events are to come.

        Raises
        ------
        ValueError
            There is no such theme.
        """
        _check_theme(style_theme, self.VALID_THEMES)
        now = time.time()
        event = {
            "metadata": {"timestamp": now, **event_data},
            "payloads": {name: rendered(each) for name, each in (payloads or {}).items()},
            "event_id": f"event_{self._count}",
            "received_at": now,
            **{key: each for key, each in (("style_theme", style_theme), ("priority", priority)) if each},
        }
        self._events = [*self._events, plain(event)][-max(self._max_events, 1) :]
        self._count += 1
        self._first = self._first or now
        self._last = now
        self._finished = self._finished if finished is None else bool(finished)

    def get_stats(self) -> dict[str, Any]:
        """Return how many events there have been, and when."""
        return {
            "total_events": self._count,
            "displayed_events": len(self._events),
            "first_event": self._first,
            "last_update": self._last,
            "finished": self._finished,
        }

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        return {
            "type": self.type,
            "id": self.component_id,
            "events": self._events[::-1],
            "config": {"show_stats": True, "show_relative_time": True, "max_events": self._max_events},
            "stats": self.get_stats(),
            **({"title": str(self._title)} if self._title else {}),
        }


class _Viewer(MetaflowCardComponent):
    """A document, which can be folded."""

    REALTIME_UPDATABLE = True
    _heading: str

    def __init__(
        self,
        data: Any,
        collapsible: bool = True,
        max_height: str | None = None,
        show_copy_button: bool = True,
        title: str | None = None,
    ) -> None:
        self._data = data
        self._options: dict[str, Any] = {"collapsible": collapsible, "show_copy_button": show_copy_button}
        if max_height is not None:
            self._options["max_height"] = max_height
        self._title = title

    def update(self, data: Any) -> None:
        """Show other data."""
        self._data = data

    def _rendered(self, kind: str, key: str, text: str) -> dict[str, Any]:
        text = cut(text, _LARGEST_SOURCE)
        title = self._title or self._heading
        return {"type": kind, "id": self.component_id, key: text, **self._options, "title": str(title)}


class JSONViewer(_Viewer):
    """Data as JSON.

    Parameters
    ----------
    data : object
        What JSON can hold, or a string of JSON.
    collapsible : bool
        Whether it can be folded.
    max_height : str, optional
        A length of CSS, ``"20em"``; the rest is scrolled.
    show_copy_button : bool
        Whether there is a button that copies the text.
    title : str, optional
        Its heading; ``JSON`` by default.
    """

    type = "jsonViewer"
    _heading = "JSON"

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        data = self._data
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except ValueError:
                return self._rendered(self.type, "json_string", data)
        text = json.dumps(plain(data, longest=_LARGEST_SOURCE), indent=2, ensure_ascii=False)
        return self._rendered(self.type, "json_string", text)


class YAMLViewer(_Viewer):
    """Data as YAML.

    Parameters
    ----------
    data : object
        What JSON can hold, or a string of YAML, which is shown as it is.
    collapsible, max_height, show_copy_button
        As for `JSONViewer`.
    title : str, optional
        Its heading; ``YAML`` by default.
    """

    type = "yamlViewer"
    _heading = "YAML"

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        if isinstance(self._data, str):
            return self._rendered(self.type, "yaml_string", self._data)
        import yaml

        data = plain(self._data, longest=_LARGEST_SOURCE)
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=False)
        return self._rendered(self.type, "yaml_string", text)


class Error(MetaflowCardComponent):
    """An exception.

    Parameters
    ----------
    exception : Exception
        What was raised.
    title : str, optional
        A line before it.
    """

    def __init__(self, exception: BaseException, title: str | None = None) -> None:
        self._exception = exception
        self._title = title

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        text = summary(self._exception)
        return _message(f"{self._title}\n\n{text}" if self._title else text, self)


class PageComponent(MetaflowCardComponent):
    """A page of a card: components under a title.

    Parameters
    ----------
    title, subtitle : str, optional
        Its headings.
    contents : list of component
        From top to bottom.
    """

    type = "page"

    def __init__(self, title: str | None = None, subtitle: str | None = None, contents: Sequence[Any] = ()) -> None:
        self._title = title
        self._subtitle = subtitle
        self._contents = list(contents)

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        headings = {"title": self._title, "subtitle": self._subtitle}
        contents = [each if isinstance(each, dict) else rendered(each) for each in self._contents]
        return {"type": self.type, **{key: each for key, each in headings.items() if each}, "contents": contents}
