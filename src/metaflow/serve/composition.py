"""From what was asked for to what is served: the database, the runs that pages show, and who may ask."""

from __future__ import annotations

import json
import os
import shlex
import socket
from typing import NamedTuple

from metaflow import files, registry, settings
from metaflow.client import site as sites
from metaflow.client.site import Site
from metaflow.exception import CommandException
from metaflow.serve.access import AccessRules, is_loopback
from metaflow.serve.changes import Changes
from metaflow.serve.served import Served
from metaflow.serve.tokens import ALL, Grant, Tokens, read_tokens
from metaflow.settings import Settings, table
from metaflow.store.protocol import Storage


class ServeOptions(NamedTuple):
    """What was asked for.

    Attributes
    ----------
    host : str
        Address to listen on.
    port : int
        0 for any.
    database : str or None
        File or URL; None to keep nothing.
    metadata : str or None
        The place whose runs are shown; None for the database, and without one for that of the settings.
    datastore : str or None
        Where data is, of which the facts of a run do not say where it is.
    token_file : str or None
        File with tokens, beside METAFLOW_SERVE_TOKEN.
    trusted_header : str or None
        Header that a proxy sets.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    database: str | None = None
    metadata: str | None = None
    datastore: str | None = None
    token_file: str | None = None
    trusted_header: str | None = None


def served(options: ServeOptions) -> Served:
    """Return what is served.

    Raises
    ------
    CommandException
        Something that was asked for cannot be.
    StorageUnavailable
        The database cannot be used.
    """
    found = settings.load()
    database = None
    if options.database is not None:
        from metaflow.serve.database.place import Database

        database = Database(options.database)
        database.check()
    if options.metadata is not None:
        site = sites.named(options.metadata)
    elif database is not None:
        from metaflow.serve.database.catalog import DatabaseCatalog

        site = Site(DatabaseCatalog(database), registry.load("datastore", "local")(found.local_root))
    else:
        site = sites.of_settings(found)
    if options.datastore is not None:
        site = Site(site.catalog, _storage(options.datastore))
    return Served(site, Changes(), database)


def rules(options: ServeOptions) -> AccessRules:
    """Return who may ask.

    Raises
    ------
    CommandException
        Others than this machine would reach the server, and nobody would have to say who they are; or a token is wrong.
    """
    given = settings.load().values[table.SERVE_TOKEN]
    grants: dict[str, Grant] = {} if given is None else {given: ALL}
    if options.token_file is not None:
        content = files.read(options.token_file)
        if content is None:
            raise CommandException(f"--token-file {options.token_file}: there is no such file.")
        grants |= read_tokens(content.decode(errors="replace").splitlines(), options.token_file)
    is_local = is_loopback(options.host)
    found = AccessRules(is_local, Tokens(grants), options.trusted_header)
    if found.is_open and not is_local:
        raise CommandException(
            f"On {options.host} the server would be reached from other machines, and nobody would need a token.",
            hint="set METAFLOW_SERVE_TOKEN or give --token-file, or name the header of a proxy that lets people in: "
            "--trusted-proxy-header",
        )
    return found


def client_settings(options: ServeOptions, has_tokens: bool) -> dict[str, str]:
    """Return the settings with which runs and clients use a server."""
    found = settings.load()
    name = options.host if options.host not in ("0.0.0.0", "::", "") else socket.getfqdn()
    values = {
        table.DEFAULT_METADATA.name: "service",
        "METAFLOW_SERVICE_URL": f"http://{f'[{name}]' if ':' in name else name}:{options.port}",
    }
    if has_tokens:
        values["METAFLOW_SERVICE_AUTH_KEY"] = "TOKEN"
    return values | _datastore_settings(found)


def rendered(values: dict[str, str], form: str) -> str:
    """Return settings as the text of a configuration file (``json``), or as commands (``shell``)."""
    if form == "json":
        return json.dumps(values, indent=2)
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def _datastore_settings(found: Settings) -> dict[str, str]:
    if found.default_datastore == "local":
        return {}
    rows = (table.DATASTORE_SYSROOT_S3, table.DATASTORE_SYSROOT_GS, table.DATASTORE_SYSROOT_AZURE)
    roots = {row.name: found.values[row] for row in rows}
    return {table.DEFAULT_DATASTORE.name: found.default_datastore} | {
        name: root for name, root in roots.items() if root is not None
    }


def _storage(place: str) -> Storage:
    kind, at, root = place.partition("@")
    if not at or "/" in kind:
        scheme = place.partition("://")[0] if "://" in place else "local"
        kind, root = scheme, place
    if kind == "local":
        root = os.path.abspath(root)
        below = os.path.join(root, ".metaflow")
        root = below if os.path.basename(root) != ".metaflow" and os.path.isdir(below) else root
    storage: Storage = registry.load("datastore", kind)(root)
    return storage
