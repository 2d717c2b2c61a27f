"""Included files: a parameter that is given a path and whose value is the content of the file.

Three things, in the order in which a file meets them: `IncludeFile` turns a path into a `LocalFile`, a promise that
there is something to read; `store_included` puts the bytes where the storage of a run keeps such files and gives the
`IncludedFile` that becomes the artifact; `IncludedFile.decode` gets them back, in a step or in the client. Storages are
met through the protocol `FileStorage` alone. Start reading at `IncludeFile`.

The format is Metaflow's. An artifact is a pickled `metaflow.includefile.IncludedFile` with a descriptor:

=============  =====================================================================================
``type``       ``uploader-v2``; older ``uploader-v1`` and ``external`` are read
``sub-type``   ``uploaded``: compressed with gzip; ``external``: the bytes as they are (``uploader-v2`` only)
``url``        ``local://<absolute path>``, ``s3://…``; ends in ``/<flow>/<SHA-1 of the file's bytes>``
``size``       of the file, in bytes (``uploader-v2`` only)
``is_text``    whether to decode; line ends become ``\\n`` then
``encoding``   of the text; UTF-8 if not given
=============  =====================================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from metaflow import files
from metaflow.exception import (
    BlobCorrupt,
    CommandException,
    InvalidFlow,
    MetaflowDataMissing,
    ParameterFieldFailed,
)
from metaflow.flow.parameter_types import Kind, quoted
from metaflow.flow.parameters import Option, Parameter

LARGEST = 4 << 30
"""Size in bytes above which a file is refused."""

_CHUNK = 1 << 20
_GZIP = 31  # zlib's name for a stream with the header of gzip


class FileStorage(Protocol):
    """What included files need of a storage (a part of `metaflow.store.protocol.Storage`)."""

    kind: str

    def put_file(self, key: str, path: str) -> None: ...
    def get(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes | None]]: ...
    def head(self, keys: Sequence[str]) -> list[int | None]: ...
    def spool_directory(self) -> str: ...
    def describe(self, key: str) -> str: ...


OpenStorage = Callable[[str, str], FileStorage]
"""From kind (``local``) and root to a storage."""


class LocalFile(NamedTuple):
    """A file of this machine that a run is to include.

    Attributes
    ----------
    path : str
        Absolute path.
    is_text : bool
        Whether its content is text.
    encoding : str
        Encoding of the text.
    origin : str
        Who asks for it, for messages: ``--<name>``.
    """

    path: str
    is_text: bool
    encoding: str
    origin: str


class IncludedFile:
    """A file that a run included, as its artifact.

    Parameters
    ----------
    descriptor : dict
        See the top of this module.
    """

    __module__ = "metaflow.includefile"  # under which Metaflow pickles it

    def __init__(self, descriptor: dict[str, Any]) -> None:
        self._descriptor = descriptor
        self._cached_size: int | None = None  # Metaflow's clients expect it in the pickle

    def __repr__(self) -> str:
        return f"IncludedFile({self._descriptor.get('url')})"

    @property
    def descriptor(self) -> dict[str, Any]:
        """What is stored."""
        return self._descriptor

    @property
    def size(self) -> int | None:
        """Size of the file in bytes; None for old files, which do not say."""
        return self._descriptor.get("size")

    def decode(self, open_storage: OpenStorage | None = None, roots: Iterable[str] = ()) -> str | bytes:
        """Return the content: text or bytes, as the flow declares.

        Parameters
        ----------
        open_storage : callable, optional
            From kind and root to a storage; through the registry if not given.
        roots : iterable of str, optional
            Other roots to look below if the file is not where it was, such as those of a datastore that has moved.

        Raises
        ------
        metaflow.exception.MetaflowDataMissing
            The content is not there, or its descriptor is of a form that this version cannot read.
        metaflow.exception.BlobCorrupt
            The bytes are not those that were stored.
        """
        packed = self._is_packed()
        url = str(self._descriptor.get("url"))
        kind, root, key = _parts(url)
        for place in (root, *roots):
            storage = (open_storage or _open_storage)(kind, place)
            data = next(iter(storage.get([key])))[1]
            if data is not None:
                return self._text(_unpacked(key, storage.describe(key), data) if packed else data)
        raise MetaflowDataMissing(
            f"The content of an included file is not at {url}.",
            hint="the datastore was moved or cleaned; run the flow again, or put the file back",
        )

    def _is_packed(self) -> bool:
        form = self._descriptor.get("type"), self._descriptor.get("sub-type")
        if form[0] == "uploader-v1" or form == ("uploader-v2", "uploaded"):
            return True
        if form[0] == "external" or form == ("uploader-v2", "external"):
            return False
        raise MetaflowDataMissing(
            f"This version cannot read included files of the form {form[0]!r}, {form[1]!r}.",
            hint="read it with the version of Metaflow that stored it",
        )

    def _text(self, data: bytes) -> str | bytes:
        if not self._descriptor.get("is_text"):
            return data
        text = data.decode(self._descriptor.get("encoding") or "utf-8")
        return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


class IncludeFile(Parameter):
    """A parameter that is given a path; its value in the steps is the content of the file when the run started.

    Parameters
    ----------
    name : str
        Name of the option.
    required : bool, optional
        Refuse to start a run without a path. Means nothing if there is a default.
    is_text : bool, optional
        False gives bytes; text if not given.
    encoding : str, optional
        Encoding of the text; UTF-8 if not given.
    help : str, optional
        A text for ``run --help``.
    parser : callable or str, optional
        A function, or its dotted name, that makes the content into what the steps see.
    default : str or callable, optional
        Path, relative to the working directory; or a function of a `ParameterContext` that returns one.
    show_default : bool or str, optional
        Whether ``run --help`` shows the default, or what it shows instead; True if not given.
    """

    arguments = frozenset(("envvar", "hidden", "metavar"))

    def __init__(
        self,
        name: str,
        required: bool | None = None,
        is_text: bool | None = None,
        encoding: str | None = None,
        help: str | None = None,
        parser: Callable[[Any], Any] | str | None = None,
        *,
        default: Any = None,
        show_default: bool | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, default, str, help, required, show_default, **kwargs)
        self.is_text = is_text is not False
        self.encoding = encoding or "utf-8"
        self.parser = parser
        self.kind: Kind = Kind("FILEPATH", "a path", self._locate, self._locate, _is_path)

    def parse(self, text: str) -> LocalFile | IncludedFile:
        """Find the file that the command line names.

        A text that starts with ``{`` is the descriptor of a file that is already stored.

        Raises
        ------
        metaflow.exception.CommandException
            There is no such file, or it cannot be read.
        """
        return self._locate(text)

    def load(self, stored: Any) -> Any:
        """Return the content that a step sees.

        Raises
        ------
        metaflow.exception.ParameterFieldFailed
            The parser raised.
        metaflow.exception.MetaflowException
            As in `IncludedFile.decode`.
        """
        content = stored.decode() if isinstance(stored, IncludedFile) else stored
        if self.parser is None or content is None:
            return content
        try:
            return _function(self.parser)(content)
        except Exception as error:
            raise ParameterFieldFailed(
                f"The parser of parameter '{self.name}' raised {type(error).__name__}: {error}",
                self.line,
                self.source_file,
            ) from error

    def check_encoding(self) -> None:
        """Raise for a declaration that makes no sense.

        Raises
        ------
        metaflow.exception.InvalidFlow
            With the place of the declaration.
        """

    def _locate(self, path: Any) -> LocalFile | IncludedFile:
        ...
