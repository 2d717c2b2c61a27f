"""A backend of remote jobs without containers: each job is a process of this machine, told only what a container is.

For the contract of `RemoteLauncher` and the programs inside the container, where no cluster is at hand.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted, RunningJob
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest

_TAIL = 50


class ProcessBackend:
    """Runs jobs as processes (`metaflow.compute.jobs.protocol.JobBackend`).

    Parameters
    ----------
    variables : mapping of str to str
        What the container would have of its own.
    """

    kind = "process"

    def __init__(self, variables: Mapping[str, str] = {}) -> None:
        self._variables = dict(variables)
        self._jobs: dict[int, asyncio.Task[None]] = {}
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._unwanted: set[int] = set()
        self._abandoned: set[int] = set()

    async def open(self, report: Callable[[JobReport], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        return []

    def submit(self, job: Job) -> None:
        self._jobs[job.task] = self._loop.create_task(self._run(job))

    def cancel(self, task: int) -> None:
        self._unwanted.add(task)
        process = self._processes.get(task)
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)

    def notice_started(self, task: int) -> None:
        pass

    def abandon(self, task: int) -> None:
        self._abandoned.add(task)

    async def close(self) -> None:
        self._report = lambda report: None
        for task in self._jobs.keys() - self._abandoned:
            self.cancel(task)
        await asyncio.gather(*self._jobs.values())

    async def unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        return [
            RunningJob(str(task), dict(labels), "running", time.time())
            for task, process in self._processes.items()
            if process.returncode is None
        ]

    async def end(self, jobs: list[RunningJob]) -> None:
        for job in jobs:
            self.cancel(int(job.id))

    async def _run(self, job: Job) -> None:
        with tempfile.TemporaryDirectory() as directory:
            program, *words = job.argv
            assert program == "python"
            streams: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), asyncio.subprocess.PIPE)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-S",  # an image has no packages
                *words,
                cwd=directory,
                env={"PATH": os.environ["PATH"], "TMPDIR": directory, **self._variables, **job.environment},
                stdin=asyncio.subprocess.DEVNULL,
                **streams,
            )
            self._processes[job.task] = process
            if job.task in self._unwanted:
                process.kill()
            where = f"process {process.pid}"
            self._report(JobStarted(job.task, job.attempt, where, {"process-id": str(process.pid)}))
            tail: deque[bytes] = deque(maxlen=_TAIL)

            async def keep(stream: asyncio.StreamReader) -> None:
                while data := await stream.read(1 << 16):
                    tail.extend(data.splitlines())

            assert process.stdout is not None
            assert process.stderr is not None
            await asyncio.gather(keep(process.stdout), keep(process.stderr))
            status = await process.wait()
            code = status if status >= 0 else 128 - status
            if job.task not in self._abandoned:
                self._report(JobEnded(job.task, job.attempt, code, tail=list(tail) if code else []))
