"""Names that users import from `metaflow.plugins.cards.card_modules.card`."""

from __future__ import annotations

from metaflow.cards import MetaflowCard, MetaflowCardComponent

__all__ = ["MetaflowCard", "MetaflowCardComponent"]
