"""What the pages of the server stand on: runs, tasks, logs and artifacts as values, from wherever they are kept.

::

    protocol.py    the values, and `RunReader`, which finds them
    filters.py     which runs are wanted, as a value and as the query of an address        (pure)
"""
