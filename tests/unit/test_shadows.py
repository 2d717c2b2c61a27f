"""Who gets the user's file, and who the module that it hides; in interpreters of their own, as imports are changed."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

from metaflow.shadows import LIBRARIES


def told(directory: Path, program: str, *, metaflow_first: bool = True) -> object:
    """Run a script in `directory` and return what its variable `told` is in the end."""
    first = "import metaflow\n" if metaflow_first else ""
    (directory / "script.py").write_text(first + textwrap.dedent(program) + "\nprint(__import__('json').dumps(told))\n")
    done = subprocess.run(
        [sys.executable, str(directory / "script.py")], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write(directory: Path, name: str, text: str = "whose = 'mine'\n") -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_nothing_is_changed_where_no_file_hides_a_module(tmp_path: Path) -> None:
    for name in ("helper.py", "http.txt", "queue/no_package.py", "test/__init__.py", "os.py", "sys.py"):
        write(tmp_path, name)
    program = """
        import builtins
        from metaflow import shadows
        told = [shadows.is_hiding(), builtins.__import__.__module__]
    """
    assert told(tmp_path, program) == [False, "builtins"]


@pytest.mark.parametrize("metaflow_first", [True, False])
def test_the_user_gets_the_user_s_and_we_get_what_we_mean(tmp_path: Path, metaflow_first: bool) -> None:
    write(tmp_path, "http/__init__.py")
    write(tmp_path, "http/own.py")
    write(tmp_path, "queue.py")
    write(tmp_path, "click.py")
    program = """
        import http.own, queue
        from metaflow.cli import commands
        import urllib.request, click, concurrent.futures
        told = [http.whose, http.own.whose, queue.whose, click.whose]
        told += [hasattr(urllib.request.http.client, "HTTPResponse"), hasattr(commands.click, "Command")]
        try:
            import http.client
        except ImportError as error:
            told.append(str(error))
    """
    expected = ["mine"] * 4 + [True, True, "No module named 'http.client'"]
    assert told(tmp_path, program, metaflow_first=metaflow_first) == expected


def test_a_directory_that_comes_onto_the_path_later(tmp_path: Path) -> None:
    write(tmp_path, "lib/calendar.py")
    program = f"""
        import sys
        from metaflow import shadows
        sys.path.insert(0, {str(tmp_path / "lib")!r})
        shadows.look()
        import calendar, time
        told = [calendar.whose, time.strptime("2024", "%Y").tm_year]
    """
    assert told(tmp_path, program) == ["mine", 2024]


def test_what_was_loaded_for_us_before_is_taken_away_from_the_user(tmp_path: Path) -> None:
    """As in a container, where the code of the user comes last."""
    write(tmp_path, "lib/calendar.py")
    write(tmp_path, "lib/base64.py", "import nowhere")
    program = f"""
        import sys
        from metaflow import shadows
        present = set(sys.modules)
        import calendar as real, base64
        sys.path.insert(0, {str(tmp_path / "lib")!r})
        shadows.look(loaded_for_us=set(sys.modules) - present)
        import calendar
        told = [calendar.whose, hasattr(real, "monthrange"), sorted(n for n in sys.modules if n.startswith("base64"))]
    """
    assert told(tmp_path, program) == ["mine", True, []]


def test_values_of_the_user_s_classes_are_found(tmp_path: Path) -> None:
    """`pickle` imports by compiled code, whoever calls it: here this package."""
    write(tmp_path, "secrets.py", "class Value:\n    x = 1\n")
    program = """
        import pickle, secrets, sys
        ours = {"__name__": "metaflow.store", "pickle": pickle, "data": pickle.dumps(secrets.Value())}
        del sys.modules["secrets"]
        exec("import secrets; real = secrets; value = pickle.loads(data)", ours)
        told = [ours["value"].x, hasattr(ours["real"], "token_hex")]
    """
    assert told(tmp_path, program) == [1, True]


def test_our_libraries_are_those_that_are_required() -> None:
    known, todo = {"millrace"}, ["millrace"]
    while todo:
        try:
            needed = requires(todo.pop()) or []
        except PackageNotFoundError:
            continue
        names = {line.split(";")[0].strip(" ") for line in needed if "extra ==" not in line}
        names = {"".join(c if c.isalnum() or c in "-_." else " " for c in name).split()[0].lower() for name in names}
        todo += names - known
        known |= names
    modules = {module for module, homes in packages_distributions().items() if known & {home.lower() for home in homes}}
    assert {module for module in modules if not module.startswith("_")} - {"metaflow"} == LIBRARIES
