"""As whom we come to an API server: what is shown, when it is renewed, and what is said when there is none."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from metaflow.compute.jobs.retry import Unavailable
from metaflow.compute.kubernetes.client import Client
from metaflow.settings.kubeconfig import Plugin
from support.kubernetes_server import KubernetesServer, Request, status

V1 = "client.authentication.k8s.io/v1"


def play(scene: Callable[[Client, KubernetesServer], Awaitable[None]], **fields: Any) -> KubernetesServer:
    """Play a scene with a server that takes the token ``good`` only."""

    def check(request: Request) -> Any:
        return None if request.authorization == "Bearer good" else status(401, "Unauthorized", "Unauthorized")

    async def main() -> KubernetesServer:
        async with KubernetesServer().running() as server:
            server.fault = check
            client = Client(server.cluster._replace(**fields))
            try:
                await scene(client, server)
            finally:
                await client.close()
        return server

    return asyncio.run(main())


def plugin(code: str, version: str = V1) -> Plugin:
    return Plugin((sys.executable, "-c", code), {}, version, "install it")


def printing(path: Path, **further: str) -> Plugin:
    """Return a plugin that prints the token in a file, and writes a line to another each time."""
    code = f"""if True:
        import json
        open({str(path) + ".log"!r}, "a").write("asked\\n")
        token = open({str(path)!r}).read()
        print(json.dumps({{"kind": "ExecCredential", "status": {{"token": token, **{further!r}}}}}))
    """
    return plugin(code)


async def look(client: Client, server: KubernetesServer) -> None:
    assert (await client.get("/version"))["major"] == "1"


async def be_refused(client: Client, server: KubernetesServer) -> None:
    with pytest.raises(Unavailable) as caught:
        await client.get("/version")
    assert caught.value.credentials


def test_a_token() -> None:
    play(look, token="good")


def test_a_bad_token_is_refused_after_one_more_try() -> None:
    assert len(play(be_refused, token="bad").requests) == 2


def test_a_password() -> None:
    assert play(be_refused, password=("me", "x")).requests[0].authorization == "Basic bWU6eA=="


def test_a_token_in_a_file_that_is_written_anew(tmp_path: Path) -> None:
    async def scene(client: Client, server: KubernetesServer) -> None:
        await be_refused(client, server)
        (tmp_path / "token").write_text("good\n")
        await look(client, server)

    (tmp_path / "token").write_text("old")
    play(scene, token_file=str(tmp_path / "token"))


def test_a_plugin_is_asked_once_and_again_when_refused(tmp_path: Path) -> None:
    async def scene(client: Client, server: KubernetesServer) -> None:
        await asyncio.gather(*(look(client, server) for _ in range(5)))
        assert (tmp_path / "token.log").read_text().count("asked") == 1
        (tmp_path / "token").write_text("bad")
        server.fault = lambda request: status(401, "Unauthorized", "expired")
        await be_refused(client, server)
        assert (tmp_path / "token.log").read_text().count("asked") == 2

    (tmp_path / "token").write_text("good")
    play(scene, plugin=printing(tmp_path / "token"))


def test_what_a_plugin_gave_is_renewed_when_it_expires(tmp_path: Path) -> None:
    async def scene(client: Client, server: KubernetesServer) -> None:
        await look(client, server)
        await look(client, server)
        assert (tmp_path / "token.log").read_text().count("asked") == 2

    (tmp_path / "token").write_text("good")
    play(scene, plugin=printing(tmp_path / "token", expirationTimestamp="2020-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (Plugin(("/no/such/program",), {}, V1, "install it"), "cannot be run: No such file or directory. install it"),
        (plugin("import sys; sys.exit('please log in')"), "exit status 1): please log in"),
        (plugin("print('hello')"), "are no credentials"),
        (plugin(f"print({json.dumps({'status': {}})!r})"), "are no credentials"),
        (plugin("", version="v9"), "speaks v9"),
    ],
)
def test_plugins_that_give_nothing(given: Plugin, words: str) -> None:
    async def scene(client: Client, server: KubernetesServer) -> None:
        with pytest.raises(Unavailable) as caught:
            await client.get("/version")
        assert words in str(caught.value)

    play(scene, plugin=given)
