"""Values by the rows of the table: what wins, what is refused and in which words, what is said about the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaflow.exception import SettingsError
from metaflow.settings import table
from metaflow.settings.config_file import ConfigFile
from metaflow.settings.values import Values


def file(values: dict[str, Any], path: str = "config.json") -> ConfigFile:
    return ConfigFile(path, values, json.dumps(values))


def test_the_first_place_that_has_a_name_wins() -> None:
    files = [file({"METAFLOW_PREFLIGHT": "off"}, "near.json"), file({"METAFLOW_PREFLIGHT": "fail"}, "far.json")]
    assert Values({"METAFLOW_PREFLIGHT": "warn"}, files)[table.PREFLIGHT] == "warn"
    assert Values({}, files)[table.PREFLIGHT] == "off"
    assert Values({}, files).origin("METAFLOW_PREFLIGHT") == "near.json:1:2"
    assert Values({}).origin("METAFLOW_PREFLIGHT") == "default"


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_value_hides_a_file_and_means_the_default(empty: str) -> None:
    values = Values({"METAFLOW_PREFLIGHT": empty}, [file({"METAFLOW_PREFLIGHT": "off"})])
    assert values.find(table.PREFLIGHT) is None
    assert values[table.PREFLIGHT] == "warn"


def test_null_is_not_set() -> None:
    assert (
        Values({}, [file({"METAFLOW_PREFLIGHT": None}), file({"METAFLOW_PREFLIGHT": "off"})])[table.PREFLIGHT] == "off"
    )


@pytest.mark.parametrize("value", [{"a": "b"}, '{"a": "b"}', "a=b"])
def test_a_file_may_hold_json_or_the_string_of_it(value: Any) -> None:
    assert Values({}, [file({"METAFLOW_KUBERNETES_LABELS": value})])[table.KUBERNETES_LABELS] == {"a": "b"}


@pytest.mark.parametrize("value", [False, "false", "0"])
def test_a_switch_in_a_file(value: Any) -> None:
    assert Values({}, [file({"METAFLOW_S3_VERIFY_CERTIFICATE": value})])[table.S3_VERIFY_CERTIFICATE] is False


def test_a_refusal_names_setting_origin_value_and_what_is_expected() -> None:
    values = Values({}, [file({"METAFLOW_KUBERNETES_MEMORY": "4 GB"})])
    with pytest.raises(SettingsError) as caught:
        values.find(table.KUBERNETES_MEMORY)
    assert caught.value.message == (
        "METAFLOW_KUBERNETES_MEMORY in config.json:1:2 is '4 GB': expected a number of MB, 1 or more."
    )
    assert caught.value.hint == "write METAFLOW_KUBERNETES_MEMORY=4000"


def test_the_hint_is_an_example_where_there_is_one() -> None:
    with pytest.raises(SettingsError) as caught:
        Values({"METAFLOW_S3_ENDPOINT_URL": "host:9000"})[table.S3_ENDPOINT_URL]
    assert caught.value.message == "METAFLOW_S3_ENDPOINT_URL in the environment is 'host:9000': expected a URL."
    assert caught.value.hint == "write METAFLOW_S3_ENDPOINT_URL=https://host:9000"


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.dictionaries(TEXTS.map("METAFLOW_".__add__), TEXTS, min_size=1))
def test_a_file_means_what_the_same_environment_means(written: dict[str, str]) -> None:
    of_file, of_environment = Values({}, [file(written)]), Values(written)
    assert of_file.names() == of_environment.names() == sorted(written)
    assert [of_file.string(name) for name in written] == [of_environment.string(name) for name in written]


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()), st.just(10**5000),
    st.dictionaries(st.text(), st.one_of(st.text(), st.integers())), st.lists(st.dictionaries(st.text(), st.text())),
)  # fmt: skip


@given(st.sampled_from(sorted(table.SETTINGS)), ANYTHING)
def test_whatever_a_file_holds_is_read_or_refused_in_one_way(name: str, value: Any) -> None:
    try:
        Values({}, [ConfigFile("config.json", {name: value}, "")]).find(table.SETTINGS[name])
    except SettingsError as error:
        refusal = error
    else:
        return
    assert refusal.message.startswith(f"{name} in config.json is ")
    assert len(refusal.message) < 2000


# --- what has no effect ----------------------------------------------------------------------------------------------


def test_what_somebody_may_count_on_is_said() -> None:
    assert Values({"METAFLOW_OTEL_ENDPOINT": "http://traces"}).warnings() == (
        "METAFLOW_OTEL_ENDPOINT in the environment has no effect: tracing is not supported.",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEFAULT_MONITOR", "nullSidecarMonitor"),  # what is the case anyway
        ("CONSOLE_TRACE_ENABLED", "0"),
        ("OTEL_ENDPOINT", ""),
        ("CARD_NO_WARNING", "1"),
        ("SERVICE_URL", "http://service"),  # without DEFAULT_METADATA=service it has no effect in Metaflow either
    ],
)
def test_harmless_names_are_left_alone(name: str, value: str) -> None:
    assert Values({f"METAFLOW_{name}": value}).warnings() == ()


@pytest.mark.parametrize("name", ["METAFLOW_PROFILE", "METAFLOW_HOME", "METAFLOW_ENVIRONMENT", "METAFLOW_DATASTORE"])
def test_what_a_file_cannot_hold(name: str) -> None:
    assert Values({}, [file({name: "x"})]).warnings() == (
        f"{name} in config.json:1:2 has no effect: it is read from the environment only.",
    )
    assert Values({name: "x"}).warnings() == ()
