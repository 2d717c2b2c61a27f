"""What a door does once it knows what is wanted: assembles settings, flow, storage, metadata, launchers and engine.

Functions here take values and return values; what is worth saying on the way goes to callbacks. Nothing here prints,
parses a command line, or knows a vendor: `metaflow.cli` is a skin over it, and a Python program can call the same.
Start reading at `workspace.Workspace`, then `run.run`.
"""
