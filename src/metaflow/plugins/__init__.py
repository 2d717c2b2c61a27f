"""Paths of Metaflow under which users import decorators and their exceptions: modules of re-exports, no logic."""
