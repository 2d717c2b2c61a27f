"""IncludeFile: a parameter that is given a path and whose value is the content of the file.

Finds and names the file; what becomes of its bytes is in `metaflow.flow.included`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from metaflow.exception import CommandException, ParameterFieldFailed, text_of
from metaflow.flow.included import LARGEST, IncludedFile, LocalFile, store_included
from metaflow.flow.parameter_types import Kind, decode_json, quoted
from metaflow.flow.parameters import Parameter

__all__ = ["LARGEST", "IncludeFile", "IncludedFile", "LocalFile", "store_included"]


class IncludeFile(Parameter):
    """A parameter that is given a path; in the steps its value is the content that the file had when the run started.

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
        A function, or its dotted name, that makes of the content what the steps see.
    default : str or callable, optional
        Path, relative to the working directory; or a function of a `ParameterContext` that returns one.
    show_default : bool or str, optional
        Whether ``run --help`` shows the default, or what it shows instead; True if not given.
    **kwargs
        ``metavar``, ``hidden`` and ``envvar``, as in click.
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
        super().__init__(
            name, default=default, type=str, help=help, required=required, show_default=show_default, **kwargs
        )
        self.kind = Kind("FILEPATH", "a path", self._find, self._find_default, _is_path)
        self.is_text = is_text is not False
        self.encoding = encoding or "utf-8"
        self.parser = parser

    def problem(self) -> str | None:
        """Return what is wrong with the declaration, beyond what is the same for all parameters."""
        if self.parser is not None and not callable(self.parser) and not isinstance(self.parser, str):
            return f"The parser of '{self.name}' is {quoted(self.parser)}, neither a function nor the name of one."
        import codecs

        try:
            codecs.lookup(self.encoding)
        except (LookupError, TypeError):
            return f"The encoding of '{self.name}', {quoted(self.encoding)}, is not known."
        return None

    def resolve(self, given: Any) -> Any:
        """Return the file for a run that is given a path."""
        return super().resolve(os.fspath(given) if isinstance(given, os.PathLike) else given)

    def load(self, stored: Any) -> Any:
        """Return the content that a step sees.

        Raises
        ------
        metaflow.exception.ParameterFieldFailed
            The parser raised.
        metaflow.exception.MetaflowDataMissing, metaflow.exception.BlobCorrupt
            As in `IncludedFile.decode`.
        """
        content = stored.decode() if isinstance(stored, IncludedFile) else stored
        if self.parser is None or content is None:
            return content
        try:
            return _function(self.parser)(content)
        except (Exception, SystemExit) as error:
            raise ParameterFieldFailed(
                f"The parser of parameter '{self.name}' raised {type(error).__name__}: {text_of(error)}",
                self.line,
                self.source_file,
            ) from error

    def _find(self, path: str) -> LocalFile | IncludedFile:
        return self._locate(path, "")

    def _find_default(self, path: Any) -> LocalFile | IncludedFile:
        if not _is_path(path):
            raise ValueError
        return self._locate(os.fspath(path), ", the default,")

    def _locate(self, path: str, remark: str) -> LocalFile | IncludedFile:
        if path.startswith("{"):
            return self._stored(path)
        full = os.path.abspath(os.path.expanduser(path))
        problem, hint = _why_not(path, full)
        if problem:
            raise CommandException(f"{self.flag}: the file {path or repr(path)}{remark} {problem}.", hint=hint)
        return LocalFile(full, self.is_text, self.encoding, self.flag)

    def _stored(self, text: str) -> IncludedFile:
        """Return a file that is already stored: deployments pass its descriptor in place of a path."""
        try:
            descriptor = decode_json(text)
        except ValueError as error:
            raise CommandException(
                f"{self.flag}: {quoted(text)} is neither a path nor a stored file: {error}."
            ) from error
        if not {"type", "url", "is_text"} <= set(descriptor):
            raise CommandException(f"{self.flag}: {quoted(text)} does not describe a stored file.")
        return IncludedFile(descriptor)


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and isinstance(os.fspath(value), str)


def _why_not(path: str, full: str) -> tuple[str, str | None]:
    """Return why a file cannot be included, and what to do; an empty text if it can."""
    scheme, separator, _ = path.partition("://")
    if separator and scheme.isalnum():
        return "is not on this machine", "download it, or pass the URL as a Parameter and read it in the steps"
    try:
        mode = os.stat(full).st_mode
        if stat.S_ISREG(mode):
            os.close(os.open(full, os.O_RDONLY))
    except FileNotFoundError:
        return "does not exist", None if full == path else f"it is looked for at {full}"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}", None
    except ValueError:  # its words are not the same in all Pythons
        return "cannot be read: no name of a file has such characters", None
    if stat.S_ISDIR(mode):
        return "is a directory", None
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and full != os.devnull):
        return "is not a file that has an end", None
    return "", None


def _function(parser: Callable[[Any], Any] | str) -> Callable[[Any], Any]:
    if not isinstance(parser, str):
        return parser
    from importlib import import_module

    module, _, name = parser.rpartition(".")
    function: Callable[[Any], Any] = getattr(import_module(module or "__main__"), name)
    return function
