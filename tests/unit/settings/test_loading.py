"""Where settings come from, which place wins, and what is said about mistakes."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metaflow import settings
from metaflow.exception import MetaflowUnknownUser, SettingsError


class Place:
    """A home directory and a working directory."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.work = directory / "work" / "deeper"
        self.home.mkdir()
        self.work.mkdir(parents=True)

    def configure(self, content: Any, name: str = "config.json") -> Path:
        return self._write(self.home / ".metaflowconfig" / name, content)

    def configure_locally(self, content: Any, directory: Path | None = None) -> Path:
        return self._write((directory or self.work) / ".metaflow" / "config.json", content)

    def load(self, **environ: str) -> settings.Settings:
        return settings.load({"HOME": str(self.home), **environ}, str(self.work))

    @staticmethod
    def _write(path: Path, content: Any) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path


def written(found: settings.Settings) -> dict[str, str]:
    return {name: found.values.string(name) for name in found.values.names()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_nothing_set(place: Place) -> None:
    found = place.load()
    assert (found.default_metadata, found.default_datastore, found.default_environment) == ("local", "local", "local")
    assert found.home == f"{place.home}/.metaflowconfig"
    assert (found.profile, found.tempdir, found.local_isolation) == (None,) * 3
    assert (found.values.names(), found.files, found.values.warnings()) == ([], (), ())
    assert found.local_root == f"{place.work}/.metaflow"
    assert found.local_files_root == f"{place.work}/.metaflow/data"


def test_environment_before_local_file_before_home(place: Place) -> None:
    place.configure({"METAFLOW_A": "home", "METAFLOW_B": "home", "METAFLOW_C": "home"})
    place.configure_locally({"METAFLOW_A": "local", "METAFLOW_B": "local"})
    assert written(place.load(METAFLOW_A="environment")) == {
        "METAFLOW_A": "environment",
        "METAFLOW_B": "local",
        "METAFLOW_C": "home",
    }


def test_an_empty_variable_hides_the_file_and_means_the_default(place: Place) -> None:
    place.configure({"METAFLOW_DEFAULT_DATASTORE": "s3"})
    assert place.load().default_datastore == "s3"
    found = place.load(METAFLOW_DEFAULT_DATASTORE="")
    assert (written(found), found.default_datastore) == ({"METAFLOW_DEFAULT_DATASTORE": ""}, "local")


def test_only_the_nearest_local_directory_counts(place: Place) -> None:
    place.configure_locally({"METAFLOW_A": "above"}, place.work.parent)
    assert written(place.load()) == {"METAFLOW_A": "above"}
    (place.work / ".metaflow").mkdir()
    assert written(place.load()) == {}


def test_profile(place: Place) -> None:
    place.configure({"METAFLOW_A": "plain"})
    place.configure({"METAFLOW_A": "profile"}, "config_team.json")
    assert place.load().values.string("METAFLOW_A") == "plain"
    found = place.load(METAFLOW_PROFILE="team")
    assert (found.profile, found.values.string("METAFLOW_A")) == ("team", "profile")
    assert place.load(METAFLOW_PROFILE="").values.string("METAFLOW_A") == "plain"
    with pytest.raises(SettingsError, match=r"no profile 'tema'.*config_tema\.json") as caught:
        place.load(METAFLOW_PROFILE="tema")
    assert caught.value.hint == "profiles: team"


@pytest.mark.parametrize("chosen", ["{home}/other", "~/other", "../../home/other"])
def test_home_can_be_elsewhere(place: Place, chosen: str) -> None:
    place._write(place.home / "other" / "config.json", {"METAFLOW_A": "other"})
    found = place.load(METAFLOW_HOME=chosen.format(home=place.home))
    assert (found.home, found.values.string("METAFLOW_A")) == (f"{place.home}/other", "other")


def test_without_home(place: Place) -> None:
    found = settings.load({}, str(place.work))
    assert found.home == f"{pwd.getpwuid(os.getuid()).pw_dir}/.metaflowconfig"


def test_values_that_are_not_strings(place: Place) -> None:
    place.configure({"METAFLOW_A": 5, "METAFLOW_B": True, "METAFLOW_C": {"x": [1]}, "METAFLOW_D": None, "OTHER": "x"})
    assert written(place.load()) == {"METAFLOW_A": "5", "METAFLOW_B": "True", "METAFLOW_C": '{"x": [1]}'}


def test_settings_cannot_be_changed(place: Place) -> None:
    found = place.load()
    with pytest.raises(AttributeError):
        found.home = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"config\.json:1:2 is not valid JSON: Expecting property name"),
        ('{"a": 1\n "b": 2}', r"config\.json:2:2 is not valid JSON: Expecting ',' delimiter"),
        ("", r"config\.json:1:1 is not valid JSON: Expecting value"),
        ("[]", r"config\.json contains a JSON array, not an object"),
        ("null", r"config\.json contains a JSON null, not an object"),
        ("3", r"config\.json contains a JSON number, not an object"),
        ("[" * 100_000, r"config\.json cannot be used"),
        ('{"METAFLOW_USER":\n  ["ada"]}', r"METAFLOW_USER in .*config\.json:1:2 is \['ada'\]: expected a user name"),
        ('{\n  "METAFLOW_TEMPDIR": true}', r"METAFLOW_TEMPDIR in .*config\.json:2:3 is True: expected a directory"),
        ('{"METAFLOW_LOCAL_ISOLATION": "frok"}', r"METAFLOW_LOCAL_ISOLATION in .*config\.json:1:2 is 'frok'"),
    ],
)
@pytest.mark.parametrize("where", ["configure", "configure_locally"])
def test_bad_files(place: Place, where: str, content: str, message: str) -> None:
    path = getattr(place, where)(content)
    with pytest.raises(SettingsError, match=message) as caught:
        place.load()
    assert str(path) in str(caught.value)


def test_a_bad_value_that_something_better_hides_is_no_error(place: Place) -> None:
    place.configure({"METAFLOW_USER": ["ada"]})
    place.configure_locally({"METAFLOW_USER": "grace"})
    assert place.load().user == "grace"
    assert place.load(METAFLOW_USER="joan").user == "joan"


def test_a_file_that_cannot_be_read(place: Place) -> None:
    (place.home / ".metaflowconfig" / "config.json").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"Cannot read the configuration file .*config\.json: Is a directory"):
        place.load()


def test_a_file_that_is_not_text(place: Place) -> None:
    place.configure("").write_bytes(b'{"METAFLOW_USER": "\xff"}')
    with pytest.raises(SettingsError, match="not valid UTF-8: byte 19"):
        place.load()


def test_a_byte_order_mark_is_fine(place: Place) -> None:
    place.configure("").write_bytes(b'\xef\xbb\xbf{"METAFLOW_USER": "ada"}')
    assert place.load().user == "ada"


def test_isolation(place: Place) -> None:
    assert place.load(METAFLOW_LOCAL_ISOLATION="exec").local_isolation == "exec"
    with pytest.raises(SettingsError, match="METAFLOW_LOCAL_ISOLATION in the environment is 'thread'") as caught:
        place.load(METAFLOW_LOCAL_ISOLATION="thread")
    assert caught.value.message.endswith("expected one of fork, exec.")


def test_environment_has_two_names(place: Place) -> None:
    assert place.load(METAFLOW_DEFAULT_ENVIRONMENT="conda").default_environment == "conda"
    assert place.load(METAFLOW_DEFAULT_ENVIRONMENT="conda", METAFLOW_ENVIRONMENT="uv").default_environment == "uv"


@pytest.mark.parametrize(
    ("environ", "root", "files_root"),
    [
        ({"METAFLOW_DATASTORE_SYSROOT_LOCAL": "/data"}, "/data/.metaflow", "/data/data"),
        ({"METAFLOW_DATASTORE_SYSROOT_LOCAL": "x"}, "{work}/x/.metaflow", "{work}/x/data"),
        ({"METAFLOW_DATASTORE_SYSROOT_LOCAL": ""}, "{work}/.metaflow", "{work}/.metaflow/data"),
        ({"METAFLOW_DATATOOLS_SUFFIX": "files"}, "{work}/.metaflow", "{work}/.metaflow/files"),
        ({"METAFLOW_DATATOOLS_LOCALROOT": "/files"}, "{work}/.metaflow", "/files"),
    ],
)
def test_roots(place: Place, environ: dict[str, str], root: str, files_root: str) -> None:
    found = place.load(**environ)
    assert found.local_root == root.format(work=place.work)
    assert found.local_files_root == files_root.format(work=place.work)


def test_root_of_a_parent_directory(place: Place) -> None:
    (place.work.parent / ".metaflow").mkdir()
    found = place.load()
    assert found.local_root == f"{place.work.parent}/.metaflow"
    assert found.local_files_root == f"{place.work.parent}/.metaflow/data"


@pytest.mark.parametrize(
    ("environ", "user"),
    [
        ({"METAFLOW_USER": "a", "SUDO_USER": "b", "USERNAME": "c", "USER": "d"}, "a"),
        ({"SUDO_USER": "b", "USERNAME": "c", "USER": "d"}, "b"),
        ({"USERNAME": "c", "USER": "d"}, "c"),
        ({"USER": "d"}, "d"),
        ({"METAFLOW_USER": "", "USER": "d"}, "d"),
        ({"METAFLOW_USER": "root", "USER": "d"}, "d"),
    ],
)
def test_user(place: Place, environ: dict[str, str], user: str) -> None:
    assert place.load(**environ).user == user


def test_user_of_the_process(place: Place) -> None:
    assert place.load().user == pwd.getpwuid(os.getuid()).pw_name


def test_user_from_a_file(place: Place) -> None:
    place.configure({"METAFLOW_USER": "ada"})
    assert place.load(USER="grace").user == "ada"


def test_nobody(place: Place) -> None:
    nobody = place.load()._replace(username=None)
    with pytest.raises(MetaflowUnknownUser, match="The user cannot be determined") as caught:
        nobody.user
    assert caught.value.hint == "set METAFLOW_USER to your name"


def test_misspellings_are_named(place: Place) -> None:
    place.configure('{\n "METAFLOW_SERVICEURL": "x", "SERVICE_URL": "y"}')
    found = place.load(METAFLOW_DEFUALT_DATASTORE="s3", METAFLOW_DATASTORE_SYSROOT_LOKAL="x")
    assert set(found.values.warnings()) == {
        f"METAFLOW_SERVICEURL in {place.home}/.metaflowconfig/config.json:2:2 is not a known setting: "
        "did you mean METAFLOW_SERVICE_URL?",
        "METAFLOW_DEFUALT_DATASTORE in the environment is not a known setting: "
        "did you mean METAFLOW_DEFAULT_DATASTORE?",
        "METAFLOW_DATASTORE_SYSROOT_LOKAL in the environment is not a known setting: "
        "did you mean METAFLOW_DATASTORE_SYSROOT_LOCAL?",
        f"SERVICE_URL in {place.home}/.metaflowconfig/config.json:2:30 is not a known setting: "
        "did you mean METAFLOW_SERVICE_URL?",
    }


def test_other_names_stay_quiet(place: Place) -> None:
    place.configure({"comment": "ours", "METAFLOW_OUR_EXTENSION_TOKEN": "x", "METAFLOW_KUBERNETES_NAMESPACE": "ml"})
    assert place.load(METAFLOW_RUN_TAG="x", METAFLOW_DEBUG_FOO="1", METAFLOW_COLOUR="blue").values.warnings() == ()


def test_loading_needs_neither_json_nor_pathlib(place: Place) -> None:
    code = (
        "import sys; from metaflow import settings; settings.load({'HOME': sys.argv[1]}, sys.argv[2]); "
        "print([m for m in ('json', 'pathlib', 'inspect', 'difflib') if m in sys.modules])"
    )
    command = [sys.executable, "-S", "-c", code, str(place.home), str(place.work)]
    source = str(Path(settings.__file__).parents[2])
    done = subprocess.run(command, env={"PYTHONPATH": source}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
