"""The page that every card of ours is: one HTML file with its style sheet and its script, and nothing fetched."""

from __future__ import annotations

from html import escape
from pkgutil import get_data

# Read once for all tasks, which are forked.
TOKENS, _STYLE, _SCRIPT = ((get_data(__name__, name) or b"").decode() for name in ("tokens.css", "card.css", "card.js"))
"""`TOKENS`: the colours of light and dark pages, which the pages of the server have too."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


def page(title: str, body: str, *, reload_token: str = "final", footer: str = "") -> str:
    """Return a whole HTML document.

    Parameters
    ----------
    title : str
        As text.
    body, footer : str
        As HTML.
    reload_token : str
        What a server compares to know whether the page has to be loaded anew: Metaflow's protocol of live cards.
    """
    return encodable(f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{TOKENS}{_STYLE}</style>
</head>
<body>
<main>
{body}
<footer>{footer}</footer>
</main>
<script>var METAFLOW_RELOAD_TOKEN = "{escape(reload_token)}";</script>
<script>{_SCRIPT}</script>
</body>
</html>
""")


def encodable(text: str) -> str:
    """Return a text with what UTF-8 does not have, such as half of a pair in a file's name, as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
