"""What the user's `S3` needs to know of this installation: the METAFLOW_* names for data tools.

Start reading at `of_process`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from metaflow.exception import SettingsError
from metaflow.settings import datastores
from metaflow.settings.datastores import Datastores
from metaflow.settings.reading import load

_WORKERS = 32
_MOST_WORKERS = 256


class Datatools(NamedTuple):
    """How `metaflow.S3` reaches its objects.

    Attributes
    ----------
    stores : Datastores
        Endpoints, certificates, retries and the like.
    root : str or None
        Where the data of runs is: METAFLOW_DATATOOLS_S3ROOT, else ``data`` below the root of the datastore; of another
        kind of store if only that is set up.
    workers : int
        Requests under way at a time, from METAFLOW_S3_WORKER_COUNT.
    tempdir : str
        Where downloads go: METAFLOW_TEMPDIR, else the working directory.
    client_params, session_vars : mapping of str to object
        METAFLOW_DATATOOLS_CLIENT_PARAMS and METAFLOW_DATATOOLS_SESSION_VARS, JSON objects as boto3 takes them.
    """

    stores: Datastores
    root: str | None
    workers: int
    tempdir: str
    client_params: Mapping[str, object]
    session_vars: Mapping[str, object]


def of_process() -> Datatools:
    """Return what the environment and the configuration files of this process say now.

    Raises
    ------
    metaflow.exception.SettingsError
        A value cannot be used.
    """
    settings = load(os.environ)
    entries = settings.entries
    stores = datastores.read(entries, os.environ)
    roots = stores.file_roots
    return Datatools(
        stores=stores,
        root=roots.get("s3") or roots.get(settings.default_datastore) or next(iter(roots.values()), None),
        workers=_workers(entries),
        tempdir=settings.tempdir or ".",
        client_params=_mapping(entries, "METAFLOW_DATATOOLS_CLIENT_PARAMS"),
        session_vars=_mapping(entries, "METAFLOW_DATATOOLS_SESSION_VARS"),
    )


def _workers(entries: Mapping[str, str]) -> int:
    value = entries.get("METAFLOW_S3_WORKER_COUNT", "").strip()
    if not value:
        return _WORKERS
    if not value.isdecimal() or not int(value):
        raise SettingsError(f"METAFLOW_S3_WORKER_COUNT is '{value}'.", hint="it should be a number of 1 or more")
    return min(int(value), _MOST_WORKERS)


def _mapping(entries: Mapping[str, str], name: str) -> Mapping[str, object]:
    value = entries.get(name, "").strip()
    if not value:
        return {}
    import json

    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SettingsError(f"{name} is no JSON object: {value[:60]}", hint='write {"region_name": "eu-west-1"}')
    return found
