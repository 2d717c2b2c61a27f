"""The process of somebody else's card: started anew when it is gone, whatever the step has done to its streams."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Any

import pytest

from metaflow.cards.process import CardFailed, CardProcess


def test_it_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    process = CardProcess(lambda: None, "nowhere", {}, None)  # type: ignore[arg-type, return-value]
    question: dict[str, Any] = {"mode": "render", "components": {}, "user": None}
    try:
        with pytest.raises(CardFailed, match="There is no card of the type 'nowhere'"):
            process.ask(question, 30)
        os.kill(process._pid, signal.SIGKILL)
        with pytest.raises(CardFailed, match="has ended"):
            process.ask(question, 30)
        with pytest.raises(CardFailed, match="There is no card of the type 'nowhere'"):
            process.ask(question, 30)
    finally:
        process.close()
