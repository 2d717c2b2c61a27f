"""`Metaflow`, `Flow` and `Run`: what there is, and how each run went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from metaflow.client import run_filters
from metaflow.client.objects import Container
from metaflow.client.scope import scope
from metaflow.client.status import LastTask, run_status
from metaflow.client.tasks import Step, Task
from metaflow.exception import CommandException
from metaflow.metadata_provider.lease import RunStatus, lease_of
from metaflow.store.layout import PARAMETERS

if TYPE_CHECKING:
    from metaflow.client.artifacts import MetaflowData
    from metaflow.client.code import MetaflowCode
    from metaflow.client.site import Site
    from metaflow.exception import TaskFailed
    from metaflow.metadata_provider.protocol import Catalog

"""The pseudo-step whose task 0 holds the parameters and the graph of a run."""


class Metaflow:
    """Everything that can be seen: iterate for the flows that have a run in the namespace, or take one by its name."""

    def __init__(self) -> None:
        self._site = scope.site

    @property
    def metadata(self) -> Catalog:
        """The metadata that answer."""
        return self._site.catalog

    @property
    def flows(self) -> list[Flow]:
        """The flows that have a run in the namespace, by name."""
        return list(self)

    def __iter__(self) -> Iterator[Flow]:
        return (flow for flow in map(self._flow, sorted(self._site.catalog.names(()))) if flow._is_in(flow._namespace))

    def _flow(self, name: str) -> Flow:
        flow = Flow.__new__(Flow)
        flow._place((name,), self._site, scope.namespace)
        return flow

    def __getitem__(self, name: str) -> Flow:
        return Flow(name)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or name not in self._site.catalog.names(()):
            return False
        flow = self._flow(name)
        return flow._is_in(flow._namespace)

    def __repr__(self) -> str:
        return "Metaflow()"

    def _ipython_key_completions_(self) -> list[str]:
        return [flow.id for flow in self]


class Flow(Container["Run"], depth=1):
    """A flow: iterate for its runs in the namespace, newest first, or take one by its id.

    Parameters
    ----------
    pathspec : str
        The flow's name.
    """

    __slots__ = ()

    def runs(
        self,
        *tags: str,
        filters: Mapping[str, Any] | None = None,
        page_size: int | None = None,
        max_runs: int | None = None,
    ) -> Iterator[Run]:
        """Yield the runs that are in the namespace and have all of `tags`, newest first.

        Parameters
        ----------
        *tags : str
            Of any kind.
        filters : mapping of str to object, optional
            What else runs must be: ``status:eq`` (``running``, ``completed`` or ``failed``), ``user:eq``,
            ``ts_epoch:ge``, ``gt``, ``le``, ``lt`` or ``eq`` (milliseconds), ``_tags:any`` and ``_tags:all``; several
            values are a list. A metadata service that has filters applies them itself.
        page_size : int, optional
            Most runs that a call of a metadata service asks for; by default METAFLOW_SERVICE_PAGE_SIZE.
        max_runs : int, optional
            Most runs that are yielded.

        Raises
        ------
        CommandException
            There is no such filter, or a number is not 1 or more.
        """
        for name, number in (("page_size", page_size), ("max_runs", max_runs)):
            if number is not None and number < 1:
                raise CommandException(f"{name} is {number}; it must be 1 or more.")
        return islice(self._runs(tags, run_filters.checked(filters), page_size), max_runs)

    def failed_runs(self, *tags: str, max_runs: int | None = None) -> Iterator[Run]:
        """Yield the runs in the namespace that failed, were interrupted or are lost, newest first.

        `Run.failure` says why. `tags` and `max_runs` are as for `runs`.
        """
        return self.runs(*tags, filters={"status:eq": "failed"}, max_runs=max_runs)

    @property
    def latest_run(self) -> Run | None:
        """The newest run in the namespace, finished or not; None if there is none."""
        return next(iter(self), None)

    @property
    def latest_successful_run(self) -> Run | None:
        """The newest run in the namespace that succeeded; None if there is none."""
        return next((run for run in self.runs(filters={"status:eq": "completed"}) if run.successful), None)

    def _children(self, *tags: str) -> Iterator[Run]:
        return self._runs(tags)

    def _runs(
        self, tags: Iterable[str] = (), filters: Mapping[str, str] = MappingProxyType({}), page_size: int | None = None
    ) -> Iterator[Run]:
        for run in self._listed(filters, page_size):
            document = run._document
            if document is None or not run._is_in(self._namespace) or not run.tags.issuperset(tags):
                continue
            if run_filters.wanted(filters, document, lambda run=run: run.status):  # type: ignore[misc]
                yield run

    def _listed(self, filters: Mapping[str, str] = MappingProxyType({}), page_size: int | None = None) -> Iterator[Run]:
        """Yield the runs that there may be, newest first."""
        for listed in self._site.catalog.newest(self.id, filters=filters, page_size=page_size):
            run = self._child(listed.run)
            run._loaded = listed.document
            yield run

    def _is_in(self, namespace: str | None) -> bool:
        return namespace is None or any(run._is_in(namespace) for run in self._listed())


class Run(Container[Step], depth=2):
    """A run: iterate for its steps, the latest first, or take one by its name.

    Parameters
    ----------
    pathspec : str
        ``Flow/run``.
    """

    __slots__ = ()

    def steps(self, *tags: str) -> Iterator[Step]:
        """Yield the steps, the latest first; none if the run does not have all of `tags`."""
        return self._children(*tags)

    @property
    def end_task(self) -> Task | None:
        """The task of the last step; None if the run did not get there."""
        last = self._child(self._endpoint("end"))
        return last.task if last._exists() else None

    @property
    def successful(self) -> bool:
        """Whether the run came to its end; False while it goes on."""
        task = self.end_task
        return task is not None and task.successful

    @property
    def finished(self) -> bool:
        """Whether the last task is finished, and with it the run."""
        task = self.end_task
        return task is not None and task.finished

    @property
    def status(self) -> str:
        """How the run stands, in one word.

        ``running``; ``successful``; ``failed``; ``interrupted``; ``lost`` if the process that carried it out is gone
        without a word (killed, or the machine was restarted); ``unknown`` for an unfinished run of Metaflow, which
        leaves nothing that tells. Not in Metaflow.
        """
        return self._lease_status().state

    @property
    def failure(self) -> TaskFailed | None:
        """Why the run failed, was interrupted or is lost, with a hint; None if it did not. Not in Metaflow.

        Of a failed run `failure.values` has ``step``, ``task`` and ``cause``, the class of the task's failure.
        """
        return self._lease_status().failure

    def _lease_status(self) -> RunStatus:
        return run_status(lease_of(self._site.catalog, *self._components).status(), self._last_task)

    def _last_task(self) -> LastTask | None:
        task = self.end_task
        if task is None or not task.finished:
            return None
        ended = task.finished_at
        return LastTask(task.successful, task.failure, ended.timestamp() if ended is not None else None)

    @property
    def finished_at(self) -> datetime | None:
        """When the last task ended, in local time; None if it did not."""
        task = self.end_task
        return None if task is None else task.finished_at

    @property
    def data(self) -> MetaflowData | None:
        """The artifacts of the last task; None if the run did not get there."""
        task = self.end_task
        return None if task is None else task.data

    @property
    def code(self) -> MetaflowCode | None:
        """The code package of the run; None if none was stored."""
        for step in self:  # in Metaflow's runs only some tasks have recorded it
            task = step.task
            code = task.code if task is not None else None
            if code is not None:
                return code
        return None

    @property
    def trigger(self) -> None:
        """The events that started the run: None, since events are not recorded yet."""
        return None

    @property
    def origin_pathspec(self) -> str | None:
        """Path of the run that this one resumed; None if it began anew."""
        task = self._first_task()
        origin = None if task is None else task._origin("origin-run-id")
        return f"{self._components[0]}/{origin}" if origin else None

    def add_tag(self, tag: str) -> None:
        """Add a user tag; if the run has it already, nothing happens."""
        self.replace_tags((), tag)

    def add_tags(self, tags: Iterable[str]) -> None:
        """Add user tags in one step."""
        self.replace_tags((), tags)

    def remove_tag(self, tag: str) -> None:
        """Remove a user tag; if the run does not have it, nothing happens."""
        self.replace_tags(tag, ())

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Remove user tags in one step."""
        self.replace_tags(tags, ())

    def replace_tag(self, tag_to_remove: str, tag_to_add: str) -> None:
        """Remove one user tag and add another, in one step."""
        self.replace_tags(tag_to_remove, tag_to_add)

    def replace_tags(self, tags_to_remove: Iterable[str], tags_to_add: Iterable[str]) -> None:
        """Remove user tags, then add others, in one step.

        Raises
        ------
        MetaflowTaggingError
            A tag to remove is a system tag, a tag to add is not valid, or no tag was given.
        """
        flow, run = self._components
        self._site.catalog.change_tags(flow, run, add=_several(tags_to_add), remove=_several(tags_to_remove))
        self._loaded = None

    def _endpoint(self, name: str) -> str:
        """Return what the run calls its ``start`` or ``end`` step."""
        facts = self._site.catalog.facts((*self._components, PARAMETERS, "0"), f"{name}_step")
        return str(facts[-1]["value"]) if facts else name

    def _first_task(self) -> Task | None:
        first = self._child(self._endpoint("start"))
        return first.task if first._exists() else None


def _several(tags: object) -> list[str]:
    if isinstance(tags, Iterable) and not isinstance(tags, (str, bytes)):
        return list(tags)
    return [tags]  # type: ignore[list-item]  # what is no text is refused where the rules of tags are


def run_at(site: Site, flow: str, run: str) -> Run:
    """Return a run of a site, whatever this process has chosen to look at."""
    found = Run.__new__(Run)
    found._place((flow, run), site, None)
    return found
