"""How one `S3` reaches its buckets: the installation's settings, changed by what its maker was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metaflow.exception import MetaflowS3Exception
from metaflow.store.objects.aws import KEYS
from metaflow.store.objects.connection import Connection

if TYPE_CHECKING:
    from metaflow.settings.datatools import Datatools

_NAMES = {*KEYS, "endpoint_url", "verify", "region_name", "profile_name", "use_ssl", "config", "api_version"}


def connect(
    tools: Datatools,
    encryption: str | None,
    role: str | None,
    session_vars: Mapping[str, Any] | None,
    client_params: Mapping[str, Any] | None,
) -> Connection:
    """Add up what is configured and what was given; the latter wins.

    Parameters
    ----------
    tools : Datatools
        The installation's settings.
    encryption : str or None
        Server-side encryption.
    role : str or None
        ARN of a role to assume.
    session_vars, client_params : mapping or None
        As boto3 takes them.

    Raises
    ------
    MetaflowS3Exception
        One of them is unknown here.
    """
    given = {**tools.session_vars, **tools.client_params, **(session_vars or {}), **(client_params or {})}
    unknown = sorted(given.keys() - _NAMES)
    if unknown:
        raise MetaflowS3Exception(
            f"S3 does not support {', '.join(unknown)} in session_vars or client_params.",
            hint=f"supported: {', '.join(sorted(_NAMES))}",
        )
    stores = tools.stores
    if given.get("endpoint_url"):
        stores = stores._replace(s3_endpoint=str(given["endpoint_url"]).rstrip("/"))
    verify = given.get("verify")
    if isinstance(verify, str):
        stores = stores._replace(s3_certificates=verify, s3_verify=True)
    elif verify is False:
        stores = stores._replace(s3_verify=False)
    if encryption:
        stores = stores._replace(s3_encryption=encryption)
    return Connection(
        stores=stores,
        region=_string(given, "region_name"),
        keys={ours: str(given[name]) for name, ours in KEYS.items() if given.get(name)},
        profile=_string(given, "profile_name"),
        role=role,
    )


def _string(given: Mapping[str, Any], name: str) -> str | None:
    return str(given[name]) if given.get(name) else None
