"""What this installation is: profile, METAFLOW_* variables and configuration files, read once into one frozen value.

This room knows the names of settings, the values they accept and where they are written; it must not know what is done
with them. A door calls `load` and hands the `Settings` down; nobody else looks at the environment. Start reading at
`table` for the names, at `loading.load` for the way.
"""

from __future__ import annotations

from metaflow.settings.loading import Settings, load

__all__ = ["Settings", "load"]
