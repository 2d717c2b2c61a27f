"""``@card``: what a step was and did, without a line of the user's.

From top to bottom: how it ended; what the step has appended; parameters and artifacts; when it ran, what it asked for,
where it ran; its code; the graph with the step marked; the way to the log and to the client.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from metaflow.cards.blank import drawn
from metaflow.cards.card import MetaflowCard
from metaflow.cards.charts import with_charts
from metaflow.cards.component import rendered
from metaflow.cards.drawing import draw, draw_all
from metaflow.cards.facts import PATIENCE, ShownArtifact, TaskFacts, facts_of
from metaflow.cards.images import Image
from metaflow.cards.page import page
from metaflow.cards.plain import summary
from metaflow.cards.surroundings import Surroundings
from metaflow.cards.tables import Table, frame_rows
from metaflow.cards.time_limit import TookTooLong, time_limit
from metaflow.cards.units import duration, size

if TYPE_CHECKING:
    from metaflow.client import Task

_FRAME_ROWS = 10
_FRAME_COLUMNS = 30
_ENDS = {"successful": ("ok", "successful"), "caught": ("failed", "failed, caught"), "failed": ("failed", "failed")}

_RECORDED = {
    "attempt": "Attempt",
    "user": "User",
    "origin-run-id": "Resumed from run",
    "foreach-stack": "Foreach",
    "script-name": "Script",
}
_PLACE = {
    "python_version": "Python",
    "container": "Container",
    "kubernetes-pod-name": "Pod",
    "kubernetes-pod-namespace": "Namespace of the pod",
    "kubernetes-node-name": "Node",
    "aws-batch-job-id": "Batch job",
    "aws-batch-jq-name": "Batch queue",
    "ds-root": "Storage",
    "metaflow_version": "Metaflow",
}
_SECRET = {"environment": "vars"}
"""Attributes of which only the names are shown, not the values."""


class DefaultCard(MetaflowCard):
    """What a step was and did.

    Parameters
    ----------
    options : mapping
        ``interactive_charts``: whether charts answer to the mouse, which takes 0.9 MB.
    components : sequence of dict or str
        What the step has appended.
    graph : mapping
        Not used: the graph is read from the task.
    flow : type or FlowSpec, optional
        The flow, whose step's code is shown.
    """

    type = "default"
    ALLOW_USER_COMPONENTS = True
    RUNTIME_UPDATABLE = True
    RELOAD_POLICY = MetaflowCard.RELOAD_POLICY_ONCHANGE

    def render(self, task: Task) -> str:
        """Return the page."""
        page = self._page(facts_of(task), self._components, "final")
        return with_charts(page, interactive=bool(self._options.get("interactive_charts")))

    def render_runtime(self, task: Task, data: Mapping[str, Any]) -> str:
        """Return the page with the components as they are now."""
        components = data.get("components", {})
        return self._page(facts_of(task), components.values(), self.reload_content_token(task, data))

    def refresh(self, task: Task, data: Mapping[str, Any]) -> Any:
        """Return the components, drawn, by id."""
        return drawn(data.get("components", {}))

    def _page(self, facts: TaskFacts, components: Iterable[Any], token: str) -> str:
        parts = [
            _head(facts),
            draw_all(components),
            _section("Parameters", _artifact_table(facts.parameters)),
            _section("Artifacts", _artifact_table(facts.artifacts) + _pictures(facts.artifacts)),
            _section("Task", _details(facts)),
            _section("Requests", _requests(facts)),
            _section("Environment", _environment(facts, self.runtime_data.get("surroundings"))),
            _section("Code", _code(self._flow, facts.step)),
            _section("Graph", _graph(facts)),
            _section("More", _more(facts)),
        ]
        return page(facts.pathspec, "\n".join(parts), reload_token=token, footer=escape(facts.pathspec))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _head(facts: TaskFacts) -> str:
    kind, text = _ENDS.get(facts.status, ("running", facts.status))
    doc = str(((facts.graph.get("steps") or {}).get(facts.step) or {}).get("doc") or "").strip()
    lines = [f'<h1>{escape(facts.pathspec)}</h1><p><span class="status {kind}">{escape(text)}</span></p>']
    if doc:
        lines.append(f'<p class="note">{escape(doc)}</p>')
    if facts.failure is not None:
        lines.append(f'<pre class="log" tabindex="0">{escape(facts.failure.message)}</pre>')
        if facts.failure.hint:
            lines.append(f'<p class="note">Hint: {escape(facts.failure.hint)}</p>')
    return "".join(lines)


def _artifact_table(artifacts: Sequence[ShownArtifact]) -> str:
    if not artifacts:
        return ""
    rows = [
        [each.name, each.type, {"type": "quantity", "text": size(each.size), "value": each.size}, _short(each)]
        for each in artifacts
    ]
    return draw({"type": "table", "columns": ["Name", "Type", "Size", "Value"], "data": rows})


def _short(artifact: ShownArtifact) -> str:
    if not artifact.values:
        return artifact.trouble
    value = artifact.values[0]
    if _is_frame(value):
        return f"{len(value):,} rows by {len(value.columns):,} columns, below"
    try:
        with time_limit(PATIENCE, "Its text"):
            return summary(value, longest=400)
    except TookTooLong as error:
        return error.message


def _is_frame(value: Any) -> bool:
    return type(value).__name__ == "DataFrame" and hasattr(value, "columns") and hasattr(value, "head")


def _pictures(artifacts: Sequence[ShownArtifact]) -> str:
    """Return the data frames and images among the artifacts, drawn."""
    parts = []
    for each in artifacts:
        try:
            with time_limit(PATIENCE, "It"):
                component = _picture(each.values[0]) if each.values else None
        except TookTooLong as error:
            component = error.message
        if component is not None:
            parts.append(f"<h3>{escape(each.name)}</h3>{draw(component)}")
    return "".join(parts)


def _picture(value: Any) -> Any:
    try:
        if _is_frame(value):
            headers, rows, _ = frame_rows(value, _FRAME_ROWS)
            return rendered(Table([row[:_FRAME_COLUMNS] for row in rows], headers[:_FRAME_COLUMNS]))
        if type(value).__module__ == "matplotlib.figure":
            return rendered(Image.from_matplotlib(value))
        if type(value).__module__.startswith("PIL.") and hasattr(value, "save"):
            return rendered(Image.from_pil_image(value))
    except Exception:  # noqa: BLE001 - code of any library: the value is in the table of artifacts as well
        return None
    if isinstance(value, bytes) and value[:4] in (b"\x89PNG", b"GIF8", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1"):
        return rendered(Image(value))
    return None


def _details(facts: TaskFacts) -> str:
    began, ended = facts.times
    rows = [("Began", f"{began:%Y-%m-%d %H:%M:%S}")]
    if ended is not None:
        rows += [("Ended", f"{ended:%Y-%m-%d %H:%M:%S}"), ("Duration", duration((ended - began).total_seconds()))]
    rows += _recorded(facts, _RECORDED)
    rows.append(("Tags", ", ".join(facts.tags)))
    return _pairs(rows)


def _recorded(facts: TaskFacts, labels: Mapping[str, str]) -> list[tuple[str, str]]:
    known = facts.recorded
    return [(label, str(known[name])) for name, label in labels.items() if known.get(name) not in (None, "None", "")]


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    names, values = zip(*rows, strict=True)
    return draw({"type": "table", "vertical": True, "columns": names, "data": [values]})


def _requests(facts: TaskFacts) -> str:
    """Return what stands above the step and its flow, but for cards."""
    step = (facts.graph.get("steps") or {}).get(facts.step) or {}
    decorators = [each for each in step.get("decorators") or () if each["name"] != "card"]
    rows = [(f"@{each['name']}", _attributes(each)) for each in [*decorators, *(facts.graph.get("decorators") or ())]]
    return _pairs(rows) if rows else ""


def _attributes(decorator: Mapping[str, Any]) -> str:
    shown = []
    for name, value in decorator["attributes"].items():
        if value in (None, "None", "", [], {}):  # not given
            continue
        if name == _SECRET.get(decorator["name"]) and isinstance(value, Mapping):
            shown.append(f"{name}: {', '.join(map(str, value))}")
        else:
            shown.append(f"{name}={summary(value, longest=400)}")
    return ", ".join(shown)


def _environment(facts: TaskFacts, look: Callable[[], Surroundings] | None) -> str:
    """Return where the task runs: what is recorded, and more if it is in that place that the card is made."""
    rows = dict(_recorded(facts, _PLACE))
    if look is None:
        return _pairs(rows.items()) if rows else ""
    here = look()
    rows |= {"Python": f"{here.python}, {here.executable}", "Platform": here.platform, "Host": here.host}
    packages = "\n".join(f"{name} {version}" for name, version in here.packages)
    return (
        f"{_pairs(rows.items())}<details><summary>{len(here.packages)} installed packages</summary>"
        f'<pre tabindex="0">{escape(packages)}</pre></details>'
    )


def _code(flow: Any, step: str) -> str:
    method = getattr(flow if isinstance(flow, type) else type(flow), step, None)
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(method)))  # type: ignore[arg-type]
    except (OSError, TypeError):
        return ""
    return draw({"type": "pythonCode", "data": source})


def _graph(facts: TaskFacts) -> str:
    steps = facts.graph.get("steps") or {}
    kinds = {"split-foreach": "foreach"}
    graph = {
        "steps": {
            name: {**step, "type": kinds.get(str(step.get("type")), step.get("type"))} for name, step in steps.items()
        },
        "start_step": facts.graph.get("start_step"),
    }
    return draw({"type": "dag", "data": graph, "marked": facts.step}) if steps else ""


def _more(facts: TaskFacts) -> str:
    run = "/".join(facts.pathspec.split("/")[1:])
    script = str(facts.recorded.get("script-name") or "flow.py")
    return (
        f"<p>What it printed: <code>python {escape(script)} logs {escape(run)}</code></p>"
        f"<p>In Python: <code>from metaflow import Task; Task({escape(repr(facts.pathspec))}).data</code></p>"
    )
