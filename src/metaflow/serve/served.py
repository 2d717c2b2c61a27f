"""What a server shows and keeps: the value that every part of it is made of."""

from __future__ import annotations

from typing import NamedTuple

from metaflow.client.site import Site
from metaflow.serve.changes import Changes
from metaflow.serve.database.place import Database


class Served(NamedTuple):
    """What a server shows and keeps.

    Attributes
    ----------
    site : Site
        The runs that pages show: a catalog and a storage.
    changes : Changes
        Tells what is written through this server, as it is written.
    database : Database, optional
        Where what runs report is kept; without one the server only shows.
    cache : str, optional
        A file for what never changes of the runs, which may be deleted at any time.
    """

    site: Site
    changes: Changes
    database: Database | None = None
    cache: str | None = None
