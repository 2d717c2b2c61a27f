"""What the user's `S3` needs to know of this installation: the METAFLOW_* names for data tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from metaflow.settings import table
from metaflow.settings.datastores import Datastores
from metaflow.settings.values import Values

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

    @classmethod
    def of(cls, values: Values, stores: Datastores) -> Datatools:
        """Read the settings.

        Raises
        ------
        metaflow.exception.SettingsError
            A value cannot be used.
        """
        roots = stores.file_roots
        first = next(iter(roots.values()), None)
        return cls(
            stores=stores,
            root=roots.get("s3") or roots.get(values[table.DEFAULT_DATASTORE]) or first,
            workers=min(values[table.S3_WORKER_COUNT], _MOST_WORKERS),
            tempdir=values[table.TEMPDIR] or ".",
            client_params=values[table.DATATOOLS_CLIENT_PARAMS],
            session_vars=values[table.DATATOOLS_SESSION_VARS],
        )
