"""The metadata of a task whose facts its launcher sends: what it records goes home with its report, and costs no call.

What it asks about other tasks is asked of the service; of itself it knows what it has recorded. Start reading at
`ReportedMetadata.get`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

from metaflow.metadata_provider.deferred import DeferredMetadata
from metaflow.metadata_provider.protocol import Document, ListedRun
from metaflow.metadata_provider.service.metadata import ServiceMetadata


class ReportedMetadata(DeferredMetadata):
    """Collects what is recorded, and reads the service (`metaflow.metadata_provider.protocol.Metadata`)."""

    kind = "reported"

    def __init__(self, root: str, user: str = "") -> None:
        super().__init__(root.rstrip("/"), user)
        self.kind = "service"  # for whoever asks where its run is
        self._user = user

    @cached_property
    def _service(self) -> ServiceMetadata:
        return ServiceMetadata(self.root, self._user)

    @property
    def connection(self) -> object:
        """How the service is reached."""
        return self._service.connection

    def get(self, path: Sequence[str], attempt: int = 0) -> Document | None:
        return super().get(path, attempt) if self._is_own(path) else self._service.get(path, attempt)

    def facts(self, path: Sequence[str], field: str | None = None) -> list[Document]:
        return super().facts(path, field) if self._is_own(path) else self._service.facts(path, field)

    def latest_run(self, flow: str) -> str | None:
        return self._service.latest_run(flow)

    def names(self, path: Sequence[str]) -> list[str]:
        return self._service.names(path)

    def children(self, path: Sequence[str]) -> Iterable[Document]:
        return self._service.children(path)

    def newest(
        self,
        flow: str,
        before: int | None = None,
        filters: Mapping[str, str] | None = None,
        page_size: int | None = None,
    ) -> Iterable[ListedRun]:
        return self._service.newest(flow, before, filters, page_size)

    def facts_below(self, path: Sequence[str], fields: Collection[str]) -> Iterable[Document]:
        return self._service.facts_below(path, fields)

    def change_tags(self, flow: str, run: str, *, add: Iterable[str], remove: Iterable[str]) -> list[str]:
        return self._service.change_tags(flow, run, add=add, remove=remove)

    def _is_own(self, path: Sequence[str]) -> bool:
        return len(path) > 3 and any(tuple(entry.task) == tuple(path[:4]) for entry in self.entries)
