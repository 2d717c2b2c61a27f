"""One program that drives flows, run by both: values, statuses, kinds of errors, positions of output, a spun task."""

from __future__ import annotations

import json
from pathlib import Path

from support.interop import INTEROP, ORIGINAL, InteropSite
from support.interpreter import PYTHON
from support.site import SOURCES

pytestmark = INTEROP

PROGRAM = """
import asyncio, json
from metaflow import Runner, Run, namespace

namespace(None)
told = {}
options = {"pylint": False, "config_value": [("settings", {"b": 2})]}
runner = Runner("driven.py", show_output=False, env={"ADDED": "yes"}, **options)
PYTHONS = FileNotFoundError, TypeError, ValueError, RuntimeError

def error(label, function):
    try:
        function()
    except Exception as raised:
        told[label] = [kind.__name__ for kind in PYTHONS if isinstance(raised, kind)]

given = {"number": 5, "learning_rate": 1, "truth": True, "document": {"a": [1]}, "many": ["a", "b"]}
result = runner.run(tags=["t"], max_workers=2, **given)
told["run"] = [result.status, result.returncode, result.run.successful, "t" in result.run.user_tags]
told["values"] = [result.run.data.values, result.run.data.where]
told["text for JSON"] = Runner("driven.py", show_output=False).run(document="{}").run.data.values[3]

error("no file", lambda: Runner("missing.py"))
error("no option", lambda: Runner("driven.py", nothing=1).run())
error("type of an option", lambda: runner.run(max_workers="2"))
error("no parameter", lambda: runner.run(numbr=1))
error("type of a parameter", lambda: runner.run(number="five"))
error("text for truth", lambda: runner.run(truth="yes"))
error("parameters of resume", lambda: runner.resume(number=1))
error("no such step", lambda: Runner("driven.py", show_output=False).resume(step_to_rerun="strt"))

async def later():
    running = await Runner("driven.py", show_output=False).async_run(fails=True)
    told["begun"] = [running.status, running.returncode]
    lines = [each async for each in running.stream_log("stdout")]
    half = lines[len(lines) // 2][0]
    rest = [each async for each in running.stream_log("stdout", position=half)]
    told["restarted"] = rest == [each for each in lines if each[0] > half]
    told["printed"] = any("standard output" in line for _, line in lines)
    told["same"] = await running.wait() is running
    told["failed"] = [running.status, running.returncode, running.run.finished]
    slow = await Runner("driven.py", show_output=False).async_run(gate="never")
    await slow.wait(timeout=0.5)
    told["slow"] = slow.status

asyncio.run(later())
spun = Runner("driven.py", show_output=False).spin(f"{result.run.id}/start", persist=True)
told["spun"] = [spun.status, spun.task["values"].data, spun.task.successful, spun.task.id]
resumed = Runner("driven.py", show_output=False).resume(origin_run_id=result.run.id)
origin = f"{result.run.pathspec}/start/1"
told["resumed"] = [resumed.status, resumed.run.data.values, resumed.run["start"].task.origin_pathspec == origin]
print(json.dumps(told))
"""


def told(directory: Path, python: str) -> dict[str, object]:
    directory.mkdir()
    site = InteropSite(directory, "fork")
    site.write("driven.py", (SOURCES / "driven.py").read_text())
    done = site.start_flow(PROGRAM, command=[python]).wait(within=300).succeeded()
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return json.loads(json.dumps(found).replace(str(directory), "HERE"))  # type: ignore[no-any-return]


def test_one_program_for_both(tmp_path: Path) -> None:
    assert told(tmp_path / "ours", PYTHON) == told(tmp_path / "theirs", ORIGINAL)
