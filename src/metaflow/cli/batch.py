"""``batch``: the jobs of this flow on AWS Batch."""

from __future__ import annotations

from metaflow.cli.jobs import job_commands

batch = job_commands("batch", "AWS Batch")
