"""From what was asked for to what is served: the database, and where the runs are that pages show."""

from __future__ import annotations

from metaflow import registry, settings
from metaflow.client import site as sites
from metaflow.client.site import Site
from metaflow.serve.changes import Changes
from metaflow.serve.served import Served


def composed(database: str | None, metadata: str | None) -> Served:
    """Return what is served.

    Parameters
    ----------
    database : str or None
        A file or a URL: keep there what runs report, and show it.
    metadata : str or None
        Show the runs of this place; by default those that the settings name.

    Raises
    ------
    CommandException
        Something that was asked for cannot be.
    StorageUnavailable
        The database cannot be used.
    """
    found = settings.load()
    if database is None:
        return Served(sites.named(metadata) if metadata else sites.of_settings(found), Changes())
    from metaflow.serve.database.catalog import DatabaseCatalog
    from metaflow.serve.database.place import Database

    kept = Database(database)
    kept.check()
    storage = registry.load("datastore", "local")(found.local_root)
    return Served(Site(DatabaseCatalog(kept), storage), Changes(), kept)
