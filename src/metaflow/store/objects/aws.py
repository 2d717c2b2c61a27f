"""AWS's credentials, in the form that obstore asks for them: given outright, of a profile, of a role that is assumed.

What obstore finds by itself is left to it: variables, web identity, roles of containers and machines. Profiles of AWS's
configuration files (assumed roles, SSO, processes) are botocore's matter, which is imported only where such files are
in use: a remote container has neither. Start reading at `credentials`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from metaflow.exception import MetaflowS3AccessDenied, SettingsError

if TYPE_CHECKING:
    from metaflow.settings.datastores import Datastores
    from metaflow.store.objects.connection import Connection

Provider = Callable[[], Mapping[str, Any]]
"""Returns ``access_key_id``, ``secret_access_key``, ``token`` and ``expires_at``."""

KEYS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "token",
}
"""boto3's names to obstore's."""

_ASKED_AGAIN = timedelta(minutes=10)  # botocore renews credentials in time; obstore asks again so often


def credentials(connection: Connection) -> Provider | None:
    """Return where the credentials of a connection come from; None if obstore finds them."""
    if connection.role is not None:
        return _AssumedRole(session(connection.profile), connection.role, connection.region, connection.keys)
    if connection.keys:
        return _Given(connection.keys)
    if connection.profile is not None:
        return _OfSession(session(connection.profile), connection.profile)
    return None


def session(profile: str | None) -> Any:
    """Return boto3's session.

    Raises
    ------
    ImportError
        It is not installed.
    MetaflowS3AccessDenied
        There is no such profile.
    """
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        return boto3.session.Session(profile_name=profile)
    except ProfileNotFound as error:
        raise MetaflowS3AccessDenied(f"{error}.", hint="session_vars names this profile") from None


def of_files(stores: Datastores) -> tuple[Provider | None, str | None]:
    """Return credentials and region of the profile in use, as far as AWS's configuration files are and have them."""
    if not _files_in_use(stores):
        return None, None
    try:
        import botocore.session
        from botocore.exceptions import BotoCoreError
    except ImportError:
        if "AWS_PROFILE" not in stores.sdk:
            return None, None
        raise SettingsError(
            f"AWS_PROFILE is '{stores.sdk['AWS_PROFILE']}', and botocore, which reads profiles, is not installed.",
            hint="install boto3, or unset AWS_PROFILE where the credentials come from a role",
        ) from None
    found = botocore.session.Session()
    try:
        has_credentials = found.get_credentials() is not None
        region = found.get_config_variable("region")
    except BotoCoreError as error:
        raise SettingsError(f"AWS credentials cannot be found: {error}", hint="AWS_PROFILE selects a profile") from None
    return _OfSession(found, None) if has_credentials else None, region


def _files_in_use(stores: Datastores) -> bool:
    """Tell whether credentials are to come from AWS's configuration files: what goes before them is not set."""
    sdk = stores.sdk
    if "AWS_ACCESS_KEY_ID" in sdk or ("AWS_WEB_IDENTITY_TOKEN_FILE" in sdk and "AWS_ROLE_ARN" in sdk):
        return False
    if "AWS_PROFILE" in sdk:
        return True
    home = sdk.get("HOME", "~")
    paths = (
        sdk.get("AWS_SHARED_CREDENTIALS_FILE") or f"{home}/.aws/credentials",
        sdk.get("AWS_CONFIG_FILE") or f"{home}/.aws/config",
    )
    return any(os.path.exists(os.path.expanduser(path)) for path in paths)


def bucket_region(bucket: str, endpoint: str | None) -> str | None:
    """Ask S3 for the region of a bucket, without credentials; None if it does not say."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    url = f"{endpoint or 'https://s3.amazonaws.com'}/{bucket}"
    try:
        with urlopen(Request(url, method="HEAD"), timeout=10) as response:
            return str(response.headers.get("x-amz-bucket-region") or "") or None
    except HTTPError as error:  # also what is forbidden or elsewhere says where it is
        return error.headers.get("x-amz-bucket-region")
    except (URLError, HTTPException, OSError):
        return None


class _Given:
    """Credentials given outright."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    def __call__(self) -> Mapping[str, Any]:
        return {"token": None, **self._keys, "expires_at": None}


class _OfSession:
    """Credentials that botocore finds, in AWS's configuration files, and renews."""

    def __init__(self, session: Any, profile: str | None) -> None:
        self._session = session
        self._profile = profile

    def __call__(self) -> Mapping[str, Any]:
        found = self._session.get_credentials()
        if found is None:
            raise PermissionError(f"credentials: the profile '{self._profile}' has none")
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASKED_AGAIN,
        }


class _AssumedRole:
    """Credentials of a role that is assumed, and again before they expire."""

    def __init__(self, session: Any, role: str, region: str | None, keys: Mapping[str, str]) -> None:
        given = {name: keys[ours] for name, ours in KEYS.items() if keys.get(ours)}
        self._sts = session.client("sts", region_name=region or session.region_name or "us-east-1", **given)
        self._role = role

    def __call__(self) -> Mapping[str, Any]:
        found = self._sts.assume_role(RoleArn=self._role, RoleSessionName="metaflow-s3")["Credentials"]
        return {
            "access_key_id": found["AccessKeyId"],
            "secret_access_key": found["SecretAccessKey"],
            "token": found["SessionToken"],
            "expires_at": found["Expiration"].astimezone(UTC),
        }
