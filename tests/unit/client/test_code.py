"""Code packages."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from metaflow.client import Run
from metaflow.compute.archive import Member, pack
from metaflow.exception import MetaflowDataMissing
from metaflow.store.blobs import Blobs
from support.present import present

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
    code = present(run["start"].task).code
    assert code is not None
    assert run["start"].environment_info == {}
    with pytest.raises(MetaflowDataMissing, match="does not hold"):
        code.flowspec


def archived(members: dict[str, bytes]) -> bytes:
    return pack([Member(name, content) for name, content in members.items()], 1)


@pytest.mark.parametrize("own", [".mf_code/metaflow/", "metaflow/"])
def test_extracting_gives_the_user_s_files(place: Place, own: str) -> None:
    info = json.dumps({"script": "flow.py"}).encode()
    generated = (".mf_meta/INFO", ".mf_meta/CONFIG", ".mf_install") if own.startswith(".") else ("INFO",)
    files = {
        **dict.fromkeys(generated, info),
        f"{own}cli.py": b"",
        "flow.py": b"",
        "sub/x.py": b"",
        ".mf_code/y.py": b"",
    }
    code = Run(stored(place, archived(files)).path).code
    assert code is not None
    assert code.info == {"script": "flow.py"}
    with code.extract() as directory:
        found = {str(path.relative_to(directory)) for path in Path(directory).rglob("*") if path.is_file()}
    assert found == {"flow.py", "sub/x.py", ".mf_code/y.py"}


def test_a_run_of_which_only_a_later_task_has_recorded_its_code(place: Place) -> None:
    (sha,) = Blobs(place.storage, "Numbers").save([archived({"INFO": b'{"script": "x.py"}'})])
    run = place.run()
    run.task("start", "1")
    run.task("work", "2")
    described = json.dumps({"ds_type": "local", "sha": sha, "location": f"somewhere/{sha}"})
    run.facts("work", "2", 0, **{"code-package": described})
    assert present(Run(run.path)["start"].task).code is None
    code = Run(run.path).code
    assert code is not None
    assert code.script_name == "x.py"
