"""``kubernetes``: the jobs of this flow on Kubernetes."""

from __future__ import annotations

from metaflow.cli.jobs import job_commands

kubernetes = job_commands("kubernetes", "Kubernetes")
