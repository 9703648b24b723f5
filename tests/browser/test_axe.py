"""axe-core finds nothing in any view of the page, light or dark, narrow or wide. It comes from npm, of an exact version."""
import pathlib
import shutil
import subprocess

import pytest

from chromium import start_browser
from pictures import looks, views
from softphone import MEDIA_FLAGS

AXE = pathlib.Path(__file__).with_name("axe")
# Colours are as they will be at once; what moves is looked at where it will stand.
STILL = "for (const a of document.getAnimations()) a.finish()"
RUN = """const done = arguments[0];
    axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => done(violations.flatMap(({ id, nodes }) =>
        nodes.map((n) => `${id}: ${n.target} ${n.failureSummary.replaceAll('\\n', ' ')}`))), (e) => done([String(e)]));"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """Its script."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("axe")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(AXE / name, folder)
    install = subprocess.run(["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund",
                              "--fetch-retries=0"], cwd=folder, check=False, capture_output=True, text=True, timeout=120)
    if any(word in install.stderr for word in ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")):
        pytest.skip("npm does not reach its registry")
    assert install.returncode == 0, install.stderr
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_axe_finds_nothing_in_any_view(system, axe, tmp_path):  # pylint: disable=redefined-outer-name
    browser = start_browser(tmp_path, *MEDIA_FLAGS)
    found = {}
    try:
        for view in views(browser, system.url):
            browser.execute_script(axe)
            for look in looks(browser):
                browser.execute_script(STILL)
                for line in browser.execute_async_script(RUN):
                    found.setdefault(line, []).append(f"{view}-{look}")
    finally:
        browser.quit()
    assert not found, "\n".join(f"{line}: in {', '.join(where)}" for line, where in found.items())
