"""Unfinished jobs of any run, found by their labels: what `list` shows and `kill` ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from metaflow.compute.batch.calls import Calls
from metaflow.compute.batch.client import AT_ONCE, AwsError, Client, Description
from metaflow.compute.batch.description import NAME_LENGTH, fit_name, labels_of
from metaflow.compute.batch.states import ENDED, why_waiting
from metaflow.compute.jobs.protocol import RunningJob


async def unfinished(
    client: Client, calls: Calls, labels: Mapping[str, str], known_queue: str | None
) -> list[RunningJob]:
    """Return the unfinished jobs with these labels, oldest first; in `known_queue` if queues cannot be listed."""
    queues = await _queues(client, calls, known_queue)
    listed = await asyncio.gather(*(calls.ask(client.unfinished, queue) for queue in queues))
    ids = [str(job["jobId"]) for jobs in listed for job in jobs if _may_have(labels, str(job["jobName"]))]
    groups = [ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE)]
    described = await asyncio.gather(*(calls.ask(client.describe, group) for group in groups))
    found = [_running(job) for jobs in described for job in jobs if job["status"] not in ENDED]
    own = [job for job in found if all(job.labels.get(name) == value for name, value in labels.items())]
    return sorted(own, key=lambda job: job.created)


async def _queues(client: Client, calls: Calls, known_queue: str | None) -> Sequence[str]:
    try:
        return [str(each["jobQueueName"]) for each in await calls.ask(client.queues)]
    except AwsError as error:
        if not error.is_permission or not known_queue:
            raise
        return [known_queue]


def _may_have(labels: Mapping[str, str], name: str) -> bool:
    """Tell from a job's name whether it may have these labels, so that not all jobs of a queue are described."""
    return len(name) == NAME_LENGTH or all(f"-{fit_name(value)}-" in f"-{name}-" for value in labels.values())


def _running(job: Description) -> RunningJob:
    status = "running" if job["status"] == "RUNNING" else f"waiting: {why_waiting(job)}"
    return RunningJob(str(job["jobId"]), labels_of(job), status, float(job.get("createdAt", 0)) / 1000)
