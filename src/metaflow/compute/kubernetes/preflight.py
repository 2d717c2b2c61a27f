"""What of a cluster stands against running steps there, asked before the first job: `Preflight.problems`.

What may not be asked stays unknown and is no problem.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from metaflow.compute.jobs.preflight import Mismatch, Questions, problems
from metaflow.compute.kubernetes import capacity
from metaflow.compute.kubernetes.client import Client, StatusError
from metaflow.compute.kubernetes.description import namespace_of
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest

_WATCH = ("watch", "", "pods")
_RIGHTS = (("create", "batch", "jobs"), ("delete", "batch", "jobs"), ("list", "", "pods"), _WATCH)
_SECONDS = 5.0
ROLE = "ask the cluster's owner for a role that may create, get, list, watch and delete jobs and pods"


class Preflight:
    """Asks a cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._questions = Questions()

    async def version(self, seconds: float) -> tuple[int, int]:
        """Return the version of Kubernetes; ask for some seconds."""
        found = await self._client.get("/version", seconds=seconds)
        major, minor = (re.sub(r"\D.*", "", str(found.get(name) or "")) for name in ("major", "minor"))
        return int(major or 0), int(minor or 0)

    async def problems(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        """Return what stands against each step's request; the same for several steps once."""
        return problems({step: await self._mismatches(request) for step, request in requests.items()})

    async def _mismatches(self, request: ResourceRequest) -> list[Mismatch]:
        namespace = namespace_of(request)
        found = await self._missing_rights(namespace)
        here = f"/api/v1/namespaces/{namespace}"
        if await self._exists(here) is False:
            hint = "METAFLOW_KUBERNETES_NAMESPACE or @kubernetes(namespace=…) names another"
            return [Mismatch(f"there is no namespace '{namespace}'", hint)]
        found += await self._missing_objects(namespace, request)
        ranges, quotas, nodes = await asyncio.gather(
            self._list(f"{here}/limitranges"), self._list(f"{here}/resourcequotas"), self._list("/api/v1/nodes")
        )
        found += capacity.over_limits(ranges or (), request)
        found += capacity.over_quotas(quotas or (), request)
        found += capacity.missing_limits(quotas or (), ranges or (), request)
        if nodes is not None:
            found += capacity.mismatches(nodes, request)
        return found

    async def _missing_objects(self, namespace: str, request: ResourceRequest) -> list[Mismatch]:
        options = request.options
        account = options.get("service_account")
        named = [
            *(("secret", "secrets", name, True) for name in options.get("secrets") or ()),
            *(("pull secret", "secrets", name, False) for name in options.get("image_pull_secrets") or ()),
            *(
                ("persistent volume claim", "persistentvolumeclaims", name, True)
                for name in options.get("persistent_volume_claims") or ()
            ),
            *((("service account", "serviceaccounts", account, True),) if account else ()),
        ]
        found = []
        for words, kind, name, certain in named:
            if await self._exists(f"/api/v1/namespaces/{namespace}/{kind}/{name}") is False:
                hint = f"`kubectl get {kind} -n {namespace}` lists them"
                found.append(Mismatch(f"there is no {words} '{name}' in the namespace '{namespace}'", hint, certain))
        return found

    async def _missing_rights(self, namespace: str) -> list[Mismatch]:
        """Return what we are not permitted to do, but have to."""
        allowed = await asyncio.gather(*(self._may(namespace, *right) for right in _RIGHTS))
        found = []
        for right, is_allowed in zip(_RIGHTS, allowed, strict=True):
            verb, _, resource = right
            can_do_without = right == _WATCH
            hint = f"they are listed again and again instead, which is slower; {ROLE}" if can_do_without else ROLE
            sentence = f"this user may not {verb} {resource} in the namespace '{namespace}'"
            if not is_allowed:
                found.append(Mismatch(sentence, hint, certain=not can_do_without))
        return found

    async def _may(self, namespace: str, verb: str, group: str, resource: str) -> bool:
        attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        question = ("may", namespace, verb, resource)
        answer = await self._once(question, lambda: self._client.call("POST", path, body=body, seconds=_SECONDS))
        return answer is None or bool((answer.get("status") or {}).get("allowed"))

    async def _exists(self, path: str) -> bool | None:
        found: bool | None = await self._once(("exists", path), lambda: self._client.exists(path))
        return found

    async def _list(self, path: str) -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] | None
        found = await self._once(("list", path), lambda: self._client.list(path, seconds=_SECONDS))
        return found

    async def _once(self, question: tuple[str, ...], call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return the answer to a question; None if it is refused."""

        async def ask() -> Any:
            try:
                return await call()
            except StatusError:
                return None

        return await self._questions.once(question, ask)
