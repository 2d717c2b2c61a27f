from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Scope

from metaflow.serve.access import LONGEST_BODY, SIGN_IN, Access, AccessRules
from metaflow.serve.tokens import ALL, Grant, Tokens
from support.serving import LOCAL, InProcess

SECRET, LIMITED = "s" * 20, "limited-to-two-projects"
TOKENS = Tokens({SECRET: ALL, LIMITED: Grant(frozenset({"p", "q"}))})


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    server = InProcess(str(tmp_path_factory.mktemp("local")))
    yield server
    server.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    server = InProcess(str(tmp_path_factory.mktemp("guarded")), AccessRules(False, TOKENS))
    yield server
    server.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8080", 200),
        ("stranger.example", 403),
        ("localhost.stranger.example:8080", 403),
        ("", 403),
    ],
)
def test_a_local_server_answers_only_to_the_names_of_its_machine(local: InProcess, host: str, status: int) -> None:
    assert local.ask("GET", "/flows", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://stranger.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_page_of_another_site_changes_nothing(local: InProcess, headers: Mapping[str, str], status: int) -> None:
    assert local.ask("POST", "/flows/F/run", {}, headers=headers).status_code == status


def test_every_answer_has_the_headers_of_safety_and_none_lets_other_sites_read(local: InProcess) -> None:
    for path in ("/ping", "/flows", "/nope", "/flows/F/runs/9"):
        headers = local.ask("GET", path, headers={"Origin": "http://stranger.example"}).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer("wrong"), 401),
        (bearer(""), 401),
        (bearer("ö"), 401),
        ({"Cookie": "millrace_session=wrong"}, 401),
        ({"Cookie": "a b=;;=\x7f"}, 401),
        (bearer(SECRET), 200),
        ({"Authorization": f"bearer {SECRET}"}, 200),
        ({"x-api-key": SECRET}, 200),
    ],
)
def test_elsewhere_a_token_is_needed(guarded: InProcess, headers: Mapping[str, str], status: int) -> None:
    answer = guarded.ask("GET", "/flows", headers={name: value.encode() for name, value in headers.items()})
    assert answer.status_code == status
    if status == 401:
        assert answer.json() == {"message": "This server needs a token."}


def test_health_needs_no_token(guarded: InProcess) -> None:
    assert guarded.ask("GET", "/ping").text == "pong"


def test_a_person_signs_in_with_a_token_and_the_browser_keeps_a_cookie(guarded: InProcess) -> None:
    page = guarded.ask("GET", "/flows?x=1", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Location"]) == (303, f"{SIGN_IN}?next=%2Fflows%3Fx%3D1")
    assert 'value="/flows?x=1"' in guarded.ask("GET", page.headers["Location"]).text
    form = {"token": SECRET, "next": "/flows"}
    signed_in = guarded.ask("POST", SIGN_IN, data=form)
    assert (signed_in.status_code, signed_in.headers["Location"]) == (303, "/flows")
    cookie = signed_in.headers["Set-Cookie"]
    assert SECRET not in cookie
    assert {"HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
    session = {"Cookie": cookie.partition(";")[0]}
    assert guarded.ask("GET", "/flows", headers=session).status_code == 200
    assert guarded.ask("POST", "/flows/F/run", {}, headers=session).status_code == 200
    stranger = {**session, "Origin": "http://stranger.example"}
    assert guarded.ask("POST", "/flows/F/run", {}, headers=stranger).status_code == 403


@pytest.mark.parametrize("target", ["//stranger.example", "/\\stranger.example", "https://x", "/a\r\nSet-Cookie: b=c"])
def test_signing_in_leads_nowhere_else(guarded: InProcess, target: str) -> None:
    assert guarded.ask("POST", SIGN_IN, data={"token": SECRET, "next": target}).headers["Location"] == "/"


def test_a_wrong_token_is_told_so(guarded: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaflow.serve.sign_in._WRONG_SECONDS", 0)
    answer = guarded.ask("POST", SIGN_IN, data={"token": "no", "next": '"><script>'})
    assert answer.status_code == 403
    assert "This is not a token of this server." in answer.text
    assert "<script" not in answer.text


def test_a_token_can_be_limited_to_projects(guarded: InProcess) -> None:
    def ask(token: str, method: str, path: str, body: Any = None) -> int:
        return guarded.ask(method, path, body, headers=bearer(token)).status_code

    for run, project in (("mine", "p"), ("theirs", "other")):
        given = {"run_number": run, "system_tags": [f"project:{project}"], "tags": ["project:q"]}
        assert ask(SECRET, "POST", f"/flows/{run}Flow/run", given) == 200
        assert ask(SECRET, "POST", f"/flows/{run}Flow/runs/{run}/steps/s/task", {"task_id": "t"}) == 200
    for method, path in (
        ("GET", ""),
        ("GET", "/steps"),
        ("GET", "/steps/s/tasks/t/metadata"),
        ("POST", "/heartbeat"),
        ("POST", "/steps/s/tasks/t/metadata"),
    ):
        body: Any = None if method == "GET" else []
        assert ask(LIMITED, method, f"/flows/mineFlow/runs/mine{path}", body) == 200
        assert ask(LIMITED, method, f"/flows/theirsFlow/runs/theirs{path}", body) == 404
    headers = bearer(LIMITED)
    assert [each["flow_id"] for each in guarded.ask("GET", "/flows", headers=headers).json()] == ["mineFlow"]
    assert guarded.ask("GET", "/flows/theirsFlow/runs", headers=headers).json() == []
    assert ask(LIMITED, "POST", "/flows/mineFlow/run", {"tags": ["project:p"]}) == 403
    assert ask(LIMITED, "POST", "/flows/mineFlow/run", {"system_tags": ["project:q"]}) == 200
    taken = {"run_number": "theirs", "system_tags": ["project:q"]}
    assert ask(LIMITED, "POST", "/flows/theirsFlow/run", taken) == 403
    assert ask(LIMITED, "GET", "/events") == 403


def test_a_proxy_says_who_it_has_let_in(tmp_path: Path) -> None:
    server = InProcess(str(tmp_path), AccessRules(False, trusted_header="X-Forwarded-User"))
    assert server.ask("GET", "/flows", headers={"X-Forwarded-User": "ann"}).status_code == 200
    assert server.ask("GET", "/flows", headers={"X-Forwarded-User": " "}).status_code == 401
    assert server.ask("GET", "/flows").status_code == 401
    server.close()


def test_a_body_that_is_too_long_is_refused(local: InProcess) -> None:
    async def parts() -> Any:
        for _ in range(LONGEST_BODY // (1 << 20) + 1):
            yield b" " * (1 << 20)

    answers = [
        local.ask("POST", "/flows/F/run", content=b" " * (LONGEST_BODY + 1)),
        local.ask("POST", "/flows/F/run", content=parts()),
    ]
    assert [answer.status_code for answer in answers] == [413, 413]


def test_a_body_that_does_not_come_is_not_waited_for(local: InProcess) -> None:
    sent: list[Message] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/flows/F/run",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(Access(local.app, LOCAL, body_seconds=0)(scope, never, send))
    assert sent[0]["status"] == 408
