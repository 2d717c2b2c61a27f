"""Merging the artifacts of a join's inputs: by the hashes of what is stored, without loading anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from metaflow.exception import (
    MergeArtifactsException,
    MissingInMergeArtifactsException,
    UnhandledInMergeArtifactsException,
)

if TYPE_CHECKING:
    from metaflow.flow.binding import Binding
    from metaflow.flow.spec import FlowSpec


def merge(
    flow: FlowSpec,
    binding: Binding,
    inputs: Iterable[FlowSpec],
    exclude: Iterable[str] | None,
    include: Iterable[str] | None,
) -> None:
    """Note in `binding` the artifacts on which `inputs` agree; see `FlowSpec.merge_artifacts`."""
    if not binding.is_join:
        raise MergeArtifactsException(f"merge_artifacts() is called in the step '{binding.step}', which is no join.")
    wanted, unwanted = set(include or ()), set(exclude or ())
    if wanted and unwanted:
        raise MergeArtifactsException("merge_artifacts() takes include= or exclude=, not both.")
    sources: dict[str, tuple[str, FlowSpec]] = {}
    conflicts: set[str] = set()
    own = flow.__dict__.keys() | binding.merged.keys()
    skip = unwanted | own | flow._constants | set(type(flow)._parameter_names())
    for source in inputs:
        for name, key in source._binding.keys.items():
            if name in skip or (wanted and name not in wanted):
                continue
            if sources.setdefault(name, (key, source))[0] != key:
                conflicts.add(name)
    if conflicts:
        names = ", ".join(sorted(conflicts))
        raise UnhandledInMergeArtifactsException(
            f"The inputs of the join '{binding.step}' differ in: {names}.", sorted(conflicts)
        )
    missing = sorted(wanted - sources.keys() - skip)
    if missing:
        raise MissingInMergeArtifactsException(
            f"No input of the join '{binding.step}' has: {', '.join(missing)}.", missing
        )
    for name, (_, source) in sources.items():
        binding.merged[name] = source
        binding.deleted.discard(name)
