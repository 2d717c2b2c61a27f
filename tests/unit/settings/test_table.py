"""The table of settings is consistent; tests/guide look whether the guide has all of it."""

from __future__ import annotations

import pytest

from metaflow.settings.table import NAMES, OPTIONS, SETTINGS, UNUSED, Setting
from metaflow.settings.values import Values


def test_a_name_is_in_one_place() -> None:
    assert SETTINGS.keys() & UNUSED.keys() == set()
    assert SETTINGS.keys() & OPTIONS.keys() == set()
    assert len(SETTINGS) + len(UNUSED) + len(OPTIONS) == len(NAMES)


@pytest.mark.parametrize("row", [row for row in SETTINGS.values() if row.default is not None])
def test_defaults_and_examples_are_what_their_kind_reads(row: Setting[object]) -> None:
    assert row.kind.read(row.default) == row.default or not row.default
    assert not row.kind.example or row.kind.read(row.kind.example)
    assert row.sentence.endswith(".")


def test_what_travels_to_tasks() -> None:
    values = Values(
        {
            "METAFLOW_S3_ENDPOINT_URL": "http://store",
            "METAFLOW_SERVICE_URL": "http://service",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": "/here",
            "METAFLOW_DATATOOLS_LOCALROOT": "/here",
            "METAFLOW_KUBERNETES_NAMESPACE": "ml",
            "METAFLOW_DEFAULT_DECOSPECS": "retry",
            "METAFLOW_OURS": "x",
            "AWS_REGION": "eu-west-1",
        }
    )
    assert values.for_tasks() == {
        "METAFLOW_S3_ENDPOINT_URL": "http://store",
        "METAFLOW_SERVICE_URL": "http://service",
    }
