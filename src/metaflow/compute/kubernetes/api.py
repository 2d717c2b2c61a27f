"""The cluster's REST API: calls with patience, and watches. The only module that knows HTTP.

Objects are the JSON of the API, as dictionaries: a backend that needs ten fields of a pod has no use for typed models
of the whole API (docs/decisions/0016). Start reading at `Api.call`.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

import httpx2

from metaflow.compute.kubernetes.credentials import Credentials, NoCredentials, Presented
from metaflow.settings.kubeconfig import Cluster

JSON = dict[str, Any]

_TIMEOUT = 10.0
_CONNECTIONS = 32
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_PAGE = 250
"""Objects of a list that are read at a time: a finished pod has 5 to 10 kB."""


class Away(Exception):
    """The API server does not answer; the reason is for people."""


class Refused(Exception):
    """The API server has answered with an error.

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
    pause : float or None
        Seconds after which to try again, if it says so.
    """

    def __init__(self, status: int, document: Mapping[str, Any], pause: float | None = None) -> None:
        self.status = status
        self.reason = str(document.get("reason") or "")
        self.message = str(document.get("message") or f"HTTP status {status}")
        self.details: Mapping[str, Any] = document.get("details") or {}
        self.pause = pause
        super().__init__(f"{self.message} ({status})")

    @property
    def is_passing(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self.status in _PASSING

    @property
    def is_quota(self) -> bool:
        """Whether a ResourceQuota is used up, which may change."""
        return self.status == 403 and "exceeded quota" in self.message


class Pauses:
    """Growing pauses between tries, with some randomness, so that a thousand do not come back at once."""

    def __init__(self, first: float = 0.3, longest: float = 8.0) -> None:
        self._first = self._next = first
        self._longest = longest

    def reset(self) -> None:
        self._next = self._first

    async def wait(self, least: float | None = None, stop: asyncio.Event | None = None) -> None:
        """Wait; for `least` seconds at least, and not longer than until `stop`."""
        pause = max(self._next * random.uniform(0.6, 1.0), least or 0.0)
        self._next = min(self._next * 2, self._longest)
        try:
            await asyncio.wait_for((stop or asyncio.Event()).wait(), pause)
        except TimeoutError:
            pass


class Api:
    """An API server, by one pool of connections.

    Parameters
    ----------
    cluster : Cluster
        Where it is and as whom to come.
    """

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
        patience: float = 0.0,
        on_trouble: Callable[[str], None] | None = None,
    ) -> JSON:
        """Make a call and return the answer.

        Parameters
        ----------
        patience : float
            Seconds for which it is made again if the server is away or overloaded.
        on_trouble : callable, optional
            Is told why it has to be made again.

        Raises
        ------
        Refused, Away
            The server's answer is an error; or there is none.
        """
        until = time.monotonic() + patience
        pauses = Pauses()
        while True:
            try:
                response = await self._send(method, path, params, body)
                document: JSON = response.json()
                return document
            except (Refused, Away) as error:
                is_passing = isinstance(error, Away) or error.is_passing
                if not is_passing or time.monotonic() >= until:
                    raise
                if on_trouble is not None:
                    on_trouble(str(error))
                await pauses.wait(getattr(error, "pause", None))

    async def get(self, path: str, *, patience: float = 0.0, **params: str) -> JSON:
        """Read an object."""
        return await self.call("GET", path, params=params, patience=patience)

    async def find(self, path: str, *, patience: float = 0.0) -> JSON | None:
        """Read an object; None if there is no such."""
        try:
            return await self.get(path, patience=patience)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def exists(self, path: str) -> bool:
        """Tell whether there is such an object, without reading what is in it: it may be a secret."""
        try:
            await self._send(
                "GET", path, None, None, accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
            )
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    async def pages(self, path: str, *, patience: float = 0.0, **params: str) -> AsyncIterator[JSON]:
        """Read a list, some hundred objects at a time."""
        again: dict[str, str] = {}
        while True:
            page = await self.get(path, patience=patience, limit=str(_PAGE), **params, **again)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            again = {"continue": token}

    async def list(self, path: str, *, patience: float = 0.0, **params: str) -> list[JSON]:
        """Read a list as a whole."""
        found: list[JSON] = []
        async for page in self.pages(path, patience=patience, **params):
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
                    raise _refusal(response)
                rest = b""
                async for chunk in response.aiter_raw():
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield line
            finally:
                await response.aclose()
        except httpx2.HTTPError as error:
            raise Away(_words(error, self.cluster.server)) from error
        except NoCredentials as error:
            raise Refused(401, {"message": str(error)}) from error

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
                raise Away(_words(error, self.cluster.server)) from error
            if response.status_code < 400:
                return response
            if response.status_code != 401 or is_last:
                raise _refusal(response)
            try:
                await self._credentials.get(refused=shown)
            except NoCredentials as error:
                raise Refused(401, {"message": str(error)}) from error
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

    async def _connected(self) -> tuple[httpx2.AsyncClient, Presented]:
        """Return a client that shows what there is to show now."""
        try:
            presented = await self._credentials.get()
        except NoCredentials as error:
            raise Refused(401, {"message": str(error)}) from error
        old = self._shown
        if self._client is None or old is None or (old.certificate, old.key) != (presented.certificate, presented.key):
            try:
                context = _tls(self.cluster, presented)
            except (ssl.SSLError, ValueError) as error:
                raise Refused(401, {"message": f"a certificate of the {self.cluster.origin} is bad: {error}"}) from None
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


def _refusal(response: httpx2.Response) -> Refused:
    try:
        document = json.loads(response.content)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    document.setdefault("message", response.text[:300].strip() or f"HTTP status {response.status_code}")
    pause = response.headers.get("Retry-After", "")
    return Refused(response.status_code, document, float(pause) if pause.isdigit() else None)


def _words(error: httpx2.HTTPError, server: str) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return f"{server} does not answer"
    return f"{server} cannot be reached: {error or type(error).__name__}"
