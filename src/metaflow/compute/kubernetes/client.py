"""The cluster's REST API: calls that are retried, and watches. The only module that knows HTTP.

Objects are the JSON of the API, as dictionaries: a backend that needs ten fields of a pod has no use for typed models
of the whole API (docs/decisions/0016). Start reading at `Client.call`.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import httpx2

from metaflow.compute.jobs.retry import Refused, Unavailable, retry
from metaflow.compute.kubernetes.credentials import Credentials, NoCredentials, Presented
from metaflow.settings.kubeconfig import Cluster

JSON = dict[str, Any]

_TIMEOUT = 10.0
_CONNECTIONS = 32
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_PAGE = 250
"""Objects of a list that are read at a time: a finished pod has 5 to 10 kB."""


class StatusError(Refused):
    """The API server has answered with an error that another try does not change.

    Attributes
    ----------
    status : int
        Of HTTP.
    reason : str
        In one word, such as ``NotFound``.
    message : str
        In the server's words.
    details : dict
        What it says of the causes.
    """

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.reason = str(document.get("reason") or "")
        self.message = str(document.get("message") or f"HTTP status {status}")
        self.details: Mapping[str, Any] = document.get("details") or {}
        super().__init__(f"{self.message} ({status})")

    @property
    def is_quota(self) -> bool:
        """Whether a ResourceQuota is used up, which may change."""
        return self.status == 403 and "exceeded quota" in self.message


class Client:
    """An API server, by one pool of connections."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._credentials = Credentials(cluster)
        self._client: httpx2.AsyncClient | None = None
        self._replaced: list[httpx2.AsyncClient] = []
        self._shown: Presented | None = None

    async def close(self) -> None:
        for client in (self._client, *self._replaced):
            if client is not None:
                await client.aclose()
        self._client = None
        self._replaced.clear()

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: JSON | None = None,
        seconds: float = 0.0,
    ) -> JSON:
        """Make a call, for some seconds again and again while there is no answer, and return the answer."""
        response = await retry(lambda: self._send(method, path, params, body), seconds)
        document: JSON = response.json()
        return document

    async def get(self, path: str, *, seconds: float = 0.0, **params: str) -> JSON:
        """Read an object."""
        return await self.call("GET", path, params=params, seconds=seconds)

    async def find(self, path: str, *, seconds: float = 0.0) -> JSON | None:
        """Read an object; None if there is no such."""
        try:
            return await self.get(path, seconds=seconds)
        except StatusError as refused:
            if refused.status == 404:
                return None
            raise

    async def exists(self, path: str) -> bool:
        """Tell whether there is such an object, without reading what is in it: it may be a secret."""
        try:
            await self._send(
                "GET", path, None, None, accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
            )
        except StatusError as refused:
            if refused.status == 404:
                return False
            raise
        return True

    async def pages(self, path: str, *, seconds: float = 0.0, **params: str) -> AsyncIterator[JSON]:
        """Read a list, some hundred objects at a time."""
        again: dict[str, str] = {}
        while True:
            page = await self.get(path, seconds=seconds, limit=str(_PAGE), **params, **again)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            again = {"continue": token}

    async def list(self, path: str, *, seconds: float = 0.0, **params: str) -> list[JSON]:
        """Read a list as a whole."""
        found: list[JSON] = []
        async for page in self.pages(path, seconds=seconds, **params):
            found += page.get("items") or ()
        return found

    async def text(self, path: str, params: Mapping[str, str]) -> bytes:
        """Read something that is no object: a log."""
        return (await self._send("GET", path, params, None, timeout=5.0)).content

    async def lines(self, path: str, params: Mapping[str, str], silence: float) -> AsyncGenerator[bytes, None]:
        """Read the lines of an answer that goes on; `silence` is how many seconds may pass without any."""
        client, shown = await self._connected()
        request = self._request(client, shown, "GET", path, params, None, silence)
        request.headers["Accept-Encoding"] = "identity"
        try:
            response = await client.send(request, stream=True)
            try:
                if response.status_code >= 400:
                    await response.aread()
                    if response.status_code == 401:
                        await self._credentials.get(refused=shown)
                    raise _error(response)
                rest = b""
                async for chunk in response.aiter_raw():
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield line
            finally:
                await response.aclose()
        except httpx2.HTTPError as error:
            raise self._no_answer(error) from error
        except NoCredentials as error:
            raise Unavailable(str(error), credentials=True) from error

    # --- one request ------------------------------------------------------------------------------------------------

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: JSON | None,
        *,
        timeout: float = _TIMEOUT,
        accept: str = "application/json",
    ) -> httpx2.Response:
        for is_last in (False, True):
            client, shown = await self._connected()
            try:
                request = self._request(client, shown, method, path, params, body, timeout)
                request.headers["Accept"] = accept
                response = await client.send(request)
            except httpx2.HTTPError as error:
                raise self._no_answer(error) from error
            if response.status_code < 400:
                return response
            if response.status_code != 401 or is_last:
                raise _error(response)
            try:
                await self._credentials.get(refused=shown)
            except NoCredentials as error:
                raise Unavailable(str(error), credentials=True) from error
        raise AssertionError

    def _request(
        self,
        client: httpx2.AsyncClient,
        shown: Presented,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: JSON | None,
        timeout: float,
    ) -> httpx2.Request:
        headers = {"Authorization": shown.authorization} if shown.authorization else {}
        extensions = {"sni_hostname": self.cluster.server_name} if self.cluster.server_name else None
        return client.build_request(
            method,
            f"{self.cluster.server}{path}",
            params=dict(params) if params else None,
            json=body,
            headers=headers,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 5.0), pool=60.0),
            extensions=extensions,
        )

    def _no_answer(self, error: httpx2.HTTPError) -> Unavailable:
        is_unsure = not isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout))
        if isinstance(error, httpx2.TimeoutException):
            return Unavailable(f"{self.cluster.server} does not answer", unsure=is_unsure)
        words = str(error) or type(error).__name__
        return Unavailable(f"{self.cluster.server} cannot be reached: {words}", unsure=is_unsure)

    async def _connected(self) -> tuple[httpx2.AsyncClient, Presented]:
        """Return a client that shows what there is to show now."""
        try:
            presented = await self._credentials.get()
        except NoCredentials as error:
            raise Unavailable(str(error), credentials=True) from error
        old = self._shown
        if self._client is None or old is None or (old.certificate, old.key) != (presented.certificate, presented.key):
            try:
                context = _tls(self.cluster, presented)
            except (ssl.SSLError, ValueError) as error:
                reason = f"a certificate of the {self.cluster.origin} is bad: {error}"
                raise Unavailable(reason, credentials=True) from None
            if self._client is not None:
                self._replaced.append(self._client)  # watches and calls are under way there
            self._client = httpx2.AsyncClient(
                verify=context,
                proxy=self.cluster.proxy,
                limits=httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=8),
                headers={"User-Agent": "millrace"},
            )
        self._shown = presented
        return self._client, presented


def _tls(cluster: Cluster, presented: Presented) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=cluster.authority)
    if not cluster.is_checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if presented.certificate:
        import tempfile

        with tempfile.NamedTemporaryFile() as file:  # the ssl module takes a file only; nobody else can read this one
            file.write(presented.certificate + b"\n" + (presented.key or b""))
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _error(response: httpx2.Response) -> StatusError | Unavailable:
    """Return what an answer means that is an error."""
    try:
        document = json.loads(response.content)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    document.setdefault("message", response.text[:300].strip() or f"HTTP status {response.status_code}")
    status = response.status_code
    if status == 401:
        return Unavailable(str(document["message"]), credentials=True)
    if status in _PASSING:
        pause = response.headers.get("Retry-After", "")
        reason = f"{document['message']} ({status})"
        return Unavailable(reason, unsure=status != 429, pause=float(pause) if pause.isdigit() else None)
    return StatusError(status, document)
