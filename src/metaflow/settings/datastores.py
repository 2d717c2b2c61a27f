"""Where object stores are and how they are reached: the METAFLOW_* names for S3, Google Cloud Storage and Azure.

Also those few names of the vendors' SDKs that decide how we get credentials or that a message should mention. Secrets
are not read here: the clients find them by themselves. Start reading at `read`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from metaflow.exception import CommandException, SettingsError
from metaflow.settings.reading import load

_OFF = ("0", "false", "no", "off", "n", "f")
_ON = ("1", "true", "yes", "on", "y", "t")
_SDK_NAMES = (
    "AWS_ACCESS_KEY_ID", "AWS_CONFIG_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CA_BUNDLE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "AWS_ROLE_ARN", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN",
    "HOME", "IDENTITY_ENDPOINT", "PATH", "STORAGE_EMULATOR_HOST",
)  # fmt: skip

ROOTS = {kind: f"METAFLOW_DATASTORE_SYSROOT_{kind.upper()}" for kind in ("s3", "gs", "azure")}
"""Kind of object store to the name of the setting that says where its data is."""


class Datastores(NamedTuple):
    """How this installation reaches object stores.

    Attributes
    ----------
    roots : mapping of str to str
        METAFLOW_DATASTORE_SYSROOT_<KIND> by kind (``s3``, ``gs``, ``azure``), as far as they are set.
    file_roots : mapping of str to str
        Where included files are kept, by kind: METAFLOW_DATATOOLS_<KIND>ROOT, else ``data`` (or
        METAFLOW_DATATOOLS_SUFFIX) below the root.
    s3_endpoint : str or None
        METAFLOW_S3_ENDPOINT_URL, else what the SDK's variables say.
    s3_certificates : str or None
        Path of certificates to trust, from METAFLOW_S3_VERIFY_CERTIFICATE, else AWS_CA_BUNDLE.
    s3_verify : bool
        Whether certificates are checked; False if METAFLOW_S3_VERIFY_CERTIFICATE is ``false``.
    s3_encryption : str or None
        METAFLOW_S3_SERVER_SIDE_ENCRYPTION, such as ``AES256`` or ``aws:kms``.
    azure_endpoint : str or None
        METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT.
    retries : int or None
        METAFLOW_S3_RETRY_COUNT: how often a request that failed is tried again; None leaves it to a limit of time.
    tempdir : str or None
        METAFLOW_TEMPDIR: where big objects wait to be sent.
    sdk : mapping of str to str
        Those variables of the vendors' SDKs that matter here and are set.
    """

    roots: Mapping[str, str]
    file_roots: Mapping[str, str]
    s3_endpoint: str | None
    s3_certificates: str | None
    s3_verify: bool
    s3_encryption: str | None
    azure_endpoint: str | None
    retries: int | None
    tempdir: str | None
    sdk: Mapping[str, str]


def of_process() -> Datastores:
    """Return what the environment and the configuration files of this process say now.

    Raises
    ------
    metaflow.exception.SettingsError
        A value cannot be used.
    """
    return read(load(os.environ).entries, os.environ)


def read(entries: Mapping[str, str], environ: Mapping[str, str]) -> Datastores:
    """Return the settings for object stores.

    Parameters
    ----------
    entries : mapping of str to str
        Every METAFLOW_* name that is set anywhere.
    environ : mapping of str to str
        The environment, for the variables of the SDKs.

    Raises
    ------
    metaflow.exception.SettingsError
        A value cannot be used.
    """
    sdk = {name: environ[name] for name in _SDK_NAMES if environ.get(name)}
    roots = {kind: entries[name].strip() for kind, name in ROOTS.items() if entries.get(name, "").strip()}
    suffix = entries.get("METAFLOW_DATATOOLS_SUFFIX") or "data"
    file_roots = {kind: f"{root.rstrip('/')}/{suffix}" for kind, root in roots.items()}
    for kind in ROOTS:
        given = entries.get(f"METAFLOW_DATATOOLS_{kind.upper()}ROOT", "").strip()
        if given:
            file_roots[kind] = given
    verify = entries.get("METAFLOW_S3_VERIFY_CERTIFICATE", "").strip()
    certificates = verify if verify.lower() not in (*_OFF, *_ON, "", "none") else sdk.get("AWS_CA_BUNDLE")
    return Datastores(
        roots=roots,
        file_roots=file_roots,
        s3_endpoint=_url(entries, "METAFLOW_S3_ENDPOINT_URL")
        or sdk.get("AWS_ENDPOINT_URL_S3")
        or sdk.get("AWS_ENDPOINT_URL"),
        s3_certificates=certificates,
        s3_verify=verify.lower() not in _OFF,
        s3_encryption=entries.get("METAFLOW_S3_SERVER_SIDE_ENCRYPTION") or None,
        azure_endpoint=_url(entries, "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT"),
        retries=_count(entries, "METAFLOW_S3_RETRY_COUNT"),
        tempdir=entries.get("METAFLOW_TEMPDIR") or None,
        sdk=sdk,
    )


def root(stores: Datastores, kind: str) -> str:
    """Return where the data of a kind of object store is.

    Raises
    ------
    metaflow.exception.CommandException
        Nothing says so.
    """
    if kind in stores.roots:
        return stores.roots[kind]
    example = {"s3": "s3://BUCKET/PREFIX", "gs": "gs://BUCKET/PREFIX", "azure": "CONTAINER/PREFIX"}.get(kind, "its URL")
    name = ROOTS.get(kind, f"METAFLOW_DATASTORE_SYSROOT_{kind.upper()}")
    raise CommandException(
        f"The datastore is '{kind}', and nothing says where in it the data shall be.",
        hint=f"set {name} (or --datastore-root) to {example}",
    )


def _url(entries: Mapping[str, str], name: str) -> str | None:
    value = entries.get(name, "").strip()
    if not value:
        return None
    scheme, separator, host = value.partition("://")
    if scheme not in ("http", "https") or not separator or not host.strip("/"):
        raise SettingsError(
            f"{name} is '{value}'.", hint="it should be a URL, such as https://host or http://host:port"
        )
    return value.rstrip("/")


def _count(entries: Mapping[str, str], name: str) -> int | None:
    value = entries.get(name, "").strip()
    if not value:
        return None
    if not value.isdecimal():
        raise SettingsError(f"{name} is '{value}'.", hint="it should be a whole number, such as 7")
    return int(value)
