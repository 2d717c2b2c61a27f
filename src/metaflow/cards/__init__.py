"""Cards: pages that show what a step did, made of components. This is the import path of Metaflow's public names.

`component`, `components` and `plain` turn what users give into plain data; `drawing`, `graph`, `code`, `charts` and
`page` turn that into HTML, purely; `card`, `blank`, `default` and `error` are the kinds of cards; `in_task` and
`process` make them while a task runs; `stored` reads them again.
"""

from metaflow.cards.blank import BlankCard
from metaflow.cards.card import MetaflowCard
from metaflow.cards.component import MetaflowCardComponent
from metaflow.cards.components import (
    Artifact,
    Error,
    EventsTimeline,
    Image,
    JSONViewer,
    Markdown,
    PageComponent,
    ProgressBar,
    PythonCode,
    Table,
    ValueBox,
    VegaChart,
    YAMLViewer,
)
from metaflow.cards.default import DefaultCard
from metaflow.cards.error import ErrorCard
from metaflow.cards.stored import Card, CardContainer, get_cards

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
