"""Names that users import from `metaflow.plugins.cards.card_decorator`."""

from __future__ import annotations

from metaflow.decorators.card import CardDecorator

__all__ = ["CardDecorator"]
