"""Debian's Chromium, as a reader has it: pages over HTTP, and all that they complain of."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, sync_playwright

SCREENSHOTS: Final = Path(__file__).parents[1] / "build" / "screenshots"
"""For a person to look at."""
ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS: Final = {"phone": 390, "desktop": 1_280}
HEIGHT: Final = 900
PATIENCE_MS: Final = 30_000
FOCUSED: Final = """(() => {
  const { id, textContent } = document.activeElement;
  return document.activeElement === document.body ? null : id || textContent.trim() || "picture";
})()"""
RINGED: Final = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"


@dataclass
class Visit:
    """A page that is open, and its ``complaints``: errors, refusals of its policy, requests that failed."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.page.on("response", self._answered)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= HTTPStatus.BAD_REQUEST:  # 304 is an answer, too
            self.complaints.append(f"{response.status}: {response.url}")

    def load_pictures(self) -> list[str]:
        """All pictures, those out of sight too; the addresses of those that do not show."""
        self.page.evaluate("for (const image of document.images) image.loading = 'eager'")
        self.page.evaluate("Promise.allSettled([...document.images].map((image) => image.decode()))")
        broken: list[str] = self.page.evaluate(
            "[...document.images].filter((image) => !image.naturalWidth).map((image) => image.src)"
        )
        return broken

    def violations(self) -> list[Any]:
        """What axe finds wrong for people who cannot see, or not well, or use no mouse."""
        axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self.page.evaluate(axe)
        found: list[Any] = self.page.evaluate(
            "axe.run().then((found) => found.violations.map((each) => [each.id, each.nodes.map((node) => node.html)]))"
        )
        return found

    def reached_by_tab(self) -> list[str]:
        """What has the focus after each press of Tab, from the top of the page until it leaves the page."""
        reached: list[str] = []
        while True:
            self.page.keyboard.press("Tab")
            name: str | None = self.page.evaluate(FOCUSED)
            if name is None:
                return reached
            assert self.page.evaluate(RINGED), f"nothing shows that {name} has the focus"
            reached.append(name)

    def overflow(self) -> int:
        """Pixels that the page is wider than the window."""
        window = self.page.viewport_size
        assert window is not None
        wide: int = self.page.evaluate("document.documentElement.scrollWidth")
        return wide - window["width"]

    def keep(self, name: str) -> None:
        """A screenshot of all of it."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; where there is none the test is skipped, but fails where CI is set."""
    path = shutil.which("chromium")
    if path is None:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("there is no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: Browser, address: str, *, width: str = "desktop", scheme: str = "light", scripts: bool = True
) -> Iterator[Visit]:
    """A visit to ``address``, which is to complain of nothing."""
    context = browser.new_context(
        viewport={"width": WIDTHS[width], "height": HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=scripts,
        is_mobile=width == "phone",  # which lays out a page for a desk where it does not ask for better
    )
    context.set_default_timeout(PATIENCE_MS)
    with context:
        visit = Visit(context.new_page())
        visit.page.goto(address)
        yield visit
        assert visit.complaints == []
