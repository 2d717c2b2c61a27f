"""Charts of Vega-Lite on a page, as SVG, or interactive if that is asked for, by vl-convert: ``millrace[charts]``.

A component that is drawn leaves a place with the specification; who makes the whole page fills it. So a task draws
nothing while its step runs, which would cost it a core for some hundredths of a second each time: who shows a live card
does. So does who shows a card that was made where there is no vl-convert. An SVG needs no script and nothing from a
network, and it prints. Start reading at `with_charts`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from html import escape
from pkgutil import get_data
from typing import Any

from metaflow.cards.drawing import WITHOUT_CHARTS, chart_place, script_json

_PLACE = re.compile(
    r'<figure class="chart undrawn( controls)?"><script type="application/json">([^<]*)</script>.*?</figure>', re.DOTALL
)
_WIDTH = 640


def with_charts(html: str, *, interactive: bool = False) -> str:
    """Return a page, or a part of one, with its charts drawn, as far as they can be here.

    Parameters
    ----------
    html : str
        As `metaflow.cards.drawing` makes it.
    interactive : bool
        Whether Vega itself comes along, 0.9 MB, if there is a chart: for a whole page.
    """
    if 'class="chart undrawn' not in html:
        return html
    drawn = _PLACE.sub(lambda place: _filled(json.loads(place[2]), place[1] or "", interactive), html)
    if not interactive or 'class="chart interactive' not in drawn:
        return drawn
    head, body, rest = drawn.rpartition("</body>")
    return f"{head}<script>{_vega()}</script>\n<script>{_script()}</script>\n{body}{rest}"


def _filled(spec: Mapping[str, Any], controls: str, interactive: bool) -> str:
    svg, trouble = chart_svg(spec)
    if svg is None:
        kind = f"undrawn{controls}" if trouble == WITHOUT_CHARTS else "broken"
        return chart_place(spec, trouble, kind)
    title = spec.get("title") if isinstance(spec.get("title"), str) else "Chart"
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    image = f'<img src="{source}" alt="{escape(str(title))}">'
    if not interactive:
        return f'<figure class="chart">{image}</figure>'
    data = f'<script type="application/json">{script_json(spec)}</script>'
    return f'<figure class="chart interactive{controls}">{image}{data}</figure>'


def chart_svg(spec: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return a chart as SVG, or None and a sentence that says why not.

    Parameters
    ----------
    spec : mapping
        A Vega-Lite specification with its data.
    """
    fixed = {"$schema": "https://vega.github.io/schema/vega-lite/v5.json", **spec}
    if fixed.get("width") == "container":
        fixed["width"] = _WIDTH
    return _drawn(json.dumps(fixed, sort_keys=True))


@lru_cache(maxsize=64)
def _drawn(spec: str) -> tuple[str | None, str]:
    try:
        import vl_convert
    except ImportError:
        return None, WITHOUT_CHARTS
    try:
        return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])), ""
    except Exception as error:  # noqa: BLE001 - whatever it says of a specification
        return None, f"This chart cannot be drawn: {str(error).splitlines()[0]}"


@cache
def _vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as a script that can stand in a page."""
    import vl_convert

    # In JavaScript's strings and patterns a backslash before these changes nothing.
    return (
        str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
        .replace("</script", "<\\/script")
        .replace("<!--", "<\\!--")
    )


@cache
def _script() -> str:
    return (get_data("metaflow.cards.page", "charts.js") or b"").decode()
