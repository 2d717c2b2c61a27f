"""What a component of a card is: something that renders itself as a dictionary, which the page draws.

A component of a user subclasses `MetaflowCardComponent`. Nothing here knows of pages or of storage.
"""

from __future__ import annotations

import os
from typing import Any


class MetaflowCardComponent:
    """Something that stands on a card.

    Attributes
    ----------
    REALTIME_UPDATABLE : bool
        Whether `update` changes it while the card is shown.
    component_id : str
        Its name on the card, unique there; given by `current.card.append(…, id=)`, or drawn at random.
    """

    REALTIME_UPDATABLE: bool = False

    _component_id: str | None = None

    @property
    def component_id(self) -> str:
        """Name on the card."""
        if self._component_id is None:
            # Not of `random`, whose state is the user's.
            self._component_id = f"{type(self).__name__.lower()}_{os.urandom(3).hex()}"
        return self._component_id

    @component_id.setter
    def component_id(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"component_id must be a string, not {type(value).__name__}")
        self._component_id = value

    def render(self) -> str | dict[str, Any]:
        """Return what the card shows.

        Returns
        -------
        dict or str
            Plain data that JSON can hold, with its ``type``; a string is shown as text.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define render()")

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change what is shown."""
        raise NotImplementedError(f"{type(self).__name__} cannot be updated")
