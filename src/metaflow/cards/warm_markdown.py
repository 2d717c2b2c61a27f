"""The parser of Markdown, made once for all tasks: imported by the process that they are forked from.

It takes several times as long to import as a card to be drawn. Its modules are taken out of `sys.modules` again, so
that a task's own code that imports them gets what it would have got without us.
"""

from __future__ import annotations

import sys

from metaflow.cards.drawing import markdown_parser

_OURS = {"metaflow", *sys.stdlib_module_names}

_known = set(sys.modules)
markdown_parser().render("")
for _name in set(sys.modules) - _known:
    if _name.partition(".")[0] not in _OURS:
        del sys.modules[_name]
