#!/usr/bin/env bash
# One would guess: `page.wait_for_function` of Playwright either works on a page whose policy forbids
# `unsafe-eval`, as `page.evaluate` does, or is refused there at once.
#
# What happens: the first look is taken past the policy. Only where the condition does not hold yet, the
# next look is taken by the page itself, which has to evaluate the text, and the call fails with an
# EvalError. A test is green as long as the condition holds when it asks, and red on a slower (or a
# faster) machine. `page.evaluate` with the same text works every time.
#
# What to do instead: ask with `page.evaluate` in a loop of your own, or wait with `expect(locator)`.
#
# Versions: playwright 1.65.2 (Python), Debian's Chromium (CHROMIUM names another).
# Source: the injected script of Playwright, whose poll evaluates the expression in the page.
# Date: 2026-11-30.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check playwright==1.65.2
cat > "$folder/finding.py" <<'PYTHON'
import os

from playwright.sync_api import Error, sync_playwright

POLICY = "default-src 'none'; script-src 'self'"


def outcome(ask):
    try:
        ask()
    except Error as error:
        return error.message.partition(":")[2].split(":")[0].strip()
    return "fulfilled"


with sync_playwright() as playwright:
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    page = browser.new_page()
    page.route(
        "**/*",
        lambda route: route.fulfill(
            body="<p>a page</p>",
            headers={"content-type": "text/html", "content-security-policy": POLICY},
        ),
    )
    page.goto("http://localhost/")
    later = "(window.looks = (window.looks || 0) + 1) > 1"
    print("holds at the first look:", outcome(lambda: page.wait_for_function("true")))
    print("holds at the second look:", outcome(lambda: page.wait_for_function(later)))
    page.evaluate("window.looks = 0")
    while not page.evaluate(later):
        pass
    print("asked for in a loop: fulfilled")
    browser.close()
PYTHON
"$folder/venv/bin/python" "$folder/finding.py" > "$folder/output"
cat "$folder/output"
diff - "$folder/output" <<'OUTPUT'
holds at the first look: fulfilled
holds at the second look: EvalError
asked for in a loop: fulfilled
OUTPUT
