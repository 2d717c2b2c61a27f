"""`current.card`: what the code of a step does with its cards. Whatever it does, nothing is raised.

Start reading at `CurrentCards`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from metaflow.cards.component import Artifact, MetaflowCardComponent

if TYPE_CHECKING:
    from metaflow.cards.in_task import TaskCard


class CardComponents(Mapping[str, Any]):
    """The components of a card by their id; one that is not there takes updates and does nothing."""

    def __init__(self, components: Mapping[str, Any], complain: Callable[[str], None]) -> None:
        self._components = components
        self._complain = complain

    def __getitem__(self, name: str) -> Any:
        if name not in self._components:
            self._complain(f"@card: there is no component with the id '{name}' on this card.")
            return _Nowhere()
        return self._components[name]

    def __contains__(self, name: object) -> bool:
        return name in self._components

    def get(self, name: str, default: Any = None) -> Any:
        """Return a component, `default` if there is none."""
        return self._components.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._components)

    def __len__(self) -> int:
        return len(self._components)

    def __repr__(self) -> str:
        return f"<components: {', '.join(self) or 'none'}>"


class _Nowhere(MetaflowCardComponent):
    """Stands for a component that is not there."""

    def render(self) -> dict[str, Any]:
        return {"type": "text", "text": ""}

    def update(self, *args: Any, **kwargs: Any) -> None:
        pass


class EditableCard:
    """One card, as a step sees it: ``current.card["id"]``.

    Parameters
    ----------
    card : TaskCard or None
        The card; None for one that is not there, which takes everything and shows nothing.
    """

    def __init__(self, card: TaskCard | None, complain: Callable[[str], None]) -> None:
        self._card = card
        self._complain = complain

    def append(self, component: Any, id: str | None = None) -> None:
        """Add a component at the end.

        Parameters
        ----------
        component : MetaflowCardComponent or object
            What is shown; any other object as an `Artifact`.
        id : str, optional
            A name for ``components``.
        """
        if self._card is None:
            return
        if not isinstance(component, MetaflowCardComponent):
            component = Artifact(component)
        if id is not None:
            component.component_id = id
        self._card.components[component.component_id] = component

    def extend(self, components: Iterable[Any]) -> None:
        """Add components at the end."""
        for component in components:
            self.append(component)

    def clear(self) -> None:
        """Remove all components."""
        if self._card is not None:
            self._card.components.clear()

    def refresh(self, data: Any = None, force: bool = False) -> None:
        """Show the card as it is now to those who look at it while the step runs.

        Parameters
        ----------
        data : object, optional
            For cards of users: what JSON can hold; it comes to their `render_runtime` and `refresh`.
        force : bool
            Whether to do it even sooner than ``refresh_interval`` seconds after the last time.
        """
        if self._card is not None:
            try:
                self._card.refresh(data, force)
            except Exception as error:  # noqa: BLE001 - a card never fails its step
                self._complain(f"@card: a refresh failed: {error}")

    def __iter__(self) -> Iterator[Any]:
        """Return the components, from top to bottom."""
        return iter(list(self.components.values()))

    @property
    def components(self) -> CardComponents:
        """The components by their id."""
        return CardComponents(self._card.components if self._card is not None else {}, self._complain)


class CurrentCards:
    """`current.card`: the cards of this step; itself that one which is meant if no id is given."""

    def __init__(self, cards: list[TaskCard], complain: Callable[[str], None]) -> None:
        self._cards = cards
        self._told: set[str] = set()
        self._complain_always = complain

    def _complain(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._complain_always(sentence)

    def __getitem__(self, id: str) -> EditableCard:
        card = next((card for card in self._cards if card.request.id == id), None)
        if card is None:
            known = ", ".join(repr(card.request.id) for card in self._cards if card.request.id) or "none"
            self._complain(f"@card: this step has no card with the id {id!r}; ids here: {known}. Nothing is shown.")
        elif not card.is_editable:
            self._complain(f"@card: cards of the type '{card.request.type}' take no components. Nothing is shown.")
            card = None
        return EditableCard(card, self._complain)

    def __setitem__(self, id: str, components: Iterable[Any]) -> None:
        card = self[id]
        card.clear()
        card.extend(components)

    def __contains__(self, id: object) -> bool:
        return any(card.request.id == id for card in self._cards)

    def get(self, type: str | None = None) -> list[EditableCard]:
        """Return the cards of a type that take components."""
        found = [card for card in self._cards if card.request.type == type and card.is_editable]
        return [EditableCard(card, self._complain) for card in found]

    def _meant(self) -> EditableCard:
        """Return the card that is meant where no id is given."""
        editable = [card for card in self._cards if card.is_editable]
        customized = [card for card in editable if card.request.customize]
        unnamed = [card for card in editable if card.request.id is None]
        for found in (customized, editable, unnamed):
            if len(found) == 1:
                return EditableCard(found[0], self._complain)
        if editable:
            self._complain(
                "@card: this step has several cards, and current.card does not say which. Nothing is shown. "
                "Give them ids, @card(id='a'), and write current.card['a']."
            )
        else:
            self._complain("@card: no card of this step takes components. Nothing is shown.")
        return EditableCard(None, self._complain)

    def append(self, component: Any, id: str | None = None) -> None:
        """Add a component to the card: see `EditableCard.append`."""
        self._meant().append(component, id)

    def extend(self, components: Iterable[Any]) -> None:
        """Add components to the card."""
        self._meant().extend(components)

    def clear(self) -> None:
        """Remove all components of the card."""
        self._meant().clear()

    def refresh(self, data: Any = None, force: bool = False) -> None:
        """Show the card as it is now: see `EditableCard.refresh`."""
        self._meant().refresh(data, force)

    @property
    def components(self) -> CardComponents:
        """The components of the card by their id."""
        return self._meant().components
