"""Puts data, style and script into one file."""

import base64
import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from fastssl.report.page.data import page_data
from fastssl.telemetry.files import write_atomically

SCRIPTS = ("draw.js", "app.js")


def write_page(paths: Iterable[Path], out: Path) -> dict[str, Any]:
    """Writes the page and returns what it shows. The same records give the same bytes.

    The file loads nothing: its policy allows the style and the script inside of it, and pictures inside of it, alone.
    Errors: as `page_data`.
    """
    data = page_data(paths)
    style, script = _asset("page.css"), "\n".join(_asset(name) for name in SCRIPTS)
    html = _asset("page.html")
    for name, text in {
        "POLICY": f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:",
        "STYLE": style,
        "DATA": _safe(data),
        "SCRIPT": script,
    }.items():
        html = html.replace(f"@@{name}@@", text, 1)
    write_atomically(out, html.encode())
    return data


def _safe(data: Any) -> str:
    """JSON that no name in a record can break out of: neither an end tag nor a comment nor a line of its own."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (resources.files("fastssl.report.page") / "assets" / name).read_text()
