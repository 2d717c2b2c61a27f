"""From components as plain data to HTML: every string of a user is text there, never markup.

Pure. One function for each ``type``, found in `_DRAWN`; what is not there is shown as the data that it is. The styles
that the classes refer to are in ``page/card.css``; what moves is in ``page/card.js``. Start reading at `draw`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from metaflow.cards.code import highlighted
from metaflow.cards.graph import draw_graph

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

Component = Mapping[str, Any]

LARGEST_PAGE = 100_000_000
"""Characters of all components of a page."""

WITHOUT_CHARTS = (
    "This chart is drawn where vl-convert is installed: pip install 'millrace[charts]'. "
    "Its specification is kept on this card: `card view` and `card get` draw it, too."
)
_SMALL_TABLE = 6_000  # cells; a larger table is drawn by the script, as far as it is seen
_FIRST_ROWS = 30


def draw(component: Any) -> str:
    """Return a component as HTML.

    Parameters
    ----------
    component : mapping or str
        A component as plain data (`metaflow.cards.components.rendered`); a string is text.
    """
    if not isinstance(component, Mapping):
        return f"<p>{_text(component)}</p>"
    drawn = _DRAWN.get(str(component.get("type")), _data)(component)
    if "id" not in component:
        return drawn
    return f'<div class="component" data-id="{_text(component["id"])}">{drawn}</div>'


def draw_all(components: Iterable[Any]) -> str:
    """Return components as HTML, one below the other; what does not fit into the page is named in its place."""
    left = LARGEST_PAGE
    parts = []
    for each in components:
        drawn = draw(each)
        left -= len(drawn)
        parts.append(drawn if left >= 0 else '<p class="note">This component is not shown: the card is too large.</p>')
    return "\n".join(parts)


def script_json(value: Any) -> str:
    """Return JSON that can stand between script tags."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _text(value: Any) -> str:
    return escape(str(value), quote=True)


def _heading(component: Component) -> str:
    title = component.get("title")
    return f"<h2>{_text(title)}</h2>" if title else ""


def _markdown(component: Component) -> str:
    return f'<div class="markdown">{_markdown_html(str(component.get("source") or ""))}</div>'


def _markdown_html(source: str) -> str:
    return str(markdown_parser().render(source))


@cache
def markdown_parser() -> MarkdownIt:
    """Return what turns Markdown into HTML, where HTML in it is text."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _log(component: Component) -> str:
    return f'<pre class="log" tabindex="0">{_text(component.get("data", ""))}</pre>'


def _plain_text(component: Component) -> str:
    return f"<p>{_text(component.get('text', ''))}</p>"


def _title(component: Component) -> str:
    return f"<h2>{_text(component.get('text', ''))}</h2>"


def _image(component: Component) -> str:
    label = str(component.get("label") or "")
    source = str(component.get("src", ""))
    if not source.startswith("data:image/"):
        return _log({"data": "This image has no data."})
    caption = f"<figcaption>{_text(label)}</figcaption>" if label else ""
    return (
        f'<figure><button class="zoom" aria-label="Enlarge {_text(label or "image")}">'
        f'<img src="{_text(source)}" alt="{_text(label)}"></button>{caption}</figure>'
    )


def _artifacts(component: Component) -> str:
    return "".join(map(_artifact, component.get("data", ())))


def _artifact(artifact: Component) -> str:
    data = artifact.get("data")
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, indent=1)
    name = artifact.get("name")
    heading = f'<span class="name">{_text(name)}</span> ' if name else ""
    return (
        f'<div class="artifact">{heading}<span class="kind">{_text(artifact.get("type", ""))}</span>'
        f'<pre tabindex="0">{_text(text)}</pre></div>'
    )


def _table(component: Component) -> str:
    rows: Sequence[Sequence[Any]] = component.get("data") or []
    columns: Sequence[Any] = component.get("columns") or []
    note = f'<p class="note">{_text(component["note"])}</p>' if component.get("note") else ""
    if component.get("vertical"):
        pairs = zip(columns, rows[0] if rows else [], strict=False)
        lines = "".join(f'<tr><th scope="row">{_text(name)}</th><td>{_cell(cell)}</td></tr>' for name, cell in pairs)
        return f'<div class="table"><table class="vertical"><tbody>{lines}</tbody></table></div>{note}'
    width = max((len(columns), *map(len, rows)), default=0)
    numeric = [_is_numeric(rows, number) for number in range(width)]
    large = len(rows) * width > _SMALL_TABLE
    shown = rows[:_FIRST_ROWS] if large else rows
    body = "".join(f"<tr>{_cells(row, numeric)}</tr>" for row in shown if len(row))
    table = f"<table>{_table_head(columns, numeric)}<tbody>{body}</tbody></table>"
    if not large:
        sortable = " sortable" if len(rows) > 1 and columns else ""
        return f'<div class="table{sortable}" tabindex="0" role="group" aria-label="Table">{table}</div>{note}'
    data = script_json([[{"html": draw(cell)} if isinstance(cell, Mapping) else cell for cell in row] for row in rows])
    return (
        f'<div class="table large" data-rows="{len(rows)}" tabindex="0" role="group" aria-label="Table">'
        f'{table}<script type="application/json">{data}</script></div>{note}'
        f'<p class="note unscripted">The first {len(shown)} of {len(rows):,} rows.</p>'
    )


def _table_head(columns: Sequence[Any], numeric: Sequence[bool]) -> str:
    if not columns:
        return ""
    cells = "".join(
        f'<th scope="col"{_CLASS_NUMBER if is_number else ""}>{_text(name)}</th>'
        for name, is_number in zip(columns, numeric, strict=False)
    )
    return f"<thead><tr>{cells}</tr></thead>"


_CLASS_NUMBER = ' class="number"'


def _cells(row: Sequence[Any], numeric: Sequence[bool]) -> str:
    return "".join(
        f"<td{_CLASS_NUMBER if is_number else ''}>{_cell(cell)}</td>"
        for cell, is_number in zip(row, numeric, strict=False)
    )


def _is_numeric(rows: Sequence[Sequence[Any]], column: int) -> bool:
    cells = [row[column] for row in rows[:1000] if column < len(row) and row[column] is not None]
    return bool(cells) and all(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in cells)


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return draw(value)
    if value is None:
        return ""
    if isinstance(value, list):
        return _text(json.dumps(value, ensure_ascii=False))
    return _text(value)


def _quantity(component: Component) -> str:
    """Draw a number as people read it; the script sorts by what it is."""
    return f'<data value="{_text(component.get("value", ""))}">{_text(component.get("text", ""))}</data>'


def _progress(component: Component) -> str:
    most, value = component.get("max"), component.get("value")
    done = None
    if isinstance(most, (int, float)) and isinstance(value, (int, float)) and most > 0:
        done = min(max(value / most, 0.0), 1.0)
    unit = f" {component['unit']}" if component.get("unit") else ""
    label = str(component.get("label") or "Progress")
    details = f'<p class="note">{_text(component["details"])}</p>' if component.get("details") else ""
    attributes = f' max="1" value="{done:.4f}"' if done is not None else ""
    share = f" ({done:.0%})" if done is not None else ""
    end = f" / {_text(most)}" if most is not None else ""
    return (
        f'<div class="progress"><span>{_text(label)}</span> '
        f'<span class="kind">{_text(value)}{end}{_text(unit)}{share}</span>'
        f'<progress aria-label="{_text(label)}"{attributes}></progress>{details}</div>'
    )


def _code(component: Component) -> str:
    return f'<pre class="code" tabindex="0">{highlighted(str(component.get("data", "")))}</pre>'


def _value_box(component: Component) -> str:
    def line(kind: str, tag: str = "div") -> str:
        value = component.get(kind)
        return f'<{tag} class="{kind}">{_text(value)}</{tag}>' if value not in (None, "") else ""

    theme = _text(component.get("theme", "default"))
    lines = line("title") + line("value", "strong") + line("change_indicator") + line("subtitle")
    return f'<div class="value-box theme-{theme}">{lines}</div>'


def _timeline(component: Component) -> str:
    stats: Component = component.get("stats") or {}
    state = "finished" if stats.get("finished") else "latest first"
    total = stats.get("total_events", 0)
    events = "".join(map(_event, component.get("events", ())))
    return (
        f'{_heading(component)}<p class="note">{_text(total)} {"event" if total == 1 else "events"}, {state}</p>'
        f'<ol class="timeline" tabindex="0">{events}</ol>'
    )


def _event(event: Component) -> str:
    values: Component = event.get("metadata") or {}
    lines = "".join(
        f"<dt>{_text(name)}</dt><dd>{_cell(value)}</dd>" for name, value in values.items() if name != "timestamp"
    )
    payloads = "".join(
        f"<details><summary>{_text(name)}</summary>{draw(each)}</details>"
        for name, each in (event.get("payloads") or {}).items()
    )
    theme, priority = _text(event.get("style_theme", "default")), _text(event.get("priority", "normal"))
    when = _time(values.get("timestamp"))
    return f'<li class="theme-{theme} priority-{priority}">{when}<dl>{lines}</dl>{payloads}</li>'


def _time(seconds: Any) -> str:
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or not 0 < seconds < 1e11:
        return f"<span>{_text(seconds)}</span>" if seconds is not None else ""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f'<time datetime="{moment.isoformat(timespec="seconds")}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>'


def _viewer(key: str) -> Callable[[Component], str]:
    def view(component: Component) -> str:
        height = str(component.get("max_height") or "")
        style = f' style="max-height: {_text(height)}"' if height and ";" not in height else ""
        text = f'<pre class="code" tabindex="0"{style}>{_text(component.get(key, ""))}</pre>'
        copy = '<button class="copy">Copy</button>' if component.get("show_copy_button", True) else ""
        title = _text(component.get("title", ""))
        if not component.get("collapsible", True):
            return f'<div class="viewer"><h2>{title}</h2>{copy}{text}</div>'
        return f'<details class="viewer" open><summary>{title}</summary>{copy}{text}</details>'

    return view


def _chart(component: Component) -> str:
    """Return where a chart is to be drawn (`metaflow.cards.charts`), with its specification."""
    controls = not isinstance(options := component.get("options"), Mapping) or options.get("actions") is not False
    return chart_place(component.get("spec") or {}, WITHOUT_CHARTS, "undrawn controls" if controls else "undrawn")


def chart_place(spec: Any, sentence: str, kind: str) -> str:
    """Return what stands where a chart is not drawn: a sentence, and the specification."""
    return (
        f'<figure class="chart {kind}"><script type="application/json">{script_json(spec)}</script>'
        f'<div class="missing">{_text(sentence)}</div>'
        f'<details class="viewer"><summary>Specification</summary><pre class="code" tabindex="0">'
        f"{_text(json.dumps(spec, indent=1, ensure_ascii=False)[:20_000])}</pre></details></figure>"
    )


def _page(component: Component) -> str:
    subtitle = f'<p class="note">{_text(component["subtitle"])}</p>' if component.get("subtitle") else ""
    return f"<section>{_heading(component)}{subtitle}{draw_all(component.get('contents', ()))}</section>"


def _graph(component: Component) -> str:
    return draw_graph(component.get("data") or {}, component.get("marked"))


def _data(component: Component) -> str:
    text = json.dumps(component, indent=1, ensure_ascii=False, default=str)
    return f'<pre class="log" tabindex="0">{_text(text[:100_000])}</pre>'


_DRAWN: dict[str, Callable[[Component], str]] = {
    "artifacts": _artifacts,
    "dag": _graph,
    "eventsTimeline": _timeline,
    "image": _image,
    "jsonViewer": _viewer("json_string"),
    "log": _log,
    "markdown": _markdown,
    "page": _page,
    "progressBar": _progress,
    "pythonCode": _code,
    "quantity": _quantity,
    "section": _page,
    "table": _table,
    "text": _plain_text,
    "title": _title,
    "valueBox": _value_box,
    "vegaChart": _chart,
    "yamlViewer": _viewer("yaml_string"),
}
