"""The root of data in an object store, taken apart: ``s3://bucket/prefix``, ``gs://…``, Azure's ``container/prefix``.

Pure: texts in, names or a sentence out. Azure roots are written without a scheme, as Metaflow has them; ``azure://`` is
read too, since URLs of included files begin so.
"""

from __future__ import annotations

from typing import NamedTuple

from metaflow.exception import CommandException

_EXAMPLES = {"s3": "s3://bucket/prefix", "gs": "gs://bucket/prefix", "azure": "container/prefix"}
_SCHEMES = {"s3": ("s3", "s3a", "s3n"), "gs": ("gs",), "azure": ("azure",)}


class Place(NamedTuple):
    """A part of an object store.

    Attributes
    ----------
    kind : str
        ``s3``, ``gs`` or ``azure``.
    container : str
        The bucket, or Azure's container.
    prefix : str
        What all keys begin with, without slashes at its ends; may be empty.
    """

    kind: str
    container: str
    prefix: str

    @property
    def root(self) -> str:
        """The place as text, without a slash at its end."""
        path = f"{self.container}/{self.prefix}" if self.prefix else self.container
        return path if self.kind == "azure" else f"{self.kind}://{path}"

    @property
    def container_url(self) -> str:
        """The bucket or container, for messages."""
        return f"{self.kind}://{self.container}"


def parse(kind: str, root: str) -> Place:
    """Take a root apart.

    Raises
    ------
    CommandException
        It is no root of this kind.
    """
    text = root.strip()
    scheme, separator, path = text.partition("://")
    if not separator:
        scheme, path = "", text
    if kind == "azure" and not scheme and not text.startswith("/"):
        scheme = "azure"
    if scheme not in _SCHEMES[kind]:
        raise _wrong(kind, root, _why(kind, scheme, text))
    container, _, prefix = path.partition("/")
    prefix = prefix.rstrip("/")
    if not container:
        raise _wrong(kind, root, f"it names no {_noun(kind)}")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise _wrong(kind, root, "a part of its path is empty or consists of dots")
    if any(character in container for character in " ?#%@:\\") or len(container) < 3 or len(container) > 255:
        raise _wrong(kind, root, f"'{container}' cannot be the name of a {_noun(kind)}")
    return Place(kind, container, prefix)


def _why(kind: str, scheme: str, text: str) -> str:
    if scheme:
        other = next((name for name, schemes in _SCHEMES.items() if scheme in schemes), None)
        return f"'{scheme}://' belongs to the datastore '{other}'" if other else f"it begins with '{scheme}://'"
    if text.startswith(f"{kind}:"):
        return f"'{kind}:' is followed by two slashes"
    return "it is a path of this machine" if text.startswith(("/", ".", "~")) else f"it lacks '{kind}://'"


def _wrong(kind: str, root: str, reason: str) -> CommandException:
    return CommandException(
        f"'{root}' is no root for the datastore '{kind}': {reason}.", hint=f"it should look like {_EXAMPLES[kind]}"
    )


def _noun(kind: str) -> str:
    return "container" if kind == "azure" else "bucket"
