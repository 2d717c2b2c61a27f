"""The cluster that kubectl would talk to is the one that we talk to."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from metaflow.exception import SettingsError
from metaflow.settings.kubeconfig import load


def config(path: Path, current: str | None = "c", **fields: Any) -> Path:
    """Write a kubeconfig, as JSON, which is YAML."""
    document = {
        "current-context": current,
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "n"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://one:6443/", **fields.pop("cluster", {})}}],
        "users": [{"name": "u", "user": fields.pop("user", {"token": "secret"})}],
        **fields,
    }
    path.write_text(json.dumps(document))
    return path


def test_the_current_context(tmp_path: Path) -> None:
    path = config(tmp_path / "config")
    found = load({"KUBECONFIG": str(path)})
    assert (found.server, found.namespace, found.token) == ("https://one:6443", "n", "secret")
    assert found.origin == f"context c of {path}"
    assert found.is_checked


def test_the_file_of_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    config(tmp_path / ".kube" / "config")
    assert load({"HOME": str(tmp_path)}).server == "https://one:6443"


def test_several_files_of_which_the_first_wins(tmp_path: Path) -> None:
    first = config(tmp_path / "first", current=None, contexts=[])
    second = config(tmp_path / "second", user={"token": "other"}, cluster={"server": "https://two"})
    found = load({"KUBECONFIG": os.pathsep.join([str(first), str(tmp_path / "missing"), "", str(second)])})
    assert (found.server, found.token) == ("https://one:6443", "secret")
    assert found.origin == f"context c of {second}"


def test_another_context(tmp_path: Path) -> None:
    path = config(tmp_path / "config", current="nosuch")
    assert load({"KUBECONFIG": str(path)}, context="c").server == "https://one:6443"
    with pytest.raises(SettingsError, match="no Kubernetes context 'nosuch'") as caught:
        load({"KUBECONFIG": str(path)})
    assert caught.value.hint == "contexts: c"


def test_files_and_data(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("authority")
    (tmp_path / "key.pem").write_text("key")
    data = base64.b64encode(b"certificate").decode()
    path = config(
        tmp_path / "config",
        cluster={
            "certificate-authority": "ca.pem",
            "insecure-skip-tls-verify": True,
            "tls-server-name": "name",
            "proxy-url": "http://proxy",
        },
        user={"client-certificate-data": data, "client-key": str(tmp_path / "key.pem"), "tokenFile": "token"},
    )
    found = load({"KUBECONFIG": str(path)})
    assert (found.authority, found.certificate, found.key) == ("authority", b"certificate", b"key")
    assert (found.is_checked, found.server_name, found.proxy) == (False, "name", "http://proxy")
    assert found.token_file == str(tmp_path / "token")


def test_a_plugin(tmp_path: Path) -> None:
    described = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "bin/login",
        "args": ["--for", "me"],
        "env": [{"name": "PROFILE", "value": "p"}],
        "provideClusterInfo": True,
        "installHint": "get it",
    }
    plugin = load({"KUBECONFIG": str(config(tmp_path / "config", user={"exec": described})), "PATH": "/bin"}).plugin
    assert plugin is not None
    assert plugin.command == (str(tmp_path / "bin/login"), "--for", "me")
    assert (plugin.environment["PROFILE"], plugin.environment["PATH"]) == ("p", "/bin")
    asked = json.loads(plugin.environment["KUBERNETES_EXEC_INFO"])
    assert asked["spec"] == {"interactive": False, "cluster": {"server": "https://one:6443/"}}
    assert plugin.install_hint == "get it"


def test_a_plugin_that_is_looked_for_in_the_path(tmp_path: Path) -> None:
    path = config(tmp_path / "config", user={"exec": {"command": "aws"}})
    plugin = load({"KUBECONFIG": str(path)}).plugin
    assert plugin is not None
    assert plugin.command == ("aws",)


def test_in_a_pod(tmp_path: Path) -> None:
    for name, text in (("token", "t"), ("ca.crt", "authority"), ("namespace", "here\n")):
        (tmp_path / name).write_text(text)
    environ = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    found = load(environ, account=str(tmp_path))
    assert (found.server, found.namespace, found.authority) == ("https://10.0.0.1:443", "here", "authority")
    assert found.token_file == f"{tmp_path}/token"
    environ["KUBERNETES_SERVICE_HOST"] = "fd00::1"
    assert load(environ, account=str(tmp_path)).server == "https://[fd00::1]:443"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a Kubernetes configuration"),
        ("", "does not name one"),
        ("{clusters: [{cluster: {}}]}", "has no name"),
        ("{clusters: [{name: k, cluster: {server: x}}]}", "no current context"),
        ("{current-context: c, contexts: [{name: c, context: {cluster: z}}], clusters: [{name: k}]}", "cluster 'z'"),
        ("{current-context: c, contexts: [{name: c, context: {cluster: k}}], clusters: [{name: k}]}", "has no server"),
    ],
)
def test_what_cannot_be_used(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words) as caught:
        load({"KUBECONFIG": str(path)})
    assert caught.value.hint


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"client-certificate": "missing.pem"}, "missing.pem, client-certificate in"),
        ({"client-key-data": "%%%%a"}, "not base64"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider"),
    ],
)
def test_users_that_cannot_be_used(user: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=words):
        load({"KUBECONFIG": str(config(tmp_path / "config", user=user))})


def test_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No Kubernetes cluster is configured") as caught:
        load({"HOME": str(tmp_path)})
    assert "KUBECONFIG" in str(caught.value.hint)
