"""What the decorators of all backends that run containers have in common.

Their own files, `kubernetes` and `batch`, hold the rest. None of them knows a client library, only names and values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from metaflow.decorators.attributes import SWITCH, Attribute, TypedDecorator, quantity, text
from metaflow.flow.decorator import Resolved

DEFAULT_IMAGE = "METAFLOW_DEFAULT_CONTAINER_IMAGE"

TMPFS_PATH = "/metaflow_temp"


def is_absolute(path: str) -> bool:
    return path.startswith("/") and path.isprintable() and ".." not in path.split("/")


IMAGE = text("the name of an image, such as python:3.12", lambda name: name.isprintable() and " " not in name)

TMPFS = {
    "tmpfs_tempdir": Attribute(True, SWITCH),
    "tmpfs_size": Attribute(None, quantity("MB", 0)),
    "tmpfs_path": Attribute(TMPFS_PATH, text("an absolute path", is_absolute)),
}


class ContainerDecorator(TypedDecorator):
    """Sends a step to a backend that runs its tasks in containers."""

    table: ClassVar[dict[str, Attribute]] = {}

    def resolve(self, entries: Mapping[str, str], origins: Mapping[str, str]) -> dict[str, Resolved]:
        values = super().resolve(entries, origins)
        size, wanted = values["tmpfs_size"], values["use_tmpfs"]
        if size.value:
            values["use_tmpfs"] = Resolved(True, size.source)
        else:
            values["use_tmpfs"] = Resolved(bool(wanted.value), wanted.source, wanted.stated)
            values["tmpfs_size"] = Resolved(None, size.source, size.stated)
        return values

    def refuse(self, message: str, hint: str, **given: Any) -> None:
        """Raise for attributes that cannot be given together; `given` are their typed values."""
        words = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise self.error(f"@{self.name}({words}): {message}.", hint=hint)
