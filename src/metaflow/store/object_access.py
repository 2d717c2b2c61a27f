"""Clients of the three object stores, with the credentials, region and endpoint that the vendor's own tools would use.

The only module that imports obstore. What obstore finds by itself is left to it: variables, web identity, roles of
containers and machines. Profiles of AWS's configuration files (assumed roles, SSO, processes) are botocore's matter,
which is imported only where such files are in use: a remote container has neither.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.exception import SettingsError

if TYPE_CHECKING:
    from metaflow.settings.datastores import Datastores
    from metaflow.store.object_place import Place

_RETRIES = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}
"""What the client does unasked about a failed request; what lasts longer is `metaflow.store.object`'s matter."""

_TIMEOUTS = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(minutes=10),
}


_runtime_of: list[int] = []  # the process in which obstore's threads run: they are one set for the whole process


def is_forked() -> bool:
    """Tell whether obstore was used before this process was forked, and would wait for ever in it."""
    return bool(_runtime_of) and _runtime_of[0] != os.getpid()


class Access(NamedTuple):
    """An open way to a place.

    Attributes
    ----------
    client : obstore store
        For the functions of obstore; all paths are below the place's prefix.
    endpoint : str or None
        Where it is, if not at the vendor's own address.
    """

    client: Any
    endpoint: str | None


def open_access(place: Place, settings: Datastores, region: str | None = None) -> Access:
    """Make a client; nothing is sent yet.

    Parameters
    ----------
    place : Place
        What part of which store.
    settings : Datastores
        How this installation reaches it.
    region : str, optional
        Of an S3 bucket that is known to be elsewhere than the settings say.

    Raises
    ------
    metaflow.exception.SettingsError
        The settings contradict each other, or something that they name is missing.
    """
    if not _runtime_of:
        _runtime_of.append(os.getpid())
    try:
        return {"s3": _s3, "gs": _gs, "azure": _azure}[place.kind](place, settings, region)
    except SettingsError:
        raise
    except Exception as error:  # obstore raises several classes for a configuration that it cannot use
        reason = str(error).partition("\n")[0]
        raise SettingsError(f"{place.root} cannot be reached as it is configured: {reason}") from error


def _s3(place: Place, settings: Datastores, region: str | None) -> Access:
    from obstore.store import S3Store

    config: dict[str, Any] = {}
    client: dict[str, Any] = {**_TIMEOUTS, "allow_http": True}
    endpoint = settings.s3_endpoint
    if endpoint:
        config["endpoint"] = endpoint
    if settings.s3_encryption:
        config["server_side_encryption"] = settings.s3_encryption
    config["unsigned_payload"] = not (endpoint or "").startswith("http://")  # TLS protects it, and hashing costs time
    if not settings.s3_verify:
        client["allow_invalid_certificates"] = True
    elif settings.s3_certificates:
        client["root_certificate"] = _certificates(settings.s3_certificates)
    provider, profile_region = _botocore(settings) if _profile_in_use(settings) else (None, None)
    named = settings.sdk.get("AWS_REGION") or settings.sdk.get("AWS_DEFAULT_REGION") or profile_region
    config["region"] = region or named or "us-east-1"  # if it is another one, S3's answer tells
    store = S3Store(
        place.container,
        prefix=place.prefix or None,
        config=config,  # type: ignore[arg-type]
        client_options=client,  # type: ignore[arg-type]
        retry_config=_RETRIES,  # type: ignore[arg-type]
        credential_provider=provider,
    )
    return Access(store, endpoint)


def _certificates(path: str) -> bytes:
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return file.read()
    except OSError as error:
        raise SettingsError(
            f"The certificates in {path} cannot be read: {error.strerror}.",
            hint="METAFLOW_S3_VERIFY_CERTIFICATE (or AWS_CA_BUNDLE) names this file",
        ) from error


def _profile_in_use(settings: Datastores) -> bool:
    """Tell whether credentials are to come from AWS's configuration files: what goes before them is not set."""
    sdk = settings.sdk
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


def _botocore(settings: Datastores) -> tuple[Any, str | None]:
    """Return a source of credentials and the region, from the profile in use; no source if the files have none."""
    try:
        import botocore.session
        from botocore.exceptions import BotoCoreError
    except ImportError:
        if "AWS_PROFILE" not in settings.sdk:
            return None, None
        raise SettingsError(
            f"AWS_PROFILE is '{settings.sdk['AWS_PROFILE']}', and botocore, which reads profiles, is not installed.",
            hint="install boto3, or unset AWS_PROFILE where the credentials come from a role",
        ) from None
    session = botocore.session.Session()
    try:
        credentials = session.get_credentials()
        region = session.get_config_variable("region")
    except BotoCoreError as error:
        raise SettingsError(f"AWS credentials cannot be found: {error}", hint="AWS_PROFILE chooses a profile") from None
    if credentials is None:
        return None, region
    return _Credentials(credentials), region


class _Credentials:
    """Credentials that botocore finds and renews, in the form that obstore asks for."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def __call__(self) -> Any:
        from datetime import UTC, datetime

        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            # botocore renews them in time; obstore asks again so often
            "expires_at": datetime.now(UTC) + timedelta(minutes=10),
        }


def _gs(place: Place, settings: Datastores, region: str | None) -> Access:
    from obstore.store import GCSStore

    config: dict[str, Any] = {}
    emulator = settings.sdk.get("STORAGE_EMULATOR_HOST")
    if emulator:
        endpoint = emulator if "://" in emulator else f"http://{emulator}"
        config.update(base_url=endpoint.rstrip("/"), bearer_token="emulator")
    store = GCSStore(
        place.container,
        prefix=place.prefix or None,
        config=config,  # type: ignore[arg-type]
        client_options={**_TIMEOUTS, "allow_http": bool(emulator)},  # type: ignore[arg-type]
        retry_config=_RETRIES,  # type: ignore[arg-type]
    )
    return Access(store, config.get("base_url"))


def _azure(place: Place, settings: Datastores, region: str | None) -> Access:
    from obstore.store import AzureStore

    endpoint, sdk = settings.azure_endpoint, settings.sdk
    config: dict[str, Any] = {}
    client = {**_TIMEOUTS, "allow_http": (endpoint or "").startswith("http://")}
    account = sdk.get("AZURE_STORAGE_ACCOUNT_NAME")
    if endpoint:
        config["endpoint"] = endpoint
        account = account or _account(endpoint)
    if not account:
        raise SettingsError(
            f"Which Azure storage account has the container '{place.container}' is not said.",
            hint="set METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT to https://ACCOUNT.blob.core.windows.net",
        )
    config["account_name"] = account
    if sdk.get("AZURE_STORAGE_KEY"):
        config["account_key"] = sdk["AZURE_STORAGE_KEY"]
    if _azure_cli_in_use(sdk):
        config["use_azure_cli"] = True
    store = AzureStore(
        place.container,
        prefix=place.prefix or None,
        config=config,  # type: ignore[arg-type]
        client_options=client,  # type: ignore[arg-type]
        retry_config=_RETRIES,  # type: ignore[arg-type]
    )
    return Access(store, endpoint)


def _account(endpoint: str) -> str:
    """Return the storage account that an endpoint belongs to: its first name, or an emulator's first path."""
    host, _, path = endpoint.partition("://")[2].partition("/")
    return path.partition("/")[0] or host.partition(".")[0]


def _azure_cli_in_use(sdk: Any) -> bool:
    """Tell whether the credentials should be those of ``az login``: nothing else is set, and it is there."""
    others = (
        "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "IDENTITY_ENDPOINT",
    )  # fmt: skip
    if any(name in sdk for name in others) or not os.path.isdir(f"{sdk.get('HOME', '')}/.azure"):
        return False
    import shutil

    return shutil.which("az", path=sdk.get("PATH")) is not None


def bucket_region(place: Place, endpoint: str | None) -> str | None:
    """Ask S3 for the region of a bucket, without credentials; None if it does not say."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    url = f"{endpoint or 'https://s3.amazonaws.com'}/{place.container}"
    try:
        with urlopen(Request(url, method="HEAD"), timeout=10) as answer:
            return str(answer.headers.get("x-amz-bucket-region") or "") or None
    except HTTPError as error:  # also what is forbidden or elsewhere says where it is
        return error.headers.get("x-amz-bucket-region")
    except (URLError, HTTPException, OSError):
        return None
