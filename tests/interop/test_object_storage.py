"""Each side's client reads what the other's engine wrote into S3, and each goes on from the other's run.

Only what differs by storage: artifacts, files, logs, failures. The shapes of flows are in `test_interop`, on a disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.comparing import normal, without
from support.interop import HERE, INTEROP, ORIGINAL, PARAMETERS, InteropSite, Work, report, run, same
from support.interpreter import PYTHON
from support.object_stores import Bucket, s3
from support.site import Site

pytestmark = INTEROP

WORKS = [
    Work("linear.py", ("--tag", "one")),
    Work("foreach.py", ("--kind", "numpy")),
    Work("artifacts.py"),
    Work("parameters.py", PARAMETERS),
    Work("exceptions.py", ("--kind", "own"), fails=True),
    Work("talking.py"),
]


class StoreSite(InteropSite):
    def __init__(self, directory: Path, bucket: Bucket) -> None:
        super().__init__(directory, "fork")
        self.bucket = bucket

    @property
    def environment(self) -> dict[str, str]:
        return {
            **super().environment,
            **self.bucket.environment,
            "METAFLOW_DEFAULT_DATASTORE": "s3",
            "METAFLOW_S3_WORKER_COUNT": "2",  # the original starts 64 processes for each request: a task takes minutes
        }


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3() as bucket:
        yield bucket


def new_site(directory: Path, bucket: Bucket) -> Site:
    directory.mkdir()
    root = f"{bucket.root}/{directory.parent.name}/{directory.name}"
    site = StoreSite(
        directory, bucket._replace(environment={**bucket.environment, "METAFLOW_DATASTORE_SYSROOT_S3": root})
    )
    site.write("included.txt", "first line\nlast line ☃\n")
    for flow in (HERE / "flows").glob("*.py"):
        site.write(flow.name, flow.read_text())
    return site


@pytest.mark.parametrize("work", WORKS, ids=str)
def test_both_clients_read_both_runs(tmp_path: Path, bucket: Bucket, work: Work) -> None:
    ours, theirs = new_site(tmp_path / "ours", bucket), new_site(tmp_path / "theirs", bucket)
    run(ours, PYTHON, work)
    run(theirs, ORIGINAL, work)
    ours_by_us, ours_by_them, theirs_by_us, theirs_by_them = (
        without(report(site, python), {*work.unlike}) for site in (ours, theirs) for python in (PYTHON, ORIGINAL)
    )
    same(ours_by_us, ours_by_them, "our run, read by our client | by the original's")
    same(theirs_by_us, theirs_by_them, "the original's run, read by our client | by the original's")
    same(normal(ours_by_us, ours.directory), normal(theirs_by_us, theirs.directory), "our run | the original's")


@pytest.mark.parametrize(("first", "second"), [(ORIGINAL, PYTHON), (PYTHON, ORIGINAL)], ids=["theirs", "ours"])
def test_a_run_is_resumed_by_the_other_side(tmp_path: Path, bucket: Bucket, first: str, second: str) -> None:
    site = new_site(tmp_path / "shared", bucket)
    flow = site.write(
        "going_on.py",
        """
        import os
        from metaflow import FlowSpec, step

        class GoingOn(FlowSpec):
            @step
            def start(self):
                self.items = [1, 2, 3]
                self.next(self.work, foreach="items")

            @step
            def work(self):
                self.square = self.input ** 2
                self.next(self.join)

            @step
            def join(self, inputs):
                if "FAIL" in os.environ:
                    raise ValueError("on demand")
                self.total = sum(i.square for i in inputs)
                self.next(self.end)

            @step
            def end(self):
                print("total", self.total)

        if __name__ == "__main__":
            GoingOn()
        """,
    )
    failed = site.run_flow(flow.name, "run", command=[first], env={"FAIL": "1"}).failed()
    origin = ("--origin-run-id", str(failed.run_id))
    again = site.run_flow(flow.name, "resume", *origin, command=[second]).succeeded()
    assert "total 14" in again.stdout
