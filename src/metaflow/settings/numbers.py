"""Settings that are whole numbers, where somebody asks for them."""

from __future__ import annotations

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
