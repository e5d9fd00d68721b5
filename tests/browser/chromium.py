"""Finds a Chromium for the browser tests, or gets one: run it to make sure that there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The first has no window to draw, and takes a sixth less of the processor than the others.
NAMES = (
    "chromium-headless-shell",
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
)

# The last such flag counts, so what Playwright's own turns off is named again. The popup below the
# address bar is a page of its own in a process of its own, made anew for every context.
_WITHOUT = (
    "AimEnabled",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
)

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=" + ",".join(_WITHOUT),
)


def find() -> str | None:
    """The path of a Chromium: the one named by hand, on the path, or Playwright's own."""
    named = os.environ.get("WORKBENCH_CHROMIUM")
    if named:
        return named
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    return _of_playwright()


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _install() -> None:
    """Debian's package where we are root; where there is none, Playwright's own download."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"])
        package = "chromium-headless-shell"
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package])
    if find() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"])


def main() -> int:
    """0 when a Chromium is there in the end."""
    if find() is None:
        print("no Chromium found: getting one", flush=True)
        _install()
    path = find()
    if path is None:
        print(
            "no Chromium for the browser tests: install one (Debian: apt install chromium), "
            "or name it with WORKBENCH_CHROMIUM=/path/to/chromium",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
