"""One server for everything: the metadata service that runs report to, and the pages on which people look at runs.

A door beside the command line: nothing but `metaflow.cli.serve` imports it, and what it is made of (Starlette, uvicorn,
SQLAlchemy, Jinja) is an extra, ``millrace[serve]``. The parts that are mounted do not know one another:

* `metaflow.serve.rest`: the calls of Metaflow's metadata service, over a database;
* `metaflow.serve.reading`: what pages need to know of runs, as JSON and as events;
* `metaflow.serve.pages`: the pages.

Start reading at `metaflow.serve.application`.
"""
