"""`Image`: pictures of files, of matplotlib and of Pillow, which become part of the page."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable
from typing import Any

from metaflow.cards.component import MetaflowCardComponent, message
from metaflow.cards.plain import type_name
from metaflow.cards.time_limit import TookTooLong, time_limit

LARGEST_IMAGE = 5 * 1024 * 1024
"""Bytes of one image that a card takes in."""

_PATIENCE = 30.0
"""Seconds that a library gets to draw one."""


class Image(MetaflowCardComponent):
    """An image, which becomes part of the card.

    Parameters
    ----------
    src : bytes or str
        The file's bytes (PNG, JPEG, GIF, WebP, SVG), or a ``data:image/…`` URL.
    label : str, optional
        A caption.
    disable_updates : bool
        Whether `update` has no effect.
    """

    def __init__(self, src: bytes | str | None = None, label: str | None = None, disable_updates: bool = True) -> None:
        self._src = src
        self._label = label
        self._failure: str | None = None
        self.REALTIME_UPDATABLE = not disable_updates

    @classmethod
    def from_matplotlib(cls, plot: Any, label: str | None = None, disable_updates: bool = False) -> Image:
        """Return the image of a figure of matplotlib, or of that which the axes are on.

        Parameters
        ----------
        plot : Figure or Axes
            What to show.
        label, disable_updates
            As for `Image`.
        """
        return cls._of(_matplotlib_png, plot, label, disable_updates)

    @classmethod
    def from_pil_image(cls, pilimage: Any, label: str | None = None, disable_updates: bool = False) -> Image:
        """Return the image of one of Pillow.

        Parameters
        ----------
        pilimage : PIL.Image.Image
            What to show.
        label, disable_updates
            As for `Image`.
        """
        return cls._of(_pillow_png, pilimage, label, disable_updates)

    @classmethod
    def _of(cls, png: Callable[[Any], bytes], source: Any, label: str | None, disable_updates: bool) -> Image:
        image = cls(None, label, disable_updates)
        image._draw(png, source)
        return image

    def _draw(self, png: Callable[[Any], bytes], source: Any) -> None:
        try:
            with time_limit(_PATIENCE, "It"):
                self._src, self._failure = png(source), None
        except TookTooLong as error:
            self._failure = f"A {type_name(source)} could not be drawn. {error.message}"
        except Exception as error:  # noqa: BLE001 - whatever a library says of what it was given
            self._failure = f"A {type_name(source)} could not be drawn: {type(error).__name__}: {error}"

    def update(self, image: Any, label: str | None = None) -> None:
        """Show another image.

        Parameters
        ----------
        image : bytes, str, Figure, Axes or PIL.Image.Image
            What to show.
        label : str, optional
            Another caption.
        """
        if not self.REALTIME_UPDATABLE:
            return
        if label is not None:
            self._label = label
        if isinstance(image, (bytes, str)):
            self._src, self._failure = image, None
        else:
            self._draw(_matplotlib_png if hasattr(image, "get_figure") else _pillow_png, image)

    def render(self) -> dict[str, Any]:
        """Return the component as plain data."""
        try:
            if self._failure is not None:
                raise ValueError(self._failure)
            source = image_url(self._src)
        except ValueError as error:
            return message(f"This image cannot be shown. {error}", self)
        return {"type": "image", "id": self.component_id, "src": source, "label": self._label}


_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"RIFF", "webp"),
    (b"BM", "bmp"),
    (b"<svg", "svg+xml"),
    (b"<?xml", "svg+xml"),
)


def image_url(source: Any) -> str:
    """Return an image as a ``data:`` URL.

    Raises
    ------
    ValueError
        It is none that a browser shows, or too large.
    """
    if isinstance(source, str):
        head, comma, text = source.partition(",")
        if not comma or not head.startswith("data:image/"):
            raise ValueError("A string must be a data:image/… URL.")
        try:
            source = base64.b64decode(text, validate=False)
        except binascii.Error as error:
            raise ValueError(f"Its base64 is damaged: {error}.") from None
    if not isinstance(source, (bytes, bytearray, memoryview)):
        raise ValueError(f"It needs the bytes of a PNG, JPEG, GIF, WebP or SVG file, not a {type_name(source)}.")
    data = bytes(source)
    kind = next((kind for start, kind in _SIGNATURES if data.lstrip()[:8].startswith(start)), None)
    if kind is None:
        raise ValueError("Its bytes are not a PNG, JPEG, GIF, WebP or SVG file.")
    if len(data) > LARGEST_IMAGE:
        raise ValueError(
            f"It has {len(data) / 1e6:.1f} MB, and a card takes images up to {LARGEST_IMAGE / 1e6:.1f} MB: "
            "make it smaller, or keep it as an artifact."
        )
    return f"data:image/{kind};base64, {base64.b64encode(data).decode()}"


def _matplotlib_png(plot: Any) -> bytes:
    figure = plot if hasattr(plot, "savefig") else plot.get_figure()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _pillow_png(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
