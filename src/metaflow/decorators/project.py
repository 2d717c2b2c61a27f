"""`@project`: the runs of a flow belong to a project, and there to a branch. Stands on the class.

On this machine that is a name: in `current`, in the tags of the run, in the line it starts with. Deployments of
different branches do not know each other. Start reading at `ProjectDecorator.project`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, TypeVar, overload

from metaflow.exception import CommandException
from metaflow.flow.flow_decorator import Contribution, FlowDecorator, RunContext
from metaflow.flow.notes import note_on_flow
from metaflow.settings.kinds import shown

Flow = TypeVar("Flow", bound=type)

_NAME = re.compile(r"[a-z0-9_]+")
_RULE = "lowercase letters, digits and underscores"
_MOST_OF_NAME = 127
_MOST_OF_BRANCH = 128


class Project(NamedTuple):
    """Where a run belongs.

    Attributes
    ----------
    name : str
        The project.
    branch : str
        ``user.NAME``, ``test.NAME``, ``prod`` or ``prod.NAME``.
    is_production : bool
        Whether it is the production branch or one beside it.
    is_user_branch : bool
        Whether it is the one that a user has by default.
    """

    name: str
    branch: str
    is_production: bool = False
    is_user_branch: bool = False


class ProjectDecorator(FlowDecorator):
    name = "project"
    defaults: ClassVar[dict[str, Any]] = {"name": None, "branch": None, "production": False}

    def check(self) -> None:
        name, branch, production = (self.attributes[each] for each in self.defaults)
        if name is None or name == "":
            raise self.error("@project has no name.", hint="write @project(name='my_project')")
        if not _is_name(name, _MOST_OF_NAME):
            message = f"@project(name={shown(name)}): expected {_RULE}, at most {_MOST_OF_NAME}."
            raise self.error(message, hint=_meant("name", name))
        if branch not in (None, "") and not _is_name(branch, _MOST_OF_BRANCH):
            message = f"@project(branch={shown(branch)}): expected {_RULE}, at most {_MOST_OF_BRANCH}."
            raise self.error(message, hint=_meant("branch", branch))
        if not isinstance(production, bool):
            raise self.error(f"@project(production={shown(production)}): expected True or False.")

    def project(self, run: RunContext) -> Project:
        """Return where a run belongs, by what the decorator and the options say.

        Raises
        ------
        CommandException
            Both say it, or the option cannot be.
        """
        option, is_production = run.options.get("branch") or "", bool(run.options.get("production"))
        if option and not _is_name(option, _MOST_OF_BRANCH):
            raise CommandException(
                f"--branch {option}: expected {_RULE}, at most {_MOST_OF_BRANCH}.",
                hint=_meant("--branch", option, separator=" "),
            )
        if option and self.attributes["branch"]:
            raise self._twice(f"--branch {option}", "branch")
        if is_production and "production" in self.given and not self.attributes["production"]:
            raise self._twice("--production", "production")
        branch = option or self.attributes["branch"]
        if is_production or self.attributes["production"]:
            return Project(self.attributes["name"], f"prod.{branch}" if branch else "prod", is_production=True)
        if branch:
            return Project(self.attributes["name"], f"test.{branch}")
        return Project(self.attributes["name"], f"user.{run.user}", is_user_branch=True)

    def contribute(self, run: RunContext) -> Contribution:
        project = self.project(run)
        return Contribution(
            {
                "project_name": project.name,
                "branch_name": project.branch,
                "is_production": project.is_production,
                "is_user_branch": project.is_user_branch,
                "project_flow_name": f"{project.name}.{project.branch}.{run.flow}",
            },
            (f"project:{project.name}", f"project_branch:{project.branch}"),
            f"Project: {project.name}, Branch: {project.branch}",
        )

    def _twice(self, option: str, attribute: str) -> CommandException:
        said = f"{self.source} says {attribute}={self.attributes[attribute]!r} already"
        return CommandException(f"{option}: {said}.", hint="leave one of the two out")


def _is_name(value: Any, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most and _NAME.fullmatch(value) is not None


def _meant(word: str, value: Any, separator: str = "=") -> str | None:
    """Return a hint with what may have been meant."""
    if not isinstance(value, str):
        return None
    near = re.sub(r"[^a-z0-9_]+", "_", value.lower()).strip("_")[:_MOST_OF_NAME]
    quote = "'" if separator == "=" else ""
    return f"write {word}{separator}{quote}{near}{quote}" if near else None


@overload
def project(flow: Flow) -> Flow: ...
@overload
def project(*, name: str, branch: str | None = None, production: bool = False) -> Callable[[Flow], Flow]: ...
def project(flow: Any = None, **attributes: Any) -> Any:
    """Let the runs of a flow belong to a project.

    Parameters
    ----------
    name : str
        The project: lowercase letters, digits and underscores.
    branch : str, optional
        Its branch, ``test.BRANCH``, or ``prod.BRANCH`` in production; by default ``user.USER``. ``--branch`` says it
        for one run.
    production : bool, default False
        Whether this is the production branch, ``prod``. ``--production`` says it for one run.

    Raises
    ------
    InvalidDecoratorAttribute
        When the flow is used: there is no name, or a name cannot be.
    InvalidFlow
        It stands on something else than a flow.
    """
    return note_on_flow(ProjectDecorator, flow, attributes)
