"""Flows driven by a Python program or a notebook: each run is a process of its own, watched from here.

A skin over the command line: keywords become words and values (`keywords`), the flow file runs in a child process
(`child`), whose output, run id and end a thread of ours hears of (`process`). Nothing of it needs the main thread, a
signal handler or a particular event loop, and nothing here imports the user's flow.

``metaflow_runner``   `Runner`, which starts runs
``executing``         `ExecutingRun`, a run that was started
``nbrun``             `NBRunner`, for the flow class of a notebook; ``cells`` makes a file of it
``process``           the child, seen from here; ``output`` what it prints, ``shown`` as it comes; ``bell`` who waits
``child``             the child, seen from itself
"""
