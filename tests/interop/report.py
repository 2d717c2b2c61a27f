"""Print all that the client knows of a site as JSON.

Run by either interpreter over either's runs: ``python report.py DIRECTORY``. It uses the public client only, and no
name that one of the two lacks.
"""

import datetime
import hashlib
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from metaflow import DataArtifact, Flow, Metaflow, Run, Step, Task, get_metadata, metadata, namespace
from metaflow.exception import (
    MetaflowException,
    MetaflowInvalidPathspec,
    MetaflowNamespaceMismatch,
    MetaflowNotFound,
)

ERRORS = (
    KeyError,
    AttributeError,
    MetaflowNotFound,
    MetaflowNamespaceMismatch,
    MetaflowInvalidPathspec,
    MetaflowException,
    Exception,
)


def plain(value: Any, depth: int = 0) -> Any:
    """Return what JSON can hold of a value, so that equal values give equal texts."""
    if depth > 6:
        return "deep"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
    if isinstance(value, bytes):
        return ["bytes", len(value), hashlib.sha1(value).hexdigest()]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *(plain(item, depth + 1) for item in value)]
    if isinstance(value, (set, frozenset)):
        return [type(value).__name__, *sorted(repr(item) for item in value)]
    if isinstance(value, dict):
        items = sorted((repr(key), plain(item, depth + 1)) for key, item in value.items())
        return [type(value).__name__, *map(list, items)]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if type(value).__module__ == "numpy":
        return [type(value).__name__, str(value.dtype), plain(value.tolist(), depth + 1)[:50]]
    return [type(value).__name__, re.sub(r" at 0x\w+", "", repr(value))]


def tried(function: Callable[[], Any]) -> Any:
    """Return the value of a call, or the class of what it raises, as far as both know it."""
    try:
        return plain(function())
    except Exception as error:  # noqa: BLE001
        return ["raised", next(cls.__name__ for cls in ERRORS if isinstance(error, cls))]


def origin(thing: Any) -> Any:
    """Return where a resumed object comes from; the original says ``Flow/None`` of what was not resumed."""
    found = tried(lambda: thing.origin_pathspec)
    return None if isinstance(found, str) and "None" in found.split("/") else found


def common(thing: Any) -> dict[str, Any]:
    return {
        "id": thing.id,
        "pathspec": thing.pathspec,
        "path_components": list(thing.path_components),
        "parent": thing.parent.pathspec if thing.parent is not None else None,
        "created_at": plain(thing.created_at),
        "tags": sorted(thing.tags),
        "user_tags": sorted(thing.user_tags),
        "system_tags": sorted(thing.system_tags),
        "origin_pathspec": origin(thing),
        "repr": repr(thing),
    }


def loaded(artifact: Any) -> Any:
    """Return an artifact's value; how each says that its class is not to be had here is its own affair."""
    value = tried(lambda: artifact.data)
    return value if not isinstance(value, list) or value[:1] != ["raised"] else ["raised"]


def value(task: Any, name: str) -> Any:
    return task[name].data


def artifact_report(artifact: Any) -> dict[str, Any]:
    return {
        **common(artifact),
        "sha": artifact.sha,
        "data": loaded(artifact),
        "finished_at": artifact.finished_at == artifact.created_at,
    }


def exception_report(task: Any) -> Any:
    error = task.exception
    if error is None:
        return None
    return {
        "class": type(error).__name__,
        "type": error.type,
        "exception": plain(error.exception),
        "last line": plain(error.stacktrace.strip().splitlines()[-1]),
    }


def text_of(task: Any, stream: str) -> Any:
    """Return a log as text; the original raises if it is none."""
    try:
        for _, line in task.loglines(stream, as_unicode=False):
            line.decode()
    except UnicodeDecodeError:
        return "not text"
    return plain(getattr(task, stream))


def task_report(task: Any) -> dict[str, Any]:
    facts = sorted((fact.name, fact.type, fact.value) for fact in task.metadata)
    return {
        **common(task),
        "successful": task.successful,
        "finished": task.finished,
        "finished_at": plain(task.finished_at),
        "exception": exception_report(task),
        "index": task.index,
        "runtime_name": task.runtime_name,
        "attempt": task.current_attempt,
        "code": plain(task.code),
        "environment_info": plain(task.environment_info),
        "stdout": text_of(task, "stdout"),
        "stderr": text_of(task, "stderr"),
        "lines": [
            [stream, at.isoformat(), plain(line)]
            for stream in ("stdout", "stderr")
            for at, line in task.loglines(stream, as_unicode=False)
        ],
        "facts": facts,
        "metadata_dict": task.metadata_dict,
        "parents": sorted(task.parent_task_pathspecs),
        "children": sorted(task.child_task_pathspecs),
        "foreach": [frame.index for frame in task["_foreach_stack"].data] if "_foreach_stack" in task else None,
        "ids": sorted(artifact.id for artifact in task),
        "names": sorted(task.data._artifacts),
        "in data": "name" in task.data,
        "artifacts": {artifact.id: artifact_report(artifact) for artifact in task},
        "hidden": {name: tried(partial(value, task, name)) for name in HIDDEN if name in task},
    }


HIDDEN = ("_task_ok", "_success", "_transition", "_graph_info")


def step_report(step: Any) -> dict[str, Any]:
    return {
        **common(step),
        "finished_at": plain(step.finished_at),
        "environment_info": plain(step.environment_info),
        "task": step.task.pathspec if len(list(step)) == 1 else None,
        "tasks": {task.id: task_report(task) for task in step},
    }


def parameters(run: Any) -> list[str]:
    step: Any = Step(f"{run.pathspec}/_parameters")
    return sorted(artifact.id for artifact in step.task)


def limits(run: Any) -> list[Any]:
    step: Any = Step(f"{run.pathspec}/_parameters")
    return sorted((fact.name, fact.type, fact.value) for fact in step.task.metadata if fact.name.endswith("_step"))


def run_report(run: Any) -> dict[str, Any]:
    return {
        **common(run),
        "successful": run.successful,
        "finished": run.finished,
        "finished_at": plain(run.finished_at),
        "end_task": run.end_task.pathspec if run.end_task else None,
        "data": sorted(run.data._artifacts) if run.data else None,
        "code": plain(run.code),
        "order": [step.id for step in run],
        "steps": {step.id: step_report(step) for step in run},
        "parameters": tried(lambda: parameters(run)),
        "limits": tried(lambda: limits(run)),
    }


def flow_report(flow: Any) -> dict[str, Any]:
    name = flow.id
    latest = flow.latest_run
    missing = f"{latest.pathspec}/start/999"
    return {
        **{key: value for key, value in common(flow).items() if key not in ("created_at", "tags", "system_tags")},
        "latest_run": latest.id,
        "latest_successful_run": tried(lambda: flow.latest_successful_run and flow.latest_successful_run.id),
        "order": [run.id for run in flow],
        "runs": {run.id: run_report(run) for run in flow},
        "tagged": sorted(run.id for run in flow.runs("tagged")),
        "by user": sorted(run.id for run in flow.runs("user:tester", "tagged")),
        "contains": ["start" in latest, "nowhere" in latest, latest.id in flow, "0" in flow],
        "errors": [
            tried(lambda: Run(f"{name}/0")),
            tried(lambda: Step(f"{latest.pathspec}/nowhere")),
            tried(lambda: Task(missing)),
            tried(lambda: DataArtifact(f"{latest['start'].task.pathspec}/nowhere")),
            tried(lambda: latest["nowhere"]),
            tried(lambda: latest["start"]["999"]),
            tried(lambda: latest["start"].task["nowhere"]),
            tried(lambda: latest["start"].task.data.nowhere),
            tried(lambda: Run(name)),
            tried(lambda: Flow(f"{name}/1")),
            tried(lambda: Task(f"{name}/1/start/1/x")),
        ],
    }


def elsewhere(name: str, run: str) -> list[Any]:
    """Return what another namespace hides."""
    namespace("user:somebody")
    found = [
        tried(lambda: Flow(name)),
        tried(lambda: Run(f"{name}/{run}")),
        tried(lambda: [flow.id for flow in Metaflow()]),
    ]
    namespace("tagged")
    found.append(tried(lambda: [one.id for one in Flow(name)]))
    namespace(None)
    return found


def main() -> None:
    metadata(f"local@{sys.argv[1]}")
    namespace(None)
    flows = {flow.id: flow_report(flow) for flow in Metaflow()}
    hidden = {name: elsewhere(name, report["latest_run"]) for name, report in flows.items()}
    missing = [tried(lambda: Flow("NoSuchFlow")), tried(lambda: Run("NoSuchFlow/1"))]
    report = {"metadata": get_metadata(), "flows": flows, "elsewhere": hidden, "missing": missing}
    json.dump(report, sys.stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main()
