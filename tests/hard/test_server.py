"""The running server: it listens on this machine only, asks nobody else, and gives out no file but its own."""

import importlib.util
import socket
from http.client import HTTPConnection
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from pursamere_viz.benchmark.servers import serve

_found = importlib.util.spec_from_file_location("load", Path(__file__).with_name("load.py"))
load = importlib.util.module_from_spec(_found)
_found.loader.exec_module(load)
pytestmark = pytest.mark.slow

UP = ("../" * 12, "..%2f" * 12, "%2e%2e/" * 12, "%252e%252e%252f" * 8, "..%5c" * 8, "....//" * 8, "/", "%2f", "%00/")
PLACES = (
    "",
    "static/",
    "media/",
    "component/",
    "component/streamlit/",
    "_stcore/bidi-components/",
    "app/static/",
    "_stcore/upload_file/",
)
SECRET = "no reader but the owner"


@pytest.fixture(scope="module")
def running():
    """The address of the app, with one session that has seen a page, and its process."""
    with serve(PURSAMERE_CACHE="") as (address, server):
        session = load.Session(address)
        session.run()
        yield address, psutil.Process(server.pid)
        session.close()


def test_it_listens_on_this_machine_only_and_talks_to_nobody_else(running):
    _, process = running
    sockets = [held for one in (process, *process.children(recursive=True)) for held in one.net_connections()]
    listening = [held for held in sockets if held.status == psutil.CONN_LISTEN]
    assert listening and all(ip_address(held.laddr.ip).is_loopback for held in listening)
    assert all(ip_address(held.raddr.ip).is_loopback for held in sockets if held.raddr)


def asked(address: str, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Status and body of an answer; the path goes out as it stands."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(errors="replace")
    connection.close()
    return found


def test_no_path_leads_to_a_file_that_is_not_the_servers_own(running, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    targets = (
        str(secret).lstrip("/"),
        "etc/passwd",
        "app/main.py",
        "requirements.txt",
        ".streamlit/config.toml",
        ".git",
    )
    page = asked(running[0], "/")[1]
    for place in PLACES:
        for target in targets:
            for up in ("", *UP):
                status, body = asked(running[0], f"/{place}{up}{target}")
                # Any other path is the page itself, as in applications of one page.
                assert body == page or status >= 400, (place, up, target)
                assert SECRET not in body and "root:" not in body and "st.navigation" not in body


def test_the_page_reports_to_nobody(running):
    session = load.Session(running[0])
    session.run()
    assert session.gathers is False
    session.close()
    assert "<script" in asked(running[0], "/")[1]


def test_another_site_cannot_open_a_session(running):
    address = running[0].removeprefix("http")
    with pytest.raises(InvalidStatus) as refused, connect(f"ws{address}/_stcore/stream", origin="http://example.org"):
        pass
    assert refused.value.response.status_code == 403


def test_it_is_not_reached_from_outside(running):
    port = int(running[0].rpartition(":")[2])
    outside = [a.address for held in psutil.net_if_addrs().values() for a in held if a.family == socket.AF_INET]
    for address in outside:
        if not ip_address(address).is_loopback:
            with pytest.raises(OSError, match=r"refused|timed out"):
                socket.create_connection((address, port), timeout=5)


def test_two_sessions_at_once_are_each_answered_with_their_own_state():
    alone, crowd = load.alone_and_at_once(2)
    assert len(alone) == len(crowd) == 12
