"""Where object stores are and how they are reached: the METAFLOW_* names for S3, Google Cloud Storage and Azure.

Also those few names of the vendors' SDKs that decide how we get credentials or that a message should mention. Secrets
are not read here: the clients find them by themselves. Start reading at `Datastores`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from metaflow.exception import CommandException, SettingsError
from metaflow.settings import table
from metaflow.settings.values import Values

SDK_NAMES = (
    "AWS_ACCESS_KEY_ID", "AWS_CONFIG_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CA_BUNDLE", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "AWS_ROLE_ARN", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN",
    "HOME", "IDENTITY_ENDPOINT", "PATH", "STORAGE_EMULATOR_HOST",
)  # fmt: skip

_ROOTS = {
    "s3": (table.DATASTORE_SYSROOT_S3, table.DATATOOLS_S3ROOT),
    "gs": (table.DATASTORE_SYSROOT_GS, table.DATATOOLS_GSROOT),
    "azure": (table.DATASTORE_SYSROOT_AZURE, table.DATATOOLS_AZUREROOT),
}
"""Kind of object store to the settings of where its data is, and where its included files are."""


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
        How many times a request that failed for a passing reason is tried again; None leaves it to a limit of time.
        The first that is set of METAFLOW_S3_TRANSIENT_RETRY_COUNT, METAFLOW_S3_RETRY_COUNT and ``max_attempts`` of
        METAFLOW_S3_CLIENT_RETRY_CONFIG.
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

    @classmethod
    def of(cls, values: Values, sdk: Mapping[str, str]) -> Datastores:
        """Read the settings.

        Parameters
        ----------
        values : Values
            The METAFLOW_* names.
        sdk : mapping of str to str
            Those of `SDK_NAMES` that are set.

        Raises
        ------
        metaflow.exception.SettingsError
            A value cannot be used.
        """
        suffix = values[table.DATATOOLS_SUFFIX]
        roots, file_roots = {}, {}
        for kind, (data, files) in _ROOTS.items():
            root, file_root = values[data], values[files]
            if root is not None:
                roots[kind] = root
                file_root = file_root or f"{root.rstrip('/')}/{suffix}"
            if file_root is not None:
                file_roots[kind] = file_root
        verify = values[table.S3_VERIFY_CERTIFICATE]
        return cls(
            roots=roots,
            file_roots=file_roots,
            s3_endpoint=values[table.S3_ENDPOINT_URL] or sdk.get("AWS_ENDPOINT_URL_S3") or sdk.get("AWS_ENDPOINT_URL"),
            s3_certificates=verify if isinstance(verify, str) else sdk.get("AWS_CA_BUNDLE"),
            s3_verify=verify is not False,
            s3_encryption=values[table.S3_SERVER_SIDE_ENCRYPTION],
            azure_endpoint=values[table.AZURE_STORAGE_BLOB_SERVICE_ENDPOINT],
            retries=_retries(values),
            tempdir=values[table.TEMPDIR],
            sdk=sdk,
        )

    def root(self, kind: str) -> str:
        """Return where the data of a kind of object store is.

        Raises
        ------
        metaflow.exception.CommandException
            Nothing says so.
        """
        if kind in self.roots:
            return self.roots[kind]
        row = _ROOTS[kind][0] if kind in _ROOTS else None
        name = row.name if row is not None else f"METAFLOW_DATASTORE_SYSROOT_{kind.upper()}"
        raise CommandException(
            f"The datastore is '{kind}', and nothing says where its data is.",
            hint=f"set {name} (or --datastore-root) to {row.kind.example if row is not None else 'its URL'}",
        )


def _retries(values: Values) -> int | None:
    for row in (table.S3_TRANSIENT_RETRY_COUNT, table.S3_RETRY_COUNT):
        count = values[row]
        if count is not None:
            return count
    most = values[table.S3_CLIENT_RETRY_CONFIG].get("max_attempts")
    if most is None:
        return None
    if type(most) is not int or most < 0:
        name = table.S3_CLIENT_RETRY_CONFIG.name
        raise SettingsError(
            f"max_attempts of {name} in {values.origin(name)} is {most!r}: expected a whole number, 0 or more."
        )
    return most
