"""What the client sees in this process: in which site it looks for runs, and in which namespace.

Process-wide, as in Metaflow: `namespace` and `metadata` change what *later* objects see. Until one of them is called
the installation's settings decide; they are read at first use. Start reading at `Scope`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metaflow.client.site import Site


class Scope:
    """The process-wide state of the client, and the only one there is."""

    def __init__(self) -> None:
        self._site: Site | None = None
        self._home: Site | None = None
        self._namespace: str | None = None

    @property
    def site(self) -> Site:
        """Where runs are looked for."""
        if self._site is None:
            self._site = self._home = self._home or _installed()
        return self._site

    @site.setter
    def site(self, site: Site | None) -> None:
        self._site = site

    @property
    def namespace(self) -> str | None:
        """The tag that runs must have to be seen; None or empty: none."""
        if self._namespace is None:
            from metaflow import settings

            self._namespace = f"user:{settings.load().user}"
        return self._namespace or None

    @namespace.setter
    def namespace(self, namespace: str | None) -> None:
        self._namespace = namespace or ""

    def reset_namespace(self) -> None:
        """Go back to the namespace of the person or service who runs this."""
        self._namespace = None

    def adopt(self, site: Site, namespace: str | None) -> None:
        """Start from what a command line has decided, instead of from the settings."""
        self._home = self._site = site
        self.namespace = namespace

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Start from the settings as they are now; afterwards all is as it was."""
        before = dict(self.__dict__)
        self.__init__()  # type: ignore[misc]
        try:
            yield
        finally:
            self.__dict__.update(before)


def _installed() -> Site:
    from metaflow import settings
    from metaflow.client.site import of_settings

    return of_settings(settings.load())


scope = Scope()


def namespace(ns: str | None) -> str | None:
    """Set the namespace: the tag that runs must have to be seen by objects made from now on.

    Parameters
    ----------
    ns : str or None
        Any tag, such as ``user:ann``. None, the global namespace, shows every run.

    Returns
    -------
    str or None
        The namespace.
    """
    if ns is not None and not isinstance(ns, str):
        raise TypeError(f"A namespace is a text or None, not the {type(ns).__name__} {ns!r}.")
    scope.namespace = ns
    return ns


def get_namespace() -> str | None:
    """Return the namespace; None is the global one.

    Raises
    ------
    metaflow.exception.MetaflowUnknownUser
        None was set, and nobody can say who runs this.
    """
    return scope.namespace


def default_namespace() -> str | None:
    """Go back to the namespace ``user:<name>`` of whoever runs this, and return it."""
    scope.reset_namespace()
    return scope.namespace


def metadata(ms: str) -> str:
    """Set where objects made from now on are looked for.

    Parameters
    ----------
    ms : str
        A directory with a ``.metaflow`` in it, or ``local@DIRECTORY``; ``spin@DIRECTORY`` as for `inspect_spin`.

    Returns
    -------
    str
        The place, as `get_metadata` returns it.

    Raises
    ------
    metaflow.exception.MetaflowNotFound
        There is no ``.metaflow`` in the directory.
    """
    from metaflow.client.site import named

    if ms in ("", "local", "local@"):
        return default_metadata()
    scope.site = named(ms)
    return scope.site.address


def inspect_spin(datastore_root: str = ".") -> None:
    """Have objects made from now on be the results of ``spin --persist``, instead of runs.

    Parameters
    ----------
    datastore_root : str
        The directory that has ``.metaflow_spin`` in it; by default the working directory.

    Raises
    ------
    metaflow.exception.MetaflowNotFound
        It has none.

    Examples
    --------
    >>> inspect_spin()  # doctest: +SKIP
    >>> Flow("MyFlow").latest_run["train"].task.data.model  # doctest: +SKIP
    """
    from metaflow.client.site import named

    scope.site = named(f"spin@{datastore_root}")


def get_metadata() -> str:
    """Return where objects are looked for, as ``local@DIRECTORY``."""
    return scope.site.address


def default_metadata() -> str:
    """Go back to the place that the settings name, and return it."""
    scope.site = None
    return scope.site.address
