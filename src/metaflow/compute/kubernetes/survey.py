"""What of a cluster stands against running steps there, asked before the first job: `Survey.problems`.

What may not be asked stays unknown and is no problem.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from metaflow.compute.kubernetes import fit
from metaflow.compute.kubernetes.api import Api, Refused
from metaflow.compute.kubernetes.fit import Misfit
from metaflow.compute.kubernetes.manifest import namespace_of
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest

_RIGHTS = (("create", "batch", "jobs"), ("delete", "batch", "jobs"), ("list", "", "pods"), ("watch", "", "pods"))
_PATIENCE = 5.0


class Survey:
    """Asks a cluster.

    Parameters
    ----------
    api : Api
        The cluster.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lists: dict[str, list[dict[str, Any]] | None] = {}
        self._there: dict[str, bool | None] = {}
        self._rights: dict[str, list[Misfit]] = {}

    async def version(self, patience: float) -> tuple[int, int]:
        """Return the version of Kubernetes; ask for some seconds.

        Raises
        ------
        Away, Refused
            There is no answer.
        """
        found = await self._api.get("/version", patience=patience)
        major, minor = (re.sub(r"\D.*", "", str(found.get(name) or "")) for name in ("major", "minor"))
        return int(major or 0), int(minor or 0)

    async def problems(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        """Return what stands against each step's request; the same for several steps once.

        Raises
        ------
        Away, Refused
            There is no answer, or no credentials are accepted.
        """
        found: dict[Misfit, list[str]] = {}
        for step, request in requests.items():
            for misfit in await self._misfits(request):
                found.setdefault(misfit, []).append(step)
        return [
            Problem(tuple(steps), f"{_upper(each.message)}.", each.hint, each.certain) for each, steps in found.items()
        ]

    async def _misfits(self, request: ResourceRequest) -> list[Misfit]:
        namespace = namespace_of(request)
        found = await self._right_misfits(namespace)
        if await self._exists(f"/api/v1/namespaces/{namespace}") is False:
            hint = "METAFLOW_KUBERNETES_NAMESPACE or @kubernetes(namespace=…) names another"
            return [Misfit(f"there is no namespace '{namespace}'", hint)]
        found += await self._missing_objects(namespace, request)
        here = f"/api/v1/namespaces/{namespace}"
        ranges, quotas, nodes = await asyncio.gather(
            self._list(f"{here}/limitranges"), self._list(f"{here}/resourcequotas"), self._list("/api/v1/nodes")
        )
        found += fit.over_limits(ranges or (), request)
        found += fit.over_quotas(quotas or (), request)
        if nodes is not None:
            found += fit.misfits(nodes, request)
        return found

    async def _missing_objects(self, namespace: str, request: ResourceRequest) -> list[Misfit]:
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
                found.append(Misfit(f"there is no {words} '{name}' in the namespace '{namespace}'", hint, certain))
        return found

    async def _right_misfits(self, namespace: str) -> list[Misfit]:
        """Return what we are not permitted to do, but have to."""
        if namespace not in self._rights:
            found = []
            allowed = await asyncio.gather(*(self._may(namespace, *right) for right in _RIGHTS))
            for (verb, _, resource), is_allowed in zip(_RIGHTS, allowed, strict=True):
                if not is_allowed:
                    hint = (
                        "ask the cluster's owner for a role that may create, get, list, watch and delete jobs and pods"
                    )
                    found.append(Misfit(f"this user may not {verb} {resource} in the namespace '{namespace}'", hint))
            self._rights[namespace] = found
        return list(self._rights[namespace])

    async def _may(self, namespace: str, verb: str, group: str, resource: str) -> bool:
        attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        try:
            answer = await self._api.call("POST", path, body=body, patience=_PATIENCE)
        except Refused as refused:
            if refused.status == 401:
                raise
            return True
        return bool((answer.get("status") or {}).get("allowed"))

    async def _exists(self, path: str) -> bool | None:
        if path not in self._there:
            try:
                self._there[path] = await self._api.exists(path)
            except Refused:
                self._there[path] = None
        return self._there[path]

    async def _list(self, path: str) -> list[dict[str, Any]] | None:
        if path not in self._lists:
            try:
                self._lists[path] = await self._api.list(path, patience=_PATIENCE)
            except Refused:
                self._lists[path] = None
        return self._lists[path]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
