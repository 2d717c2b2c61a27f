"""Settings that are numbers, where somebody asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from metaflow.exception import SettingsError
from metaflow.settings.reading import Settings


def whole_number(settings: Settings, name: str, default: int, *, least: int = 0) -> int:
    """Return the number that a METAFLOW_* name is set to.

    Raises
    ------
    SettingsError
        It is no whole number, or less than `least`; says where it was set.
    """
    text = settings.entries.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise SettingsError(
            f"{name} in {settings.origins.get(name, 'the environment')} is '{text}'.",
            hint=f"it should be a whole number, {least} or more",
        )
    return int(text)


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
