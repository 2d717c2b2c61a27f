"""The components of cards that need no file of their own: texts, charts, progress, values, timelines, documents.

Each renders itself as the dictionary that Metaflow's has, so that cards of users that look into it go on working.
Tables and images are in `tables` and `images`.
"""

from __future__ import annotations

import inspect
import json
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from metaflow.cards.component import MetaflowCardComponent, message, rendered
from metaflow.cards.plain import cut, plain, summary, type_name

_LARGEST_SOURCE = 200_000
"""Characters of Markdown and of code, which are parsed to be drawn."""

_LARGEST_DOCUMENT = 1_000_000
"""Characters of a document of JSON or YAML."""

_LARGEST_DUMP = 200_000  # characters of data for YAML, whose dumper takes a second for it
_DEEPEST_DOCUMENT = 64

LARGEST_CHART = 2_000_000
"""Characters of the specification of a chart; its SVG is ten times that, and takes seconds."""


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
        text = textwrap.dedent(cut(str(self._text), _LARGEST_SOURCE)) if self._text is not None else None
        return {"type": "markdown", "id": self.component_id, "source": text}


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
            return message(f"A chart needs a dictionary of Vega-Lite, not a {type_name(self._spec)}.", self)
        text = json.dumps(self._spec, default=plain)
        if len(text) > LARGEST_CHART:
            return message(
                f"This chart cannot be shown. Its specification has {len(text) / 1e6:.1f} MB, and a card takes "
                f"{LARGEST_CHART / 1e6:g} MB: give it fewer rows.",
                self,
            )
        spec = {"width": "container", **json.loads(text, parse_constant=lambda name: None)}  # NaN is no JSON
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
            **{key: cut(str(value)) for key, value in shown.items() if value},
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
                return message(f"The source of {summary(self._function)} cannot be read.", self)
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
            **({"title": cut(str(self._title))} if self._title else {}),
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
        text = cut(text, _LARGEST_DOCUMENT)
        title = cut(str(self._title or self._heading))
        return {"type": kind, "id": self.component_id, key: text, **self._options, "title": title}

    def _plain(self, most: int) -> Any:
        return plain(self._data, longest=most, most=most, deepest=_DEEPEST_DOCUMENT)


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
        if isinstance(self._data, str):
            return self._rendered(self.type, "json_string", _indented(self._data))
        text = json.dumps(self._plain(_LARGEST_DOCUMENT), indent=2, ensure_ascii=False)
        return self._rendered(self.type, "json_string", text)


def _indented(text: str) -> str:
    """Return JSON as it is read best; a text that is none, or is large, as it is."""
    if len(text) > _LARGEST_DOCUMENT:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


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

        data = self._plain(_LARGEST_DUMP)
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
        return message(f"{self._title}\n\n{text}" if self._title else text, self)


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
        shown = {key: cut(str(each)) for key, each in headings.items() if each}
        return {"type": self.type, **shown, "contents": contents}
