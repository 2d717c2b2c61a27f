"""Millrace and the original Metaflow, side by side: `python -m benchmarks`.

`works` says what is measured, `measure` runs one program and watches its memory, `report` writes the table, `programs/`
holds the flows and scripts, which run unchanged under both. Nothing here is asserted: these are numbers to read.
"""
