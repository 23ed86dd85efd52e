"""The status page in a real Chromium, served by a real agent: what an operator sees, hears, and can reach."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from selenium.webdriver.common.keys import Keys

from tests.conftest import saying_why
from tests.kit.browser import Browser
from tests.kit.wait import until
from tests.kit.watched_host import PORT, TOPIC, WatchedHost

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TOKEN = "a-token-for-the-page"

CONTRASTS = """
const known = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
function colour(text) {
  known.clearRect(0, 0, 1, 1); known.fillStyle = text; known.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = known.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
}
const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3])).concat(1);
function behind(element) {
  const layers = [];
  for (let each = element; each; each = each.parentElement) {
    layers.unshift(colour(getComputedStyle(each).backgroundColor));
  }
  return layers.reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
}
function light([r, g, b]) {
  const [x, y, z] = [r, g, b].map((n) => n / 255).map((n) => n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
const found = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest(".unseen, noscript")) continue;
  let faint = 1;
  for (let each = element; each; each = each.parentElement) faint *= Number(getComputedStyle(each).opacity);
  const back = behind(element), ink = colour(getComputedStyle(element).color);
  ink[3] *= faint;
  const pair = [light(over(ink, back)), light(back)].sort((a, b) => b - a);
  found.push([(pair[0] + 0.05) / (pair[1] + 0.05), texts.currentNode.data.trim()]);
}
return found;
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedHost]:
    with WatchedHost(tmp_path_factory.mktemp("page")) as host:
        host.agent.start()
        yield host


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with saying_why():
        browser = Browser()
    with browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, host: WatchedHost) -> Browser:
    """At the page, which has shown the state of the agent; the window as it was."""
    chromium.resize(1280, 900)
    chromium.scheme("light")
    chromium.asked()
    chromium.complaints()
    chromium.open(host.url)
    until(lambda: chromium.text("#host") == "pbx1.example", 15, "the page shows the agent")
    return chromium


def number(text: str) -> int:
    """Digits of a number as the page writes it."""
    return int(re.sub(r"\D", "", text) or -1)


def delivered(browser: Browser) -> int:
    return number(browser.text("#flow li:last-child .figure span"))


def test_a_page_without_calls_says_what_to_do(browser: Browser) -> None:
    assert "Make a test call" in browser.text("#no-calls")
    assert "Nothing has gone wrong" in browser.text("#no-errors")


def test_the_page_follows_the_agent_while_calls_arrive(browser: Browser, host: WatchedHost) -> None:
    until(lambda: browser.text("#word") == "Ready", 20, "the agent is ready")
    assert browser.driver.title == "pbx1.example: ready"
    host.call(3)
    host.say(50)
    until(lambda: delivered(browser) == 3, 15, "three calls are delivered")
    host.call(2)
    until(lambda: delivered(browser) == 5, 15, "two more, without a reload")
    assert browser.script("return document.querySelectorAll('#calls tbody tr').length") == 5
    row = browser.text("#calls tbody tr")
    assert "answered" in row
    assert "delivered" in row
    until(lambda: "50" in browser.text("#events"), 15, "events read are shown")
    assert TOPIC in browser.text("#events")
    assert browser.complaints() == []


def test_charts_move_and_say_in_words_what_they_show(browser: Browser, host: WatchedHost) -> None:
    def line() -> str:
        return str(
            browser.script("return document.querySelectorAll('.chart')[1].querySelector('.line').getAttribute('d')")
        )

    until(lambda: line().count("L") >= 1, 20, "a line of two points")
    before = line()
    host.call(20)
    until(lambda: line() != before, 15, "the chart has gone on")
    label = browser.script("return document.querySelectorAll('.chart svg')[1].getAttribute('aria-label')")
    assert re.fullmatch(r"Delivered over the last .+: now .+ a second, highest .+ a second", label)


def test_numbers_of_people_are_masked_everywhere(browser: Browser, host: WatchedHost) -> None:
    (call,) = host.call()
    masked = call.caller[:5] + "•" * 5 + call.caller[-2:]
    until(lambda: masked in browser.text("#calls"), 15, f"{masked} among the last calls")
    shown = browser.script("return document.documentElement.outerHTML")
    told = requests.get(f"{host.url}/status", timeout=5).text + requests.get(f"{host.url}/metrics", timeout=5).text
    assert not re.search(r"1416555\d{4}", shown + told)


def test_nothing_is_asked_of_another_host_and_the_console_is_silent(browser: Browser, host: WatchedHost) -> None:
    asked = []

    def twice() -> bool:
        asked.extend(browser.asked())
        return asked.count(f"{host.url}/status") >= 2

    until(twice, 15, "the page asks again")
    assert {"/page.css", "/page.js", "/status", "/history?after=0"} <= {url.removeprefix(host.url) for url in asked}
    assert [url for url in asked if not url.startswith(f"{host.url}/")] == []
    assert browser.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Browser, scheme: Any) -> None:
    browser.scheme(scheme)
    back = browser.script("return getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(244, 246, 248)") == (scheme == "light")
    contrasts = browser.script(CONTRASTS)
    assert len(contrasts) > 50
    assert [each for each in contrasts if each[0] < 4.5] == []


def test_problems_come_first_with_what_to_do_and_go_when_they_are_over(browser: Browser, host: WatchedHost) -> None:
    host.take_away()
    host.call(5)
    until(lambda: browser.text("#word") == "Degraded", 30, "the outage shows")
    assert "call_api" in browser.text("#problem-list li")
    assert number(browser.text("#flow li:nth-child(3) .figure span")) >= 1
    assert "Degraded" in browser.driver.title or "degraded" in browser.driver.title
    assert "degraded: " in browser.text("#news")
    assert "down" in browser.text("#sinks")
    assert browser.text("#errors tbody tr") != ""
    for scheme in ("light", "dark"):
        browser.scheme(scheme)  # type: ignore[arg-type]
        assert [each for each in browser.script(CONTRASTS) if each[0] < 4.5] == []
    host.bring_back()
    until(lambda: browser.text("#word") == "Ready", 60, "the outage is over")
    assert browser.text("#problem-list") == ""


def test_a_telephone_needs_no_sideways_scrolling(browser: Browser) -> None:
    for width in (360, 768):
        browser.resize(width, 800)
        assert browser.script("return document.documentElement.scrollWidth") <= width
    browser.resize(360, 800)
    wider = """return [...document.querySelectorAll("main *, header *, footer *")].filter((each) =>
      !each.closest(".unseen, thead, svg") && each.checkVisibility() && each.getBoundingClientRect().right > 360.5)
      .map((each) => each.outerHTML.slice(0, 90))"""
    assert browser.script(wider) == []


def test_everything_is_reached_by_keyboard(browser: Browser) -> None:
    def press(*keys: str) -> str:
        for key in keys:
            browser.driver.switch_to.active_element.send_keys(key)
        return str(browser.script("return document.activeElement.id || document.activeElement.outerHTML.slice(0, 60)"))

    assert "skip" in press(Keys.TAB)
    assert browser.script("return document.activeElement.getBoundingClientRect().top") >= 0
    assert browser.script("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert press(Keys.ENTER) == "main"
    press(Keys.TAB)
    assert browser.script("return document.activeElement.value") == "900"
    press(Keys.ARROW_RIGHT)
    assert browser.script("return document.querySelector('[name=range]:checked').value") == "3600"
    links = []
    for _ in range(4):
        press(Keys.TAB)
        links.append(browser.script("return document.activeElement.getAttribute('href')"))
    assert links == ["/status", "/metrics", "/healthz", "/readyz"]


def test_those_who_hear_the_page_are_told_what_things_are(browser: Browser) -> None:
    wrong = """
    const wrong = [];
    const check = (selector, fine, what) => document.querySelectorAll(selector).forEach((each) =>
      fine(each) || wrong.push(`${what}: ${each.outerHTML.slice(0, 80)}`));
    check("table", (t) => t.caption && t.caption.innerText.trim(), "no caption");
    check("thead th", (t) => t.scope === "col" && t.innerText.trim(), "no column heading");
    check("tbody th", (t) => t.scope === "row", "no row heading");
    check("svg", (s) => s.getAttribute("aria-label") && s.getAttribute("role") === "img", "no label");
    check("input", (i) => i.labels.length && i.labels[0].innerText.trim(), "no label");
    check("fieldset", (f) => f.querySelector("legend"), "no legend");
    check("section", (s) => document.getElementById(s.getAttribute("aria-labelledby"))?.innerText.trim(), "no name");
    check("[id]", (e) => document.querySelectorAll(`#${e.id}`).length === 1, "id twice");
    check("html", (h) => h.lang === "en", "no language");
    if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
    if (document.querySelector("#news").getAttribute("aria-live") !== "polite") wrong.push("news are not polite");
    return wrong;"""
    assert browser.script(wrong) == []
    assert browser.text("#news").startswith("The agent is ")


def test_a_page_that_nobody_looks_at_rests(browser: Browser, host: WatchedHost) -> None:
    page = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    try:
        asked = _answers(host, "/status")
        with requests.Session() as elsewhere:
            until(lambda: elsewhere.get(f"{host.url}/history", timeout=5).json()["number"][-1] > asked[1] + 1, 30)
        assert _answers(host, "/status")[0] - asked[0] <= 2
    finally:
        browser.driver.close()
        browser.driver.switch_to.window(page)
    rested = _answers(host, "/status")[0]
    until(lambda: _answers(host, "/status")[0] > rested, 10, "it asks again when it is looked at")


def _answers(host: WatchedHost, path: str) -> tuple[int, int]:
    """How many answers there were at a path, and the number of the newest point."""
    metrics = requests.get(f"{host.url}/metrics", timeout=5).text
    found = re.search(rf'http_requests_total{{code="200",path="{path}"}} (\d+)', metrics)
    return int(found[1]) if found else 0, requests.get(f"{host.url}/history", timeout=5).json()["number"][-1]


def test_an_agent_that_is_gone_is_missed_and_found_again(browser: Browser, host: WatchedHost) -> None:
    until(lambda: delivered(browser) >= 0, 10)
    host.agent.kill()
    until(lambda: "does not answer" in browser.text("#away"), 20, "the page says that nobody answers")
    assert "systemctl status asterisk-connector" in browser.text("#away")
    assert browser.text("#word") == "No answer"
    assert [each for each in browser.script(CONTRASTS) if each[0] < 4.5] == []
    host.agent.start()
    until(lambda: browser.text("#word") == "Ready" and not browser.text("#away"), 20, "it is back")
    host.call(1)
    until(lambda: delivered(browser) == 1, 20, "what the new process counts is shown")


def test_an_opened_page_asks_for_the_token_once(chromium: Browser, host: WatchedHost) -> None:
    host.configure(http={"listen": f"{host.address}:{PORT}", "token": TOKEN})
    host.agent.signal(signal.SIGHUP)
    until(lambda: requests.get(f"{host.url}/status", timeout=5).status_code == 401, 15, "the token is in force")
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{host.url}/metrics", headers=bearer, timeout=5).status_code == 200
    chromium.open(host.url)
    assert chromium.text("h1") == "A token is needed"
    chromium.driver.switch_to.active_element.send_keys("wrong", Keys.ENTER)
    until(lambda: "wrong" in chromium.driver.current_url and chromium.text("h1") == "A token is needed", 10)
    chromium.driver.switch_to.active_element.send_keys(TOKEN, Keys.ENTER)
    until(lambda: chromium.text("#host") == "pbx1.example", 15, "the page is shown")
    assert TOKEN not in chromium.driver.current_url
    assert TOKEN not in host.agent.said
