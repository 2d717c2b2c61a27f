"""Decorators and mutators that users write, in real runs; `tests/interop` runs the same flow under the original."""

from __future__ import annotations

import pytest

from support.site import Site


@pytest.mark.parametrize("isolation", ["fork", "exec"])
def test_wrappers_and_mutators(one_site: Site, isolation: str) -> None:
    finished = one_site.run_flow("mutated.py", "run", env={"METAFLOW_LOCAL_ISOLATION": isolation}).succeeded()
    assert finished.task("start").data.notes == ["start first 0", "after start"]
    end = finished.values("end")
    assert end["notes"] == ["join - 2", "after join"]
    assert end["elements"] == ["start first 0", "after start"], "the skipped step opened its foreach"
    assert (end["attempts"], end["measured"]) == ([1, 1], ["work", "None"])
    assert (end["size"], end["sum"], end["added"]) == ("3", 6, 5)
    assert "removed" not in end
    assert end["replaced"] == "after join"
    assert (end["forgiven"], end["caught"]) == ("ZeroDivisionError", None)


def test_what_the_run_says_of_them(one_site: Site) -> None:
    words = ("run", "--with", "noting:word=late", "--added", "7")
    finished = one_site.run_flow("mutated.py", *words).succeeded()
    assert finished.data.sum == 8
    assert finished.task("end").data.notes[-2:] == ["end late 0", "after end"]
    assert finished.task("start").data.notes == ["start first 0", "after start"], "one that is there stays"
    description = finished.task("_parameters")["_graph_info"].data
    assert [each["name"] for each in description["decorators"]] == ["Environment"]
    assert {"name": "added", "type": "Parameter"} in description["parameters"]
    work = [
        (each["name"], each["statically_defined"], each["inserted_by"]) for each in _decorators(description, "work")
    ]
    assert work == [
        ("environment", True, ["__main__.Environment"]),
        ("retry", True, ["__main__.Retried"]),
        ("__main__.Measured", True, None),
        ("__main__.noting", False, None),
        ("__main__.Retried", True, None),
    ]
    (start,) = (each for each in _decorators(description, "start") if each["name"] == "__main__.noting")
    assert start["attributes"] == {"_args": [], "word": "first"}


def _decorators(description: dict[str, object], step: str) -> list[dict[str, object]]:
    steps = description["steps"]
    assert isinstance(steps, dict)
    found: list[dict[str, object]] = steps[step]["decorators"]
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--with", "notin"), "There is no step decorator 'notin'"),
        (("run", "--with", "mutated.nothing"), "cannot be imported"),
        (("run", "--with", "json.loads"), "'json.loads' is not a decorator of steps"),
        (("run", "--removed", "3"), "such option"),
    ],
)
def test_what_is_not_there_is_one_error(one_site: Site, words: tuple[str, ...], said: str) -> None:
    finished = one_site.run_flow("mutated.py", *words)
    assert finished.returncode == 2
    assert said.lower() in finished.stderr.lower()
    assert "Traceback" not in finished.output
