"""What `metaflow configure show` prints of the settings."""

from __future__ import annotations

from metaflow.settings.config_file import ConfigFile
from metaflow.settings.overview import Shown, overview
from metaflow.settings.table import SETTINGS
from metaflow.settings.values import Values


def lines(values: Values) -> list[str]:
    return [str(each) for each in overview(values)]


def test_value_origin_and_remark() -> None:
    source = '{"METAFLOW_USER": "ada",\n "SERVICE_URL": "x"}'
    file = ConfigFile("/home/ada/config.json", {"METAFLOW_USER": "ada", "SERVICE_URL": "x"}, source)
    environ = {
        "METAFLOW_PREFLIGHT": "loud",
        "METAFLOW_OTEL_ENDPOINT": "http://traces",
        "METAFLOW_CARD_NO_WARNING": "1",
        "METAFLOW_RUN_ALPHA": "2",
        "METAFLOW_OURS": "x",
        "METAFLOW_DEFAULT_DATASTOR": "s3",
    }
    assert lines(Values(environ, [file])) == [
        "METAFLOW_CARD_NO_WARNING=1  (environment; no effect)",
        "METAFLOW_DEFAULT_DATASTOR=s3  (environment; unknown: did you mean METAFLOW_DEFAULT_DATASTORE?)",
        "METAFLOW_OTEL_ENDPOINT=http://traces  (environment; no effect: tracing is not supported)",
        "METAFLOW_OURS=x  (environment; unknown)",
        "METAFLOW_PREFLIGHT=loud  (environment; expected one of off, warn, fail)",
        "METAFLOW_RUN_ALPHA=2  (environment)",
        "METAFLOW_USER=ada  (/home/ada/config.json:1:2)",
        "SERVICE_URL=  (/home/ada/config.json:2:2; unknown: did you mean METAFLOW_SERVICE_URL?)",
    ]


def test_secrets_are_hidden() -> None:
    hush = {
        "METAFLOW_SERVICE_AUTH_KEY": "hush",
        "METAFLOW_SERVICE_HEADERS": '{"x-api-key": "hush"}',
        "METAFLOW_ARGO_EVENTS_WEBHOOK_AUTH": "hush",
        "METAFLOW_BATCH_CLIENT_PARAMS": '{"aws_secret_access_key": "hush"',
    }
    found = overview(Values(hush))
    assert {each.value for each in found} == {"***"}
    assert "hush" not in repr(found)
    assert overview(Values({"METAFLOW_SERVICE_AUTH_KEY": ""}))[0].value == ""


def test_all_that_there_is() -> None:
    found = {each.name: each for each in overview(Values({"METAFLOW_MAX_ATTEMPTS": "5"}), with_defaults=True)}
    assert found.keys() == SETTINGS.keys()
    assert found["METAFLOW_MAX_ATTEMPTS"][:3] == ("METAFLOW_MAX_ATTEMPTS", "5", "environment")
    assert found["METAFLOW_PREFLIGHT"][1:3] == ("warn", "default")
    assert found["METAFLOW_DEFAULT_PACKAGE_SUFFIXES"].value == ".py,.R,.RDS"
    assert found["METAFLOW_TEMPDIR"] == Shown(
        "METAFLOW_TEMPDIR", "", "not set", "", SETTINGS["METAFLOW_TEMPDIR"].sentence
    )
