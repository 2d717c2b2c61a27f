"""Metadata in a service that a team shares, over HTTP (docs/decisions/0039 has its calls).

`connection` makes one call, `documents` says what is in it, `sender` makes those that write, in order and whatever
happens to the service meanwhile, `metadata` is the recorder and the catalog that stand on them, `lease` tells by
heartbeats who carries out a run, and `reported` is what a task has whose facts its launcher sends.
"""
