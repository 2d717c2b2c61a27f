"""``@card(type="blank")``: what the step appends, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from metaflow.cards.card import MetaflowCard
from metaflow.cards.charts import with_charts
from metaflow.cards.drawing import draw, draw_all
from metaflow.cards.page import page

if TYPE_CHECKING:
    from metaflow.client import Task


class BlankCard(MetaflowCard):
    """An empty page for components.

    Parameters
    ----------
    options : mapping
        ``title``: a heading. ``interactive_charts``: whether charts answer to the mouse, which takes 0.9 MB.
    components : sequence of dict or str
        From top to bottom.
    """

    type = "blank"
    ALLOW_USER_COMPONENTS = True
    RUNTIME_UPDATABLE = True
    RELOAD_POLICY = MetaflowCard.RELOAD_POLICY_ONCHANGE

    def render(self, task: Task) -> str:
        """Return the page."""
        page = self._page(task.pathspec, self._components, "final")
        return with_charts(page, interactive=bool(self._options.get("interactive_charts")))

    def render_runtime(self, task: Task, data: Mapping[str, Any]) -> str:
        """Return the page with the components as they are now."""
        components = data.get("components", {})
        return self._page(task.pathspec, components.values(), self.reload_content_token(task, data))

    def refresh(self, task: Task, data: Mapping[str, Any]) -> Any:
        """Return the components, drawn, by id."""
        return drawn(data.get("components", {}))

    def _page(self, pathspec: str, components: Any, token: str) -> str:
        title = str(self._options.get("title") or "")
        heading = f"<h1>{escape(title)}</h1>" if title else f'<h1 class="unseen">{escape(pathspec)}</h1>'
        body = draw_all(components) or '<p class="note">Nothing was put on this card.</p>'
        return page(title or pathspec, f"{heading}{body}", reload_token=token, footer=escape(pathspec))


def drawn(components: Mapping[str, Any]) -> dict[str, Any]:
    """Return components as `refresh` gives them to a page that is shown: each with its HTML."""
    return {
        name: {**component, "html": draw(component)} if isinstance(component, Mapping) else {"html": draw(component)}
        for name, component in components.items()
    }
