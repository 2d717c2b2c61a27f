"""What a backend for AWS Batch needs of AWS: small calls that block, and how AWS refuses one.

The backend knows this protocol and nothing of boto3; `metaflow.compute.batch.aws` speaks to AWS, and tests speak to a
Batch of their own. Descriptions are the JSON objects of the Batch API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from metaflow.compute.jobs.retry import Refused

Description: TypeAlias = Mapping[str, Any]

AT_ONCE = 100
"""Most jobs that one call describes."""


class AwsError(Refused):
    """AWS has answered with an error that another try does not change: its name of it, and its words."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code
        self.reason = reason

    @property
    def is_permission(self) -> bool:
        """Whether only the permission is missing."""
        return self.code in ("AccessDeniedException", "AccessDenied", "UnauthorizedOperation")


class InstanceType(NamedTuple):
    """A kind of machine: cores, MiB, GPUs."""

    name: str
    cpu: int
    memory: int
    gpu: int


class Client(Protocol):
    """The calls; each may raise `Unavailable` or `AwsError`."""

    region: str

    def queues(self, names: Sequence[str] = ()) -> list[Description]:
        """Describe these job queues, as far as they exist, or all."""

    def environments(self, names: Sequence[str]) -> list[Description]:
        """Describe these compute environments."""

    def instance_types(self, patterns: Sequence[str]) -> list[InstanceType]:
        """Return the machines that these names, such as ``m5.large`` or ``c5.*``, stand for."""

    def has_role(self, name: str) -> bool:
        """Tell whether this account has an IAM role of this name."""

    def definition(self, name: str) -> str | None:
        """Return the ARN of the newest active revision of a job definition, None if there is none."""

    def register(self, definition: Description) -> str:
        """Register a job definition and return its ARN."""

    def submit(self, call: Description) -> str:
        """Submit a job and return its id; it is tried once, since a second try might make a second job."""

    def find(self, queue: str, name: str) -> str | None:
        """Return the id of the newest job with exactly this name, None if there is none."""

    def describe(self, ids: Sequence[str]) -> list[Description]:
        """Describe up to `AT_ONCE` jobs, as far as the service remembers them."""

    def unfinished(self, queue: str) -> list[Description]:
        """Return the summaries of all jobs in a queue that have not ended."""

    def terminate(self, id: str, reason: str) -> None:
        """Let a job end, whether it waits or runs; nothing happens to one that has ended."""

    def log_tail(self, group: str, stream: str, lines: int) -> list[bytes]:
        """Return the last lines of a log stream, none if they cannot be read."""
