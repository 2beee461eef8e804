"""The status page: its first line, the sentence of each problem, the buttons of failed jobs, and access."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from channels_app.models import Channel, User
from hub import health
from hub.health import HealthResult
from hub.queue.queues import Waiting
from hub.sizes import GIB
from publishing import failed_jobs
from publishing.models import FailedJob, Issuer, SubdirIndex, Verification, Watch
from publishing.status import checks
from publishing.status.checks import Disk, duration
from tests.builders import make_artifact, make_channel, make_issuer, make_publisher, make_user
from tests.pages import messages, signed_in, text

pytestmark = pytest.mark.django_db
BUILD = "publishing.tasks.build_index"
WELL = dict.fromkeys(("database", "store", "broker"), HealthResult(0.002))


@pytest.fixture(autouse=True)
def surroundings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make everything outside the database appear healthy."""
    settings.REDIS_URL = ""
    settings.HUB_TUF_URL = ""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    answer(monkeypatch)
    monkeypatch.setattr(checks, "_waiting", lambda: dict.fromkeys(("index", "checks", "housekeeping"), Waiting(0)))
    monkeypatch.setattr(Disk, "is_low", False)


@pytest.fixture
def ada() -> Client:
    """Sign in an administrator."""
    return signed_in(make_user("ada", is_superuser=True, is_staff=True))


def answer(monkeypatch: pytest.MonkeyPatch, **problems: str) -> None:
    found = WELL | {name: HealthResult(2.0, problem) for name, problem in problems.items()}
    monkeypatch.setattr(health, "check", lambda: found)


def fail(*args: object, error: str = "OSError: no space left") -> FailedJob:
    return FailedJob.objects.create(task=BUILD, args=list(args), error=error)


def headline(client: Client) -> str:
    return text(client.get("/status")).partition("<h1>")[2].partition("</h1>")[0]


def problems() -> list[tuple[str, str]]:
    return [(problem.severity, problem.what) for problem in checks.status().problems]


def test_the_first_line_says_that_all_is_well(ada: Client) -> None:
    assert headline(ada) == "No problems"
    page = text(ada.get("/status"))
    assert page.count(">2 ms<") == 3
    assert "py-rattler" in page
    assert 'role="alert"' not in page


def test_status_headline_names_the_worst_problem(ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, database="no answer within 2 s")

    assert headline(ada) == "The database fails: no answer within 2 s"
    assert "Start the database, or look at its own log." in text(ada.get("/status"))


def test_warnings_alone_keep_the_headline_good(ada: Client, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    assert headline(ada) == "No urgent problems"
    assert "<strong>Mails are printed, not sent.</strong> Set EMAIL_URL." in text(ada.get("/status"))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("store", "The store fails: ConnectionError: refused"),
        ("broker", "The broker fails: ConnectionError: refused"),
    ],
)
def test_failed_service_is_a_problem(monkeypatch: pytest.MonkeyPatch, name: str, what: str) -> None:
    answer(monkeypatch, **{name: "ConnectionError: refused"})

    assert problems() == [("error", what)]
    assert (checks.status().waiting is None) is (name == "broker")


@pytest.mark.parametrize(("seconds", "is_told"), [(30, False), (90, True)])
def test_index_stale_for_a_minute_is_a_problem(channel: Channel, seconds: int, is_told: bool) -> None:
    make_artifact(channel)
    SubdirIndex.objects.update(requested_at=timezone.now() - timedelta(seconds=seconds))

    assert problems() == ([("error", "1 index waits for a build, the oldest for 90 s.")] if is_told else [])


def test_failed_jobs_are_a_problem_and_listed(ada: Client, channel: Channel) -> None:
    make_artifact(channel)
    index = SubdirIndex.objects.get(subdir="noarch")
    fail(index.pk)
    fail(index.pk + 7, error="<b>OSError</b>")
    fail(["no number"])
    fail()

    assert problems() == [("error", "4 jobs have failed.")]
    page = text(ada.get("/status"))
    assert "build_index demo/noarch" in page
    assert f"build_index {index.pk + 7}" in page
    assert "build_index [&#x27;no number&#x27;]" in page
    assert "&lt;b&gt;OSError" in page


def test_differences_and_late_verifications_are_problems(ada: Client, olga: User) -> None:
    found = [["missing", "noarch/a-1-0.conda", "noarch/a-1-0.conda is not in the store."]]
    Verification.objects.create(channel=make_channel("one"), difference_count=1234, differences=found, file_count=5000)
    make_channel("two")
    Channel.objects.filter(name="two").update(created_at=timezone.now() - timedelta(days=3))

    assert problems() == [
        ("error", "1,234 differences between database, index files and store in 1 channel."),
        ("warning", "1 channel was not verified for two days."),
    ]
    assert "noarch/a-1-0.conda is not in the store." in text(ada.get("/status"))


def test_deleted_channel_is_no_problem(olga: User) -> None:
    make_channel("gone", deleted_at=timezone.now())
    Channel.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert problems() == []


def test_watch_that_fails_or_makes_no_pass_for_an_hour_is_a_problem(channel: Channel) -> None:
    watch = Watch.objects.create(channel=channel, passed_at=timezone.now(), error="The store fails.")
    assert problems() == []

    long_ago = timezone.now() - timedelta(hours=3)
    for stale, what in (
        ({"failing_since": long_ago}, "The watch of demo has failed for 3 h: The store fails."),
        ({"failing_since": None, "passed_at": None}, "No pass over the files of demo has ended for 3 h."),
    ):
        Watch.objects.filter(pk=watch.pk).update(created_at=long_ago, **stale)
        assert problems() == [("warning", what)]


def test_used_issuer_without_keys_is_a_problem(channel: Channel) -> None:
    make_publisher(channel, make_issuer("github"))
    Issuer.objects.update(failure="it did not answer")

    [(severity, what)] = problems()

    assert severity == "warning"
    assert what == "Keys could not be fetched from https://token.actions.githubusercontent.com."


@pytest.mark.parametrize(
    ("setting", "value", "severity", "what"),
    [
        ("DEBUG", True, "error", "HUB_DEBUG is on: error pages show code and settings to everybody."),
        (
            "EMAIL_BACKEND",
            "django.core.mail.backends.console.EmailBackend",
            "warning",
            "Mails are printed, not sent.",
        ),
        ("HUB_TUF_URL", "https://tuf.example.org", "warning", "The Sigstore trust root is older than 30 days."),
    ],
)
def test_insecure_settings_are_warnings(
    settings: Settings, setting: str, value: object, severity: str, what: str
) -> None:
    setattr(settings, setting, value)

    assert problems() == [(severity, what)]


@pytest.mark.parametrize(
    ("url", "host", "is_told"),
    [
        ("http://hub.example.org", "hub.example.org", True),
        ("https://hub.example.org", "hub.example.org", False),
        ("http://127.0.0.1:8000", "127.0.0.1", False),
    ],
)
def test_http_url_of_another_machine_is_a_problem(settings: Settings, url: str, host: str, is_told: bool) -> None:
    settings.HUB_PUBLIC_URL, settings.PUBLIC_HOST = url, host

    assert problems() == ([("error", "Keys and passwords travel unencrypted.")] if is_told else [])


def test_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert Disk(4 * GIB, 100 * GIB).is_low
    assert not Disk(6 * GIB, 100 * GIB).is_low
    assert not Disk(3 * GIB, 20 * GIB).is_low


def test_queue_without_a_worker_is_a_problem(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:6379/0"
    monkeypatch.setattr(checks, "_workers", lambda: {"indexer@a": ["index"], "worker@b": ["housekeeping"]})

    assert problems() == [("error", "No worker takes jobs from: checks.")]


def test_job_that_waits_in_the_folder_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_waiting", lambda: {"index": Waiting(3, 400.0)})

    assert problems() == [("error", "A job waits in the queue index for 6 min.")]


def test_a_failed_job_is_sent_again(ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[object, ...]] = []

    def send(*job: object) -> bool:
        sent.append(job)
        return True

    monkeypatch.setattr(failed_jobs, "send", send)
    one, _ = fail(7), fail(8)

    response = ada.post("/status", {"retry": one.pk})

    assert (response.status_code, response.headers["Location"]) == (302, "/status")
    assert sent == [(BUILD, 7)]
    assert messages(response) == ["Sent again: 1. Jobs that succeed disappear from the list."]
    ada.post("/status", {"retry": "all"})
    assert len(sent) == 3


def test_unreachable_queue_is_a_problem(ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_jobs, "send", lambda *job: False)
    fail(7)

    assert messages(ada.post("/status", {"retry": "all"})) == ["Not sent again: 1, because the broker is down."]


@pytest.mark.parametrize(("which", "left"), [("one", 1), ("all", 0), ("999999", 2), ("x", 2), ("-1", 2), ("²", 2)])
def test_failed_jobs_are_dismissed_one_or_all(ada: Client, which: str, left: int) -> None:
    one, _ = fail(7), fail(8)

    response = ada.post("/status", {"dismiss": one.pk if which == "one" else which})

    assert messages(response) == [f"Dismissed: {2 - left}."]
    assert FailedJob.objects.count() == left


def test_empty_form_changes_no_job(ada: Client) -> None:
    fail(7)
    assert ada.post("/status").status_code == 302
    assert FailedJob.objects.count() == 1


@pytest.mark.parametrize("is_staff", [True, False])
def test_to_others_there_is_no_such_page(client: Client, is_staff: bool) -> None:
    other = signed_in(make_user("pat", is_staff=is_staff))
    fail(7)

    assert other.get("/status").status_code == 404
    assert other.post("/status", {"dismiss": "all"}).status_code == 404
    assert FailedJob.objects.count() == 1
    assert client.get("/status").headers["Location"] == "/accounts/login/?next=/status"


def test_it_is_linked_for_administrators_alone(ada: Client, sam: User) -> None:
    assert 'href="/status"' in text(ada.get("/"))
    assert 'href="/status"' not in text(signed_in(sam).get("/"))


@pytest.mark.parametrize("number", [1, 30])
def test_it_costs_the_same_queries_however_much_is_wrong(
    ada: Client, django_assert_num_queries: DjangoAssertNumQueries, number: int
) -> None:
    for n in range(number):
        channel = make_channel(f"channel-{n}")
        make_artifact(channel)
        Verification.objects.create(channel=channel, difference_count=1)
        fail(n)

    # Session, user; indexes, stale ones; failed jobs, the last, their rows; verifications, differing ones; issuers,
    # upstreams, watches.
    with django_assert_num_queries(12):
        page = text(ada.get("/status"))

    assert page.count("build_index ") == min(number, 20) * 3
    assert ("The last 20 of 30" in page) is (number == 30)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (90, "90 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_spans_of_time_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
