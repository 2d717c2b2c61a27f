"""Each side spins steps of the other's runs, and reads what the other has kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.interop import INTEROP, ORIGINAL, InteropSite
from support.interpreter import PYTHON

pytestmark = INTEROP

STEPS = {
    "start": "start 3 1",
    "meet": "meet [11, 12] 11 first",
    "work": "red 0",
    "gather": "'aa'",
    "end": "end 3",
}
"""Steps, and what they print; of a recursion the original cannot spin the step."""

TELL = """
    import json, sys
    from metaflow import Flow, inspect_spin, namespace

    namespace(None)
    inspect_spin(sys.argv[1])
    told = {}
    for run in Flow("Spun"):
        for step in run:
            data = {artifact.id: repr(artifact.data) for artifact in step.task}
            told[step.id] = [step.task.pathspec, step.task.successful, step.task.stdout, data]
    print(json.dumps(told))
"""


@pytest.mark.parametrize(("runs", "spins"), [(ORIGINAL, PYTHON), (PYTHON, ORIGINAL)], ids=["ours spins", "theirs"])
def test_each_side_spins_runs_of_the_other(runs: str, spins: str, tmp_path: Path) -> None:
    site = InteropSite(tmp_path, "fork")
    run = site.run_flow("spun.py", "run", command=[runs]).succeeded()
    for step, text in STEPS.items():
        assert text in site.run_flow("spun.py", "spin", step, "--persist", command=[spins]).succeeded().stdout
    script = site.write("tell.py", TELL)
    told = [
        json.loads(site.run_flow(script.name, str(site.directory), command=[python]).succeeded().stdout)
        for python in (PYTHON, ORIGINAL)
    ]
    assert told[0] == told[1]
    assert set(told[0]) == set(STEPS)
    assert all(successful for _, successful, _, _ in told[0].values())
    assert told[0]["gather"][3]["zs"].count("aa") == 1
    assert str(run.run_id) in site.run_flow("spun.py", "resume", "end").succeeded().stderr, "not a spun task"
