"""Charts of Vega-Lite as SVG, by vl-convert, which is an extra: ``pip install 'millrace[charts]'``.

An SVG needs no script and nothing from a network, and it prints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

WITHOUT = (
    "This chart is drawn where vl-convert is installed: pip install 'millrace[charts]'. "
    "Its specification is kept on this card."
)
_WIDTH = 640


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
        return None, WITHOUT
    try:
        return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])), ""
    except Exception as error:  # noqa: BLE001 - whatever it says of a specification
        return None, f"This chart cannot be drawn: {str(error).splitlines()[0]}"
