"""Where runs are kept: what is damaged there is named with its file, and never reads as absence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metaflow.cli.inspection import dump, logs
from metaflow.cli.status import status
from metaflow.cli.tag import tag
from metaflow.client import DataArtifact, Flow, Metaflow, Run, Step, Task
from metaflow.exception import MetaflowException
from metaflow.metadata_provider.lease import lease_of
from support.present import present

from ..cli.session import invoke
from .written import Place


def _into_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "wrong values": lambda path: path.write_bytes(
        b'{"ts_epoch": "x", "tags": 3, "objects": {"x": 1}, "state": [], "holder": 1, "field_name": 1, "value": {}}'
    ),
    "late damage": lambda path: path.write_bytes(path.read_bytes().replace(b'"size": ', b'"size": x', 1)),
    "rubbish": lambda path: path.write_bytes(bytes(range(255, 0, -1))),
    "a directory": _into_a_directory,
}

FILES = {
    "flow": "Numbers/_meta/_self.json",
    "latest run": "Numbers/latest_run",
    "run": "Numbers/RUN/_meta/_self.json",
    "lease": "Numbers/RUN/_meta/lease.json",
    "step": "Numbers/RUN/end/_meta/_self.json",
    "task": "Numbers/RUN/end/6/_meta/_self.json",
    "fact": "Numbers/RUN/end/6/_meta/sysmeta_attempt-done_*.json",
    "fact of the parameters": "Numbers/RUN/_parameters/0/_meta/sysmeta_end_step_*.json",
    "artifact": "Numbers/RUN/end/6/_meta/0_artifact__task_ok.json",
    "index": "Numbers/RUN/end/6/0.data.json",
    "done": "Numbers/RUN/end/6/0.DONE.lock",
    "begun": "Numbers/RUN/end/6/0.attempt.json",
    "log": "Numbers/RUN/end/6/0.runtime_stdout.log",
    "blob": "Numbers/data/SHA",
    "note of a blob": "Numbers/data/SHA_meta",
}
NAMED_BY_SOME = {"latest run", "run", "lease", "step", "task", "fact", "artifact", "index", "blob"}
HARMLESS = {*((file, "late damage") for file in FILES), ("lease", "truncated")}
CONTENT_IS_FREE = {"log"}
"""Files whose content may be anything."""


@pytest.fixture
def run(place: Place) -> Run:
    written = place.foreach(tags=["t"])
    written.print("end", "6", b"one", b"two")
    lease = lease_of(place.provider, "Numbers", written.id)
    lease.take()
    lease.end("successful")
    return Run(written.path)


def answers(place: Place, run: Run) -> dict[str, Any]:
    """Return what the client and the commands say, or what they raise."""
    path = run.pathspec
    return {question: _answer(ask) for question, ask in _questions(place, path).items()}


def _questions(place: Place, path: str) -> dict[str, Callable[[], Any]]:
    id = path.partition("/")[2]
    questions: dict[str, Callable[[], Any]] = {
        "flows": lambda: list(Metaflow()),
        "runs": lambda: list(Flow("Numbers")),
        "runs with a tag": lambda: list(Flow("Numbers").runs("t")),
        "latest run": lambda: Flow("Numbers").latest_run,
        "latest run to resume": lambda: place.provider.latest_run("Numbers"),
        "latest successful run": lambda: Flow("Numbers").latest_successful_run,
        "is there": lambda: (id in Flow("Numbers"), "end" in Run(path), "6" in Step(f"{path}/end")),
        "by name": lambda: (Flow("Numbers")[id], Run(path)["end"], Step(f"{path}/end")["6"]),
        "steps": lambda: list(Run(path)),
        "tasks": lambda: [list(step) for step in Run(path)],
        "total": lambda: DataArtifact(f"{path}/end/6/total").data,
        "facts": lambda: sorted(Task(f"{path}/end/6").metadata_dict),
        "parents": lambda: [list(task.parent_tasks) for task in Step(f"{path}/join")],
        "end's parents": lambda: list(Task(f"{path}/end/6").parent_tasks),
        "artifacts": lambda: sorted(Task(f"{path}/end/6").artifacts._asdict()),
        "data": lambda: present(Run(path).data).total,
        "status": lambda: invoke(place, status).results,
        "status of a run": lambda: invoke(place, status, id).results,
        "dump": lambda: invoke(place, dump, f"{id}/end", "--private").results,
        "logs": lambda: invoke(place, logs, f"{id}/end").results,
        "tags": lambda: invoke(place, tag, "list", "--run-id", id).results,
        "all tags": lambda: invoke(place, tag, "list", "--all").results,
    }
    for of, names in {
        Run: "successful finished finished_at status failure end_task tags created_at origin_pathspec code trigger",
        Step: "created_at finished_at tags task",
        Task: "successful finished finished_at status failure exception stdout stdout_size stderr index created_at "
        "current_attempt runtime_name origin_pathspec code tags",
        DataArtifact: "sha size created_at finished_at",
    }.items():
        where = {Run: path, Step: f"{path}/end", Task: f"{path}/end/6", DataArtifact: f"{path}/end/6/total"}[of]
        for name in names.split():
            questions[f"{of.__name__}.{name}"] = lambda of=of, where=where, name=name: getattr(of(where), name)  # type: ignore[misc]
    return questions


def _answer(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except MetaflowException as error:
        return error


@pytest.mark.parametrize("file", FILES)
def test_damage_is_named(file: str, place: Place, run: Run) -> None:
    """Each question is answered as before, or with the name of the damaged file: no other answer, no other error."""
    before = answers(place, run)
    assert not [question for question, answer in before.items() if isinstance(answer, Exception)]
    sha = DataArtifact(f"{run.pathspec}/end/6/total").sha
    pattern = FILES[file].replace("RUN", run.id).replace("SHA", f"{sha[:2]}/{sha}")
    (path,) = Path(place.root).glob(pattern)
    content = path.read_bytes()
    for damage, inflict in DAMAGES.items():
        if file in CONTENT_IS_FREE and damage != "a directory":
            continue
        inflict(path)
        after = answers(place, run)
        wrong = {
            question: (answer, after[question])
            for question, answer in before.items()
            if after[question] != answer and not _names(after[question], path)
        }
        assert (damage, wrong) == (damage, {})
        if file in NAMED_BY_SOME and (file, damage) not in HARMLESS:
            assert any(_names(answer, path) for answer in after.values()), damage
        if path.is_dir():
            path.rmdir()
        path.write_bytes(content)


def _names(answer: Any, path: Path) -> bool:
    if isinstance(answer, list):  # what a command printed
        return any(str(path) in str(line) for line in answer)
    return isinstance(answer, MetaflowException) and str(path) in answer.message


def test_an_index_that_is_gone_is_missed(place: Place, run: Run) -> None:
    path = Path(place.root) / run.pathspec / "end/6/0.data.json"
    path.unlink()
    with pytest.raises(MetaflowException, match=str(path)):
        run.successful
