"""What the decorators of all backends that run containers have in common.

Their own files, `kubernetes` and `batch`, hold the rest. None of them knows a client library, only names and values.
"""

from __future__ import annotations

from typing import Any, ClassVar

from metaflow.decorators.attributes import Attribute, TypedDecorator
from metaflow.flow.decorator import Resolved
from metaflow.settings.kinds import SWITCH, is_absolute, quantity, string
from metaflow.settings.values import Values

TMPFS_PATH = "/metaflow_temp"


TMPFS = {
    "tmpfs_tempdir": Attribute(True, SWITCH),
    "tmpfs_size": Attribute(None, quantity("MB", 0)),
    "tmpfs_path": Attribute(TMPFS_PATH, string("an absolute path", is_absolute)),
}


class ContainerDecorator(TypedDecorator):
    """Sends a step to a backend that runs its tasks in containers."""

    table: ClassVar[dict[str, Attribute]] = {}

    def resolve(self, values: Values) -> dict[str, Resolved]:
        found = super().resolve(values)
        size, wanted = found["tmpfs_size"], found["use_tmpfs"]
        if size.value:
            found["use_tmpfs"] = Resolved(True, size.source)
        else:
            found["use_tmpfs"] = Resolved(bool(wanted.value), wanted.source, wanted.stated)
            found["tmpfs_size"] = Resolved(None, size.source, size.stated)
        return found

    def refuse(self, message: str, hint: str, **given: Any) -> None:
        """Raise for attributes that cannot be given together; `given` are their typed values."""
        words = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise self.error(f"@{self.name}({words}): {message}.", hint=hint)
