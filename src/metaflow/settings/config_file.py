"""One configuration file: a JSON object of METAFLOW_* names and values, and where in the file each stands.

Knows JSON and the file system; does not know what any name means. Start reading at `read`.
"""

from __future__ import annotations

from typing import NamedTuple

from metaflow.exception import SettingsError


class ConfigFile(NamedTuple):
    """The content of a configuration file that could be read.

    Attributes
    ----------
    path : str
        Where it is.
    values : dict
        Name to value, as JSON has it.
    text : str
        The source, for positions.
    """

    path: str
    values: dict[str, object]
    text: str

    def where(self, name: str) -> str:
        """Return ``path:line:column`` of an entry."""
        offset = self.text.find(f'"{name}"')
        if offset < 0:
            return self.path
        return f"{self.path}:{self.text.count(chr(10), 0, offset) + 1}:{offset - self.text.rfind(chr(10), 0, offset)}"

    def names(self) -> list[str]:
        """Return the METAFLOW_* names that are set here; null means not set."""
        return [name for name, value in self.values.items() if name.startswith("METAFLOW_") and value is not None]


def read(path: str) -> ConfigFile | None:
    """Return the configuration in `path`, or None if there is no such file.

    Raises
    ------
    metaflow.exception.SettingsError
        The file cannot be read, is not JSON, or is not an object.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.readall()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SettingsError(
            f"Cannot read the configuration file {path}: {error.strerror}.", source_file=path
        ) from error
    return _parse(path, data)


def _parse(path: str, data: bytes) -> ConfigFile:
    import json  # only who has a configuration file pays for this

    text = ""
    try:
        text = data.decode("utf-8-sig")
        values = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise SettingsError(
            f"The configuration file {where} is not valid JSON: {error.msg}.",
            error.lineno,
            path,
            hint='it should look like {"METAFLOW_USER": "ada", …}'
            if text.strip()
            else "it is empty: write {} to it, or remove it",
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The configuration file {path} is not valid UTF-8: byte {error.start} is wrong.", source_file=path
        ) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"The configuration file {path} cannot be used: {error}.", source_file=path) from None
    if not isinstance(values, dict):
        raise SettingsError(
            f"The configuration file {path} contains a JSON {_kind(values)}, not an object.",
            1,
            path,
            hint='it should look like {"METAFLOW_USER": "ada", …}',
        )
    return ConfigFile(path, values, text)


def string_of(value: object) -> str:
    """Return a JSON value as an environment variable would hold it.

    Numbers and truth values become what ``str`` makes of them, lists and objects become JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (list, dict)):
        import json

        return json.dumps(value)
    return str(value)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {list: "array", str: "string", bool: "boolean"}.get(type(value), "number")
