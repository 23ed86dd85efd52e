"""A real Chromium without a screen: what an operator sees, what the page asks for, what its console says.

- Each browser has a profile of its own and speaks to nobody by itself.
- `asked` and `complaints` are read from Chromium's own logs, not from what the page says of itself.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.kit.cache import CannotRun

_QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-quic", "--lang=en-GB"),
)
_OURS = ("http:", "https:", "ws:", "wss:")


class Browser:
    """A context manager. Sizes are CSS pixels."""

    def __init__(self, width: int = 1280, height: int = 900) -> None:
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        options = ChromeOptions()
        options.binary_location = _program("chromium")
        for flag in (*_QUIET, f"--user-data-dir={self._profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = Chrome(options=options, service=Service(_program("chromedriver")))
        self.resize(width, height)

    def resize(self, width: int, height: int) -> None:
        """The window as a device of this size would show it."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def scheme(self, name: Literal["light", "dark"]) -> None:
        """What the operator's desktop prefers."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, url: str) -> None:
        self.driver.get(url)

    def script(self, source: str, *arguments: object) -> Any:
        """What a script in the page returns."""
        return self.driver.execute_script(source, *arguments)

    def text(self, selector: str) -> str:
        """The text of the first element that fits, as it is shown; empty where it is hidden."""
        shown = (
            "const found = document.querySelector(arguments[0]); return found?.checkVisibility() ? found.innerText : ''"
        )
        return str(self.script(shown, selector))

    def asked(self) -> list[str]:
        """Addresses that were asked for since the last time."""
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [e["params"]["request"]["url"] for e in entries if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if url.startswith(_OURS)]

    def complaints(self) -> list[str]:
        """Warnings and errors of the console since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in {"WARNING", "SEVERE"}]

    def picture(self, path: Path) -> None:
        """The whole page as PNG, however long it is."""
        height = self.script("return document.documentElement.scrollHeight")
        width = self.script("return window.innerWidth")
        self.resize(width, height)
        path.write_bytes(self.driver.get_screenshot_as_png())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise CannotRun("The browser", f"{name} is not installed; `tests/kit/install-packages --all` does.")
    return path
