"""A place in an object store: ``s3://bucket/key``, ``gs://…``, Azure's ``container/key``; the datastore's root, read.

Pure: strings in, names or a sentence out. Azure's roots are written without a scheme, as Metaflow has them; ``azure://``
is read too, since URLs of included files begin so.
"""

from __future__ import annotations

from typing import NamedTuple

from metaflow.exception import CommandException

KINDS = ("s3", "gs", "azure")
_EXAMPLES = {"s3": "s3://bucket/prefix", "gs": "gs://bucket/prefix", "azure": "container/prefix"}
_SCHEMES = {"s3": ("s3", "s3a", "s3n"), "gs": ("gs",), "azure": ("azure",)}


class Address(NamedTuple):
    """An object, or a prefix of objects.

    Attributes
    ----------
    kind : str
        ``s3``, ``gs`` or ``azure``.
    container : str
        The bucket, or Azure's container.
    key : str
        The name in the bucket; empty for the bucket itself.
    """

    kind: str
    container: str
    key: str = ""

    @property
    def url(self) -> str:
        """The address as a URL."""
        return f"{self.kind}://{self.container}/{self.key}"

    @property
    def root(self) -> str:
        """The address as the root of a datastore is written, without a slash at its end."""
        path = f"{self.container}/{self.key}" if self.key else self.container
        return path if self.kind == "azure" else f"{self.kind}://{path}"

    @property
    def bucket(self) -> Address:
        """The bucket or container that it is in."""
        return self._replace(key="")

    @property
    def bucket_url(self) -> str:
        """The bucket or container, for messages."""
        return f"{self.kind}://{self.container}"


def is_bucket_name(name: str) -> bool:
    """Tell whether a string has no character that no store allows in the name of a bucket."""
    return bool(name) and not any(character in name for character in " ?#%@:\\")


def parse_root(kind: str, root: str) -> Address:
    """Read the root of a datastore.

    Raises
    ------
    CommandException
        It is no root of this kind.
    """
    given = root.strip()
    scheme, separator, path = given.partition("://")
    if not separator:
        scheme, path = "", given
    if kind == "azure" and not scheme and not given.startswith("/"):
        scheme = "azure"
    if scheme not in _SCHEMES[kind]:
        raise _wrong(kind, root, _why(kind, scheme, given))
    container, _, prefix = path.partition("/")
    prefix = prefix.rstrip("/")
    noun = "container" if kind == "azure" else "bucket"
    if not container:
        raise _wrong(kind, root, f"it does not name a {noun}")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise _wrong(kind, root, "a part of its path is empty or consists only of dots")
    if not is_bucket_name(container) or not 3 <= len(container) <= 255:
        raise _wrong(kind, root, f"'{container}' is not a valid {noun} name")
    return Address(kind, container, prefix)


def _why(kind: str, scheme: str, given: str) -> str:
    if scheme:
        other = next((name for name, schemes in _SCHEMES.items() if scheme in schemes), None)
        return f"'{scheme}://' belongs to the datastore '{other}'" if other else f"it starts with '{scheme}://'"
    if given.startswith(f"{kind}:"):
        return f"'{kind}:' must be followed by two slashes"
    return "it is a path on this machine" if given.startswith(("/", ".", "~")) else f"it lacks '{kind}://'"


def _wrong(kind: str, root: str, reason: str) -> CommandException:
    return CommandException(
        f"'{root}' is not a root for the datastore '{kind}': {reason}.", hint=f"it should look like {_EXAMPLES[kind]}"
    )
