"""Names that users import from `metaflow.plugins.cards.card_modules.basic`."""

from __future__ import annotations

from metaflow.cards import (
    BlankCard,
    DefaultCard,
    ErrorCard,
    PageComponent,
)

__all__ = ["BlankCard", "DefaultCard", "ErrorCard", "PageComponent"]
