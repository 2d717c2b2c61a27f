"""The facts of runs in a database, SQLite or PostgreSQL, for a server that runs report to.

* `metaflow.serve.database.place`: from a file or URL to connections; `Database`, which the server has;
* `metaflow.serve.database.tables`, `…migrations`: what the tables are, and how older ones become so;
* `metaflow.serve.database.writing`: the one thread that writes; `…writes`: what it writes;
* `metaflow.serve.database.queries`: what is asked; `…catalog`: the same for clients in this process.

Nothing here knows HTTP. Start reading at `metaflow.serve.database.place.Database`.
"""
