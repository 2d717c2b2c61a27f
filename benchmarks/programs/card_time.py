"""How long the default card of the latest run takes, at the second go: reading the task, drawing, and storing it."""

import time
from pathlib import Path
from statistics import median

from hello import HelloBench

from metaflow import Flow, Task, namespace
from metaflow.cards import DefaultCard

namespace(None)
run = Flow("HelloBench").latest_run
assert run is not None
path = next(iter(run["start"])).pathspec
took = []
for _ in range(30):
    began = time.perf_counter()
    page = DefaultCard(flow=HelloBench).render(Task(path))
    Path("card.html").write_text(page)
    took.append(time.perf_counter() - began)
print("seconds", median(took[1:]))
