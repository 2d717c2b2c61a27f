"""The application: the parts of the server, put together, behind the rules of access.

A value without a socket: a test calls it in its own process, as many at a time as it likes. Every part gets a `Served`.
To mount a part, write its function, ``routes(served)``, and call it in `application`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from metaflow.serve import rest, sign_in
from metaflow.serve.access import Access, AccessRules
from metaflow.serve.database.catalog import DatabaseCatalog
from metaflow.serve.pages.routes import routes as routes_of_pages
from metaflow.serve.reading.cache import Cache
from metaflow.serve.reading.database_runs import DatabaseRuns
from metaflow.serve.reading.routes import events_address
from metaflow.serve.reading.routes import routes as routes_of_reading
from metaflow.serve.reading.site_reader import SiteReader
from metaflow.serve.reading.watching import Watches
from metaflow.serve.served import Served


def application(served: Served, rules: AccessRules) -> Starlette:
    """Return the application.

    Parameters
    ----------
    served : Served
        What to serve.
    rules : AccessRules
        Who may ask.
    """
    cache = Cache(served.cache)
    is_own = served.database is not None and served.site.catalog.kind == DatabaseCatalog.kind
    newest = DatabaseRuns(served.database) if served.database is not None and is_own else None
    reader = SiteReader(served.site, cache, newest=newest)
    watches = Watches(reader, served.changes)
    routes: list[BaseRoute] = [
        *rest.routes(served),
        *(sign_in.routes(rules.tokens) if rules.tokens else ()),
        *routes_of_reading(reader, watches),
        *routes_of_pages(reader, served.site.address, events_address),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        served.changes.start()
        yield
        served.changes.end()
        cache.close()

    return Starlette(routes=routes, lifespan=lifespan, middleware=[Access.middleware(rules)])
