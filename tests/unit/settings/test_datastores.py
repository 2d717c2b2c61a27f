"""The settings of object stores."""

from __future__ import annotations

import pytest

from metaflow.exception import CommandException, SettingsError
from metaflow.settings.datastores import SDK_NAMES, Datastores
from metaflow.settings.values import Values


def read(**names: str) -> Datastores:
    return Datastores.of(Values(names), {name: value for name, value in names.items() if name in SDK_NAMES})


def test_nothing_is_set() -> None:
    stores = read()
    assert (stores.roots, stores.file_roots, stores.s3_endpoint, stores.retries) == ({}, {}, None, None)
    assert stores.s3_verify
    assert stores.sdk == {}


def test_roots_and_where_files_go() -> None:
    stores = read(
        METAFLOW_DATASTORE_SYSROOT_S3="s3://bucket/a/",
        METAFLOW_DATASTORE_SYSROOT_AZURE="container/a",
        METAFLOW_DATATOOLS_AZUREROOT="container/files",
        METAFLOW_DATASTORE_SYSROOT_GS=" ",
        METAFLOW_DATATOOLS_SUFFIX="user",
    )
    assert stores.roots == {"s3": "s3://bucket/a/", "azure": "container/a"}
    assert stores.file_roots == {"s3": "s3://bucket/a/user", "azure": "container/files"}


@pytest.mark.parametrize("kind", ["s3", "gs", "azure", "own"])
def test_a_root_that_nothing_names(kind: str) -> None:
    with pytest.raises(CommandException) as caught:
        read().root(kind)
    assert f"'{kind}'" in caught.value.message
    assert f"METAFLOW_DATASTORE_SYSROOT_{kind.upper()}" in str(caught.value.hint)
    assert "--datastore-root" in str(caught.value.hint)


def test_our_endpoint_goes_before_those_of_the_sdk() -> None:
    sdk = {"AWS_ENDPOINT_URL": "http://general", "AWS_ENDPOINT_URL_S3": "http://special"}
    assert read(METAFLOW_S3_ENDPOINT_URL="http://ours/", **sdk).s3_endpoint == "http://ours"
    assert read(**sdk).s3_endpoint == "http://special"
    assert read(AWS_ENDPOINT_URL="http://general").s3_endpoint == "http://general"


@pytest.mark.parametrize(
    ("value", "verify", "certificates"),
    [("", True, None), ("true", True, None), ("False", False, None), ("0", False, None), ("/a.pem", True, "/a.pem")],
)
def test_certificates(value: str, verify: bool, certificates: str | None) -> None:
    stores = read(METAFLOW_S3_VERIFY_CERTIFICATE=value)
    assert (stores.s3_verify, stores.s3_certificates) == (verify, certificates)
    assert (
        read(METAFLOW_S3_VERIFY_CERTIFICATE=value, AWS_CA_BUNDLE="/b.pem").s3_certificates == certificates or "/b.pem"
    )


@pytest.mark.parametrize("value", ["host:9000", "s3://bucket", "http://", "http", "ftp://host"])
def test_what_is_no_endpoint(value: str) -> None:
    for name in ("METAFLOW_S3_ENDPOINT_URL", "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT"):
        with pytest.raises(SettingsError, match=name):
            read(**{name: value})


@pytest.mark.parametrize("value", ["-1", "many", "1.5"])
def test_what_is_no_number(value: str) -> None:
    with pytest.raises(SettingsError, match="METAFLOW_S3_RETRY_COUNT"):
        read(METAFLOW_S3_RETRY_COUNT=value)


def test_no_secret_is_kept() -> None:
    stores = read(AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="hush", AWS_SESSION_TOKEN="hush")
    assert "hush" not in repr(stores)
