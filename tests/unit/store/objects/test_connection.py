"""Where credentials, region and endpoint of a client come from; nothing here is sent anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from metaflow import settings
from metaflow.exception import SettingsError
from metaflow.store.objects.address import parse_root
from metaflow.store.objects.connection import Client, Connection


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything in it, and an environment that says nothing of clouds."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "METAFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def opened(kind: str, root: str, region: str | None = None) -> Client:
    return Connection(settings.load().datastores).open(parse_root(kind, root), region=region)


def profiles(home: Path) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id=AKIADEFAULT\naws_secret_access_key=x\n"
        "[other]\naws_access_key_id=AKIAOTHER\naws_secret_access_key=y\naws_session_token=z\n"
    )
    (home / ".aws" / "config").write_text("[default]\nregion=eu-west-3\n[profile other]\nregion=eu-central-1\n")


@pytest.mark.parametrize(
    ("profile", "key", "region"), [(None, "AKIADEFAULT", "eu-west-3"), ("other", "AKIAOTHER", "eu-central-1")]
)
def test_profiles(home: Path, monkeypatch: pytest.MonkeyPatch, profile: str | None, key: str, region: str) -> None:
    profiles(home)
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    made = opened("s3", "s3://bucket/a").store
    found = made.credential_provider()
    assert found["access_key_id"] == key
    assert found["expires_at"].tzinfo is not None
    assert made.config["region"] == region


def test_a_profile_that_is_not_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles(home)
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(SettingsError, match="absent"):
        opened("s3", "s3://bucket/a")


@pytest.mark.parametrize(
    "names",
    [
        {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x", "AWS_PROFILE": "other"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"},
        {},
    ],
)
def test_botocore_is_left_alone_where_it_is_not_needed(home: Path, names: dict[str, str]) -> None:
    if "AWS_ACCESS_KEY_ID" in names or "AWS_ROLE_ARN" in names:
        profiles(home)
    script = (
        "import sys; from metaflow import settings; "
        "from metaflow.store.objects.connection import Connection; "
        "from metaflow.store.objects.address import parse_root; "
        "Connection(settings.load().datastores).open(parse_root('s3', 's3://bucket')); "
        "assert 'botocore' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, **names})


def test_regions(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def region(given: str | None = None) -> object:
        return opened("s3", "s3://bucket", given).store.config["region"]

    assert region() == "us-east-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert region() == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert region() == "eu-west-2"
    assert region("eu-west-3") == "eu-west-3"


def test_settings_of_the_client(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_S3_ENDPOINT_URL", "https://minio.example:9000/")
    monkeypatch.setenv("METAFLOW_S3_SERVER_SIDE_ENCRYPTION", "aws:kms")
    monkeypatch.setenv("METAFLOW_S3_VERIFY_CERTIFICATE", "false")
    access = opened("s3", "s3://bucket/a/b")
    assert access.endpoint == access.store.config["endpoint"] == "https://minio.example:9000"
    assert access.store.config["server_side_encryption"] == "aws:kms"
    monkeypatch.setenv("METAFLOW_S3_VERIFY_CERTIFICATE", "/absent.pem")
    with pytest.raises(SettingsError, match=r"/absent\.pem"):
        opened("s3", "s3://bucket/a")


@pytest.mark.parametrize(
    ("endpoint", "account"),
    [
        ("https://ours.blob.core.windows.net/", "ours"),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
    ],
)
def test_azure_accounts(home: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, account: str) -> None:
    monkeypatch.setenv("METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT", endpoint)
    access = opened("azure", "container/a")
    assert access.store.config["account_name"] == account


def test_azure_needs_an_account(home: Path) -> None:
    with pytest.raises(SettingsError, match="container") as caught:
        opened("azure", "container/a")
    assert "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT" in str(caught.value.hint)


def test_no_thread_is_started_before_the_first_request(home: Path) -> None:
    script = (
        "import os; from metaflow import settings; "
        "from metaflow.store.objects.connection import Connection; "
        "from metaflow.store.objects.address import parse_root; "
        "Connection(settings.load().datastores).open(parse_root('s3', 's3://bucket')); "
        "assert len(os.listdir('/proc/self/task')) == 1"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
