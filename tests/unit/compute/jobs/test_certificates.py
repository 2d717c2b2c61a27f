"""Which certificates go along with a job."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from metaflow.compute.jobs.certificates import carried
from metaflow.exception import SettingsError
from support.certificates import certificate


def test_those_that_the_machine_has_not(tmp_path: Path) -> None:
    own = certificate(tmp_path / "own.pem", is_authority=True).path.read_text()
    known = [ssl.DER_cert_to_PEM_cert(each) for each in ssl.create_default_context().get_ca_certs(binary_form=True)]
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("# ours\n" + own + "".join(known[:3]) + own)
    assert carried(str(bundle)) == own
    assert carried(None) == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("no certificate", "has no certificates"),
        ("-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n", "are damaged"),
    ],
)
def test_a_file_that_cannot_be_used(content: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=words) as caught:
        carried(str(path))
    assert "METAFLOW_S3_VERIFY_CERTIFICATE" in str(caught.value.hint)


def test_too_many(tmp_path: Path) -> None:
    (tmp_path / "all.pem").write_text(
        "".join(certificate(tmp_path / f"{number}.pem", is_authority=True).path.read_text() for number in range(100))
    )
    with pytest.raises(SettingsError, match="too many"):
        carried(str(tmp_path / "all.pem"))
