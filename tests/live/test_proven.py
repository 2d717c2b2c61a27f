"""The table of libraries that are imported once for all tasks: each row holds, in forked tasks as in executed ones.

Those are tested that are installed where the flows run. `flows/sources/proofs.py` has a proof for each row.
"""

from __future__ import annotations

import ast
import shutil
from typing import Any

import pytest

from metaflow.compute.local.proven import BROUGHT_ALONG, PROVEN
from support.interpreter import has
from support.site import SOURCES, Site

ROWS = sorted(set(PROVEN) - set(BROUGHT_ALONG))
TASKS = {"fork": "3", "exec": "1"}


def test_every_row_has_a_proof() -> None:
    tree = ast.parse((SOURCES / "proofs.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert set(ROWS) <= functions


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the tasks of a flow over all libraries saw and made, by how they were started; in the same place."""
    found = {}
    directory = tmp_path_factory.mktemp("proofs") / "same"
    for mode, tasks in TASKS.items():
        directory.mkdir()
        site = Site(directory, mode)
        variables = {"MILLRACE_TEST_LIBRARIES": ",".join(filter(has, ROWS))}
        done = site.run_flow("proofs.py", "run", "--tasks", tasks, "--max-workers", "2", env=variables, within=300)
        assert "is left" not in done.succeeded().stderr, "imported once"
        found[mode] = done.values("join")["proofs"]
        shutil.rmtree(directory)
    return found


@pytest.mark.slow
@pytest.mark.ours
class TestRows:
    @pytest.mark.parametrize("way", TASKS)
    def test_what_is_drawn_without_a_seed_differs(self, way: str, proofs: dict[str, list[dict[str, Any]]]) -> None:
        for name in proofs[way][0]["drawn"]:
            for at, drawn in enumerate(zip(*(task["drawn"][name] for task in proofs[way]), strict=True)):
                assert len({repr(each) for each in drawn}) == int(TASKS[way]), (name, at)

    def test_what_is_computed_is_the_same(self, proofs: dict[str, list[dict[str, Any]]]) -> None:
        tasks = [task["computed"] for mode in TASKS for task in proofs[mode]]
        for name in tasks[0]:
            assert len({repr(task[name]) for task in tasks}) == 1, name

    def test_what_imports_leave_in_the_process_is_the_same(self, proofs: dict[str, list[dict[str, Any]]]) -> None:
        tasks = [task["process"] for mode in TASKS for task in proofs[mode]]
        for what, seen in tasks[0].items():
            assert all(task[what] == seen for task in tasks), what
