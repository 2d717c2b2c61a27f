"""`MetaflowCode`: the source that a run was started from, as far as it was stored.

Reads the packages of `metaflow.compute.package` and those of Metaflow, which also hold Metaflow itself: below
``.mf_code`` with the description in ``.mf_meta``, or in older ones ``metaflow`` and ``INFO`` beside the flow.
"""

from __future__ import annotations

import json
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

from metaflow.exception import MetaflowDataMissing
from metaflow.store.blobs import Blobs

if TYPE_CHECKING:
    from tarfile import TarFile
    from tempfile import TemporaryDirectory

    from metaflow.store.protocol import Storage


_INFO = (".mf_meta/INFO", "INFO")
_METAFLOW = ("metaflow/", ".mf_code/metaflow/", ".mf_code/metaflow_extensions/", ".mf_meta/", ".mf_install")


class MetaflowCode:
    """A code package: the files with which a run was started.

    Parameters
    ----------
    storage : Storage
        Where the flow's blobs are.
    flow : str
        The flow's name.
    package : str
        What the task recorded: JSON with ``sha`` and ``location``.
    """

    def __init__(self, storage: Storage, flow: str, package: str) -> None:
        self._blobs = Blobs(storage, flow)
        self._flow = flow
        try:
            self._package = {name: str(json.loads(package)[name]) for name in ("sha", "location")}
        except (ValueError, KeyError, TypeError) as error:
            raise MetaflowDataMissing(
                f"What a task of {flow} has recorded of its code package cannot be read: {package!r}."
            ) from error

    @property
    def path(self) -> str:
        """Where the package is stored."""
        return self._package["location"]

    @cached_property
    def _bytes(self) -> bytes:
        return self._blobs.load(self._package["sha"])

    @property
    def tarball(self) -> TarFile:
        """The package, open for reading."""
        import tarfile

        return tarfile.open(fileobj=BytesIO(self._bytes), mode="r:*")

    @cached_property
    def info(self) -> dict[str, Any]:
        """What the package says of the environment and the flow."""
        for name in _INFO:
            try:
                described: dict[str, Any] = json.loads(self._member(name))
            except KeyError:
                continue
            return described
        return {}

    @property
    def script_name(self) -> str:
        """Name of the flow's file in the package."""
        return str(self.info.get("script", ""))

    @property
    def flowspec(self) -> str:
        """The source of the flow's file."""
        try:
            return self._member(self.script_name).decode()
        except KeyError:
            raise MetaflowDataMissing(f"The code package {self.path} does not hold '{self.script_name}'.") from None

    def extract(self) -> TemporaryDirectory[str]:
        """Unpack the user's files into a new temporary directory, which goes when the returned object goes."""
        from tempfile import TemporaryDirectory

        directory = TemporaryDirectory()
        with self.tarball as tarball:
            own = [member for member in tarball if not member.name.startswith(_METAFLOW) and member.name not in _INFO]
            tarball.extractall(directory.name, own, filter="data")
        return directory

    def _member(self, name: str) -> bytes:
        with self.tarball as tarball:
            file = tarball.extractfile(name)
            return file.read() if file is not None else b""

    def __repr__(self) -> str:
        return f"<MetaflowCode: {self._flow}, {self.path}>"
