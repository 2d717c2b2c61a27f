"""Flows in a notebook, executed by a real kernel: in cells of their own, with what other cells hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from support.present import present
from support.site import Site

CELLS = """
import math
from metaflow import Config, FlowSpec, NBRunner, Parameter, namespace, step
LIMIT = 7
def root(x):
    return math.sqrt(x) + LIMIT
# ---
class Noted(FlowSpec):
    alpha = Parameter("alpha", default=1)
    @step
    def start(self):
        import beside
        print("in the step")
        self.value = root(self.alpha) + beside.VALUE
        self.next(self.end)
    @step
    def end(self):
        pass
# ---
given = 16
run = NBRunner(Noted).nbrun(alpha=given)
print("value", run.data.value, run.successful)
# ---
LIMIT = 8
noted = NBRunner(Noted, show_output=False)
running = await noted.async_run(alpha=given)
await running.wait()
resumed = await noted.async_resume(origin_run_id=running.run.id)
print("again", (await resumed.wait()).run.data.value, NBRunner(Noted, show_output=False).nbresume().successful)
noted.cleanup()
# ---
NBRunner(Noted).nbrun(alpha="sixteen")
# ---
failed = NBRunner(Noted).nbrun(alpha=-16)
"""


@pytest.fixture
def kernel(one_site: Site) -> Iterator[Any]:
    manager = KernelManager(transport="ipc", ip=str(one_site.directory / "kernel"))
    manager.start_kernel(cwd=str(one_site.directory), env={**one_site.environment, "PYTHONPATH": ""})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield client
    client.stop_channels()
    manager.shutdown_kernel()
    manager.cleanup_resources()


def told(kernel: Any, cell: str) -> str:
    """Execute a cell; return what it prints, or its error."""
    parts: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        parts.append(content.get("text") or ": ".join(filter(None, (content.get("ename"), content.get("evalue")))))

    kernel.execute_interactive(cell, output_hook=hear, timeout=60)
    return "".join(parts)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_notebook(one_site: Site, kernel: Any) -> None:
    one_site.write("beside.py", "VALUE = 0.5\n")
    outputs = [told(kernel, cell) for cell in CELLS.split("# ---\n")]
    assert outputs[:2] == ["", ""]
    assert "in the step" in outputs[2]
    assert "value 11.5 True" in outputs[2]
    assert outputs[3] == "again 12.5 True\n"
    assert "KeywordTypeMismatch: alpha is 'sixteen', a str; the parameter is an integer." in outputs[4]
    failed = one_site.flow("Noted").latest_run
    assert f"To resume: NBRunner(Noted).nbresume(origin_run_id='{present(failed).id}')" in outputs[5]
    assert [name for name in os.listdir(one_site.directory) if name.startswith("Noted")] == []
    assert Path(one_site.directory, ".metaflow/Noted").is_dir()
