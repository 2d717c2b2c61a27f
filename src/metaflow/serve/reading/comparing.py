"""Two runs side by side: parameters, code, artifacts by their hashes, durations. Pure, but for the indexes it asks for.

Tasks are compared with tasks of the same step and item. Start reading at `compare_runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from metaflow.metadata_provider.protocol import TaskPath
from metaflow.serve.reading.protocol import Pair, RunComparison, RunDetail, StepCounts, TaskRow, TaskTable
from metaflow.store.artifacts import TaskIndex
from metaflow.store.blobs import Blobs
from metaflow.store.overlap import overlap

_MOST_TASKS = 200
"""Tasks of each run whose artifacts are compared."""
_MOST_OF_STEP = 20
_CLOSE = 0.1
"""Share by which two durations may differ and count as equal."""

Stored = Callable[[TaskPath], tuple[TaskIndex, Blobs] | None]


def compare_runs(
    left: RunDetail, right: RunDetail, *, tables: tuple[TaskTable, TaskTable], stored: Stored, width: int
) -> RunComparison:
    """Return two runs side by side.

    Parameters
    ----------
    left, right : RunDetail
        The runs.
    tables : tuple of TaskTable
        Their tasks.
    stored : callable
        Returns what a task has stored.
    width : int
        Indexes that are read side by side.
    """
    chosen = [_chosen(table.rows) for table in tables]
    artifacts = [
        _artifacts(run.row.flow, run.row.run, rows, stored, width)
        for run, rows in zip((left, right), chosen, strict=True)
    ]
    notes = [
        f"Of the {len(table.rows):,} tasks of run {run.row.run} the artifacts of {len(rows):,} were compared."
        for run, table, rows in zip((left, right), tables, chosen, strict=True)
        if len(rows) < len(table.rows)
    ]
    if left.row.flow != right.row.flow:
        notes.append("The runs are of different flows.")
    return RunComparison(
        left.row,
        right.row,
        parameters=_pairs(
            {each.name: (each.sha, each.summary or each.type) for each in left.parameters},
            {each.name: (each.sha, each.summary or each.type) for each in right.parameters},
        ),
        code=_pairs(_code(left), _code(right)),
        artifacts=_pairs(*artifacts),
        durations=_durations(left, right),
        notes=tuple(notes),
    )


def _chosen(rows: Iterable[TaskRow]) -> list[TaskRow]:
    """Return the tasks to compare: of a wide step the first few items, so that both runs have the same."""
    by_step: dict[str, list[TaskRow]] = {}
    for row in rows:
        by_step.setdefault(row.step, []).append(row)
    by_item = (sorted(rows, key=lambda row: (len(row.item), row.item)) for rows in by_step.values())
    return [row for rows in by_item for row in rows[:_MOST_OF_STEP]][:_MOST_TASKS]


def _artifacts(flow: str, run: str, rows: list[TaskRow], stored: Stored, width: int) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    paths = [TaskPath(flow, run, row.step, row.task) for row in rows]
    for row, contents in zip(rows, overlap(stored, paths, width), strict=True):
        if contents is not None:
            where = f"{row.step}[{row.item}]" if row.item else row.step
            for name, sha in contents[0].objects.items():
                if not name.startswith("_") and name != "name":
                    found[f"{where}/{name}"] = (sha, sha[:10])
    return found


def _code(run: RunDetail) -> dict[str, tuple[str, str]]:
    """Return the source of each step by its fingerprint, and the package."""
    steps = run.graph.get("steps", {})
    found: dict[str, tuple[str, str]] = {}
    for name, node in steps.items() if isinstance(steps, Mapping) else ():
        info = node.get("node_info") if isinstance(node, Mapping) else None
        fingerprint = info.get("source_sha1") if isinstance(info, Mapping) else None
        if isinstance(fingerprint, str):
            found[f"step {name}"] = (fingerprint, fingerprint[:10])
    if run.code.script:
        found["script"] = (run.code.script, run.code.script)
    if run.code.sha is not None:
        found["package"] = (run.code.sha, run.code.sha[:10])
    return found


def _pairs(left: Mapping[str, tuple[str, str]], right: Mapping[str, tuple[str, str]]) -> tuple[Pair, ...]:
    """Return what both have under the same names, by (identity, how it is shown); what differs first."""
    pairs = []
    for name in dict.fromkeys((*left, *right)):
        one, other = left.get(name), right.get(name)
        is_same = one is not None and other is not None and one[0] == other[0]
        pairs.append(Pair(name, one and one[1], other and other[1], is_same))
    return tuple(sorted(pairs, key=lambda pair: pair.is_same))


def _durations(left: RunDetail, right: RunDetail) -> tuple[Pair, ...]:
    one, other = _seconds(left), _seconds(right)
    pairs = []
    for name in dict.fromkeys((*one, *other)):
        values = (one.get(name), other.get(name))
        known = [value for value in values if value is not None]
        is_same = len(known) == 2 and abs(known[0] - known[1]) <= _CLOSE * max(known)
        before, after = (None if value is None else f"{value:.1f}" for value in values)
        pairs.append(Pair(name, before, after, is_same))
    return tuple(pairs)


def _seconds(run: RunDetail) -> dict[str, float]:
    found = {"run": _between(run.row.started, run.row.ended)}
    found |= {step.name: _of_step(step) for step in run.steps}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def _of_step(step: StepCounts) -> float | None:
    return None if step.started is None else _between(step.started, step.ended)


def _between(started: int, ended: int | None) -> float | None:
    return None if ended is None else (ended - started) / 1000
