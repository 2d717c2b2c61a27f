"""The command ``metaflow``: what it says of this installation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow.cli import console


class Console:
    """The command in a home directory of its own."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def configure(self, name: str, **values: str) -> Path:
        path = self.home / ".metaflowconfig" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({f"METAFLOW_{key}": value for key, value in values.items()}))
        return path

    def run(self, *words: str, **environ: str) -> str:
        for name, value in environ.items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.setattr("sys.argv", ["metaflow", *words])
        with pytest.raises(SystemExit) as left:
            console.main()
        captured = self._capsys.readouterr()
        assert not left.value.code, captured.err
        return captured.out


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setattr("os.environ", {"HOME": str(tmp_path), "USER": "ada"})
    monkeypatch.chdir(tmp_path)
    return Console(tmp_path, capsys, monkeypatch)


def test_nothing_is_set(command: Console) -> None:
    assert command.run("configure", "show") == "No setting is in force: everything is local.\n"


def test_what_is_in_force_and_where_it_comes_from(command: Console) -> None:
    path = command.configure("config.json", DEFAULT_DATASTORE="s3", SERVICE_AUTH_KEY="hush")
    assert command.run("configure", "show", METAFLOW_PREFLIGHT="fail") == (
        f"METAFLOW_DEFAULT_DATASTORE=s3  ({path}:1:2)\n"
        "METAFLOW_PREFLIGHT=fail  (environment)\n"
        f"METAFLOW_SERVICE_AUTH_KEY=***  ({path}:1:38)\n"
    )


def test_another_profile(command: Console) -> None:
    path = command.configure("config_team.json", DEFAULT_DATASTORE="s3")
    assert command.run("configure", "show", "--profile", "team") == f"METAFLOW_DEFAULT_DATASTORE=s3  ({path}:1:2)\n"


def test_all_settings_with_what_they_mean(command: Console) -> None:
    shown = command.run("configure", "show", "--all")
    assert "METAFLOW_MAX_ATTEMPTS=101  (default)\n    Largest number of attempts that `@retry` may ask for.\n" in shown
    assert "METAFLOW_TEMPDIR=  (not set)\n" in shown


def test_json(command: Console) -> None:
    path = command.configure("config.json", DEFAULT_DATASTORE="s3")
    shown = json.loads(command.run("configure", "show", "--json"))
    assert shown["files"] == [str(path)]
    (setting,) = shown["settings"]
    assert (setting["name"], setting["value"], setting["origin"]) == (
        "METAFLOW_DEFAULT_DATASTORE", "s3", f"{path}:1:2",
    )  # fmt: skip


def test_status(command: Console) -> None:
    path = command.configure("config.json", DEFAULT_DATASTORE="s3")
    lines = dict(line.split(None, 1) for line in command.run("status").splitlines())
    assert (lines["user"], lines["profile"], lines["configuration"]) == ("ada", "none", str(path))
    assert lines["datastore"] == "s3"
