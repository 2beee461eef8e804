"""The pages of trusted publishers: a channel's publishers, CI configuration, and publishers of future channels."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape, strip_tags
from pytest_django import DjangoAssertNumQueries, Settings

from channels_app.docs.views import id_token_variable
from channels_app.models import Channel, Role, User
from hub import fetching
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer, TrustedPublisher
from publishing.trusted import publishers
from tests.builders import make_channel, make_issuer, make_member, make_publisher
from tests.client_commands import PROGRAMS, parse
from tests.id_tokens.builders import github_claims
from tests.pages import events, messages, signed_in, text

pytestmark = pytest.mark.django_db

PAGE = "/channels/demo/settings/publishers"
PENDING = "/channels/new/publisher"
GITHUB = {"repository": "Octo-Org/sample", "workflow": "release.yml", "may_upload": "on"}
EXAMPLES = {
    provider.name: {field.name: field.example for field in provider.fields if field.is_required}
    for provider in PROVIDERS.values()
}
COMMAND = re.compile(rf"(?:^ *|- run: |- )((?:{'|'.join(PROGRAMS)}) \w.*)", re.MULTILINE)


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def test_publisher_pages_for_strangers_and_viewers_are_refused(
    channel: Channel, client: Client, max_: User, sam: User
) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    for method in ("get", "post"):
        assert getattr(client, method)(PAGE).status_code == 404
        assert getattr(signed_in(sam), method)(PAGE, GITHUB).status_code == 404
        assert getattr(signed_in(max_), method)(PAGE, GITHUB).status_code == 403
    assert not TrustedPublisher.objects.exists()


@pytest.mark.parametrize("path", [PAGE, PENDING])
def test_other_methods_are_not_for_pages(owner: Client, path: str) -> None:
    assert owner.put(path).status_code == owner.delete(path).status_code == 405


@pytest.mark.parametrize("ending", ["", "/", ".git"])
def test_publisher_with_copied_urls_is_accepted(owner: Client, ending: str) -> None:
    repository, workflow = f"https://github.com/octo-org/sample{ending}", ".github/workflows/publish.yml"
    owner.post(PAGE, GITHUB | {"repository": repository, "workflow": workflow})
    fields = TrustedPublisher.objects.get().fields
    assert (fields["repository"], fields["workflow"]) == ("octo-org/sample", "publish.yml")


def test_publisher_is_added_and_the_page_shows_ci_commands(owner: Client, channel: Channel, olga: User) -> None:
    response = owner.post(PAGE, GITHUB | {"environment": "Release", "package_globs": "sample-*, other\nthird"})
    publisher = TrustedPublisher.objects.get()
    assert messages(response) == ["octo-org/sample is a trusted publisher now."]
    assert response.headers["Location"] == f"{PAGE}?provider=github&use={publisher.pk}#main"
    assert (publisher.channel, publisher.created_by) == (channel, olga)
    assert (publisher.may_upload, publisher.may_read) == (True, False)
    assert publisher.fields["environment"] == "release"
    assert publisher.package_globs == ["other", "sample-*", "third"]
    page = text(owner.get(response.headers["Location"]))
    assert "Set up octo-org/sample" in page
    assert "id-token: write" in page
    assert "Not pinned yet" in page
    assert 'href="https://github.com/octo-org/sample"' in page


def test_typed_in_ids_pin_at_once(owner: Client) -> None:
    owner.post(PAGE, GITHUB | {"pin-repository_id": " 7 ", "pin-repository_owner_id": "8"})
    assert TrustedPublisher.objects.get().pins == {"repository_id": "7", "repository_owner_id": "8"}
    assert "Not pinned yet" not in text(owner.get(PAGE))


def test_typed_in_ids_that_the_provider_contradicts_are_refused(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishers, "stable_ids", lambda issuer, fields: {"repository_id": "740510"})
    page = text(owner.post(PAGE, GITHUB | {"pin-repository_id": "7"}))
    assert escape("repository_id is '7', but the provider states '740510'; leave it empty.") in page
    assert '<details class="fold" open>' in page


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"repository": ""}, "Repository is missing; expected OWNER/NAME, such as octo-org/sample."),
        ({"repository": "sample"}, "Repository is 'sample'; expected OWNER/NAME"),
        ({"workflow": "release"}, "Workflow is 'release'; expected a file name that ends in .yml or .yaml"),
        ({"ref_type": "stone"}, "Select a valid choice. stone is not one of the available choices."),
        ({"ref": "main"}, "Ref is 'main'; expected a full ref"),
        ({"may_upload": ""}, "The publisher may neither upload nor read; choose at least one of the two."),
        ({"package_globs": "x" * 300}, "A publisher takes at most 50 package names"),
        ({"pin-repository_id": "7" * 101}, "Ensure this value has at most 100 characters (it has 101)."),
        ({"repository": "a/\0"}, "Null characters are not allowed."),
    ],
)
def test_publisher_with_bad_input_shows_the_error(owner: Client, form: dict[str, str], sentence: str) -> None:
    response = owner.post(PAGE, GITHUB | form)
    assert response.status_code == 200
    assert escape(sentence) in text(response)
    assert not TrustedPublisher.objects.exists()


def test_the_same_publisher_is_refused(owner: Client) -> None:
    owner.post(PAGE, GITHUB)
    assert "This publisher is there already; remove it first to change it." in text(owner.post(PAGE, GITHUB))


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_has_a_form_that_works(owner: Client, channel: Channel, name: str) -> None:
    if name == "generic":
        Issuer.objects.create(url="https://ci.example.org", provider=name)
    page = text(owner.get(f"{PAGE}?provider={name}"))
    assert f'aria-current="page">{PROVIDERS[name].title}</a>' in page
    assert all(f'name="{field.name}"' in page for field in PROVIDERS[name].fields)
    response = owner.post(f"{PAGE}?provider={name}", EXAMPLES[name] | {"may_upload": "on", "may_read": "on"})
    assert response.status_code == 302, strip_tags(response.content.decode())
    assert TrustedPublisher.objects.get().issuer.provider == name


def test_without_an_issuer_there_is_no_form(owner: Client) -> None:
    page = text(owner.get(f"{PAGE}?provider=generic"))
    assert "This hub has no issuer for OpenID Connect yet." in page
    assert 'name="conditions"' not in page
    response = owner.post(f"{PAGE}?provider=generic", {"conditions": "sub = a", "may_upload": "on"})
    assert "This hub has no issuer for OpenID Connect yet." in text(response)


def test_an_unknown_provider_is_the_first(owner: Client) -> None:
    assert 'name="repository"' in text(owner.get(f"{PAGE}?provider=nonsense"))


def test_of_several_issuers_one_is_chosen(owner: Client) -> None:
    assert 'name="issuer"' not in text(owner.get(f"{PAGE}?provider=gitlab"))
    own = Issuer.objects.create(url="https://gitlab.example.org", provider="gitlab")
    off = Issuer.objects.create(url="https://old.example.org", provider="gitlab", is_enabled=False)
    assert 'name="issuer"' in text(owner.get(f"{PAGE}?provider=gitlab"))
    form = EXAMPLES["gitlab"] | {"may_read": "on"}
    assert "Select a valid choice." in text(owner.post(f"{PAGE}?provider=gitlab", form | {"issuer": str(off.pk)}))
    owner.post(f"{PAGE}?provider=gitlab", form | {"issuer": str(own.pk)})
    assert TrustedPublisher.objects.get().issuer == own
    page = text(owner.get(PAGE))
    assert "GitLab CI/CD, https://gitlab.example.org" in page
    assert 'href="https://gitlab.example.org/group/subgroup/sample"' in page


def test_removing_is_asked_once_more(owner: Client, channel: Channel) -> None:
    publisher = make_publisher(channel, may_read=True)
    assert "Remove octo-org/sample?" in text(owner.get(f"{PAGE}?remove={publisher.pk}"))
    for nobody in ("0", "x", "%00", str(publisher.pk + 1)):
        assert "?</h2>" not in text(owner.get(f"{PAGE}?remove={nobody}"))
    response = owner.post(PAGE, {"remove": str(publisher.pk)})
    assert messages(response) == ["octo-org/sample is no trusted publisher any more."]
    assert response.headers["Location"] == PAGE
    assert [action for action, _, _ in events()] == ["publisher.remove"]
    assert "No trusted publishers yet" in text(owner.get(PAGE))


@pytest.mark.parametrize("value", ["x", "", "9" * 30, "\0", "²"])
def test_removing_a_missing_publisher_is_404(owner: Client, value: str) -> None:
    assert owner.post(PAGE, {"remove": value}).status_code == 404


def test_another_channels_publisher_stays(owner: Client, sam: User) -> None:
    other = make_publisher(make_channel("other", owner=sam))
    assert owner.post(PAGE, {"remove": str(other.pk)}).status_code == 404
    assert "Set up octo-org/sample" not in text(owner.get(f"{PAGE}?use={other.pk}"))


def test_use_pins_and_is_shown(owner: Client, channel: Channel) -> None:
    publisher = make_publisher(channel)
    publishers.settle(publisher, github_claims())
    page = text(owner.get(PAGE))
    assert "just now" in page
    assert "Pinned" in page


def test_a_publisher_for_a_new_package_is_pending(owner: Client) -> None:
    owner.post(PAGE, GITHUB | {"package_globs": "brand-new"})
    assert re.search(r"Until \d+ \w{3}</span>", text(owner.get(PAGE)))


def test_the_page_is_escaped(owner: Client, channel: Channel) -> None:
    publisher = make_publisher(channel)
    publisher.fields["workflow"] = publisher.subject = "<b>&x</b>"
    publisher.save()
    for query in ("", f"?use={publisher.pk}", f"?remove={publisher.pk}"):
        page = text(owner.get(PAGE + query))
        assert "<b>" not in page
        assert "&lt;b&gt;&amp;x" in page


@pytest.mark.parametrize("count", [1, 20])
def test_the_list_costs_as_many_queries_for_20_as_for_1(
    owner: Client, channel: Channel, django_assert_max_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    issuer = make_issuer()
    for _ in range(count):
        make_publisher(channel, issuer)
    with django_assert_max_num_queries(8):
        assert owner.get(PAGE).content.count(b"?remove=") == count


def snippet(client: Client, publisher: TrustedPublisher) -> str:
    page = client.get(f"{PAGE}?use={publisher.pk}").content.decode()
    return "\n".join(unescape(each) for each in re.findall(r'<pre tabindex="0">(.*?)</pre>', page, re.DOTALL))


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("address", ["https://hub.example.com", "http://127.0.0.1:8000"])
def test_ci_commands_are_accepted_by_clients(
    owner: Client, channel: Channel, settings: Settings, name: str, address: str
) -> None:
    settings.HUB_PUBLIC_URL, settings.PUBLIC_HOST = address, re.sub(r".*//|:\d+", "", address)
    issuer = (
        make_issuer(name)
        if PROVIDERS[name].issuer
        else Issuer.objects.create(url="https://ci.example.org", provider=name)
    )
    publisher = make_publisher(channel, issuer, fields=EXAMPLES[name], may_read=True)
    lines = snippet(owner, publisher)
    found = {" ".join(parse(command).name) for command in COMMAND.findall(lines)}
    assert found == {"pixi auth login", "pixi install", "pixi publish"} | (
        set() if address.startswith("https") else {"pixi upload prefix"}
    )
    assert f"{address}/api/oidc/mint_token" in lines
    assert settings.PUBLIC_HOST in lines


@pytest.mark.parametrize(
    ("may_upload", "may_read", "has", "has_not"),
    [(True, False, "pixi publish", "pixi auth login"), (False, True, "pixi auth login", "pixi publish")],
)
def test_ci_commands_follow_the_publishers_permissions(
    owner: Client, channel: Channel, may_upload: bool, may_read: bool, has: str, has_not: str
) -> None:
    lines = snippet(owner, make_publisher(channel, may_upload=may_upload, may_read=may_read))
    assert has in lines
    assert has_not not in lines


@pytest.mark.parametrize(
    ("host", "variable"),
    [("hub.example.org", "HUB_EXAMPLE_ORG_ID_TOKEN"), ("127.0.0.1", "127_0_0_1_ID_TOKEN"), ("[::1]", "___1__ID_TOKEN")],
)
def test_gitlabs_variable_is_the_one_that_clients_look_for(host: str, variable: str) -> None:
    assert id_token_variable(host) == variable


def pending(**values: Any) -> dict[str, str]:
    return {"channel_name": "next-lab", "repository": "octo-org/sample", "workflow": "release.yml"} | values


def test_pending_publishers_without_a_session_lead_to_sign_in(client: Client) -> None:
    assert client.get(PENDING).headers["Location"] == f"/accounts/login/?next={PENDING}"
    assert client.post(PENDING, pending()).status_code == 302
    assert not TrustedPublisher.objects.exists()


def test_a_pending_publisher_is_added_listed_and_removed(owner: Client, sam: User) -> None:
    assert f'href="{PENDING}"' in text(owner.get("/channels/new"))
    response = owner.post(PENDING, pending())
    publisher = TrustedPublisher.objects.get()
    assert (publisher.channel, publisher.channel_name) == (None, "next-lab")
    assert (publisher.may_upload, publisher.may_read) == (True, False)
    page = text(owner.get(response.headers["Location"]))
    assert '<strong class="small">next-lab</strong>' in page
    assert "--channel next-lab" in page
    assert "next-lab" not in text(signed_in(sam).get(PENDING))
    assert signed_in(sam).post(PENDING, {"remove": str(publisher.pk)}).status_code == 404
    assert "can no longer create the channel next-lab" in text(owner.get(f"{PENDING}?remove={publisher.pk}"))
    assert owner.post(PENDING, {"remove": str(publisher.pk)}).headers["Location"] == PENDING
    assert [action for action, _, _ in events()] == ["publisher.add", "publisher.remove"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("demo", "There is a channel 'demo' already; choose another name."),
        ("Next Lab", "'Next Lab' can't name a channel"),
        ("docs", "'docs' is a path of the hub itself"),
        ("", "This field is required."),
    ],
)
def test_a_pending_channels_name_is_checked(owner: Client, name: str, sentence: str) -> None:
    assert escape(sentence) in text(owner.post(PENDING, pending(channel_name=name)))
    assert not TrustedPublisher.objects.exists()


def test_page_offers_the_corrected_name_of_a_pending_channel(owner: Client) -> None:
    shown = owner.post(PENDING, pending(channel_name="Next Lab")).content.decode()
    assert '<button class="button" name="channel_name" value="next-lab">Add it for next-lab</button>' in shown
    assert owner.post(PENDING, pending(channel_name="next-lab")).status_code == 302


def test_the_provider_is_asked_by_the_one_way(channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    requested: list[str] = []

    def answer(url: str) -> bytes:
        requested.append(url)
        return b'{"id": 7, "owner": {"id": 8}}'

    monkeypatch.setattr(fetching, "get", answer)
    signed_in(olga).post(PAGE, GITHUB)
    assert requested == ["https://api.github.com/repos/octo-org/sample"]
    assert TrustedPublisher.objects.get().pins == {"repository_id": "7", "repository_owner_id": "8"}
