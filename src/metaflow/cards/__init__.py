"""Cards: pages that show what a step did, made of components. This is the import path of Metaflow's public names.

`component`, `components`, `tables`, `images` and `plain` turn what users give into plain data; `drawing`, `graph`,
`code`, `charts` and `page` turn that into HTML, purely; `card`, `blank`, `default`, `error` and `kinds` are the
kinds of cards; `in_task`, `editing` and `process` make them while a task runs; `stored` reads them again, and `server`
shows them.
"""

from metaflow.cards.blank import BlankCard
from metaflow.cards.card import MetaflowCard
from metaflow.cards.component import Artifact, MetaflowCardComponent
from metaflow.cards.components import (
    Error,
    EventsTimeline,
    JSONViewer,
    Markdown,
    PageComponent,
    ProgressBar,
    PythonCode,
    ValueBox,
    VegaChart,
    YAMLViewer,
)
from metaflow.cards.default import DefaultCard
from metaflow.cards.error import ErrorCard
from metaflow.cards.images import Image
from metaflow.cards.stored import Card, CardContainer, get_cards
from metaflow.cards.tables import Table

__all__ = [
    "Artifact",
    "BlankCard",
    "Card",
    "CardContainer",
    "DefaultCard",
    "Error",
    "ErrorCard",
    "EventsTimeline",
    "Image",
    "JSONViewer",
    "Markdown",
    "MetaflowCard",
    "MetaflowCardComponent",
    "PageComponent",
    "ProgressBar",
    "PythonCode",
    "Table",
    "ValueBox",
    "VegaChart",
    "YAMLViewer",
    "get_cards",
]
