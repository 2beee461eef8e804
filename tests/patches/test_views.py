"""The page of a channel's patches."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from channels_app.models import Channel, User
from publishing.models import Patch
from publishing.patches import spec_lines
from publishing.patches.changes import BadPatch
from tests.browsing import page
from tests.builders import make_artifact, make_patch
from tests.pages import signed_in, text
from tests.patches.packages import encoded, instructions

pytestmark = pytest.mark.django_db
PAGE = "/channels/demo/settings/patches"


@pytest.fixture
def owner(olga: User) -> Client:
    return signed_in(olga)


def form(action: str = "save", **values: str) -> dict[str, str]:
    return {
        "action": action,
        "title": "numpy 2 breaks it",
        "names": "lib, libb",
        "depends": "numpy -> numpy <2",
    } | values


def test_patch_is_previewed_saved_edited_undone_and_applied_again(channel: Channel, owner: Client) -> None:
    make_artifact(channel, "lib", index_json={"depends": ["numpy >=1", "zlib"]})
    preview = text(owner.post(PAGE, form("preview")))
    assert "<code>numpy >=1</code>" in preview.replace("&gt;", ">")
    assert "<code>numpy <2</code>" in preview.replace("&lt;", "<")
    assert "zlib" not in preview
    assert not Patch.objects.exists()
    assert owner.post(PAGE, form()).status_code == 302
    first = Patch.objects.get()
    assert (first.names, first.changes) == (["lib", "libb"], {"depends": {"replace": {"numpy": "numpy <2"}}})
    assert "numpy -&gt; numpy &lt;2" in page(owner, f"{PAGE}?edit={first.pk}")
    changed = form(depends="- zlib", license="-", built_before="2024-01-01", removed="on")
    assert owner.post(f"{PAGE}?edit={first.pk}", changed).status_code == 302
    second = Patch.objects.get(ended_at=None)
    assert second.changes == {"depends": {"remove": ["zlib"]}, "license": None, "removed": True}
    assert second.built_before
    assert second.built_before.isoformat() == "2024-01-01T00:00:00+00:00"
    assert owner.post(PAGE, {"action": "undo", "patch": str(second.pk)}).status_code == 302
    assert Patch.objects.get(ended_at=None) == first
    assert owner.post(PAGE, {"action": "apply", "patch": str(second.pk)}).status_code == 302
    assert Patch.objects.get(ended_at=None) == second
    assert "Apply again" in page(owner, PAGE)


def test_edit_keeps_changes_that_the_form_does_not_show(channel: Channel, owner: Client) -> None:
    changes = {"run_exports": {"weak": ["lib"]}, "constrains": ["a", "b"], "license": "MIT"}
    patch = make_patch(channel, changes=changes)
    shown = page(owner, f"{PAGE}?edit={patch.pk}")
    assert "= a\n= b" in shown
    owner.post(f"{PAGE}?edit={patch.pk}", form(names="", depends="", constrains="= a", license="BSD"))
    assert Patch.objects.get(ended_at=None).changes == changes | {"constrains": ["a"], "license": "BSD"}


@pytest.mark.parametrize(
    "values",
    [
        {"title": ""},
        {"depends": ""},
        {"depends": "numpy <2"},
        {"depends": "+ a b c d"},
        {"depends": "= a\n+ b"},
        {"names": "Upper"},
        {"version": "??"},
        {"built_before": "x"},
    ],
)
def test_bad_patch_is_refused_in_the_form(channel: Channel, owner: Client, values: dict[str, str]) -> None:
    for action in ("save", "preview"):
        answer = owner.post(PAGE, form(action, **values))
        assert answer.status_code == 200
        assert "alert error" in answer.content.decode()
    assert not Patch.objects.exists()


def test_file_is_previewed_and_imported(channel: Channel, owner: Client) -> None:
    make_artifact(channel, "lib")
    data = encoded(instructions(packages={"lib-1.0-0.conda": {"license": "A", "size": 5}}))

    def sent(action: str, **values: Any) -> dict[str, Any]:
        return {"action": action, "file": SimpleUploadedFile("p.json", data), "subdir": "noarch"} | values

    assert "<code>A</code>" in text(owner.post(PAGE, sent("preview-import")))
    assert not Patch.objects.exists()
    assert "alert error" in text(owner.post(PAGE, sent("import", subdir="")))
    assert "alert error" in text(owner.post(PAGE, sent("import", artifact="noarch/x")))
    assert "alert error" in text(owner.post(PAGE, {"action": "import", "artifact": "noarch/x"}))
    assert owner.post(PAGE, sent("import")).status_code == 302
    assert Patch.objects.get().title == "p.json for noarch"
    assert "1 changes of size left out" in page(owner, PAGE)


def test_page_and_api_of_a_patched_file_show_both_records(channel: Channel, owner: Client) -> None:
    for name in ("lib", "other"):
        make_artifact(channel, name, index_json={"depends": ["numpy", "zlib"]})
    make_patch(channel, names=["lib"], changes={"depends": {"replace": {"numpy": "numpy 1.*"}}})
    shown = page(owner, "/channels/demo/artifacts/noarch/lib-1.0-0.conda")
    assert "Changed by patches" in shown
    assert "<code>numpy 1.*</code>" in shown
    assert "Changed by patches" not in page(owner, "/channels/demo/artifacts/noarch/other-1.0-0.conda")
    answer = owner.get("/api/v1/channels/demo/artifacts/noarch/lib-1.0-0.conda").json()
    assert answer["record"]["depends"] == ["numpy 1.*", "zlib"]


def test_pages_of_a_package_and_a_version_show_patches_and_lead_to_a_new_one(channel: Channel, owner: Client) -> None:
    make_artifact(channel, "lib", index_json={"depends": ["numpy", "zlib"]})
    make_patch(channel, names=["lib"], changes={"depends": {"replace": {"numpy": "numpy 1.*"}}})
    link = f"{PAGE}?names=lib&amp;version=1.0#edit"
    for path in ("/channels/demo/packages/lib", "/channels/demo/packages/lib/1.0"):
        shown = page(owner, path)
        assert ("<code>numpy 1.*</code>" in shown, link in shown) == (True, True)
    form = page(owner, f"{PAGE}?names=lib&version=1.0")
    assert ('value="lib"' in form, 'value="1.0"' in form) == (True, True)


def test_reader_gets_no_link_to_a_new_patch(channel: Channel, client: Client) -> None:
    Channel.objects.update(is_private=False)
    make_artifact(channel, "lib")
    assert "settings/patches" not in page(client, "/channels/demo/packages/lib/1.0")


def test_list_shows_the_first_lines_of_a_long_change(channel: Channel, owner: Client) -> None:
    make_patch(channel, changes={"depends": {"add": [f"lib{number}" for number in range(1000)]}})
    page = owner.get("/channels/demo/settings/patches").content.decode()
    assert ("lib19<" in page, "lib20<" in page, "980 more" in page) == (True, False, True)


@pytest.mark.parametrize("number", ["0", "x", "\u00b2", "9" * 30])
def test_missing_patch_is_404(channel: Channel, owner: Client, number: str) -> None:
    assert owner.get(f"{PAGE}?edit={number}").status_code == 404
    for action in ("undo", "apply"):
        assert owner.post(PAGE, {"action": action, "patch": number}).status_code == 404


def test_undo_of_an_ended_patch_shows_the_error(channel: Channel, owner: Client) -> None:
    patch = make_patch(channel)
    for _ in range(2):
        answer = owner.post(PAGE, {"action": "undo", "patch": str(patch.pk)}, follow=True)
    assert "not active any more" in text(answer)


def test_page_costs_as_many_queries_for_9_patches_as_for_1(
    channel: Channel, owner: Client, django_assert_num_queries: Any
) -> None:
    make_patch(channel)
    owner.get(PAGE)
    for count in (1, 9):
        for _ in range(count - 1):
            make_patch(channel)
        with django_assert_num_queries(8):
            owner.get(PAGE)


@pytest.mark.parametrize(
    ("lines", "change"),
    [
        ("", None),
        ("+ a\n- b\n c -> d \n", {"add": ["a"], "remove": ["b"], "replace": {"c": "d"}}),
        ("= a >=1\n= b", ["a >=1", "b"]),
        ("=", []),
    ],
)
def test_lines_are_read_and_written_alike(lines: str, change: Any) -> None:
    assert spec_lines.parse(lines) == change
    assert spec_lines.parse(spec_lines.written(change)) == change


@pytest.mark.parametrize("lines", ["a", "= a\n- b"])
def test_line_without_a_sign_is_refused(lines: str) -> None:
    with pytest.raises(BadPatch):
        spec_lines.parse(lines)
