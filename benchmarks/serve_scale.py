"""What pages cost over very many runs, and over a run of very many tasks, in local files.

``python -m benchmarks.serve_scale`` makes 100,000 runs and a run of 10,000 tasks in a temporary directory, as the
engine writes them, and prints for each question seconds, those of the processor, and bytes: at first, and with what is
kept.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metaflow.client.site import Site
from metaflow.metadata_provider.local import LocalMetadata
from metaflow.serve.reading.cache import Cache
from metaflow.serve.reading.encoding import encode
from metaflow.serve.reading.filters import RunFilter
from metaflow.serve.reading.site_reader import SiteReader
from metaflow.store.local import LocalStorage

_BEGAN = 1_700_000_000_000_000
"""Microseconds: when the first run began."""


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=100_000)
    arguments.add_argument("--tasks", type=int, default=10_000)
    asked = arguments.parse_args()
    place = Path(tempfile.mkdtemp(prefix="serve-scale-"))
    try:
        root = place / ".metaflow"
        _write_runs(root / "Many", asked.runs)
        wide = _write_wide_run(root / "Wide", asked.tasks)
        for label in ("first", "again", "with the cache"):
            if label != "again":
                site = Site(LocalMetadata(str(root)), LocalStorage(str(root)))
                reader = SiteReader(site, Cache(str(place / "cache" / "pages.sqlite")))
            print(f"\n{label}")
            _ask_all(reader, asked.runs, wide)
        print(f"\n{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
    finally:
        shutil.rmtree(place)


def _ask_all(reader: SiteReader, runs: int, wide: str) -> None:
    middle = f"{(_BEGAN + runs // 2 * 1_000_000) // 1000}.Many.x"
    _measure("50 runs of all", lambda: reader.runs(RunFilter()))
    _measure("50 runs of one flow", lambda: reader.runs(RunFilter(flow="Many")))
    _measure("50 runs from the middle", lambda: reader.runs(RunFilter(), middle))
    _measure("failed (one in 1,000)", lambda: reader.runs(RunFilter(states=frozenset({"failed"}))))
    _measure("a tag that none has", lambda: reader.runs(RunFilter(tags=frozenset({"none"}))))
    _measure("tasks of the wide run", lambda: reader.tasks("Wide", wide))
    _measure("the wide run", lambda: reader.run("Wide", wide))


def _measure(label: str, ask: Callable[[], Any]) -> None:
    begin, used = time.perf_counter(), time.process_time()
    found = ask()
    seconds, used = time.perf_counter() - begin, time.process_time() - used
    note = "" if not getattr(found, "is_partial", False) else f", stopped after a while with {len(found.rows)}"
    print(f"  {label:28} {seconds:7.3f} s ({used:.3f} s) {len(encode(found)):12,} bytes{note}")


def _write_runs(flow: Path, count: int) -> None:
    for number in range(count):
        identity = str(_BEGAN + number * 1_000_000)
        meta = flow / identity / "_meta"
        meta.mkdir(parents=True)
        _write(meta / "_self.json", _document(identity, tags=["nightly"] if number % 7 == 0 else []))
        state = "failed" if number % 1000 == 0 else "successful"
        _write(meta / "lease.json", {"holder": {}, "state": state, "failure": None, "ended": _end_of(identity)})
    _write(flow / "_meta" / "_self.json", {"flow_id": flow.name, "ts_epoch": _BEGAN // 1000})


def _end_of(identity: str) -> float:
    """Return when a run ended that began at its id."""
    return int(identity) / 1e6 + 60


def _document(identity: str, **further: Any) -> dict[str, Any]:
    tags = {"tags": [], "system_tags": ["user:ann", "runtime:dev"]}
    return {"run_number": identity, "user_name": "ann", "ts_epoch": int(identity) // 1000, **tags, **further}


def _write_wide_run(flow: Path, count: int) -> str:
    identity = str(_BEGAN)
    _write(flow / "_meta" / "_self.json", {"flow_id": flow.name, "ts_epoch": _BEGAN // 1000})
    _write(flow / identity / "_meta" / "_self.json", _document(identity))
    ended: dict[str, Any] = {"holder": {}, "state": "failed", "failure": None, "ended": _end_of(identity)}
    _write(flow / identity / "_meta" / "lease.json", ended)
    _write(flow / identity / "train" / "_meta" / "_self.json", {"step_name": "train", "ts_epoch": _BEGAN // 1000})
    for number in range(count):
        meta = flow / identity / "train" / str(number) / "_meta"
        now = _BEGAN // 1000 + number * 10
        _write(meta / "_self.json", _document(identity, task_id=str(number)))
        facts = {
            "attempt": "0",
            "attempt_ok": str(number != count // 2),
            "attempt-done": "0",
            "foreach-stack": [f"models=model number {number}"],
            "foreach-execution-path": f"train:{number}",
            **dict.fromkeys(("ds-type", "ds-root", "user", "runtime", "script-name", "python_version"), "x"),
        }
        for index, (name, value) in enumerate(facts.items()):
            fact = {"field_name": name, "value": value, "type": name, "tags": ["attempt_id:0"], "ts_epoch": now + index}
            _write(meta / f"sysmeta_{name}_{now + index}.json", fact)
        for name in ("model", "score", "_success", "_task_ok", "_foreach_stack", "_transition"):
            _write(meta / f"0_artifact_{name}.json", _document(identity, name=name, sha="0" * 40))
    return identity


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


if __name__ == "__main__":
    main()
