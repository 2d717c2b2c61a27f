"""What Metaflow's command lines have and ours have not: each answered by its name, with what to do instead.

One table for commands of a flow, commands of `metaflow`, and options. What comes for real loses its row here.
"""

from __future__ import annotations

from typing import Literal

from metaflow.exception import CommandException

Kind = Literal["command", "metaflow command", "option"]

_SCHEDULE = "a scheduler of your own can start `run`"
_SETTINGS = (
    "write settings to ~/.metaflowconfig/config.json, or set them as variables; "
    "`metaflow configure show --all` lists them"
)
_FILE = "the configuration is a file, ~/.metaflowconfig/config.json, or config_<profile>.json for a profile"
_CODE = "`Run(…).code` has the code of a run: `extract()` writes it to a directory"

_INSTEAD: dict[Kind, dict[str, str]] = {
    "command": {
        "airflow": _SCHEDULE,
        "argo-workflows": _SCHEDULE,
        "secrets": "set variables in the environment, or use @kubernetes(secrets=…)",
        "step-functions": _SCHEDULE,
    },
    "metaflow command": {
        "code": _CODE,
        "configure aws": _SETTINGS,
        "configure azure": _SETTINGS,
        "configure export": f"{_FILE}: copy it",
        "configure gcp": _SETTINGS,
        "configure import": f"{_FILE}: put yours there",
        "configure kubernetes": _SETTINGS,
        "configure reset": f"{_FILE}: remove it",
        "configure sandbox": "hosted sandboxes are not supported",
        "develop": "type checkers need no stubs: the package is typed",
        "tutorials": "the examples are in the directory `examples` of the project",
    },
    "option": {
        "--local-config-file": _SETTINGS,
    },
}


def names(kind: Kind) -> list[str]:
    """Return all names of a kind, sorted."""
    return sorted(_INSTEAD[kind])


def refusal(kind: Kind, name: str) -> CommandException | None:
    """Return the error for something of Metaflow that is not here; None if Metaflow does not have it either.

    Parameters
    ----------
    kind, name : str
        A row of the table.
    """
    instead = _INSTEAD[kind].get(name)
    if instead is None:
        return None
    shown = f"metaflow {name}" if kind == "metaflow command" else name
    what = "option" if kind == "option" else "command"
    return CommandException(f"The {what} `{shown}` is not available in this version of Millrace.", hint=instead)
