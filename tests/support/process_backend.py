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

from metaflow.compute.jobs.protocol import Job, JobEnded, JobReport, JobStarted, RunningJob
from metaflow.compute.protocol import Problem
from metaflow.compute.resources import ResourceRequest

_TAIL = 50


class ProcessHost:
    """What runs on this machine, whichever backend has started it."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[RunningJob, asyncio.subprocess.Process]] = {}


class ProcessBackend:
    """Runs jobs as processes (`metaflow.compute.jobs.protocol.JobBackend`).

    Parameters
    ----------
    variables : mapping of str to str
        What the container would have of its own.
    host : ProcessHost, optional
        Shared by backends that are to know of one another's jobs.
    """

    kind = "process"

    def __init__(self, variables: Mapping[str, str] = {}, host: ProcessHost | None = None) -> None:
        self._variables = dict(variables)
        self._host = host or ProcessHost()
        self._runs: dict[int, _Run] = {}
        self._abandoned: list[_Run] = []

    async def open(self, report: Callable[[JobReport], None]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()

    async def preflight(self, requests: Mapping[str, ResourceRequest]) -> list[Problem]:
        return []

    def submit(self, job: Job) -> None:
        self._runs[job.task] = _Run(job, self._variables, self._host, self._hear, self._loop)

    def _hear(self, report: JobReport) -> None:
        self._report(report)

    def cancel(self, task: int) -> None:
        if task in self._runs:
            self._runs[task].cancel()

    def notice_started(self, task: int) -> None:
        """Nothing to do: a start is reported at once."""

    def abandon(self, task: int) -> None:
        run = self._runs.pop(task, None)
        if run is not None:
            run.is_abandoned = True
            self._abandoned.append(run)

    async def close(self) -> None:
        self._report = lambda report: None
        for run in self._runs.values():
            run.cancel()
        await asyncio.gather(*(run.over for run in self._runs.values()))
        if self._abandoned:
            await asyncio.wait([run.over for run in self._abandoned], timeout=1.0)  # they are about to end

    async def unfinished(self, labels: Mapping[str, str]) -> list[RunningJob]:
        found = [job for job, _ in self._host.running.values()]
        return [job for job in found if labels.items() <= job.labels.items()]

    async def end(self, jobs: list[RunningJob]) -> None:
        processes = [self._host.running[job.id][1] for job in jobs if job.id in self._host.running]
        for process in processes:
            process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in processes))


class _Run:
    """One job; `over` is done when it has ended."""

    def __init__(
        self,
        job: Job,
        variables: Mapping[str, str],
        host: ProcessHost,
        report: Callable[[JobReport], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.is_abandoned = False
        self._is_cancelled = False
        self._process: asyncio.subprocess.Process | None = None
        self._report = report
        self.over = loop.create_task(self._run(job, variables, host))

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)

    async def _run(self, job: Job, variables: Mapping[str, str], host: ProcessHost) -> None:
        with tempfile.TemporaryDirectory() as directory:
            program, *words = job.argv
            assert program == "python"
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-S",  # an image has no packages
                *words,
                cwd=directory,
                env={"PATH": os.environ["PATH"], "TMPDIR": directory, **variables, **job.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            if self._is_cancelled:
                process.kill()
            id = str(process.pid)
            host.running[id] = (RunningJob(id, job.labels, "running", time.time()), process)
            self._report(JobStarted(job.task, job.attempt, f"process {id}", {"process-id": id}))
            tail: deque[bytes] = deque(maxlen=_TAIL)

            async def keep(stream: asyncio.StreamReader | None) -> None:
                assert stream is not None
                while data := await stream.read(1 << 16):
                    tail.extend(data.splitlines())

            await asyncio.gather(keep(process.stdout), keep(process.stderr))
            status = await process.wait()
            del host.running[id]
            code = status if status >= 0 else 128 - status
            if not self.is_abandoned:
                self._report(JobEnded(job.task, job.attempt, code, tail=list(tail) if code else []))
