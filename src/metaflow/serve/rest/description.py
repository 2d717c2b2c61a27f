"""The OpenAPI description of the metadata service, made of the table of its calls. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from metaflow.serve.rest.calls import CallRow

Schema = dict[str, Any]


def _object(needed: Iterable[str] = (), **fields: Schema) -> Schema:
    return {"type": "object", "properties": fields, **({"required": list(needed)} if needed else {})}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


_STRING: Schema = {"type": "string", "maxLength": 1000}
_TIME: Schema = {"type": "integer", "minimum": 0, "description": "Milliseconds since the epoch."}
_NEW_ID: Schema = {"type": ["string", "integer", "null"]}
_NULLABLE_NAME: Schema = {"type": ["string", "null"]}
_NULLABLE_TIME: Schema = {"type": ["integer", "null"]}
_TAGS: Schema = _list(_STRING)

_WRITTEN = {"user_name": _STRING, "ts_epoch": _TIME}
_TAGGED = {"tags": _TAGS, "system_tags": _TAGS}
_NAMED = {"flow_id": _STRING, "run_number": _STRING, "step_name": _STRING, "task_id": _STRING}
_ARTIFACT = dict.fromkeys(("name", "content_type", "type", "sha", "ds_type", "location"), _STRING)
_ATTEMPT: Schema = {"type": "integer", "minimum": 0, "maximum": 100_000}
_FACT = {"field_name": _STRING, "type": _STRING, "value": {}, "tags": _TAGS}

SCHEMAS: Mapping[str, Schema] = {
    "Error": _object(["message"], message=_STRING),
    "Path": {"type": "string", "description": "flow/run/step/task"},
    "Heartbeat": _object(["wait_time_in_seconds"], wait_time_in_seconds={"type": "integer"}),
    "Received": _object(["received"], received={"type": "integer"}),
    "Tags": _object(["tags"], tags=_TAGS),
    "TagChange": _object(tags_to_add=_TAGS, tags_to_remove=_TAGS),
    "NewFlow": _object(**_WRITTEN),
    "NewRun": _object(run_number=_NEW_ID, **_WRITTEN, **_TAGGED),
    "NewStep": _object(**_WRITTEN),
    "NewTask": _object(task_id=_NEW_ID, **_WRITTEN),
    "NewFact": _object(["field_name", "value"], **_FACT, **_WRITTEN),
    "NewArtifact": _object(["name"], attempt_id=_ATTEMPT, **_ARTIFACT, **_WRITTEN),
    "Flow": _object(["flow_id"], flow_id=_STRING, **_WRITTEN, **_TAGGED),
    "Run": _object(
        ["flow_id", "run_number"],
        flow_id=_STRING,
        run_number=_STRING,
        run_id=_NULLABLE_NAME,
        status={"enum": ["running", "completed", "failed"]},
        last_heartbeat_ts=_NULLABLE_TIME,
        finished_at=_NULLABLE_TIME,
        **_WRITTEN,
        **_TAGGED,
    ),
    "Step": _object(["flow_id", "run_number", "step_name"], **_NAMED, **_WRITTEN, **_TAGGED),
    "Task": _object(
        ["flow_id", "run_number", "step_name", "task_id"],
        task_name=_NULLABLE_NAME,
        last_heartbeat_ts=_NULLABLE_TIME,
        **_NAMED,
        **_WRITTEN,
        **_TAGGED,
    ),
    "Fact": _object(["field_name", "value"], **_NAMED, **_FACT, **_WRITTEN),
    "Artifact": _object(["name", "sha"], attempt_id=_ATTEMPT, **_NAMED, **_ARTIFACT, **_WRITTEN, **_TAGGED),
}

_FILTERS: Mapping[str, tuple[tuple[str, Schema], ...]] = {
    "runs": (
        ("status:eq", {"type": "string", "examples": ["running,failed"]}),
        ("user:eq", _STRING),
        ("ts_epoch:ge", _TIME),
        ("ts_epoch:le", _TIME),
        ("_tags:any", _STRING),
        ("_tags:all", _STRING),
    ),
    "tasks": (("ts_epoch:ge", _TIME), ("ts_epoch:le", _TIME), ("user_name:eq", _STRING), ("task_name:eq", _STRING)),
}
_PAGES: tuple[tuple[str, Schema], ...] = (
    ("_limit", {"type": "integer", "minimum": 1, "maximum": 500}),
    ("_cursor", _STRING),
)
_PARAMETERS: Mapping[str, tuple[tuple[str, Schema], ...]] = {
    "filtered_tasks": (("metadata_field_name", _STRING), ("pattern", _STRING)),
    "metadata": (("field_name", _STRING),),
}


def description(calls: Iterable[CallRow], version: str) -> Schema:
    """Return the description of calls; `version` is that of the service."""
    paths: dict[str, dict[str, Schema]] = {
        "/ping": {"get": {"summary": "Tell whether the service answers", "responses": {"200": _text("pong")}}}
    }
    for row in calls:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Metadata service",
            "version": version,
            "description": "What a run writes, and what is read of it.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{}, {"token": []}, {"key": []}],
    }


def _operation(row: CallRow) -> Schema:
    last = row.path.rpartition("/")[2]
    query = (*_FILTERS[row.filters], *_PAGES) if row.filters else _PARAMETERS.get(last, ()) if not row.takes else ()
    names = re.findall(r"\{(\w+)\}", row.path)
    responses: dict[str, Schema] = {"200": _content(row.gives)}
    statuses = {"400": "The request is wrong", "401": "A token is needed", "404": "It is not there"}
    if row.takes:
        statuses |= {"409": "It exists", "413": "It is too long"}
    if row.method == "PATCH":
        statuses |= {"422": "A tag cannot be set or removed"}
    if row.path.endswith("/run"):
        statuses |= {"422": "A tag cannot be set"}
    statuses["503"] = "The database does not answer at this moment"
    for status, sentence in statuses.items():
        responses[status] = {"description": sentence, **_json({"$ref": "#/components/schemas/Error"})}
    operation: Schema = {
        "summary": row.summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _name(name)} for name in names),
            *({"name": name, "in": "query", "schema": schema} for name, schema in query),
        ],
        "responses": responses,
    }
    if row.takes:
        operation["requestBody"] = {"required": True, **_json(_named(row.takes))}
    return operation


def _name(name: str) -> Schema:
    return _ATTEMPT if name == "attempt" else {"type": "string", "minLength": 1, "maxLength": 1000}


def _content(schema: str) -> Schema:
    return {"description": "Done", **_json(_named(schema))}


def _named(schema: str) -> Schema:
    reference = {"$ref": f"#/components/schemas/{schema.removesuffix('[]')}"}
    return _list(reference) if schema.endswith("[]") else reference


def _json(schema: Schema) -> Schema:
    return {"content": {"application/json": {"schema": schema}}}


def _text(example: str) -> Schema:
    return {"description": "Yes", "content": {"text/plain": {"schema": {"type": "string", "examples": [example]}}}}
