"""The upload page: POST by script and by plain form, the CSRF token, and the states of files."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import F
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.authentication.actors import NOT_FROM_HERE
from channels_app.models import Artifact, Channel, Role, User
from hub.sizes import MIB
from publishing.index import builds
from publishing.models import IndexedName, SubdirIndex
from tests.archives import make_conda
from tests.builders import make_artifact, make_key, make_member

PAGE = "/channels/demo/settings/upload"
STATUS = f"{PAGE}/status"
FILE = "demo-1.0-0.conda"
SCRIPT = {"accept": "application/json"}
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def signed_in(user: User, *, is_strict: bool = False) -> Client:
    client = Client(enforce_csrf_checks=is_strict)
    client.force_login(user)
    return client


def token_of(client: Client) -> str:
    found = TOKEN.search(client.get(PAGE).text)
    assert found
    return found[1]


def package(tmp_path: Path, **what: Any) -> SimpleUploadedFile:
    path = make_conda(tmp_path, **what)
    return SimpleUploadedFile(path.name, path.read_bytes())


def build_indexes() -> None:
    for each in SubdirIndex.objects.exclude(subdir=""):
        builds.build_until_current(each.pk)


def messages_of(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


def test_page_shows_the_limit_and_recent_uploads(channel: Channel, olga: User, max_: User) -> None:
    channel.max_upload_bytes = 5 * MIB
    channel.save()
    for n in range(12):
        make_artifact(channel, version=f"1.{n}", uploaded_by=olga)
    make_artifact(channel, name="other", uploaded_by=max_)
    page = signed_in(olga).get(PAGE).text
    assert 'limit="5242880"' in page
    assert 'up to <span title="5,242,880 bytes">5 MiB</span> each' in page
    assert re.findall(r">demo-([\d.]+)-0.conda</a>", page) == [f"1.{n}" for n in range(11, 1, -1)]
    assert "other-" not in page


def test_the_page_without_uploads_says_how_else(channel: Channel, olga: User) -> None:
    page = signed_in(olga).get(PAGE).text
    assert "You have not uploaded any files yet" in page
    assert f"--url {settings.HUB_PUBLIC_URL}</span> <span>--channel demo</span>" in page


def test_the_pages_queries_do_not_grow(
    channel: Channel, olga: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in(olga)
    make_artifact(channel, uploaded_by=olga)
    with django_assert_num_queries(7):  # session, user, channel, role twice, membership, uploads
        client.get(PAGE)
    for n in range(15):
        make_artifact(channel, version=f"2.{n}", uploaded_by=olga)
    with django_assert_num_queries(7):
        client.get(PAGE)


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ("only_trusted_publishers", "Only trusted publishers may upload to demo."),
        ("require_attestation", "attestation"),
    ],
)
def test_page_names_a_policy_that_refuses_every_upload(
    channel: Channel, olga: User, policy: str, sentence: str
) -> None:
    assert sentence not in signed_in(olga).get(PAGE).text
    setattr(channel, policy, True)
    channel.save()
    assert sentence in signed_in(olga).get(PAGE).text


def test_upload_page_without_permission_is_refused(client: Client, channel: Channel, max_: User, sam: User) -> None:
    anonymous = client.get(PAGE)
    assert (anonymous.status_code, anonymous["Location"]) == (302, f"/accounts/login/?next={PAGE}")
    assert signed_in(sam).get(PAGE).status_code == 404
    member = make_member(channel, max_, Role.VIEWER)
    assert signed_in(max_).get(PAGE).status_code == 403
    member.role = Role.CONTRIBUTOR
    member.save()
    assert signed_in(max_).get(PAGE).status_code == 200
    assert signed_in(max_).put(PAGE).status_code == 405
    assert signed_in(max_).post(STATUS).status_code == 405


def test_the_script_uploads_with_its_token_in_a_header(channel: Channel, olga: User, tmp_path: Path) -> None:
    client = signed_in(olga, is_strict=True)
    headers = SCRIPT | {"x-csrftoken": token_of(client)}
    expected = {"url": f"/channels/demo/artifacts/noarch/{FILE}", "subdir": "noarch", "file_name": FILE}
    first = client.post(PAGE, {"file": package(tmp_path)}, headers=headers)
    assert (first.status_code, first.json()) == (201, {"state": "published", **expected})
    assert Artifact.objects.get().uploaded_by == olga
    again = client.post(PAGE, {"file": package(tmp_path)}, headers=headers)
    assert (again.status_code, again.json()) == (200, {"state": "exists", **expected})


def test_refused_upload_by_script_gets_the_reason_as_json(channel: Channel, olga: User, tmp_path: Path) -> None:
    broken = SimpleUploadedFile("broken-1-0.conda", b"no package")
    answer = signed_in(olga).post(PAGE, {"file": broken}, headers=SCRIPT)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("broken-1-0.conda was refused: ")
    channel.max_upload_bytes = 10
    channel.save()
    answer = signed_in(olga).post(PAGE, {"file": package(tmp_path)}, headers=SCRIPT)
    assert (answer.status_code, answer.json()) == (
        413,
        {
            "error": "The package is larger than this channel's limit of 10 B. "
            "An owner can raise it in the channel's settings, an administrator also HUB_MAX_UPLOAD_BYTES."
        },
    )


def test_a_plain_form_uploads_with_its_token_before_the_file(channel: Channel, olga: User, tmp_path: Path) -> None:
    client = signed_in(olga, is_strict=True)
    answer = client.post(PAGE, {"csrfmiddlewaretoken": token_of(client), "file": package(tmp_path)})
    assert (answer.status_code, answer["Location"]) == (302, f"/channels/demo/artifacts/noarch/{FILE}")
    assert messages_of(answer) == [f"noarch/{FILE} is published; the index follows in a moment."]
    answer = client.post(PAGE, {"csrfmiddlewaretoken": token_of(client), "file": package(tmp_path)})
    assert messages_of(answer)[-1] == f"noarch/{FILE} exists already, with the same bytes."


def test_a_plain_forms_refusal_is_a_message_on_the_page(channel: Channel, olga: User) -> None:
    client = signed_in(olga)
    answer = client.post(PAGE, {"file": SimpleUploadedFile("<b>-1-0.conda", b"no package")})
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert "&lt;b&gt;-1-0.conda was refused" in client.get(PAGE).text


@pytest.mark.parametrize(
    ("fields", "headers", "reason"),
    [
        ({}, {}, "CSRF token missing"),
        ({"csrfmiddlewaretoken": "x" * 64}, {}, "CSRF token from POST incorrect"),
        ({"csrfmiddlewaretoken": "short"}, {}, "has incorrect length"),
        ({}, {"x-csrftoken": "x" * 64}, "CSRF token from POST incorrect"),
        ({"csrfmiddlewaretoken": "the right one"}, {"origin": "https://evil.example"}, "https://evil.example"),
        ({}, {"x-csrftoken": "the right one", "origin": "null"}, "null does not match"),
    ],
)
def test_upload_from_another_site_is_refused(
    channel: Channel,
    olga: User,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fields: dict[str, str],
    headers: dict[str, str],
    reason: str,
) -> None:
    client = signed_in(olga, is_strict=True)
    token = token_of(client)
    fields = {name: token if value == "the right one" else value for name, value in fields.items()}
    headers = {name: token if value == "the right one" else value for name, value in headers.items()}
    plain = client.post(PAGE, fields | {"file": package(tmp_path)}, headers=headers)
    script = client.post(PAGE, fields | {"file": package(tmp_path)}, headers=headers | SCRIPT)
    assert (plain.status_code, plain["Content-Type"]) == (403, "text/plain; charset=utf-8")
    assert plain.text.strip() == NOT_FROM_HERE
    logged = [record.getMessage() for record in caplog.records if record.name == "django.security.csrf"]
    assert [reason in line for line in logged] == [True, True]
    assert (script.status_code, script.json()) == (403, {"error": plain.text.strip()})
    assert not Artifact.objects.exists()


def test_without_its_cookie_no_token_is_right(channel: Channel, olga: User, tmp_path: Path) -> None:
    client = signed_in(olga, is_strict=True)
    token = token_of(client)
    del client.cookies["csrftoken"]
    answer = client.post(PAGE, {"csrfmiddlewaretoken": token, "file": package(tmp_path)})
    assert (answer.status_code, answer.text.strip()) == (403, NOT_FROM_HERE)
    assert not Artifact.objects.exists()


def test_a_wrong_token_in_the_header_is_refused_before_the_file_is_kept(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publishing.uploads.views.receive", lambda *_: pytest.fail("The body was received."))
    client = signed_in(olga, is_strict=True)
    token_of(client)
    answer = client.post(PAGE, {"file": io.BytesIO(b"x" * 100_000)}, headers=SCRIPT | {"x-csrftoken": "x" * 64})
    assert answer.status_code == 403


def test_upload_without_permission_is_refused(
    client: Client, channel: Channel, olga: User, max_: User, sam: User, tmp_path: Path
) -> None:
    signed_out = client.post(PAGE, {"file": package(tmp_path)}, headers=SCRIPT)
    assert (signed_out.status_code, "WWW-Authenticate" in signed_out.headers) == (403, False)
    assert signed_out.json() == {"error": "You are signed out. Sign in again in another tab, then try again."}
    by_key = client.post(PAGE, {"file": package(tmp_path)}, headers={"authorization": f"Bearer {make_key(olga)}"})
    assert (by_key.status_code, by_key["X-Error-Code"]) == (404, "no_upload_here")
    assert signed_in(sam).post(PAGE, {"file": package(tmp_path)}).status_code == 403
    make_member(channel, max_, Role.VIEWER)
    viewer = signed_in(max_).post(PAGE, {"file": package(tmp_path)}, headers=SCRIPT)
    assert viewer.json() == {
        "error": "max may read 'demo' but not upload there. Ask an owner of the channel for a role that may."
    }
    assert not Artifact.objects.exists()


def test_upload_by_a_stranger_discloses_no_channel(channel: Channel, sam: User, tmp_path: Path) -> None:
    there, nowhere = (
        signed_in(sam).post(f"/channels/{name}/settings/upload", {"file": package(tmp_path)})
        for name in ("demo", "nope")
    )
    assert (there.status_code, there.text.replace("demo", "nope")) == (nowhere.status_code, nowhere.text)


def test_the_status_follows_an_upload_into_the_index(channel: Channel, olga: User, tmp_path: Path) -> None:
    client = signed_in(olga)
    client.post(PAGE, {"file": package(tmp_path)})
    asked = {"file": [f"noarch/{FILE}", "noarch/unknown-1-0.conda", "linux-64/" + FILE, "", "x" * 300]}
    assert client.get(STATUS, asked).json() == {f"noarch/{FILE}": "published"}
    assert "Published</span>" in client.get(PAGE).text.rpartition("</upload-queue>")[2]
    build_indexes()
    assert client.get(STATUS, asked).json() == {f"noarch/{FILE}": "indexed"}
    assert "Indexed</span>" in client.get(PAGE).text.rpartition("</upload-queue>")[2]
    make_artifact(channel, version="2.0")
    assert client.get(STATUS, asked).json() == {f"noarch/{FILE}": "published"}  # its name is stale again
    IndexedName.objects.update(made=F("changed"))
    asked["file"].append("noarch/other-1.0-0.conda")
    make_artifact(channel, name="other")
    assert client.get(STATUS, asked).json() == {
        f"noarch/{FILE}": "indexed",
        "noarch/other-1.0-0.conda": "published",
    }


@pytest.mark.parametrize(
    ("fields", "state"),
    [({"removal": "yanked"}, "yanked"), ({"removal": "deleted"}, "deleted"), ({"quarantine_reason": "?"}, "set aside")],
)
def test_status_reports_files_that_stay_out_of_the_index(
    channel: Channel, olga: User, fields: dict[str, Any], state: str
) -> None:
    make_artifact(channel, **fields)
    build_indexes()
    assert signed_in(olga).get(STATUS, {"file": f"noarch/{FILE}"}).json() == {f"noarch/{FILE}": state}


def test_the_status_costs_the_same_for_one_file_and_for_all(
    channel: Channel, olga: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in(olga)
    paths = [f"{each.subdir}/{each.file_name}" for each in (make_artifact(channel, version=str(n)) for n in range(200))]
    for asked in (paths[:1], paths):
        with django_assert_num_queries(5):  # session, user, channel, role, files
            assert len(client.get(STATUS, {"file": asked}).json()) == len(asked)
    too_many = client.get(STATUS, {"file": [*paths, "noarch/one-more"]})
    assert (too_many.status_code, too_many.text) == (400, "201 files were asked for; ask for at most 200 at once.\n")
    assert too_many.headers["X-Error-Code"] == "too_many_files"
    assert client.get(STATUS, {"file": paths[0]}).headers["Cache-Control"] == "no-store"


def test_status_without_permission_is_refused(client: Client, channel: Channel, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    codes = [each.get(STATUS).status_code for each in (client, signed_in(sam), signed_in(max_))]
    assert codes == [404, 404, 403]
