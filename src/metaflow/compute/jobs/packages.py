"""What a remote task gets before it starts: the two packages, in the storage, by signed URLs.

Start reading at `TaskPackages.links`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from hashlib import sha1, sha256
from threading import Lock

from metaflow import files
from metaflow.compute.jobs.entry import Package
from metaflow.compute.jobs.runtime_package import RuntimeArchive
from metaflow.compute.package import FORMAT
from metaflow.store.blobs import Blobs
from metaflow.store.protocol import Storage

_VALID = 7 * 24 * 3600
"""Seconds that a URL is good for: the longest that S3 allows. Of credentials that expire earlier, so long as these."""


class TaskPackages:
    """The packages of a run.

    Parameters
    ----------
    storage : Storage
        Where the run's data are.
    flow : str
        The flow's name.
    code : bytes
        The code package.
    runtime : callable
        Returns the runtime package; called once, when it is needed.
    other_suffixes : sequence of str, optional
        Endings of files of the user that are not in the code package.
    """

    def __init__(
        self,
        storage: Storage,
        flow: str,
        code: bytes,
        runtime: Callable[[], RuntimeArchive],
        other_suffixes: Sequence[str] = (),
    ) -> None:
        self.other_suffixes = other_suffixes
        self._storage = storage
        self._code = code
        self._runtime = runtime
        self._blobs = Blobs(storage, flow)
        self._sha = sha1(code, usedforsecurity=False).hexdigest()
        self._lock = Lock()

    @property
    def fact(self) -> str:
        """Which code package the run has, as its tasks record it (``code-package``)."""
        return json.dumps(
            {
                "ds_type": self._storage.kind,
                "sha": self._sha,
                "location": self._storage.describe(self._blobs.path(self._sha)),
                "metadata": json.dumps(FORMAT),
            }
        )

    def links(self) -> list[Package]:
        """Upload what is not there yet, and return where the packages are, with URLs signed now.

        Raises
        ------
        MetaflowException
            The storage refuses, or the runtime package cannot be made.
        """
        with self._lock:
            return [
                Package(name, self._storage.signed_url(key, _VALID), digest) for name, key, digest in self._uploaded
            ]

    @cached_property
    def _uploaded(self) -> list[tuple[str, str, str]]:
        runtime = self._runtime()
        code = self._blobs.path(self._sha)
        has_runtime, has_code = self._storage.head([runtime.key, code])
        if has_code != len(self._code):  # or it is there compressed once more, as any other blob may be
            self._blobs.save_as_it_is(self._code)
        if has_runtime is None:
            content = files.read(runtime.path) or b""
            self._storage.put([(runtime.key, content)])
        digest = sha256(self._code).hexdigest()
        del self._code
        return [("runtime", runtime.key, runtime.sha256), ("code", code, digest)]
