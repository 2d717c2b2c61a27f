"""Code packages."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from metaflow.client import Run
from metaflow.exception import MetaflowDataMissing
from metaflow.store.blobs import Blobs

from .written import Place, WrittenRun


def package(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("_py", ".py"))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def stored(place: Place, content: bytes) -> WrittenRun:
    run = place.run()
    run.task("start", "1")
    (sha,) = Blobs(place.storage, run.flow).save([content])
    described = json.dumps({"ds_type": "local", "sha": sha, "location": f"somewhere/{sha}"})
    run.facts("start", "1", 0, **{"code-package": described})
    return run


def test_a_code_package(place: Place) -> None:
    info = json.dumps({"script": "flow.py", "environment_type": "local"}).encode()
    code = Run(stored(place, package(INFO=info, flow_py=b"print('\xe2\x98\x83')")).path).code
    assert code is not None
    assert code.script_name == "flow.py"
    assert code.flowspec == "print('☃')"
    assert code.info["environment_type"] == "local"
    assert code.path.startswith("somewhere/")
    assert code.tarball.getnames() == ["INFO", "flow.py"]
    with code.extract() as directory:
        assert (Path(directory) / "flow.py").is_file()


def test_a_code_package_without_its_parts(place: Place) -> None:
    run = Run(stored(place, package(other_py=b"")).path)
    code = run["start"].task.code
    assert code is not None
    assert run["start"].environment_info == {}
    with pytest.raises(MetaflowDataMissing, match="does not hold"):
        code.flowspec
