"""How one `S3` reaches its buckets: the installation's settings, changed by what its maker was given.

Opens clients: obstore's, by way of `metaflow.store.object_access`, and boto3's where that cannot do. A `Reach` can be
pickled, for the helper of a forked child.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.exception import MetaflowS3AccessDenied, MetaflowS3Exception

if TYPE_CHECKING:
    from metaflow.settings.datastores import Datastores
    from metaflow.settings.datatools import Datatools
    from metaflow.store.object_access import Access
    from metaflow.store.object_place import Place

_KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "token",
}
_KNOWN = {*_KEYS, "endpoint_url", "verify", "region_name", "profile_name", "use_ssl", "config", "api_version"}


class Reach(NamedTuple):
    """How objects are reached.

    Attributes
    ----------
    stores : Datastores
        Endpoints, certificates and the like.
    region : str or None
        Of S3, if not as the SDK would find it.
    keys : mapping of str to str
        Access key, secret and token, if given outright.
    profile, role : str or None
        Of AWS: where credentials come from, and what is assumed with them.
    workers : int
        Requests under way at a time.
    """

    stores: Datastores
    region: str | None
    keys: Mapping[str, str]
    profile: str | None
    role: str | None
    workers: int

    def open(self, place: Place, encryption: str | None, region: str | None) -> Access:
        """Make obstore's client for a bucket."""
        from metaflow.store.object_access import Access, open_access

        stores = self.stores._replace(s3_encryption=encryption or self.stores.s3_encryption)
        access = open_access(place, stores, region or self.region)
        source = self._credentials() if place.kind == "s3" else None
        if source is None:
            return access
        made = access.client
        return Access(
            type(made)(
                config=made.config,
                client_options=made.client_options,
                retry_config=made.retry_config,
                credential_provider=source,
            ),
            access.endpoint,
        )

    def open_boto(self, region: str | None) -> Any:
        """Make boto3's client.

        Raises
        ------
        ImportError
            It is not installed.
        """
        from botocore.config import Config

        session, stores = self._session(), self.stores
        credentials = self._credentials()
        found = credentials() if credentials is not None else {}
        return session.client(
            "s3",
            region_name=region or self.region,
            endpoint_url=stores.s3_endpoint,
            verify=stores.s3_certificates or stores.s3_verify,
            config=Config(retries={"max_attempts": 2}, max_pool_connections=self.workers, connect_timeout=5),
            **{name: found[ours] for name, ours in _KEYS.items() if found.get(ours)},
        )

    def _session(self) -> Any:
        import boto3
        from botocore.exceptions import ProfileNotFound

        try:
            return boto3.session.Session(profile_name=self.profile)
        except ProfileNotFound as error:
            raise MetaflowS3AccessDenied(f"{error}.", hint="session_vars names this profile") from None

    def _credentials(self) -> Callable[[], Mapping[str, Any]] | None:
        if self.role is not None:
            return _AssumedRole(self._session(), self.role, self.region, self.keys)
        if self.keys:
            return _Given(self.keys)
        return _OfProfile(self._session()) if self.profile is not None else None


class _Given:
    """Credentials given outright."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    def __call__(self) -> Mapping[str, Any]:
        return {"token": None, **self._keys, "expires_at": None}


class _OfProfile:
    """Credentials of a profile of AWS's configuration files."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __call__(self) -> Mapping[str, Any]:
        found = self._session.get_credentials()
        if found is None:
            raise PermissionError(f"credentials: the profile '{self._session.profile_name}' has none")
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": _in_ten_minutes(),
        }


class _AssumedRole:
    """Credentials of a role of AWS that is assumed, and again before they are over."""

    def __init__(self, session: Any, role: str, region: str | None, keys: Mapping[str, str]) -> None:
        given = {name: keys[ours] for name, ours in _KEYS.items() if keys.get(ours)}
        self._sts = session.client("sts", region_name=region or session.region_name or "us-east-1", **given)
        self._role = role

    def __call__(self) -> Mapping[str, Any]:
        from datetime import UTC

        found = self._sts.assume_role(RoleArn=self._role, RoleSessionName="metaflow-s3")["Credentials"]
        return {
            "access_key_id": found["AccessKeyId"],
            "secret_access_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expires_at": found["Expiration"].astimezone(UTC),
        }


def _in_ten_minutes() -> Any:
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) + timedelta(minutes=10)


def reach(
    tools: Datatools,
    encryption: str | None,
    role: str | None,
    session_vars: Mapping[str, Any] | None,
    client_params: Mapping[str, Any] | None,
) -> Reach:
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
    unknown = sorted(given.keys() - _KNOWN)
    if unknown:
        raise MetaflowS3Exception(
            f"S3 cannot use {', '.join(unknown)} of session_vars or client_params.",
            hint=f"it knows {', '.join(sorted(_KNOWN))}",
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
    return Reach(
        stores=stores,
        region=_text(given, "region_name"),
        keys={ours: str(given[name]) for name, ours in _KEYS.items() if given.get(name)},
        profile=_text(given, "profile_name"),
        role=role,
        workers=tools.workers,
    )


def _text(given: Mapping[str, Any], name: str) -> str | None:
    return str(given[name]) if given.get(name) else None
