"""How large the default card of the latest run is."""

from metaflow import Flow, namespace
from metaflow.cards import get_cards

namespace(None)
run = Flow("HelloBench").latest_run
assert run is not None
(card,) = get_cards(next(iter(run["start"])))
print("kB", len(card.get().encode()) / 1000)
