"""What the first card of a process costs, once for all tasks: imported by the process that they are forked from.

Half of what a small default card takes is Python at its first go: the tokenizer compiles its patterns, abstract classes
learn who is one of theirs. So a card of nothing is made here. It reads nothing but our own source, and stays in memory.
"""

from __future__ import annotations

from datetime import UTC, datetime

from metaflow.cards import in_task
from metaflow.cards.default import DefaultCard
from metaflow.cards.facts import ShownArtifact, TaskFacts

__all__ = ["in_task"]  # which a task goes on to need

_MOMENT = datetime.fromtimestamp(0, UTC)
_STEPS = {
    "render": {"type": "split-foreach", "next": ["end"], "doc": ""},
    "end": {"type": "end", "next": [], "doc": ""},
}
_FACTS = TaskFacts(
    pathspec="Flow/1/render/1",  # a method of the class below, whose source is shown as that of a step
    status="successful",
    failure=None,
    times=(_MOMENT, _MOMENT),
    tags=(),
    recorded={},
    graph={"steps": _STEPS, "start_step": "render"},
    parameters=[ShownArtifact("x", "int", 5, (1,))],
    artifacts=[ShownArtifact("y", "list", 5, ([1, 0.5, "text"],)), ShownArtifact("z", "dict", 5, ({"a": None},))],
)

DefaultCard(flow=DefaultCard)._page(_FACTS, [], "final")
