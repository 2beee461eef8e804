"""Labels as py-rattler reads them: each is a channel of its own."""

from pathlib import Path
from typing import Any

import pytest

from tests.archives import make_conda
from tests.clients.conftest import Keys
from tests.clients.plain import ask, fetched, records, seconds_until, seconds_until_indexed, upload
from tests.clients.reader import Reader, ReadError
from tests.live import LiveHub

DEV, MAIN = "tool-2.0-0.conda", "tool-1.0-0.conda"
FORMS: dict[str, dict[str, Any]] = {"shards": {}, "zst": {"shards": False}, "JSON": {"shards": False, "zstd": False}}


@pytest.fixture(scope="module")
def labeled(hub: LiveHub, keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Create the private channel `labeled`: version 1.0 in main, 2.0 in dev alone."""
    hub.manage("createchannel", "labeled", "--owner", "olga")
    folder = tmp_path_factory.mktemp("labeled")
    for version, query in (("1.0", ""), ("2.0", "?label=dev")):
        path = make_conda(folder, name="tool", version=version, files={"share/tool.txt": version.encode()})
        assert upload(hub, f"labeled{query}", path, keys.olga).status == 201
    seconds_until_indexed(hub, "labeled", "noarch", [MAIN], keys.olga)
    seconds_until_indexed(hub, "labeled/label/dev", "noarch", [DEV], keys.olga)
    return "labeled"


def reader(hub: LiveHub, keys: Keys, path: str, **form: Any) -> Reader:
    return Reader(f"{hub.url}/{path}", {"BearerToken": keys.olga}, **form)


@pytest.mark.parametrize("form", FORMS)
def test_rattler_reads_the_files_of_each_label(hub: LiveHub, keys: Keys, labeled: str, form: str) -> None:
    for path, file_name in (("", MAIN), ("/label/main", MAIN), ("/label/dev", DEV)):
        assert set(reader(hub, keys, f"{labeled}{path}", **FORMS[form]).records()) == {f"noarch/{file_name}"}


def test_rattler_installs_from_a_label(hub: LiveHub, keys: Keys, labeled: str) -> None:
    for path, version in (("", "1.0"), ("/label/dev", "2.0")):
        found = reader(hub, keys, f"{labeled}{path}").install("tool")
        assert found["share/tool.txt"] == version
    for form in FORMS.values():
        by_token = Reader(f"{hub.url}/t/{keys.olga}/{labeled}/label/dev", **form)
        assert by_token.install("tool")["share/tool.txt"] == "2.0"


def test_rattler_without_access_reads_no_label(hub: LiveHub, keys: Keys, labeled: str) -> None:
    for credential in (None, {"BearerToken": keys.sam}):
        with pytest.raises(ReadError):
            Reader(f"{hub.url}/{labeled}/label/dev", credential).records()


def test_package_below_a_label_has_the_bytes_of_its_own_address(hub: LiveHub, keys: Keys, labeled: str) -> None:
    below, plain = (fetched(hub, f"/{labeled}{path}/noarch/{DEV}", keys.olga) for path in ("/label/dev", ""))
    assert below == plain != b""
    assert ask(hub, f"/{labeled}/label/dev/noarch/{MAIN}", keys.olga).status == 404


def test_expired_label_goes_by_itself(hub: LiveHub, keys: Keys, labeled: str, tmp_path: Path) -> None:
    path = make_conda(tmp_path, name="pull-request")
    assert upload(hub, f"{labeled}?label=pr-1", path, keys.olga).status == 201
    seconds_until_indexed(hub, f"{labeled}/label/pr-1", "noarch", [path.name], keys.olga)
    hub.shell(
        "from channels_app.models import Label; from publishing import tasks; from django.utils import timezone; "
        "Label.objects.filter(name='pr-1').update(expires_at=timezone.now()); "
        "tasks.delete_expired_labels(); answer = 1"
    )
    assert ask(hub, f"/{labeled}/label/pr-1/noarch/repodata.json", keys.olga).status == 404
    assert ask(hub, f"/{labeled}/noarch/{path.name}", keys.olga).status == 404
    gone = "answer = SubdirIndex.objects.filter(label='pr-1').exists()"
    seconds_until(lambda: not hub.shell("from publishing import tasks; tasks.delete_expired_labels(); " + gone))
    assert set(records(hub, labeled, "noarch", keys.olga)) == {MAIN}
