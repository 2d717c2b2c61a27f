"""The table of settings: that it is consistent, and that the guide says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metaflow.settings.overview import overview
from metaflow.settings.table import NAMES, OPTIONS, SETTINGS, UNUSED, Setting
from metaflow.settings.values import Values

GUIDE = (Path(__file__).parents[3] / "docs" / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("row", SETTINGS.values(), ids=SETTINGS)
def test_every_setting_has_its_line_in_the_guide(row: Setting[object]) -> None:
    value = next(each.value for each in overview(Values({}), with_defaults=True) if each.name == row.name)
    default = f" (`{value}`)" if value not in ("", "{}") else ""
    assert f"\n- `{row.name}`{default}: {row.sentence}\n" in GUIDE


def test_the_guide_names_no_other_settings() -> None:
    named = set(re.findall(r"METAFLOW_[A-Z0-9_]*[A-Z0-9]", GUIDE))
    assert {name for name in named if not name.startswith("METAFLOW_RUN_")} <= NAMES


def test_the_guide_says_what_has_no_effect_and_why() -> None:
    for row in UNUSED.values():
        if row.reason:
            assert re.search(rf"`{row.name}`[^\n]*: {re.escape(row.reason)}\.", GUIDE), row.name


def test_options_are_in_the_guide() -> None:
    for name, option in OPTIONS.items():
        assert f"- `{name}`: `{option}`" in GUIDE


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
