"""A browser; and ends of calls that have media, pages and phones, on a system that a page of another origin may use."""
import functools
import http.server
import itertools
import json
import pathlib
import subprocess
import sys
import threading

import pytest

from chromium import start_browser

sys.path.insert(1, str(pathlib.Path(__file__).parents[1] / "sip"))
# pylint: disable=wrong-import-position
from baresip import play
from call_ends import Desk, Page, Soft
from linphone import give_way_out
from restsip_system import until
import softphone

WAIT_S = 60
PAGE = pathlib.Path(__file__).with_name("call_page.html")
PAGE_HZ, DESK_HZ = (440, 1000), (700, 1600)
NUMBERS = itertools.count(1)
MEDIA_FLAGS = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
               "--disable-features=WebRtcHideLocalIpsWithMdns", "--autoplay-policy=no-user-gesture-required"]


@pytest.fixture
def browser(tmp_path):
    """A browser that nobody has used before."""
    driver = start_browser(tmp_path)
    yield driver
    driver.quit()


@pytest.fixture
def page(tmp_path):
    """The softphone's, in a browser with a microphone; nothing in it may go wrong unsaid."""
    driver = start_browser(tmp_path, *softphone.MEDIA_FLAGS)
    driver.set_window_size(1600, 900)
    softphone.hook(driver)
    yield driver
    said = softphone.complaints(driver)
    driver.quit()
    assert said == []


class Site(http.server.BaseHTTPRequestHandler):
    """Somebody's site, where each path is the page."""

    def do_GET(self):  # pylint: disable=invalid-name
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE.read_bytes())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site():
    """Where that site is."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def network():
    """An address of this machine beside 127.0.0.1, for baresip's ICE has no candidates of that, and whether it is of loopback."""
    give_way_out()
    links = json.loads(subprocess.run(["ip", "-j", "-4", "address"], check=True, capture_output=True, timeout=10).stdout)
    found = [(info["local"], link["ifname"] == "lo") for link in links for info in link["addr_info"]
             if not info["local"].startswith("127.")]
    return min(found, key=lambda one: one[1]) if found else pytest.skip("this machine has loopback alone")


@pytest.fixture(scope="session")
def media_system(lasting_systems, site, network):  # pylint: disable=redefined-outer-name
    """A system whose API that site's page may use, with rtpengine where it is installed."""
    address, is_loopback = network
    return lasting_systems("media", {"RESTSIP_DEMO": "no", "RESTSIP_HTTP_CORS_ORIGINS": site,
                                     "RESTSIP_RELAY": "127.0.0.1" if is_loopback else address})


@pytest.fixture(scope="session")
def browsers(tmp_path_factory, network):  # pylint: disable=redefined-outer-name
    """browsers(n): the first and the second, each with a tone as microphone. Theirs are the addresses of one interface: baresip's
    DTLS takes what comes from one alone."""
    made = []
    more = ["--allow-loopback-in-peer-connection"] if network[1] else []

    @functools.cache
    def one(n):
        folder = tmp_path_factory.mktemp(f"browser-{n}")
        play(folder / "tone.wav", PAGE_HZ[n], 48000, 5)
        made.append(start_browser(folder, *MEDIA_FLAGS, *more, f"--use-file-for-fake-audio-capture={folder / 'tone.wav'}"))
        return made[-1]

    yield one
    for driver in made:
        driver.quit()


@pytest.fixture
def ends(browsers, site, network, tmp_path):  # pylint: disable=redefined-outer-name
    """ends(system, kind, …): ends of a call; kinds are page, desk (plain RTP), softphone (WebRTC), linphone. Each has an account
    of its own, those of a tuple have one together."""
    made = []

    def start(system, kind, account, peer, pages):
        if kind == "page":
            n = next(pages)
            end = Page(browsers(n), site, PAGE_HZ[n]).sign_in(account)
        elif kind == "linphone":
            end = Soft(tmp_path / f"linphone-{len(made)}", system.sip, account, account.credential(), peer, hz=DESK_HZ[0])
            until(end.is_registered, WAIT_S)
        else:
            end = Desk(tmp_path / f"baresip-{len(made)}", system.sip, account, peer, until, DESK_HZ[len(made) % 2], network[0],
                       is_web=kind == "softphone")
            until(end.is_registered, WAIT_S)
        end.account = account
        made.append(end)

    def make(system, *kinds):
        pages, first = itertools.count(), len(made)
        accounts = [system.account(f"end-{next(NUMBERS)}@example.net") for _ in kinds]
        for n, (kind, account) in enumerate(zip(kinds, accounts)):
            for one in kind if isinstance(kind, tuple) else (kind,):
                start(system, one, account, accounts[n - 1], pages)
        return made[first:]

    yield make
    for end in made:
        print(f"== {end.account.email}", end.diary(), sep="\n")  # shown where the test has failed
        end.close()
