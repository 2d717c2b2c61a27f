"""Print how long an import takes, in seconds."""

import sys
from time import perf_counter

what = sys.argv[1]
begin = perf_counter()
if what == "package":
    import metaflow  # noqa: F401
else:
    from metaflow import FlowSpec, Parameter, current, step  # noqa: F401
print("seconds", perf_counter() - begin)
