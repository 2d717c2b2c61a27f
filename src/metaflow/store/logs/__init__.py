"""The lines that tasks print, from the pipe to the reader.

::

    pipe.py            a task's stream, cut into lines
    lines.py           a line as it is stored, and back; merging by time                         (pure)
    stamp.py           the limit of a log, and the stamp of each line                            (pure)
    task_logs.py       a local task: the engine stores its lines       ── growing.py, in an object store
    segment_writer.py  a remote task: its supervisor stores them, as segments and whole logs
    segment_reader.py  a remote task: the launcher reads them while it runs
    stored.py          the logs of a task, for clients: read, size, scrub

A local line goes pipe → stamp → task_logs. A remote one goes pipe → stamp → segment_writer → storage → segment_reader.
`metaflow.store.layout` has the names of all objects.
"""
