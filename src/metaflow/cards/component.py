"""What a component of a card is: something that renders itself as a dictionary, which the page draws.

A component of a user subclasses `MetaflowCardComponent`; what is none is shown as an `Artifact`. One that cannot be
rendered becomes a message on the card (`rendered`), never an error of the step. Nothing here knows of pages or of
storage.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import Any

from metaflow.cards.plain import cut, plain, summary, type_name


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


class Artifact(MetaflowCardComponent):
    """Any object, in a few lines.

    Parameters
    ----------
    artifact : object
        What to show.
    name : str, optional
        Its heading.
    compressed : bool
        Whether long containers and strings are shortened; if not, plain values are shown whole.
    """

    REALTIME_UPDATABLE = True

    def __init__(self, artifact: Any, name: str | None = None, compressed: bool = True) -> None:
        self._artifact = artifact
        self._name = name
        self._compressed = compressed

    def update(self, artifact: Any) -> None:
        """Show another object."""
        self._artifact = artifact

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        value = self._artifact
        whole = not self._compressed and isinstance(value, (str, int, float, bool, list, tuple, dict, type(None)))
        shown = {
            "name": cut(str(self._name)) if self._name is not None else None,
            "type": type_name(value),
            "data": plain(value) if whole else summary(value),
            "large_object": False,
            "supported_type": whole,
            "only_repr": not whole,
        }
        return {"type": "artifacts", "id": self.component_id, "data": [shown]}


def rendered(component: Any) -> Any:
    """Return what a component shows, as plain data; a message if it cannot be rendered.

    Parameters
    ----------
    component : object
        A component; anything else is shown as an `Artifact`.
    """
    if not isinstance(component, MetaflowCardComponent):
        component = Artifact(component)
    try:
        shown = component.render()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - code of users
        text = "".join(traceback.format_exception(error))
        return message(f"The component {type(component).__name__} could not be rendered.\n\n{text}", component)
    if isinstance(shown, Mapping):
        return {**shown, "id": component.component_id}
    return {"type": "text", "text": cut(str(shown)), "id": component.component_id}


def message(text: str, component: MetaflowCardComponent) -> dict[str, Any]:
    """Return what stands in place of a component that cannot be shown."""
    return {"type": "log", "data": cut(text), "id": component.component_id}
