"""When the machine has no more: memory, disk, or the right to write. What ended is named, what had finished is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.interpreter import PYTHON
from support.kernel import memory_group, small_disk
from support.present import present
from support.site import Site
from support.soundness import assert_sound

pytestmark = [pytest.mark.ours, pytest.mark.skipif(sys.platform != "linux", reason="a Linux kernel at work")]

HUNGRY = """
import os, signal
from metaflow import FlowSpec, catch, retry, step

class HungryFlow(FlowSpec):
    @step
    def start(self):
        self.kinds = ["memory", "killed", "none"]
        self.next(self.work, foreach="kinds")

    @catch(var="failure", print_exception=False)
    @step
    def work(self):
        self.kind = self.input
        if self.input == "memory":
            held = []
            while True:
                held.append(bytearray(os.urandom(1 << 20)))
        if self.input == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    HungryFlow()
"""


def test_a_kill_for_lack_of_memory_is_told_from_a_kill(site: Site) -> None:
    with memory_group(300) as group:
        entry = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$0" "$@"', PYTHON]
        finished = site.run_flow(HUNGRY, "run", "--max-workers", "1", command=entry).succeeded()
    tasks = sorted(finished.run["work"], key=lambda task: present(task.index))
    assert [task.failure and task.failure.kind for task in tasks] == ["memory", "killed", None]
    failures: list[Any] = [task.failure for task in tasks]  # their values are attributes too
    memory, killed, _ = failures
    assert "lack of memory" in memory.message
    assert memory.limit_mb == pytest.approx(300, abs=1)
    assert 100 < memory.peak_mb <= 310
    assert "SIGKILL" in killed.message
    assert killed.peak_mb < 100
    assert tasks[0].data.failure.exception == memory.message
    assert memory.message[1:] in finished.stdout


FILLING = """
import os
from metaflow import FlowSpec, step

class FillingFlow(FlowSpec):
    @step
    def start(self):
        with open("ran", "a") as file:
            file.write("start ")
        self.small = 1
        self.next(self.fill)

    @step
    def fill(self):
        if not os.path.exists("enough"):
            self.big = os.urandom(4 << 20)
        self.next(self.end)

    @step
    def end(self):
        print("small is", self.small)

if __name__ == "__main__":
    FillingFlow()
"""


def in_disk(root: Path) -> dict[str, str | None]:
    return {"METAFLOW_DATASTORE_SYSROOT_LOCAL": str(root)}


def test_a_full_disk_is_named_and_resumed_from(site: Site) -> None:
    with small_disk(site.directory / "disk", 2048) as root:
        finished = site.run_flow(FILLING, "run", env=in_disk(root)).failed()
        assert "No space left on device" in finished.stderr
        assert "resume" in finished.stderr
        assert "Traceback" not in finished.stderr
        assert_sound(root / ".metaflow")
        said = site.run_flow("flow.py", "status", env=in_disk(root)).succeeded().stdout
        assert "failed." in said
        assert "No space left on device" in said
        (site.directory / "enough").touch()
        resumed = site.run_flow("flow.py", "resume", env=in_disk(root)).succeeded()
        assert "small is 1" in resumed.stdout
        assert_sound(root / ".metaflow")
    assert (site.directory / "ran").read_text() == "start "


def test_a_disk_that_is_full_to_the_last_byte(one_site: Site) -> None:
    """Nothing at all can be written: not the log, not the end of the task, only the place that the lease keeps."""
    source = FILLING.replace("self.big = os.urandom(4 << 20)", "self.spoil()").replace(
        "    @step\n    def end",
        """    def spoil(self):
        with open(os.path.join(os.environ["METAFLOW_DATASTORE_SYSROOT_LOCAL"], "rubbish"), "wb", 0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass
        print("this line finds no room", flush=True)
        self.big = list(range(10000))

    @step
    def end""",
    )
    with small_disk(one_site.directory / "disk", 1024) as root:
        finished = one_site.run_flow(source, "run", env=in_disk(root)).failed()
        assert "No space left on device" in finished.stderr
        assert_sound(root / ".metaflow")
        said = one_site.run_flow("flow.py", "status", env=in_disk(root)).succeeded().stdout
        assert "failed." in said
        assert "No space left on device" in said
        (root / "rubbish").unlink()
        (one_site.directory / "enough").touch()
        resumed = one_site.run_flow("flow.py", "resume", env=in_disk(root)).succeeded()
        assert "small is 1" in resumed.stdout
        assert_sound(root / ".metaflow")


def test_a_disk_that_becomes_read_only(one_site: Site) -> None:
    remount = (
        'subprocess.run(["mount", "-o", "remount,ro", os.environ["METAFLOW_DATASTORE_SYSROOT_LOCAL"]], check=True)'
    )
    source = FILLING.replace("self.big = os.urandom(4 << 20)", remount).replace("import os", "import os, subprocess")
    with small_disk(one_site.directory / "disk", 1024) as root:
        finished = one_site.run_flow(source, "run", env=in_disk(root)).failed()
        assert "Read-only file system" in finished.stderr
        assert "Traceback" not in finished.stderr
        run_id = str(finished.run_id)
        subprocess.run(["mount", "-o", "remount,rw", str(root)], check=True)
        assert_sound(root / ".metaflow")
        said = one_site.run_flow("flow.py", "status", env=in_disk(root)).succeeded().stdout
        assert f"Run {run_id} of FillingFlow: lost." in said, "its end could not be written anywhere"
        (one_site.directory / "enough").touch()
        one_site.run_flow("flow.py", "resume", env=in_disk(root)).succeeded()


def test_tasks_wait_for_file_descriptors(one_site: Site) -> None:
    source = """
        import os
        from metaflow import FlowSpec, step

        class WideFlow(FlowSpec):
            @step
            def start(self):
                self.items = list(range(40))
                self.next(self.work, foreach="items")

            @step
            def work(self):
                self.next(self.join)

            @step
            def join(self, inputs):
                self.width = len(inputs)
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            WideFlow()
    """
    entry = ["sh", "-c", 'ulimit -n 48; exec "$0" "$@"', PYTHON]
    finished = one_site.run_flow(source, "run", "--max-workers", "40", command=entry).succeeded()
    assert finished.values("join")["width"] == 40
    assert "Task is waiting: no file descriptors are left for one more (ulimit -n)" in finished.stdout


@pytest.mark.parametrize("victim", ["start", "end"])
def test_a_run_whose_folder_is_deleted_has_not_done_well(one_site: Site, victim: str) -> None:
    flow = """
        import shutil
        from metaflow import FlowSpec, Parameter, step

        class DeletedFlow(FlowSpec):
            victim = Parameter("victim")

            @step
            def start(self):
                self.clean("start")
                self.next(self.end)

            @step
            def end(self):
                self.clean("end")

            def clean(self, step):
                if step == self.victim:
                    shutil.rmtree(".metaflow")

        if __name__ == "__main__":
            DeletedFlow()
        """
    deleted = one_site.run_flow(flow, "run", "--victim", victim).failed()
    assert f"The folder of the run is gone: {one_site.root}/DeletedFlow/{deleted.run_id}." in deleted.stderr
    assert "are kept" not in deleted.stderr
    assert "Workflow done" not in deleted.stdout
