"""The softphone at / as who uses it sees it: panes, their buttons and what they say."""
from selenium.webdriver.common.by import By

from restsip_system import until

WAIT_S = 40
MEDIA_FLAGS = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--allow-loopback-in-peer-connection",
               "--disable-features=WebRtcHideLocalIpsWithMdns", "--autoplay-policy=no-user-gesture-required"]
# Each connection of the page, for what it has sent and got; the page itself shows it to nobody.
HOOK = """window.made = []; window.failed = [];
    addEventListener('error', (e) => failed.push(String(e.message)));
    addEventListener('unhandledrejection', (e) => failed.push(String(e.reason)));
    document.addEventListener('securitypolicyviolation', (e) => failed.push(`${e.violatedDirective} ${e.blockedURI}`));
    window.RTCPeerConnection = class extends RTCPeerConnection { constructor(...args) { super(...args); made.push(this); } };"""
HEARD = """const done = arguments[0];
    Promise.all(made.filter((pc) => pc.connectionState === 'connected').map(async (pc) => {
        for (const report of (await pc.getStats()).values())
            if (report.type === 'inbound-rtp' && report.kind === 'audio') return report.totalAudioEnergy;
        return 0;
    })).then(done, () => done([]));"""


def hook(browser, more=""):
    """Before the page's own scripts, in each page from now on; gives what ends that. more: a script besides."""
    made = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HOOK + more})
    return lambda: browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


def sign_in(browser, account, url=None):
    """url: where the page is, other than at the account's system."""
    browser.get(f"{url or account.system.url}/")
    until(lambda: browser.find_element(By.ID, "door").is_displayed(), WAIT_S, "the door")
    browser.find_element(By.NAME, "email").send_keys(account.email)
    browser.find_element(By.NAME, "password").send_keys(account.password)
    browser.find_element(By.CSS_SELECTOR, "#door button").click()
    pane = Pane(browser)
    until(lambda: pane.says(".top", account.email), WAIT_S, "the softphone")
    until(lambda: pane.says(".connection", "Connected"), WAIT_S, "a stream")
    return pane


def heard(browser):
    """What each connection that is up has heard."""
    return browser.execute_async_script(HEARD)


def complaints(browser):
    """What went wrong unsaid: exceptions, policies, and what we wrote as errors; not the browser's own lines of failed requests."""
    logged = [entry["message"] for entry in browser.get_log("browser")
              if entry["level"] == "SEVERE" and "Failed to load resource" not in entry["message"]]
    return logged + (browser.execute_script("return window.failed") or [])


class Pane:
    """One of the softphones of a page."""

    def __init__(self, browser, n=0):
        self.browser, self.n = browser, n

    def run(self, script, *args):
        return self.browser.execute_script(f"const pane = document.querySelectorAll('.phone')[{self.n}]; {script}", *args)

    def text(self, css):
        """All that is visible there, as it reads."""
        return self.run("""return pane ? [...pane.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility())
            .map((e) => e.innerText).join('\\n') : ''""", css)

    def says(self, css, text):
        return text in self.text(css)

    def await_text(self, css, text):
        try:
            until(lambda: self.says(css, text), WAIT_S)
        except AssertionError as e:
            raise AssertionError(f"not within {WAIT_S} s: “{text}” in {css}; there is “{self.text(css)}”") from e

    def press(self, text, css="*"):
        """The first visible button that has this text, as soon as there is one."""
        until(lambda: self.run("""const found = [...pane.querySelectorAll(`${arguments[0]} button`)]
            .find((b) => b.checkVisibility() && b.textContent.trim().startsWith(arguments[1]));
            if (found) found.click();
            return Boolean(found);""", css, text), WAIT_S, f"a button “{text}” in {css}")

    def fill(self, css, text):
        self.run("""const field = pane.querySelector(arguments[0]); field.value = arguments[1];
            field.dispatchEvent(new Event('change'));""", css, text)

    def submit(self, title, /, **fields):
        for name, text in fields.items():
            self.fill(f'form[name="{title}"] [name={name}]', text)
        self.run("pane.querySelector(`form[name=\"${arguments[0]}\"]`).requestSubmit()", title)

    def pick(self, email):
        self.press("Contacts", "nav")
        self.submit("Add somebody", email=email)
        self.await_text(".talk header", email)

    def write(self, text):
        self.submit("Write", text=text)
