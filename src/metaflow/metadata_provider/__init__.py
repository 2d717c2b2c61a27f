"""What is known of runs: who, when, tags, and named facts. `protocol` is the contract, `local` keeps it in files.

Options and settings call this *metadata*; the room does not, since `metaflow.metadata(…)` is a function of the client.
"""
