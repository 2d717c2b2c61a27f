"""Two reports made equal where two runs of one flow may differ: ids, times, versions, places.

Start at `normal`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

TIMES = {"created_at", "finished_at", "order", "sha"}
VERSIONS = {"metaflow_version"}
PLACES = {"ds-root"}
BEYOND = {"failure", "peak-memory-mb", "retry-reason", "retry-of", "minutes_between_retries"}
"""Facts that Metaflow does not record."""
LEFT_OUT = VERSIONS | PLACES | BEYOND
FINGERPRINT = "'source_sha1'"
"""What `_graph_info` has for each step, where Metaflow has an empty dictionary."""


def normal(report: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return the only run of the only flow in `report`, without what may differ from run to run."""
    (flow,) = report["flows"].values()
    (run_id,) = flow["runs"]
    run = flow["runs"][run_id]
    names = {}
    for step in run["steps"].values():
        ordered = sorted(step["tasks"].values(), key=lambda task: (task["foreach"] or [], int(task["id"])))
        names.update({task["pathspec"]: f"{step['pathspec']}/#{number}" for number, task in enumerate(ordered)})
    for step in run["steps"].values():
        step["tasks"] = {names[task["pathspec"]]: _task(task) for task in step["tasks"].values()}
    text = json.dumps(without(run, TIMES))
    for pathspec, name in names.items():
        text = re.sub(rf"{pathspec}(?!\d)", name, text)
    made: dict[str, Any] = _sorted(json.loads(text.replace(run_id, "RUN").replace(str(directory), "DIRECTORY")))
    return made


def _task(task: dict[str, Any]) -> dict[str, Any]:
    """Return what of a task is the same each time; of a failed one's traceback each tells in its way."""
    kept = {**task, "id": "", "repr": "", "path_components": task["path_components"][:-1]}
    kept["facts"] = sorted({json.dumps(fact) for fact in task["facts"] if fact[0] not in LEFT_OUT})
    kept["metadata_dict"] = {name: value for name, value in task["metadata_dict"].items() if name not in LEFT_OUT}
    kept["lines"] = [[stream, line] for stream, _, line in task["lines"]]
    if not task["successful"]:
        kept["lines"] = [line for line in kept["lines"] if line[0] == "stdout"]
        kept["stderr"] = None
    for artifact in kept["artifacts"].values():
        artifact["path_components"], artifact["repr"] = artifact["path_components"][-1:], ""
    return kept


def without(value: Any, names: set[str]) -> Any:
    """Return `value` without the entries of these names, the version among the tags, and the steps' fingerprints."""
    if isinstance(value, dict):
        return {key: without(item, names) for key, item in value.items() if key not in names}
    if isinstance(value, list):
        kept = [item for item in value if not (isinstance(item, list) and item[:1] == [FINGERPRINT])]
        return [without(item, names) for item in kept if not str(item).startswith("metaflow_version:")]
    return value


def _sorted(value: Any) -> Any:
    """Sort what was sorted by names that have changed since."""
    if isinstance(value, dict):
        return {key: sorted(item) if key in ("parents", "children") else _sorted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return a line for each place in which two reports differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{path}/{key}: only in the first" for key in one.keys() - other.keys()]
        found += [f"{path}/{key}: only in the second" for key in other.keys() - one.keys()]
        for key in one.keys() & other.keys():
            found += differences(one[key], other[key], f"{path}/{key}")
        return sorted(found)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            line for i, (a, b) in enumerate(zip(one, other, strict=True)) for line in differences(a, b, f"{path}[{i}]")
        ]
    return [] if one == other else [f"{path}: {repr(one)[:300]} | {repr(other)[:300]}"]
