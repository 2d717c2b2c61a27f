"""Is everything below a datastore root whole?

The promise under test: who sees a name can read its bytes, whatever died when, and nothing else is left.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

from metaflow.files import TEMPORARY

_BLOB = re.compile(r"[0-9a-f]{40}")


def faults(root: Path) -> list[str]:
    """Return a line for each file below `root` that is not what its name promises."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_dir():
            continue
        if path.name.startswith(TEMPORARY):
            found.append(f"{path}: a temporary file was left")
        elif path.suffix == ".json":
            found += _json_faults(path)
        elif _BLOB.fullmatch(path.name):
            found += _blob_faults(path)
        elif path.name.endswith(".DONE.lock"):
            found += _done_faults(path)
    return found


def assert_sound(root: Path) -> None:
    """Fail if a JSON file does not parse, a blob is not what its name says, or a finished task lacks a part."""
    found = faults(root)
    assert not found, "\n".join(found)


def _json_faults(path: Path) -> list[str]:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        return [f"{path}: {error}"]
    return []


def _blob_faults(path: Path) -> list[str]:
    try:
        raw = json.loads(path.with_name(path.name + "_meta").read_bytes())["cas_raw"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{path}: its _meta: {error!r}"]
    try:
        data = path.read_bytes() if raw else gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        return [f"{path}: {error!r}"]
    if hashlib.sha1(data).hexdigest() != path.name:
        return [f"{path}: its bytes have another SHA-1"]
    return []


def _done_faults(path: Path) -> list[str]:
    """A done marker promises an index, and an index promises its blobs."""
    attempt = path.name.partition(".")[0]
    index = path.with_name(f"{attempt}.data.json")
    if not index.exists():
        return [f"{path}: no index beside it"]
    blobs = path.parents[3] / "data"
    objects = json.loads(index.read_bytes())["objects"]
    return [
        f"{index}: no blob {sha} of {name}" for name, sha in objects.items() if not (blobs / sha[:2] / sha).exists()
    ]
