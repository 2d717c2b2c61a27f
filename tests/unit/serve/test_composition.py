from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow.exception import CommandException
from metaflow.serve.composition import ServeOptions, client_settings, rendered, rules, served


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METAFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("METAFLOW_SERVE_TOKEN", raising=False)


def test_other_machines_are_not_let_in_without_a_token_or_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rules(ServeOptions("127.0.0.1")).is_open
    with pytest.raises(CommandException, match=r"On 0\.0\.0\.0 the server would be reached from other machines"):
        rules(ServeOptions("0.0.0.0"))
    assert rules(ServeOptions("0.0.0.0", trusted_header="X-User")).trusted_header == "X-User"
    (tmp_path / "tokens").write_text("t" * 16)
    assert rules(ServeOptions("0.0.0.0", token_file=str(tmp_path / "tokens"))).tokens.grant("t" * 16)
    monkeypatch.setenv("METAFLOW_SERVE_TOKEN", "e" * 16)
    assert rules(ServeOptions("0.0.0.0")).tokens.grant("e" * 16)
    with pytest.raises(CommandException, match="there is no such file"):
        rules(ServeOptions(token_file="nope"))


def test_settings_for_clients() -> None:
    values = client_settings(ServeOptions("::1", 8090), has_tokens=True)
    assert values == {
        "METAFLOW_DEFAULT_METADATA": "service",
        "METAFLOW_SERVICE_URL": "http://[::1]:8090",
        "METAFLOW_SERVICE_AUTH_KEY": "TOKEN",
    }
    assert json.loads(rendered(values, "json")) == values
    assert rendered(values, "shell").splitlines()[1] == "export METAFLOW_SERVICE_URL='http://[::1]:8090'"


@pytest.mark.parametrize("place", ["mysql://x/y", "postgresql://x:port/y"])
def test_what_is_no_database(place: str) -> None:
    with pytest.raises(CommandException, match="--database"):
        served(ServeOptions(database=place))


def test_a_file_that_only_shall_be_looked_at_is_not_made(tmp_path: Path) -> None:
    found = served(ServeOptions(database="new/facts.db"))
    assert found.database is not None
    assert list(found.site.catalog.names(())) == []
    assert not (tmp_path / "new").exists()
    found.database.close()
