"""`metaflow.metaflow_config`: the settings in force under the names of Metaflow, without ``METAFLOW_``.

Each is read when it is asked for. A setting that has no effect here is the text that is set, else None.
"""

from __future__ import annotations

from typing import Any

from metaflow import settings
from metaflow.settings.table import NAMES, PREFIX, SETTINGS

DATASTORE_LOCAL_DIR = ".metaflow"

_OF_DATASTORES = {"DATATOOLS_S3ROOT": "s3", "DATATOOLS_GSROOT": "gs", "DATATOOLS_AZUREROOT": "azure"}


def from_conf(name: str, default: Any = None) -> Any:
    """Return the text that a setting has in the environment or in a configuration file, else `default`."""
    return settings.load().values.string(PREFIX + name.removeprefix(PREFIX)) or default


def __getattr__(name: str) -> Any:
    if PREFIX + name not in NAMES:
        raise AttributeError(f"module 'metaflow.metaflow_config' has no attribute '{name}'")
    found = settings.load()
    if name in _OF_DATASTORES:
        return found.datastores.file_roots.get(_OF_DATASTORES[name])
    if PREFIX + name in SETTINGS:
        return found.values[SETTINGS[PREFIX + name]]
    return from_conf(name)
