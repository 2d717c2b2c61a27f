"""Which Kubernetes cluster this installation uses, by the rules of kubectl.

The files of KUBECONFIG (the first one that names a thing wins), else ``~/.kube/config``, else the service account of
the pod that we are in. This says where the cluster is and as whom to come; how to talk to it is not known here. Start
reading at `load`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from metaflow.exception import SettingsError

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_HINT = "check it with `kubectl config view`"


class Plugin(NamedTuple):
    """A program that prints credentials (``exec`` in a kubeconfig).

    Attributes
    ----------
    command : tuple of str
        Its words.
    environment : dict of str to str
        All of its variables.
    version : str
        The API version that it speaks.
    install_hint : str
        What the file's author says to somebody who does not have it.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    version: str
    install_hint: str


class Cluster(NamedTuple):
    """A cluster, and a user of it.

    Attributes
    ----------
    server : str
        URL of the API server.
    origin : str
        Where this is from, for people: ``context stack of /home/me/.kube/config``.
    namespace : str or None
        The context's.
    authority : str or None
        Certificates (PEM) that the server's is checked with; None: those of this machine.
    is_checked : bool
        Whether the server's certificate is checked at all.
    server_name : str or None
        The name in the server's certificate, if it is not that of the URL.
    proxy : str or None
        URL of a proxy.
    certificate, key : bytes or None
        The user's, PEM.
    token, token_file : str or None
        A bearer token, or the path of a file that has it and that may be written anew.
    password : tuple of str or None
        User name and password.
    plugin : Plugin or None
        Who prints credentials.
    """

    server: str
    origin: str
    namespace: str | None = None
    authority: str | None = None
    is_checked: bool = True
    server_name: str | None = None
    proxy: str | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str | None = None
    token_file: str | None = None
    password: tuple[str, str] | None = None
    plugin: Plugin | None = None


def load(
    environ: Mapping[str, str] | None = None, context: str | None = None, account: str = SERVICE_ACCOUNT
) -> Cluster:
    """Find the cluster.

    Parameters
    ----------
    environ : mapping, optional
        The environment, if it is not the process'.
    context : str, optional
        Name of the context; else the current one.
    account : str, optional
        Directory of a pod's service account.

    Raises
    ------
    SettingsError
        There is none, or what describes it cannot be used.
    """
    environ = os.environ if environ is None else environ
    given = [path for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    paths = given or [os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".kube", "config")]
    found = [path for path in paths if os.path.isfile(path)]
    merged = _merged(found)
    if merged.clusters or context:
        return _chosen(merged, context, environ)
    if environ.get("KUBERNETES_SERVICE_HOST") and os.path.isfile(f"{account}/token"):
        return _of_pod(environ, account)
    raise SettingsError(
        f"No Kubernetes cluster is configured: {' and '.join(paths)} "
        f"{'do' if len(paths) > 1 else 'does'} not {'name one' if found else 'exist'}.",
        hint="set KUBECONFIG to the path of your cluster's kubeconfig file; `kubectl get pods` should then work here",
    )


class _Merged(NamedTuple):
    """What several files say together; entries know the file that they are from."""

    current: str | None
    clusters: dict[str, tuple[dict[str, Any], str]]
    users: dict[str, tuple[dict[str, Any], str]]
    contexts: dict[str, tuple[dict[str, Any], str]]


def _merged(paths: list[str]) -> _Merged:
    merged = _Merged(None, {}, {}, {})
    for path in paths:
        document = _read(path)
        merged = merged._replace(current=merged.current or document.get("current-context") or None)
        for table, entry in ((merged.clusters, "cluster"), (merged.users, "user"), (merged.contexts, "context")):
            for item in document.get(f"{entry}s") or ():
                try:
                    table.setdefault(str(item["name"]), (item.get(entry) or {}, path))
                except (TypeError, KeyError, AttributeError):
                    raise SettingsError(f"{path}: an entry of '{entry}s' has no name.", hint=_HINT) from None
    return merged


def _read(path: str) -> dict[str, Any]:
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            document = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"The Kubernetes configuration {path} cannot be read: {error}", hint=_HINT) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"{path} is not a Kubernetes configuration.", hint=_HINT)
    return document


def _chosen(merged: _Merged, wanted: str | None, environ: Mapping[str, str]) -> Cluster:
    name = wanted or merged.current
    contexts = ", ".join(sorted(merged.contexts)) or "none"
    if name is None:
        raise SettingsError(
            "The Kubernetes configuration has no current context.",
            hint=f"run `kubectl config use-context NAME`, or set METAFLOW_KUBERNETES_CONTEXT; contexts: {contexts}",
        )
    if name not in merged.contexts:
        raise SettingsError(f"There is no Kubernetes context '{name}'.", hint=f"contexts: {contexts}")
    context, path = merged.contexts[name]
    cluster, cluster_path = _entry(merged.clusters, context.get("cluster"), "cluster", name, path)
    user, user_path = _entry(merged.users, context.get("user"), "user", name, path) if context.get("user") else ({}, "")
    origin = f"context {name} of {path}"
    if not cluster.get("server"):
        raise SettingsError(f"The cluster of the Kubernetes {origin} has no server.", hint=_HINT)
    if user.get("auth-provider") and not (user.get("token") or user.get("exec")):
        raise SettingsError(
            f"The user of the Kubernetes {origin} has an auth-provider, which Kubernetes 1.26 has removed.",
            hint="generate the configuration again with your provider's tool: it will use an exec plugin",
        )
    authority = _content(cluster, "certificate-authority", cluster_path)
    return Cluster(
        server=str(cluster["server"]).rstrip("/"),
        origin=origin,
        namespace=context.get("namespace") or None,
        authority=authority.decode("ascii", "replace") if authority is not None else None,
        is_checked=not cluster.get("insecure-skip-tls-verify"),
        server_name=cluster.get("tls-server-name") or None,
        proxy=cluster.get("proxy-url") or None,
        certificate=_content(user, "client-certificate", user_path),
        key=_content(user, "client-key", user_path),
        token=user.get("token") or None,
        token_file=_beside(user["tokenFile"], user_path) if user.get("tokenFile") else None,
        password=(user["username"], user.get("password") or "") if user.get("username") else None,
        plugin=_plugin(user, user_path, cluster, environ),
    )


def _entry(
    table: dict[str, tuple[dict[str, Any], str]], name: str | None, kind: str, context: str, path: str
) -> tuple[dict[str, Any], str]:
    if name is None or name not in table:
        raise SettingsError(
            f"The Kubernetes context '{context}' of {path} names the {kind} '{name}', which is not defined.",
            hint=f"defined: {', '.join(sorted(table)) or 'none'}",
        )
    return table[name]


def _beside(path: str, config: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(config)), path)


def _content(entry: Mapping[str, Any], name: str, config: str) -> bytes | None:
    """Return what an entry has itself (``name-data``, base64) or in a file (``name``)."""
    if entry.get(f"{name}-data"):
        try:
            return base64.b64decode(entry[f"{name}-data"], validate=False)
        except (binascii.Error, TypeError) as error:
            raise SettingsError(f"{config}: {name}-data is not base64: {error}.", hint=_HINT) from error
    if not entry.get(name):
        return None
    path = _beside(entry[name], config)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise SettingsError(
            f"The file {path}, {name} in {config}, cannot be read: {error.strerror}.", hint=_HINT
        ) from error


def _plugin(
    user: Mapping[str, Any], config: str, cluster: Mapping[str, Any], environ: Mapping[str, str]
) -> Plugin | None:
    described = user.get("exec")
    if not described:
        return None
    import json

    command = str(described.get("command") or "")
    if os.path.dirname(command):  # as kubectl has it: a path is relative to the file, a bare name is looked for
        command = _beside(command, config)
    version = str(described.get("apiVersion") or "client.authentication.k8s.io/v1")
    spec: dict[str, Any] = {"interactive": False}
    if described.get("provideClusterInfo"):
        spec["cluster"] = {key: cluster[key] for key in _CLUSTER_FIELDS if key in cluster}
    asked = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    own = {str(each["name"]): str(each.get("value") or "") for each in described.get("env") or ()}
    return Plugin(
        (command, *map(str, described.get("args") or ())),
        {**environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(asked)},
        version,
        str(described.get("installHint") or ""),
    )


_CLUSTER_FIELDS = (
    "server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url",
)  # fmt: skip


def _of_pod(environ: Mapping[str, str], account: str) -> Cluster:
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT") or "443"
    try:
        with open(f"{account}/ca.crt", encoding="ascii") as file:
            authority = file.read()
        with open(f"{account}/namespace", encoding="utf-8") as file:
            namespace = file.read().strip()
    except OSError as error:
        raise SettingsError(f"This pod's service account cannot be used: {error}.") from error
    return Cluster(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        origin="the service account of this pod",
        namespace=namespace or None,
        authority=authority,
        token_file=f"{account}/token",
    )
