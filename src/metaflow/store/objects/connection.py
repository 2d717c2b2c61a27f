"""How buckets are reached, and obstore's clients for them: with what the vendor's own tools would use.

The only module that makes clients of obstore. A `Connection` can be pickled, for the process of a forked child. Start
reading at `Connection.open`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from metaflow.exception import SettingsError
from metaflow.store.objects import aws
from metaflow.store.objects.forked import note_use

if TYPE_CHECKING:
    from metaflow.settings.datastores import Datastores
    from metaflow.store.objects.address import Address

_RETRIES = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}
"""What the client does unasked about a failed request; what lasts longer is `metaflow.store.objects.retry`'s matter."""

_TIMEOUTS = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=30),
    "timeout": timedelta(minutes=10),
}


class Client(NamedTuple):
    """An open way to a bucket.

    Attributes
    ----------
    store : obstore store
        For the functions of obstore.
    endpoint : str or None
        Where it is, if not at the vendor's own address.
    """

    store: Any
    endpoint: str | None


class Connection(NamedTuple):
    """How buckets are reached.

    Attributes
    ----------
    stores : Datastores
        Endpoints, certificates and the like: the installation's settings.
    region : str or None
        Of S3, if not as the SDK would find it.
    keys : mapping of str to str
        Access key, secret and token, if given outright, under obstore's names.
    profile, role : str or None
        Of AWS: where credentials come from, and what is assumed with them.
    """

    stores: Datastores
    region: str | None = None
    keys: Mapping[str, str] = {}
    profile: str | None = None
    role: str | None = None

    def open(self, bucket: Address, encryption: str | None = None, region: str | None = None) -> Client:
        """Make a client; nothing is sent yet.

        Parameters
        ----------
        bucket : Address
            What to reach.
        encryption : str, optional
            Server-side encryption of what is put there, if not as the settings say.
        region : str, optional
            Of an S3 bucket that is known to be elsewhere than the settings say.

        Raises
        ------
        metaflow.exception.SettingsError
            The settings contradict each other, or something that they name is missing.
        """
        note_use()
        if bucket.kind == "s3":
            return _s3(self, bucket.container, encryption, region or self.region)
        return (_gs if bucket.kind == "gs" else _azure)(self.stores, bucket.container)


def _s3(connection: Connection, bucket: str, encryption: str | None, region: str | None) -> Client:
    from obstore.store import S3Store

    stores = connection.stores
    config: dict[str, Any] = {}
    client: dict[str, Any] = {**_TIMEOUTS, "allow_http": True}
    endpoint = stores.s3_endpoint
    if endpoint:
        config["endpoint"] = endpoint
    if encryption or stores.s3_encryption:
        config["server_side_encryption"] = encryption or stores.s3_encryption
    config["unsigned_payload"] = not (endpoint or "").startswith("http://")  # TLS protects it, and hashing costs time
    if not stores.s3_verify:
        client["allow_invalid_certificates"] = True
    elif stores.s3_certificates:
        client["root_certificate"] = _certificates(stores.s3_certificates)
    provider, region_of_profile = aws.credentials(connection), None
    if provider is None:
        provider, region_of_profile = aws.of_files(stores)
    named = stores.sdk.get("AWS_REGION") or stores.sdk.get("AWS_DEFAULT_REGION") or region_of_profile
    config["region"] = region or named or "us-east-1"  # if it is another one, S3's response tells
    store = S3Store(
        bucket,
        config=config,  # type: ignore[arg-type]
        client_options=client,  # type: ignore[arg-type]
        retry_config=_RETRIES,  # type: ignore[arg-type]
        credential_provider=provider,  # type: ignore[arg-type]
    )
    return Client(store, endpoint)


def _certificates(path: str) -> bytes:
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return file.read()
    except OSError as error:
        raise SettingsError(
            f"The certificates in {path} cannot be read: {error.strerror}.",
            hint="METAFLOW_S3_VERIFY_CERTIFICATE (or AWS_CA_BUNDLE) names this file",
        ) from error


def _gs(stores: Datastores, bucket: str) -> Client:
    from obstore.store import GCSStore

    config: dict[str, Any] = {}
    emulator = stores.sdk.get("STORAGE_EMULATOR_HOST")
    if emulator:
        endpoint = emulator if "://" in emulator else f"http://{emulator}"
        config.update(base_url=endpoint.rstrip("/"), bearer_token="emulator")
    store = GCSStore(
        bucket,
        config=config,  # type: ignore[arg-type]
        client_options={**_TIMEOUTS, "allow_http": bool(emulator)},  # type: ignore[arg-type]
        retry_config=_RETRIES,  # type: ignore[arg-type]
    )
    return Client(store, config.get("base_url"))


def _azure(stores: Datastores, container: str) -> Client:
    from obstore.store import AzureStore

    endpoint, sdk = stores.azure_endpoint, stores.sdk
    config: dict[str, Any] = {}
    client = {**_TIMEOUTS, "allow_http": (endpoint or "").startswith("http://")}
    account = sdk.get("AZURE_STORAGE_ACCOUNT_NAME")
    if endpoint:
        config["endpoint"] = endpoint
        account = account or _account(endpoint)
    if not account:
        raise SettingsError(
            f"Nothing says which Azure storage account has the container '{container}'.",
            hint="set METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT to https://ACCOUNT.blob.core.windows.net",
        )
    config["account_name"] = account
    if sdk.get("AZURE_STORAGE_KEY"):
        config["account_key"] = sdk["AZURE_STORAGE_KEY"]
    if _azure_cli_in_use(sdk):
        config["use_azure_cli"] = True
    store = AzureStore(
        container,
        config=config,  # type: ignore[arg-type]
        client_options=client,  # type: ignore[arg-type]
        retry_config=_RETRIES,  # type: ignore[arg-type]
    )
    return Client(store, endpoint)


def _account(endpoint: str) -> str:
    """Return the storage account that an endpoint belongs to: its first name, or an emulator's first path."""
    host, _, path = endpoint.partition("://")[2].partition("/")
    return path.partition("/")[0] or host.partition(".")[0]


def _azure_cli_in_use(sdk: Mapping[str, str]) -> bool:
    """Tell whether the credentials should be those of ``az login``: nothing else is set, and it is there."""
    others = (
        "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "IDENTITY_ENDPOINT",
    )  # fmt: skip
    if any(name in sdk for name in others) or not os.path.isdir(f"{sdk.get('HOME', '')}/.azure"):
        return False
    import shutil

    return shutil.which("az", path=sdk.get("PATH")) is not None
