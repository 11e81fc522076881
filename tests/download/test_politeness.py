"""Servers are asked no more, no faster and for nothing else than they allow."""

import asyncio
import itertools
import time
from email.utils import formatdate

import pytest
from multidict import CIMultiDict
from yarl import URL

from curation.download.politeness import Politeness, seconds
from curation.download.robots import Robots, header_opt_out, page_opt_out
from curation.download.settings import HOST_FAILURES, Settings
from tests.download.serving import Site, answering, fetch, redirecting, resetting, send


def slowly(body, pause):
    def answer(handler):
        time.sleep(pause)
        send(handler, body)

    return answer


def in_turn(*answers):
    """One answer after the other, the last one for ever."""
    left = list(answers)

    def answer(handler):
        following = left.pop(0) if len(left) > 1 else left[0]
        following(handler)

    return answer


def gaps(site, but="/robots.txt"):
    times = sorted(at for at, path in site.times if path != but)
    return [b - a for a, b in itertools.pairwise(times)]


def test_requests_to_one_host_at_a_time(tmp_path, jpeg):
    with Site({f"/{n}": slowly(jpeg, 0.05) for n in range(30)}) as site:
        rows = fetch(tmp_path, [site.url(f"/{n}") for n in range(30)], per_host=3)
        assert site.most == 3
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_many_hosts_are_asked_at_once(tmp_path, jpeg):
    sites = [Site({"/a": slowly(jpeg, 0.5)}, f"127.0.0.{n}") for n in range(2, 22)]
    for site in sites:
        site.__enter__()
    try:
        urls = [site.url("/a") for site in sites]
        started = time.monotonic()
        rows = fetch(tmp_path, urls, per_host=1, allow_host=[f"127.0.0.{n}" for n in range(2, 22)])
        assert time.monotonic() - started < 5  # one after the other it would be 10
    finally:
        for site in sites:
            site.__exit__()
    assert {row["status"] for row in rows.values()} == {"ok"}


def test_delay_between_two_requests(tmp_path, jpeg):
    with Site({f"/{n}": jpeg for n in range(6)}) as site:
        fetch(tmp_path, [site.url(f"/{n}") for n in range(6)], delay=0.2)
        assert min(gaps(site)) > 0.15


def test_the_crawl_delay_of_robots_txt(tmp_path, jpeg):
    robots = b"User-agent: other\nCrawl-delay: 9\n\nUser-agent: *\nCrawl-delay: 0.3\n"
    with Site({f"/{n}": jpeg for n in range(4)} | {"/robots.txt": robots}) as site:
        fetch(tmp_path, [site.url(f"/{n}") for n in range(4)])
        assert min(gaps(site)) > 0.25


def test_a_crawl_delay_beyond_patience_is_not_shortened(tmp_path, jpeg):
    robots = b"User-agent: *\nCrawl-delay: 3600\n"
    with Site({f"/{n}": jpeg for n in range(4)} | {"/robots.txt": robots}) as site:
        rows = fetch(tmp_path, [site.url(f"/{n}") for n in range(4)])
        assert sum(site.asked.values()) == 2  # robots.txt and one image
    assert sorted(row["status"] for row in rows.values()) == ["host_paused"] * 3 + ["ok"]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["number", "date", "none"])
def test_retry_after_is_waited_for(tmp_path, jpeg, status, form):
    after = {"number": "2", "date": formatdate(time.time() + 3, usegmt=True), "none": None}[form]
    refusal = answering(b"", status, **({"Retry_After": after} if after else {}))
    with Site({"/a": in_turn(refusal, answering(jpeg)), "/b": jpeg, "/c": jpeg}) as site:
        rows = fetch(tmp_path, [site.url(p) for p in ("/a", "/b", "/c")], retries=2, per_host=1)
        refused = min(at for at, path in site.times if path == "/a")
        later = [at - refused for at, path in site.times if at > refused]
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows[site.url("/a")]["attempts"] == 2
    assert min(later) > {"number": 1.9, "date": 1.5, "none": 0.9}[form]  # the whole host rests


def test_a_long_retry_after_ends_the_host_for_this_run(tmp_path, jpeg):
    with Site({f"/{n}": answering(b"", 429, Retry_After="7200") for n in range(9)}) as site:
        started = time.monotonic()
        rows = fetch(tmp_path, [site.url(f"/{n}") for n in range(9)], retries=5, per_host=1)
        assert time.monotonic() - started < 5
        assert sum(site.asked.values()) == 2
    assert sorted(row["status"] for row in rows.values()) == ["host_paused"] * 8 + ["http_429"]


def test_a_broken_connection_is_tried_again_and_a_refusal_is_not(tmp_path, jpeg):
    answers = {"/a": in_turn(answering(b"", 500), answering(b"", 502), answering(jpeg)), "/b": answering(b"", 403)}
    with Site(answers) as site:
        rows = fetch(tmp_path, [site.url("/a"), site.url("/b")], retries=2)
        assert (site.asked["/a"], site.asked["/b"]) == (3, 1)
    assert (rows[site.url("/a")]["status"], rows[site.url("/a")]["attempts"]) == ("ok", 3)
    assert (rows[site.url("/b")]["status"], rows[site.url("/b")]["attempts"]) == ("http_403", 1)


def test_further_tries_share_the_time_of_the_image(tmp_path, jpeg):
    def refused(handler):
        time.sleep(0.8)
        send(handler, b"", 500)

    def onward(handler):
        time.sleep(0.8)
        send(handler, b"", 302, Location="/slow")

    with Site({"/a": refused, "/b": onward, "/slow": slowly(jpeg, 0.8)}) as site:
        rows = fetch(tmp_path, [site.url("/a"), site.url("/b")], retries=9, timeout=1.2)
        assert site.asked["/a"] == 2 and site.asked["/slow"] == 1  # not ten
    assert {row["status"] for row in rows.values()} == {"timeout"}


ROBOTS = b"""# for all
User-agent: *
Disallow: /private/
Allow: /private/open/
Disallow: /*.gif$

User-agent: curation
Disallow: /not-curation/

User-agent: OTHER-bot
Disallow: /not-other/
"""


@pytest.mark.parametrize(
    ("token", "forbidden"),
    [("curation", {"/not-curation/a"}), ("other-bot", {"/not-other/a"}), ("nobody", {"/private/a", "/b.gif"})],
)
def test_robots_txt(tmp_path, jpeg, token, forbidden):
    paths = ["/a", "/private/a", "/private/open/a", "/b.gif", "/b.gif?x", "/not-curation/a", "/not-other/a"]
    with Site({path.partition("?")[0]: jpeg for path in paths} | {"/robots.txt": ROBOTS}) as site:
        rows = fetch(tmp_path, [site.url(path) for path in paths], user_agent_token=token)
        assert {path for path in paths if rows[site.url(path)]["status"] == "robots"} == forbidden
        assert site.asked["/robots.txt"] == 1 and not forbidden & set(site.asked)
    assert {row["status"] for row in rows.values()} == {"ok", "robots"}


def test_no_spelling_of_a_path_gets_around_robots_txt(tmp_path, jpeg):
    paths = [
        "/pub/../private/a",
        "/./private/a",
        "/pub/%2e%2E/private/a",
        "/pub/.%2e/private/a?b=/../c",
        "/private/./a",
    ]
    paths += ["/pub/x/%2E/../../private/a", "/../private/a", "/pub/\u00fc/../../private/a", "/moved", "/moved/on"]
    moved = {"/moved": redirecting("/pub/../private/a"), "/moved/on": redirecting("../pub/%2e./private/a")}
    answers = {path.partition("?")[0]: jpeg for path in paths} | moved
    with Site(answers | {"/private/a": jpeg, "/robots.txt": b"User-agent: *\nDisallow: /private/"}) as site:
        rows = fetch(tmp_path, [site.url(path) for path in paths])
        assert [rows[site.url(path)]["status"] for path in paths] == ["robots"] * len(paths)
        assert set(site.asked) == {"/robots.txt", "/moved", "/moved/on"}


def test_dot_segments_are_resolved_before_a_url_is_asked(tmp_path, jpeg):
    paths = {
        "/a/../b.jpg?x=/../y": "/b.jpg?x=/../y",
        "/a/%2e/c%2Fd.jpg": "/a/c%2Fd.jpg",
        "/.../d": "/.../d",
        "/e/..": "/",
    }
    with Site({path.partition("?")[0]: jpeg for path in paths.values()}) as site:
        rows = fetch(tmp_path, [site.url(path) for path in paths])
        assert {row["status"] for row in rows.values()} == {"ok"}
        assert {*paths.values(), "/robots.txt"} == set(site.asked)


UNREADABLE = {
    "404": (answering(b"", 404), "ok"),
    "403": (answering(b"", 403), "ok"),  # RFC 9309, 2.3.1.3
    "empty": (answering(b""), "ok"),
    "html": (answering(b"<html>Disallow: / nothing"), "ok"),
    "binary": (answering(bytes(range(256)) * 9), "ok"),
    "moved": (redirecting("/rules"), "robots"),
    "500": (answering(b"", 500), "robots_unreachable"),
    "501": (answering(b"", 501), "robots_unreachable"),
    "429": (answering(b"", 429), "robots_unreachable"),
    "reset": (resetting, "reset"),
    "large": (answering(b"User-agent: *\nDisallow: /\n" + b"#" * (600 << 10)), "robots"),
    "endless": (answering(b"User-agent: *\nDisallow:\n" + b"#" * (5 << 20)), "robots_unreachable"),
    "late": (answering(b"User-agent: *\n" + b"#" * (500 << 10) + b"\nDisallow: /\n"), "ok"),  # beyond what is read
    "cycle": (redirecting("/robots.txt"), "too_many_redirects"),
    "elsewhere": (redirecting("http://10.0.0.1/robots.txt"), "blocked_address"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_robots_txt_that_is_not_there_or_not_what_it_should_be(tmp_path, jpeg, name, outside):
    answer, status = UNREADABLE[name]
    with Site({"/robots.txt": answer, "/rules": b"User-agent: *\nDisallow: /a", "/a": jpeg}) as site:
        assert fetch(tmp_path, [site.url("/a")])[site.url("/a")]["status"] == status
        assert (site.asked["/a"] == 1) == (status == "ok")
    assert not outside


def test_files_forgotten_while_they_are_read_are_not_counted(monkeypatch):
    monkeypatch.setattr("curation.download.robots.ROBOTS_TEXTS", 100)
    later = asyncio.Event()

    async def answer(url):
        if url.host == "a":
            await later.wait()
        return 200, b"#" * 60

    async def ask():
        robots = Robots(answer, "curation")
        first = asyncio.create_task(robots.check(URL("http://a/")))
        await asyncio.sleep(0)
        for host in ("b", "c"):
            await robots.check(URL(f"http://{host}/"))
        later.set()
        await first
        assert list(robots.origins) == ["http://c"] and robots.bytes == 60

    asyncio.run(ask())


def test_robots_txt_of_a_redirects_target(tmp_path, jpeg):
    with Site({"/robots.txt": b"User-agent: *\nDisallow: /", "/a": jpeg}, "127.0.0.2") as target:
        with Site({"/a": redirecting(target.url("/a"))}) as site:
            rows = fetch(tmp_path, [site.url("/a")], allow_host=["127.0.0.1", "127.0.0.2"])
        assert rows[site.url("/a")]["status"] == "robots" and target.asked["/a"] == 0


HEADERS = {
    "noai": ({"X_Robots_Tag": "noai"}, True),
    "noimageai": ({"X_Robots_Tag": "nosnippet, NoImageAI"}, True),
    "noindex": ({"X_Robots_Tag": "noindex"}, True),
    "noimageindex": ({"X_Robots_Tag": "noimageindex,nofollow"}, True),
    "noml": ({"X_Robots_Tag": "noml"}, True),
    "none": ({"X_Robots_Tag": "none"}, True),
    "ours": ({"X_Robots_Tag": "curation: noai"}, True),
    "another's": ({"X_Robots_Tag": "otherbot: noai, noindex"}, False),
    "dated": ({"X_Robots_Tag": "unavailable_after: 25 Jun 2030 15:00:00 PST"}, False),
    "nofollow": ({"X_Robots_Tag": "nofollow, noarchive"}, False),
    "tdm": ({"TDM_Reservation": "1"}, True),
    "no tdm": ({"TDM_Reservation": "0"}, False),
}


def test_opt_outs_in_headers(tmp_path, jpeg):
    with Site({f"/{n}": answering(jpeg, **headers) for n, (headers, _) in enumerate(HEADERS.values())}) as site:
        rows = fetch(tmp_path, [site.url(f"/{n}") for n in range(len(HEADERS))])
    found = {name: rows[site.url(f"/{n}")] for n, name in enumerate(HEADERS)}
    assert {name for name, row in found.items() if row["status"] == "opt_out"} == {
        n for n, (_, o) in HEADERS.items() if o
    }
    assert found["noimageai"]["detail"] == "noimageai (header)" and found["noimageai"]["image"] is None


def test_opt_outs_of_the_page_where_the_image_was_found(tmp_path, jpeg):
    with Site({f"/{n}": jpeg for n in range(4)}) as site:
        terms = {
            site.url("/0"): "nofollow,noimageai",
            site.url("/1"): "index, follow",
            site.url("/2"): "tdm-reservation",
        }
        rows = fetch(tmp_path, [site.url(f"/{n}") for n in range(4)], opt_out=terms)
        assert [rows[site.url(f"/{n}")]["status"] for n in range(4)] == ["opt_out", "ok", "opt_out", "ok"]
        assert rows[site.url("/0")]["detail"] == "noimageai (page)" and site.asked["/0"] == 0


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["noai"], "noai"),
        (["otherbot: noai", "noindex"], "noindex"),
        (["max-image-preview: none"], None),
        (["max-snippet: -1, noai"], "noai"),
        (["Curation:NOAI"], "noai"),
        ([": noai"], None),
        (["", ",,", "x" * 10_000], None),
    ],
)
def test_values_of_x_robots_tag(values, found):
    headers = CIMultiDict([("x-robots-tag", value) for value in values])
    assert header_opt_out(headers, "curation") == found


def test_terms_of_pages():
    assert page_opt_out("tdm-reservation,NoML") == "noml,tdm-reservation"  # of two pages
    assert page_opt_out(" , ") is None and page_opt_out("false") is None


def test_a_host_that_is_never_free_holds_up_no_one(tmp_path, jpeg, monkeypatch):
    monkeypatch.setattr("curation.download.politeness.MAX_TURN_S", 1.0)
    with Site({f"/{n}": slowly(jpeg, 0.4) for n in range(40)}) as site:
        started = time.monotonic()
        rows = fetch(tmp_path, [site.url(f"/{n}") for n in range(40)], per_host=2)
        assert time.monotonic() - started < 4  # not 40 / 2 * 0.4
    statuses = [row["status"] for row in rows.values()]
    assert set(statuses) == {"ok", "host_busy"} and statuses.count("ok") == sum(site.asked.values()) - 1


@pytest.mark.parametrize("code", ["opt_out", "too_large"])
def test_a_host_that_answers_between_failures_is_not_left_alone(code):
    politeness = Politeness(Settings())
    for codes in (["timeout"] * (HOST_FAILURES - 1), [code], ["timeout"]):
        for each in codes:
            politeness.failed("a", each)
    assert politeness.host("a").failures == 1


def test_the_user_agent_names_us_and_a_contact(tmp_path, jpeg):
    with Site({"/a": jpeg}) as site:
        fetch(tmp_path, [site.url("/a")], user_agent_token="our-crawler", contact="https://example.org/crawler")
        (agent,) = site.agents
    assert agent.startswith("our-crawler/") and agent.endswith("(+https://example.org/crawler)")


@pytest.mark.parametrize("text", ["", "-1", "1e9", "soon", "٣", "Mon, 99 Foo 2020", "9" * 400, None])
def test_a_retry_after_that_says_nothing_harmful(text):
    found = seconds(text)
    assert found is None or found >= 0
