"""As whom we come to the API server: a token, a token in a file, a password, or what an exec plugin prints.

Client certificates that are part of the configuration are none of this module's business, those of a plugin are.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any, NamedTuple

from metaflow.settings.kubeconfig import Cluster, Plugin

_VERSIONS = tuple(f"client.authentication.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
_EARLY = 30.0
"""Seconds before they expire in which credentials are not used any more."""
_PLUGIN_TIME = 60.0


class NoCredentials(Exception):
    """There are none to be had; the reason is for people."""


class Presented(NamedTuple):
    """What we show.

    Attributes
    ----------
    authorization : str or None
        The header's value.
    certificate, key : bytes or None
        PEM, for the connection.
    expires : float or None
        Seconds since the epoch.
    """

    authorization: str | None
    certificate: bytes | None
    key: bytes | None
    expires: float | None = None


class Credentials:
    """Those of a cluster's user, kept until they expire."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._presented: Presented | None = None
        self._lock = asyncio.Lock()

    async def get(self, *, refused: Presented | None = None) -> Presented:
        """Return what to show, new if the server has refused `refused`; `NoCredentials` if there is none."""
        async with self._lock:  # a plugin that opens a browser shall do so once
            presented = self._presented
            is_old = presented is not None and presented.expires is not None and presented.expires < time.time()
            if presented is None or is_old or presented is refused:
                presented = self._presented = await self._fresh()
            return presented

    async def _fresh(self) -> Presented:
        cluster = self._cluster
        token, expires = cluster.token, None
        certificate, key = cluster.certificate, cluster.key
        if cluster.token_file is not None:
            token = _token_of(cluster.token_file)
            expires = time.time() + 60  # the kubelet writes it anew
        elif cluster.plugin is not None and token is None:
            status = await _ask(cluster.plugin)
            token = status.get("token")
            if status.get("clientCertificateData"):
                certificate = status["clientCertificateData"].encode()
                key = (status.get("clientKeyData") or "").encode()
            expires = _moment(status.get("expirationTimestamp"))
        authorization = f"Bearer {token}" if token else None
        if token is None and cluster.password is not None:
            pair = base64.b64encode(":".join(cluster.password).encode()).decode()
            authorization = f"Basic {pair}"
        return Presented(authorization, certificate, key, expires)


def _token_of(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoCredentials(f"the token in {path} cannot be read: {error}") from error


async def _ask(plugin: Plugin) -> dict[str, Any]:
    """Run a plugin and return the ``status`` that it prints."""
    name = plugin.command[0]
    if plugin.version not in _VERSIONS:
        raise NoCredentials(f"'{name}' speaks {plugin.version}; known are {', '.join(_VERSIONS)}")
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *plugin.command, env=plugin.environment, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        hint = f" {plugin.install_hint.strip()}" if plugin.install_hint else ""
        raise NoCredentials(f"'{name}', which gives the credentials, cannot be run: {error.strerror}.{hint}") from error
    try:
        printed, said = await asyncio.wait_for(process.communicate(), _PLUGIN_TIME)
    except TimeoutError:
        raise NoCredentials(f"'{name}' has not given credentials within {_PLUGIN_TIME:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        words = said.decode(errors="replace").strip()[-500:]
        raise NoCredentials(f"'{name}' has given no credentials (exit status {process.returncode}): {words}")
    try:
        status = json.loads(printed)["status"]
        if not (status.get("token") or status.get("clientCertificateData")):
            raise KeyError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NoCredentials(f"what '{name}' prints are no credentials") from None
    found: dict[str, Any] = status
    return found


def _moment(text: str | None) -> float | None:
    from datetime import datetime

    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - _EARLY
    except ValueError:
        return None
