"""What the pages of the server stand on: runs, tasks, logs and artifacts as values, from wherever they are kept.

::

    protocol.py     the values, and `RunReader`, which finds them
    filters.py      which runs are wanted, as a value and as the query of an address        (pure)
    site_reader.py  the reader over any catalog and the storage beside it
      run_list.py     pages of runs, merged over flows ── database_runs.py, which leaves out what is not wanted
      folding.py      from recorded facts to rows of tasks                                  (pure)
      details.py      what the page of a run or a task tells beside
      logs.py         slices of a log, and searches
      previews.py     artifacts, read without running their pickles ── showing.py           (pure)
      comparing.py    two runs side by side
      cache.py        what never changes, in a file that may be deleted
    watching.py     who listens hears of changes: one poller, however many listen
    encoding.py     values as JSON                                                          (pure)
    routes.py       JSON and events over HTTP
"""
