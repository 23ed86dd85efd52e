"""Takes the pictures of docs/status-page.md: `python -m tests.kit.page_pictures`, two minutes in which calls arrive.

A real agent in a real Chromium: a calm host in light and dark, then the same with its call API away.
"""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path

from tests.kit.browser import Browser
from tests.kit.wait import until
from tests.kit.watched_host import WatchedHost

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
HOME = Path("/srv/pbx1")
"""Seen in the pictures; wants root."""
BUSY = 150.0
AWAY = 25.0


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    HOME.mkdir()
    try:
        _pictures()
    finally:
        shutil.rmtree(HOME)


def _pictures() -> None:
    with WatchedHost(HOME) as host, Browser() as browser:
        host.agent.start()
        browser.open(host.url)
        _busy(host, BUSY)
        until(lambda: browser.text("#word") == "Ready", 20)
        _take(browser, "light", "status-page-light.png")
        _take(browser, "dark", "status-page-dark.png")
        host.take_away()
        _busy(host, AWAY)
        until(lambda: browser.text("#word") == "Degraded", 20)
        _take(browser, "light", "status-page-outage.png")


def _busy(host: WatchedHost, seconds: float) -> None:
    """Calls and events that come and go like a working day."""
    began = time.monotonic()
    while (past := time.monotonic() - began) < seconds:
        host.call(round(2 + 2 * math.sin(past / 9) + past % 7 / 4))
        host.say(round(60 + 50 * math.sin(past / 13)))
        time.sleep(0.5)


def _take(browser: Browser, scheme: str, name: str) -> None:
    browser.resize(1280, 900)
    browser.scheme("dark" if scheme == "dark" else "light")
    browser.picture(PICTURES / name)
    print(PICTURES / name)


if __name__ == "__main__":
    main()
