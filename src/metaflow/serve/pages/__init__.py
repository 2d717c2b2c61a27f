"""The pages on which people look at runs: rendered here, readable without a script.

::

    addresses.py    the permanent link of each thing                                  (pure)
    ansi.py         a line of a log as HTML, in its colours                           (pure)
    views.py        values of `metaflow.serve.reading` as what templates say          (pure)
    rendering.py    templates, style sheet and the policy of their content
    routes.py       requests → values → pages
    templates/      one file for each page
    static/         the style sheet and the modules that make pages live, fast and quick to steer

A page is made of the values that a `RunReader` gives, and nothing else; where they come from is not known here. All
text is escaped by the templates; the scripts take HTML from here only and make none of text. Start reading at `routes`.
"""

from metaflow.serve.pages.routes import routes

__all__ = ["routes"]
