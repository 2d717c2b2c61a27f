"""Names that users import from `metaflow.plugins.cards.card_client`."""

from __future__ import annotations

from metaflow.cards import Card, CardContainer, get_cards

__all__ = ["Card", "CardContainer", "get_cards"]
