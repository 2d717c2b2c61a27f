"""What this installation is: profile, METAFLOW_* variables and configuration files, read once into one frozen value.

This room knows the names of settings and where they are written; it must not know what they are for. A door calls
`load` and hands the `Settings` down; nobody else looks at the environment. Start reading at `reading.load`.
"""

from __future__ import annotations

from metaflow.settings.reading import Settings, load

__all__ = ["Settings", "load"]
