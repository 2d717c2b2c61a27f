"""`@package_suffixes`: further files of the flow's own directory that go into the code package. Stands on the class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metaflow.decorators.package_sources import suffixes_given
from metaflow.flow.package_content import Addition
from metaflow.flow.user_decorators import FlowMutator


class package_suffixes(FlowMutator):
    """Take files with further endings along to remote tasks, as ``--package-suffixes`` does.

    Parameters
    ----------
    suffixes : sequence of str, or str with commas
        Endings of files beside the flow file and below, with or without the dot.

    Raises
    ------
    InvalidFlow
        They are no strings.

    Examples
    --------
    >>> @package_suffixes([".sql", ".yaml"])
    ... class TrainFlow(FlowSpec): ...
    """

    def init(self, suffixes: Sequence[str]) -> None:
        """Check what the decorator was given."""
        self._suffixes = suffixes_given("@package_suffixes(", suffixes)

    def add_to_package(self) -> Iterator[Addition]:
        """Yield the endings."""
        yield Addition("", suffixes=self._suffixes)
