"""The page on which files are promoted, and the pages of promotions."""

import re
from typing import Any

import pytest
from django.test import Client

from channels_app.models import Channel, Role, User
from publishing.models import Promotion
from tests.browsing import artifact_url, page, publish
from tests.builders import make_artifact, make_channel, make_member, make_promotion
from tests.pages import messages, signed_in, text

pytestmark = pytest.mark.django_db
PAGE = "/channels/staging/promote"
HIDDEN = re.compile(r'<input type="hidden" name="(file|fingerprint)" value="(\w+)">')


@pytest.fixture
def owner(olga: User) -> Client:
    return signed_in(olga)


def hidden(html: str) -> dict[str, Any]:
    """Return the files and the fingerprint that a page's form sends."""
    found = HIDDEN.findall(html)
    return {
        "file": [value for name, value in found if name == "file"],
        "fingerprint": next((value for name, value in found if name == "fingerprint"), ""),
    }


def sent(html: str, action: str, **values: str) -> dict[str, Any]:
    return hidden(html) | {"action": action, "target": "demo", "reason": ""} | values


def test_version_is_previewed_and_promoted(staging: Channel, channel: Channel, owner: Client) -> None:
    chosen = page(owner, f"{PAGE}?name=tool&version=2.0")
    assert "noarch/tool-2.0-0.conda" in chosen.replace("<wbr>", "")
    assert "tool-1.0" not in chosen
    preview = text(owner.post(PAGE, sent(chosen, "preview")))
    assert "Promote 1 file<" in preview
    assert not Promotion.objects.exists()
    done = owner.post(PAGE, sent(preview, "promote", reason="Tested."))
    promotion = Promotion.objects.get()
    assert (done.status_code, done.headers["Location"]) == (302, f"/channels/demo/settings/promotions/{promotion.pk}")
    assert messages(done) == ["1 file is promoted to demo. The index follows in a moment."]
    assert (promotion.reason, channel.artifacts.get().file_name) == ("Tested.", "tool-2.0-0.conda")


def test_files_that_the_channel_has_are_said_to_be_there(staging: Channel, channel: Channel, owner: Client) -> None:
    for expected in ("1 file is promoted to demo. The index follows in a moment.", "demo has these files already."):
        preview = text(owner.post(PAGE, sent(page(owner, f"{PAGE}?name=tool&version=2.0"), "preview")))
        assert messages(owner.post(PAGE, sent(preview, "promote"))) == [expected]


def test_label_of_the_form_is_given_and_shown(staging: Channel, channel: Channel, owner: Client) -> None:
    chosen = page(owner, f"{PAGE}?name=tool&version=2.0")
    assert 'name="label" value="main"' in chosen
    owner.post(PAGE, sent(text(owner.post(PAGE, sent(chosen, "preview"))), "promote"))
    preview = text(owner.post(PAGE, sent(page(owner, f"{PAGE}?name=tool"), "preview", label="RC")))
    assert "it gets the label" in preview
    place = owner.post(PAGE, sent(preview, "promote", label="RC")).headers["Location"]
    shown = page(owner, place)
    assert "<dt>Label</dt><dd>rc</dd>" in shown
    assert "Deletes 1 file in demo, takes the label rc from 1." in shown
    assert "is not a label" in text(owner.post(PAGE, sent(chosen, "preview", label="a b")))


def test_ticked_files_are_taken_by_get_and_post(staging: Channel, channel: Channel, owner: Client) -> None:
    ids = list(staging.artifacts.filter(package__name="tool").values_list("pk", flat=True))
    by_get = page(owner, f"{PAGE}?file={ids[0]}&file={ids[1]}")
    by_post = owner.post(PAGE, {"file": ids}).content.decode()
    assert hidden(by_get)["file"] == hidden(by_post)["file"] == [str(pk) for pk in ids]


def test_refused_files_are_left_out_of_the_promotion(staging: Channel, channel: Channel, owner: Client) -> None:
    make_artifact(channel, "tool", "2.0")
    preview = owner.post(PAGE, sent(page(owner, f"{PAGE}?name=tool"), "preview")).content.decode()
    assert "exists with other bytes" in preview
    assert owner.post(PAGE, sent(preview, "promote")).status_code == 302
    assert channel.artifacts.filter(version="1.0").exists()


def test_promotion_of_files_that_changed_since_the_preview_is_refused(
    staging: Channel, channel: Channel, owner: Client
) -> None:
    preview = owner.post(PAGE, sent(page(owner, f"{PAGE}?name=tool"), "preview")).content.decode()
    staging.artifacts.filter(version="2.0").update(sha256="0" * 64)
    answer = owner.post(PAGE, sent(preview, "promote"))
    assert (answer.status_code, "changed since the preview" in text(answer)) == (422, True)
    assert not channel.artifacts.exists()


def test_promotion_without_a_preview_is_refused(staging: Channel, channel: Channel, owner: Client) -> None:
    chosen = page(owner, f"{PAGE}?name=tool")
    assert owner.post(PAGE, sent(chosen, "promote")).status_code == 422
    assert not channel.artifacts.exists()


def test_targets_are_the_channels_that_the_user_may_upload_to(staging: Channel, channel: Channel, max_: User) -> None:
    make_member(staging, max_)
    client = signed_in(max_)
    assert "No other channel" in page(client, f"{PAGE}?name=tool")
    make_member(make_channel("readable"), max_)
    make_member(make_channel("own"), max_, Role.CONTRIBUTOR)
    html = page(client, f"{PAGE}?name=tool")
    assert re.findall(r'<option value="(\w+)"', html) == ["own"]
    assert "is_move" not in html
    assert client.post(PAGE, sent(html, "preview")).status_code == 422


def test_move_is_offered_to_those_who_may_delete(staging: Channel, channel: Channel, owner: Client) -> None:
    preview = owner.post(PAGE, sent(page(owner, f"{PAGE}?name=tool"), "preview", is_move="on")).content.decode()
    assert owner.post(PAGE, sent(preview, "promote", is_move="on")).status_code == 302
    assert set(staging.artifacts.filter(package__name="tool").values_list("removal", flat=True)) == {"deleted"}


@pytest.mark.parametrize("query", ["", "?name=nothere", "?file=x", "?file=0", "?name=" + "x" * 300])
def test_page_without_files_asks_for_them(staging: Channel, owner: Client, query: str) -> None:
    assert "Find files" in page(owner, PAGE + query)


def test_stranger_gets_404_and_an_anonymous_user_signs_in(staging: Channel, sam: User) -> None:
    page(signed_in(sam), PAGE, status=404)
    assert Client().get(PAGE).headers["Location"].startswith("/accounts/login/")


def test_promotion_is_listed_shown_and_rolled_back(staging: Channel, channel: Channel, owner: Client) -> None:
    preview = owner.post(PAGE, sent(page(owner, f"{PAGE}?name=tool"), "preview")).content.decode()
    place = owner.post(PAGE, sent(preview, "promote")).headers["Location"]
    assert f'href="{place}"' in page(owner, "/channels/demo/settings/promotions")
    assert "noarch/tool-2.0-0.conda" in page(owner, place)
    assert owner.post(place, {"action": "rollback", "reason": "Broken."}).status_code == 302
    assert set(channel.artifacts.values_list("removal", flat=True)) == {"deleted"}
    again = owner.post(place, {"action": "rollback", "reason": ""})
    assert "rolled back" in text(again)
    page(owner, "/channels/demo/settings/promotions/0", status=404)


def test_rollback_is_offered_to_those_who_may_delete(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    source = make_channel("hidden")
    place = f"/channels/demo/settings/promotions/{make_promotion(source, channel).pk}"
    html = page(signed_in(max_), place)
    assert "Roll back" not in html
    assert "hidden" not in re.sub(r'visually-hidden|type="hidden"|aria-hidden', "", html)
    assert signed_in(max_).post(place, {"action": "rollback"}).status_code == 403


def test_page_of_an_artifact_names_the_source_to_those_who_see_it(
    staging: Channel, channel: Channel, owner: Client, max_: User
) -> None:
    preview = owner.post(PAGE, sent(page(owner, f"{PAGE}?version=2.0"), "preview")).content.decode()
    owner.post(PAGE, sent(preview, "promote"))
    address = artifact_url(channel.artifacts.get())
    assert f'<a href="{artifact_url(staging.artifacts.get(version="2.0"))}">staging</a>' in page(owner, address)
    make_member(channel, max_)
    html = page(signed_in(max_), address)
    assert ("another channel" in html, "staging" in html) == (True, False)


def test_pages_of_versions_and_files_lead_to_the_promotion(channel: Channel, owner: Client, olga: User) -> None:
    make_channel("other", owner=olga)
    artifact = publish(channel, version="1.0+local")
    html = page(owner, "/channels/demo/packages/demo/1.0+local")
    assert 'href="/channels/demo/promote?name=demo&amp;version=1.0%2Blocal"' in html
    assert f'href="/channels/demo/promote?file={artifact.pk}"' in page(owner, artifact_url(artifact))
    chosen = page(owner, "/channels/demo/promote?name=demo&version=1.0%2Blocal")
    assert "noarch/demo-1.0+local-0.conda" in chosen.replace("<wbr>", "")


def test_rule_is_added_changed_and_removed(channel: Channel, owner: Client) -> None:
    place = "/channels/demo/settings/promotion-rules"
    assert "No rules" in page(owner, place)
    rule = {"action": "save", "source": "staging", "needs": "manage", "needs_approval": "on"}
    assert owner.post(place, rule).status_code == 302
    assert "maintainers and owners" in page(owner, place)
    assert 'value="staging"' in page(owner, f"{place}?edit=staging")
    assert "name of another channel" in text(owner.post(place, rule | {"source": "demo"}))
    assert owner.post(place, {"action": "remove", "source": "staging"}).status_code == 302
    assert messages(owner.post(place, {"action": "remove", "source": "staging"})) == [
        "The rule is removed.",
        "'demo' has no rule for promotions from 'staging'.",
    ]


def test_waiting_promotion_is_approved_on_its_page(
    staging: Channel, channel: Channel, owner: Client, max_: User
) -> None:
    for where in (staging, channel):
        make_member(where, max_, Role.MAINTAINER)
    owner.post("/channels/demo/settings/promotion-rules", {"action": "save", "source": "*", "needs": "upload"})
    channel.promotion_rules.update(needs_approval=True)
    preview = owner.post(PAGE, sent(page(owner, f"{PAGE}?name=tool"), "preview")).content.decode()
    place = owner.post(PAGE, sent(preview, "promote")).headers["Location"]
    own = page(owner, place)
    assert ("Withdraw" in own, 'value="approve"' in own) == (True, False)
    assert "a second person has to approve it" in text(owner.post(place, {"action": "approve"}))
    second = signed_in(max_)
    assert 'value="approve"' in page(second, place)
    assert second.post(place, {"action": "approve"}).status_code == 302
    assert "Approved by" in page(second, place)
    assert channel.artifacts.count() == 2
    assert "waits no more" in text(second.post(place, {"action": "refuse"}))
