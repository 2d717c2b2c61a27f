"""Settings that are figures."""

from __future__ import annotations

from collections.abc import Mapping

from metaflow.exception import SettingsError


def seconds(entries: Mapping[str, str], name: str) -> float | None:
    """Return a setting that is a duration, None if it is not set.

    Parameters
    ----------
    entries : mapping of str to str
        The METAFLOW_* settings.
    name : str
        Which.

    Raises
    ------
    SettingsError
        It is no number of seconds above 0.
    """
    text = entries.get(name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{name} is '{text}'.", hint="it is a number of seconds, more than 0")
    return value
