"""Notices that a spot instance of EC2 is about to be taken away, some two minutes ahead.

The machine's metadata service is asked by a thread beside the task, where the backend says that there is one. When the
notice comes, a file appears whose path the task knows as `current.spot_termination_notice`, and two facts are noted.
"""

from __future__ import annotations

import time
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from metaflow import files
from metaflow.compute.jobs.entry import SPOT

SERVICE = "http://169.254.169.254"
_TOKEN_SECONDS = 21600
_TIMEOUT = 2.0
_TRIES = 3
"""Times that a service may not answer before it is taken for absent."""


def spot_variables(backend: str, datastore: str, s3_endpoint: str | None) -> dict[str, str]:
    """Return what makes a remote task listen for the notice: where its machine may be one of AWS."""
    return {SPOT: "aws"} if backend == "batch" or (datastore == "s3" and s3_endpoint is None) else {}


class SpotWatch:
    """Waits for the notice.

    Parameters
    ----------
    path : str
        The file that shall appear; its text is the time at which the machine goes.
    service : str
        URL of the metadata service (version 2).
    pace : float
        Seconds between two questions.

    Attributes
    ----------
    facts : dict of str to str
        ``spot-termination-received-at`` and ``spot-termination-time``, once the notice has come.
    """

    def __init__(self, path: str, service: str = SERVICE, pace: float = 5.0) -> None:
        self._path = path
        self._service = service
        self._pace = pace
        self._opener = build_opener(ProxyHandler({}))
        self._token = ""
        self._over = Event()
        self.facts: dict[str, str] = {}

    def start(self) -> None:
        """Begin to watch."""
        Thread(target=self._work, name="spot", daemon=True).start()

    def stop(self) -> None:
        """Stop after the question under way; it is not waited for."""
        self._over.set()

    def _work(self) -> None:
        failures = 0
        while failures < _TRIES:
            try:
                when = self._ask()
                failures = 0
            except OSError:
                when = None
                failures += 1
            if when is not None:
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                files.write(self._path, f"{when}\n".encode())
                self.facts = {"spot-termination-received-at": now, "spot-termination-time": when}
                return
            if self._over.wait(self._pace):
                return

    def _ask(self) -> str | None:
        """Return when the machine goes; None if nobody says that it does."""
        if not self._token:
            self._token = self._request("PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds", str(_TOKEN_SECONDS))
        try:
            return self._request(
                "GET", "meta-data/spot/termination-time", "X-aws-ec2-metadata-token", self._token
            ).strip()
        except HTTPError as error:
            error.close()
            if error.code == 401:
                self._token = ""
            elif error.code != 404:
                raise
            return None

    def _request(self, method: str, path: str, header: str, value: str) -> str:
        request = Request(f"{self._service}/latest/{path}", method=method, headers={header: value})
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            return str(answer.read().decode())
