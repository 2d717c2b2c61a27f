"""Why a Batch job waits, in words: Batch's own, or what its queue lets one guess. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from metaflow.compute.batch.places import Misfit, Place
from metaflow.compute.batch.service import Description


def state(job: Description) -> str:
    """Return the state of a job that has not begun, where, and Batch's reason if it gives one."""
    queue = str(job.get("jobQueue") or "").rpartition("/")[2]
    said = f": {job['statusReason']}" if job.get("statusReason") else ""
    return f"Batch job {job['jobId']} is {job['status']} in the queue {queue}{said}"


def explanation(place: Place, found: Sequence[Misfit]) -> str:
    """Say why a job may be RUNNABLE for long, where Batch does not.

    Parameters
    ----------
    place : Place
        Its queue, as it is now.
    found : sequence of Misfit
        What stands against it there.
    """
    if found:
        return f"it is RUNNABLE, but {found[0].message}"
    limits = [each.most_cpu for each in place.environments if each.most_cpu is not None]
    most = f" (at most {sum(limits)} vCPUs)" if limits else ""
    return f"it is RUNNABLE and waits for a machine of the queue {place.queue}{most}: all are busy, or AWS has none now"
