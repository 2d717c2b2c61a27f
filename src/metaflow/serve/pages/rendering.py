"""Templates, and what holds for every page: its style sheet, the names of its modules, the policy of its content.

The style sheet is part of the page, so that the first paint waits for one answer; its hash is what the policy allows
beside files of our own. No template may switch escaping off.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metaflow.cards.page import TOKENS
from metaflow.cards.units import duration, size
from metaflow.serve.pages import addresses, ansi, views

_STATIC = files("metaflow.serve.pages") / "static"
_STYLE = TOKENS + (_STATIC / "style.css").read_text(encoding="utf-8")
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load and run: nothing that is written in it, nothing from elsewhere."""

SCRIPTS: Mapping[str, bytes] = {name: (_STATIC / name).read_bytes() for name in ("page.js", "run.js", "log.js")}
"""The modules by name."""

VERSION = hashlib.sha256(b"".join(SCRIPTS.values())).hexdigest()[:10]
"""Part of the modules' addresses, so that they may be kept for ever."""


def render(template: str, **values: Any) -> str:
    """Return a page, or a part of one."""
    html = _environment.get_template(template).render(values)
    return html.encode("utf-8", "backslashreplace").decode()


def time(moment: int | None) -> Markup:
    """Return a time as HTML; a script shows it in the reader's zone."""
    if moment is None:
        return Markup("")
    full = f"{_at(moment):%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_stamp(moment), full, full)


def took(started: int | None, ended: int | None, is_running: bool = False) -> Markup:
    """Return a length of time as HTML; of what goes on a script keeps it up to date."""
    if started is None or (ended is None and not is_running):
        return Markup("")
    if ended is None:
        return Markup('<span data-since="{}">running</span>').format(started)
    return Markup("{}").format(duration(max(0, ended - started) / 1000))


def _stamp(moment: int) -> str:
    return _at(moment).isoformat(timespec="milliseconds")


def _clock(moment: int) -> str:
    return f"{_at(moment):%H:%M:%S}"


def _at(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1000, UTC)


def _environment_made() -> Environment:
    made = Environment(
        loader=PackageLoader("metaflow.serve.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(style=Markup(_STYLE), version=VERSION, links=addresses, views=views)
    made.globals["took"] = took
    made.filters.update(time=time, stamp=_stamp, clock=_clock, size=size, duration=duration, ansi=ansi.as_html)
    return made


_environment = _environment_made()
