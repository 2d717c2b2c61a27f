"""The calls of the metadata service, one after the other on one server; what is wrong is answered with a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.serving import InProcess

T = 1_700_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    server = InProcess(str(tmp_path_factory.mktemp("serve")))
    assert ok(server, "GET", "/flows") == []  # before anything is written
    ok(server, "POST", "/flows/M/run", {"run_number": "r"})
    yield server
    server.close()


def ok(server: InProcess, method: str, path: str, body: Any = None, **given: Any) -> Any:
    answer = server.ask(method, path, body, **given)
    assert answer.status_code == 200, answer.text
    return answer.json()


def fact(name: str, value: Any, attempt: int = 0, time: int = T) -> dict[str, Any]:
    return {"field_name": name, "type": name, "value": value, "tags": [f"attempt_id:{attempt}"], "ts_epoch": time}


def artifact(name: str, attempt: int) -> dict[str, Any]:
    return {"name": name, "attempt_id": attempt, "sha": f"{name}{attempt}", "ds_type": "local", "ts_epoch": T}


def test_a_run_is_registered_and_read(server: InProcess) -> None:
    run = ok(server, "POST", "/flows/F/run", {"user_name": "ann", "tags": ["t"], "system_tags": ["user:ann"]})
    base = f"/flows/F/runs/{run['run_number']}"
    assert run["tags"] == ["t"]
    task = ok(server, "POST", f"{base}/steps/start/task", {"user_name": "ann", "ts_epoch": T})
    place = f"{base}/steps/start/tasks/{task['task_id']}"
    facts = [fact("stack", ["a=1"]), fact("attempt", "0"), fact("attempt", "1", 1, T + 1)]
    for _ in range(2):  # the second time as the first answer was lost
        assert ok(server, "POST", f"{place}/metadata", facts) == {"received": 3}
    ok(server, "POST", f"{place}/artifact", [artifact("x", 0), artifact("y", 0), artifact("x", 1)])
    assert ok(server, "POST", f"{place}/heartbeat", {}) == {"wait_time_in_seconds": 10}
    assert ok(server, "POST", f"{base}/heartbeat") == {"wait_time_in_seconds": 10}

    assert [each["value"] for each in ok(server, "GET", f"{place}/metadata")] == [["a=1"], "0", "1"]
    assert sorted(each["value"] for each in ok(server, "GET", f"{base}/metadata?field_name=attempt")) == ["0", "1"]
    assert [each["sha"] for each in ok(server, "GET", f"{place}/artifacts")] == ["x1"]
    assert [each["sha"] for each in ok(server, "GET", f"{place}/attempt/0/artifacts")] == ["x0", "y0"]
    assert ok(server, "GET", f"{place}/artifacts/y/attempt/0")["sha"] == "y0"
    assert server.ask("GET", f"{place}/artifacts/y").status_code == 404
    assert ok(server, "GET", place)["tags"] == ["t"]
    for listed, one in (("/flows/F/runs", base), (f"{base}/steps", f"{base}/steps/start")):
        assert ok(server, "GET", listed) == [ok(server, "GET", one)]
    assert ok(server, "GET", f"{base}/steps/start/tasks") == ok(server, "GET", f"{base}/tasks")

    patch = {"tags_to_add": ["new"], "tags_to_remove": ["t"]}
    assert ok(server, "PATCH", f"{base}/tag/mutate", patch) == {"tags": ["new"]}
    assert ok(server, "GET", place)["tags"] == ["new"]


def test_registering_twice_changes_nothing(server: InProcess) -> None:
    named = {"run_number": "argo-1", "user_name": "ann", "ts_epoch": T}
    first = ok(server, "POST", "/flows/G/run", named)
    again = server.ask("POST", "/flows/G/run", {**named, "user_name": "bob"})
    assert (again.status_code, again.json()["user_name"]) == (409, "ann")
    assert first == ok(server, "GET", "/flows/G/runs/argo-1")
    for path in ("/flows/G", "/flows/G/runs/argo-1/steps/a/step", "/flows/G/runs/argo-1/steps/a/task"):
        answers = [server.ask("POST", path, {"task_id": "t-1"}).status_code for _ in range(2)]
        assert answers[-1] == 409
    assert ok(server, "GET", "/flows/G/runs/argo-1/steps/a/tasks/t-1")["task_id"] == "t-1"
    key = {"Idempotency-Key": "k1"}
    both = [ok(server, "POST", "/flows/G/run", {}, headers=key)["run_number"] for _ in range(2)]
    assert both[0] == both[1]


def test_a_number_of_somebody_elses_run_leads_nowhere(server: InProcess) -> None:
    run = ok(server, "POST", "/flows/H/run", {})["run_number"]
    assert server.ask("GET", f"/flows/F/runs/{run}").status_code == 404
    assert server.ask("POST", f"/flows/F/runs/{run}/heartbeat").status_code == 404


def test_pages_and_filters(server: InProcess) -> None:
    for number, (user, tags) in enumerate([("ann", ["a", "x,y"]), ("bob", ["b"]), ("ann", ["a", "b"])]):
        body = {"run_number": f"r{number}", "tags": tags, "system_tags": [f"user:{user}"], "ts_epoch": T + number}
        ok(server, "POST", "/flows/P/run", body)
    task = ok(server, "POST", "/flows/P/runs/r1/steps/end/task", {})["task_id"]
    ok(server, "POST", f"/flows/P/runs/r1/steps/end/tasks/{task}/metadata", [fact("attempt_ok", "True")])

    def runs(query: str) -> list[str]:
        return [run["run_id"] for run in ok(server, "GET", f"/flows/P/runs{query}")]

    assert runs("") == ["r2", "r1", "r0"]
    assert runs("?user:eq=ann") == ["r2", "r0"]
    assert runs("?_tags:any=a,b") == ["r2", "r1", "r0"]
    assert runs("?_tags:all=a,b") == ["r2"]
    assert runs(f"?ts_epoch:ge={T + 1}&ts_epoch:lt={T + 2}") == ["r1"]
    assert runs("?status:eq=completed") == ["r1"]
    assert runs("?status:eq=failed,running") == ["r2", "r0"]
    assert runs("?_tags:any=user:bob") == ["r1"]
    first = server.ask("GET", "/flows/P/runs?_limit=2")
    assert [run["run_id"] for run in first.json()] == ["r2", "r1"]
    assert first.headers["X-Limit"] == "500"
    second = server.ask("GET", "/flows/P/runs", params={"_cursor": first.headers["X-Next-Cursor"]})
    assert [run["run_id"] for run in second.json()] == ["r0"]
    assert "X-Next-Cursor" not in second.headers


def test_how_a_run_is_doing(server: InProcess) -> None:
    """It says so itself; else its last step, its heartbeats and its failures do."""
    now = 4_000_000_000_000
    for name, recorded, status in (
        ("live", [], "running"),
        ("silent", [("x", "start", 1)], "failed"),
        ("over", [("attempt_ok", "last", "True"), ("end_step", "_parameters", "last")], "completed"),
        ("caught", [("attempt_ok", "start", "False")], "running"),
        ("ended", [("run-status", "_parameters", '{"state": "interrupted"}')], "failed"),
        ("won", [("run-status", "_parameters", '{"state": "successful"}')], "completed"),
    ):
        old = T if name == "silent" else now
        ok(server, "POST", "/flows/S/run", {"run_number": name, "ts_epoch": old})
        for field, step, value in recorded:
            task = ok(server, "POST", f"/flows/S/runs/{name}/steps/{step}/task", {})["task_id"]
            ok(server, "POST", f"/flows/S/runs/{name}/steps/{step}/tasks/{task}/metadata", [fact(field, value)])
        assert (name, ok(server, "GET", f"/flows/S/runs/{name}")["status"]) == (name, status)
        assert name in [run["run_id"] for run in ok(server, "GET", f"/flows/S/runs?status:eq={status}")]


def test_tasks_by_a_fact(server: InProcess) -> None:
    for task, value in (("1", "a:0"), ("2", "a:1"), ("3", "b:1")):
        ok(server, "POST", "/flows/M/runs/r/steps/s/task", {"task_id": task})
        ok(server, "POST", f"/flows/M/runs/r/steps/s/tasks/{task}/metadata", [fact("path", value)])

    def found(query: str) -> list[str]:
        return [path.rpartition("/")[2] for path in ok(server, "GET", f"/flows/M/runs/r/steps/s/filtered_tasks{query}")]

    assert found("?metadata_field_name=path&pattern=%5E%28%3F%3Aa%3A.%2A%29%24") == ["1", "2"]
    assert found("?metadata_field_name=path") == ["1", "2", "3"]
    assert found("?pattern=b") == ["3"]
    assert found("?metadata_field_name=nope") == []


TASK = "/flows/M/runs/r/steps/s/tasks/1"

BAD: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/flows/Nope", None, 404, "There is no flow Nope."),
    ("GET", "/flows/M/runs/9/steps/s/tasks", None, 404, "There is no run M/9."),
    ("POST", "/flows/M/runs/9/steps/s/task", {}, 404, "There is no run M/9."),
    ("POST", "/flows/M/runs/r/steps/s/tasks/77/metadata", [], 404, "There is no task M/r/s/77."),
    ("POST", "/flows/M/run", b"{", 400, "The body is not JSON."),
    ("POST", "/flows/M/run", b"[" * 100_000, 400, "The body is not JSON."),
    ("POST", "/flows/M/run", b"\xff", 400, "The body is not JSON."),
    ("POST", "/flows/M/run", [], 400, "The body must be a JSON object."),
    ("POST", "/flows/M/run", {"tags": "a"}, 400, "tags must be a list of strings."),
    ("POST", "/flows/M/run", {"tags": [""]}, 422, "A tag must not be empty."),
    ("POST", "/flows/M/run", {"user_name": "a\0"}, 400, "user_name must not have a NUL character."),
    ("POST", "/flows/M/run", b'{"user_name": "\\ud800"}', 400, "user_name has half of a surrogate pair."),
    ("POST", "/flows/M/run", {"user_name": "a" * 1001}, 400, "user_name has more than 1000 characters."),
    ("POST", "/flows/M/run", {"ts_epoch": -1}, 400, "ts_epoch must be a whole number from 0 to 253402300800000."),
    ("POST", "/flows/M/run", {"run_number": "a/b"}, 400, "This cannot be the name of a run: 'a/b'."),
    ("POST", "/flows/M/run", {"run_number": ".."}, 400, "This cannot be the name of a run: '..'."),
    ("POST", "/flows/M%0A/run", {}, 400, "This cannot be the name of a flow: 'M\\n'."),
    ("POST", f"{TASK}/metadata", "x", 400, "The body must be a list of JSON objects."),
    ("POST", f"{TASK}/metadata", [1], 400, "[0] must be a JSON object."),
    ("POST", f"{TASK}/metadata", [{"value": "x"}], 400, "[0].field_name must be a string."),
    ("POST", f"{TASK}/metadata", [fact("f", {"a": "\0"})], 400, "[0].value must not have a NUL character."),
    ("POST", f"{TASK}/artifact", [{"name": "x", "attempt_id": 1e9}], 400,
     "[0].attempt_id must be a whole number from 0 to 100000."),
    ("PATCH", "/flows/M/runs/r/tag/mutate", {}, 422, "No tag to add or to remove was given."),
    ("GET", "/flows/M/runs?_limit=x", None, 400, "_limit must be a whole number, not 'x'."),
    ("GET", "/flows/M/runs?_limit=0", None, 400, "_limit must be at least 1."),
    ("GET", "/flows/M/runs?_cursor=x", None, 400, "_cursor is not one that this service has given."),
    ("GET", "/flows/M/runs?_cursor=W10", None, 400, "_cursor is not one that this service has given."),
    ("GET", "/flows/M/runs?what:eq=1", None, 400, "There is no filter 'what:eq' here."),
    ("GET", "/flows/M/runs?status:eq=1", None, 400, "status:eq takes running, completed, failed, not '1'."),
    ("GET", "/flows/M/runs?what=1", None, 400,
     "There is no parameter 'what' here; filters are written field:operator=value."),
    ("GET", "/flows/M/runs/r/steps/s/filtered_tasks?pattern=(", None, 400, "The pattern is not a regular expression."),
    ("GET", "/flows/M/runs/r/steps/s/filtered_tasks?pattern=(a%2B)%2B", None, 400,
     "The pattern has too many repetitions, or one within another: matching it might take for ever."),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "status", "sentence"), BAD)
def test_what_is_wrong_is_answered_with_a_sentence(
    server: InProcess, method: str, path: str, body: Any, status: int, sentence: str
) -> None:
    answer = server.ask(method, path, content=body if isinstance(body, bytes) else json.dumps(body))
    assert (answer.status_code, answer.json()) == (status, {"message": sentence})


def test_methods_and_paths_that_are_not_there(server: InProcess) -> None:
    assert server.ask("DELETE", "/flows/M").status_code == 405
    assert server.ask("GET", "/flows/M/nope").status_code == 404
