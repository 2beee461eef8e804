"""Publishing from CI without a key: py-rattler-build in jobs of GitHub Actions and GitLab, py-rattler as the reader.

py-rattler-build 0.73 doesn't show why it got no token: rattler logs the hub's message as a warning, but the Python
package shows no log. So tests of a refused exchange check three things: the client fails, the hub's log has the code,
and the same token by plain HTTP gets the message.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from rattler_build import RattlerBuildError, upload_package_to_prefix

from tests.archives import make_conda
from tests.clients.plain import Answer, ask, seconds_until_indexed
from tests.clients.reader import Reader, ReadError
from tests.clients.uploader import UploadError, github_job, gitlab_job, upload_in_ci
from tests.id_tokens.builders import SHA, gitlab_claims
from tests.live import LiveHub
from tests.oidc import FakeIssuer, fake_issuer
from tests.stack import client_hub

CONCURRENT = 50
NO_KEY = "no prefix.dev API key provided and none found in keychain"
OTHER_REPOSITORY = {
    "repository": "octo-org/other",
    "repository_id": "740511",
    "workflow_ref": "octo-org/other/.github/workflows/release.yml@refs/heads/main",
    "job_workflow_ref": "octo-org/other/.github/workflows/release.yml@refs/heads/main",
}
# Every channel trusts release.yml of octo-org/sample: channel → rights of its publisher.
CHANNELS: dict[str, dict[str, Any]] = {
    "uploads": {},
    "reads": {"may_read": True},
    "only-reads": {"may_read": True, "may_upload": False},
    "named": {"package_globs": ["good-*"]},
    "strict": {},
    "leaving": {},
}
SET_UP = """
from channels_app.authentication import api_keys as keys
from channels_app.channels import channels
from channels_app.access.permissions import Actor
from publishing.trusted import publishers
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer

olga = User.objects.create_user("olga")

def trust(channel, url, provider, rights, **fields):
    issuer, _ = Issuer.objects.get_or_create(url=url, provider=provider)
    cleaned = PROVIDERS[provider].clean(fields)
    publishers.add(actor=Actor(user=olga), channel=channel, issuer=issuer, fields=cleaned, **rights)

for name, rights in {channels}.items():
    channel = channels.create(name=name, owner=olga, is_private=True)
    trust(channel, "{github}", "github", rights, repository="octo-org/sample", workflow="release.yml")
uploads = Channel.objects.get(name="uploads")
trust(uploads, "{gitlab}", "gitlab", {{}}, project="group/sample", workflow=".gitlab-ci.yml")
Channel.objects.filter(name="strict").update(only_trusted_publishers=True)
answer = keys.create_user_key(owner=olga, name="test", scopes=["read", "upload"], channels=None, expires_at=None)[1]
"""


@pytest.fixture(scope="module")
def running_github() -> Iterator[FakeIssuer]:
    with fake_issuer() as issuer:
        yield issuer


@pytest.fixture
def github(running_github: FakeIssuer) -> FakeIssuer:
    """Return a fake GitHub. Its jobs run for octo-org/sample unless a test sets other claims."""
    running_github.job_claims = {}
    return running_github


@pytest.fixture(scope="module")
def gitlab() -> Iterator[FakeIssuer]:
    with fake_issuer(gitlab_claims) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def ci_hub(
    running_github: FakeIssuer, gitlab: FakeIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveHub]:
    """Run a hub that trusts both issuers, with rate limits that no test reaches."""
    settings = {
        "HUB_INTERNAL_HOSTS": f"{running_github.host},{gitlab.host}",
        "HUB_RATE_LIMITS": "mint-by-address=10000,mint-by-subject=10000",
    }
    with client_hub(tmp_path_factory.mktemp("ci"), **settings) as hub:
        yield hub


@pytest.fixture(scope="module")
def olgas_key(ci_hub: LiveHub, running_github: FakeIssuer, gitlab: FakeIssuer) -> str:
    """Create the channels and their publishers. Return Olga's key."""
    key: str = ci_hub.shell(SET_UP.format(channels=CHANNELS, github=running_github.url, gitlab=gitlab.url))
    return key


@pytest.fixture
def hub(ci_hub: LiveHub, olgas_key: str) -> LiveHub:
    return ci_hub


def mint(hub: LiveHub, token: str) -> Answer:
    return ask(hub, "/api/oidc/mint_token", method="POST", body=json.dumps({"token": token}).encode())


def refusal(hub: LiveHub, file: Path, job: dict[str, str]) -> str:
    """Upload in a job with a refused identity token. Return the error code from the hub's log."""
    seen = len(hub.log())
    with pytest.raises(UploadError, match=NO_KEY):
        upload_in_ci(hub, "uploads", file, job)
    return hub.log()[seen:].rpartition("identity token refused: ")[2].split()[0]


def test_job_of_github_actions_publishes(hub: LiveHub, github: FakeIssuer, olgas_key: str, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="from-github", files={"share/from.txt": b"GitHub\n"})
    github.audiences.clear()
    upload_in_ci(hub, "uploads", package, github_job(github))
    assert github.audiences == ["127.0.0.1"]
    seconds_until_indexed(hub, "uploads", "noarch", [package.name], olgas_key)
    installed = Reader(f"{hub.url}/uploads", {"BearerToken": olgas_key}).install("from-github")
    assert installed["share/from.txt"] == "GitHub\n"


def test_job_of_gitlab_publishes(hub: LiveHub, gitlab: FakeIssuer, olgas_key: str, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="from-gitlab", files={"share/from.txt": b"GitLab\n"})
    upload_in_ci(hub, "uploads", package, gitlab_job(gitlab.token()))
    seconds_until_indexed(hub, "uploads", "noarch", [package.name], olgas_key)
    installed = Reader(f"{hub.url}/uploads", {"BearerToken": olgas_key}).install("from-gitlab")
    assert installed["share/from.txt"] == "GitLab\n"


def test_artifact_shows_its_build_provenance(
    hub: LiveHub, github: FakeIssuer, gitlab: FakeIssuer, tmp_path: Path
) -> None:
    upload_in_ci(hub, "uploads", make_conda(tmp_path, name="kept-github"), github_job(github))
    upload_in_ci(hub, "uploads", make_conda(tmp_path, name="kept-gitlab"), gitlab_job(gitlab.token()))
    kept = hub.shell(
        "answer = {artifact.package.name: [artifact.provenance, artifact.uploaded_with.kind, artifact.uploaded_by]"
        " for artifact in Artifact.objects.filter(package__name__startswith='kept-')}"
    )
    for name, provider, repository, workflow, run in [
        ("kept-github", "GitHub Actions", "octo-org/sample", ".github/workflows/release.yml", "9001"),
        ("kept-gitlab", "GitLab CI/CD", "group/sample", ".gitlab-ci.yml", "574"),
    ]:
        provenance, kind, uploaded_by = kept[name]
        assert (kind, uploaded_by) == ("minted", None)
        said = {"provider": provider, "repository": repository, "workflow": workflow, "run": run, "commit": SHA}
        assert provenance | said | {"ref": "refs/heads/main", "environment": "release"} == provenance


def test_job_of_another_repository(hub: LiveHub, github: FakeIssuer, tmp_path: Path) -> None:
    github.job_claims = OTHER_REPOSITORY
    assert refusal(hub, make_conda(tmp_path), github_job(github)) == "no_publisher"
    answer = mint(hub, github.token(**OTHER_REPOSITORY))
    assert (answer.status, answer.headers["X-Error-Code"]) == (422, "no_publisher")
    assert answer.text == (
        f"No channel trusts 'octo-org/other' of {github.url}. "
        "Somebody who manages the channel can add it there, under Trusted publishers.\n"
    )


def test_second_job_with_the_same_token(hub: LiveHub, gitlab: FakeIssuer, tmp_path: Path) -> None:
    job = gitlab_job(gitlab.token())
    upload_in_ci(hub, "uploads", make_conda(tmp_path, name="first-use"), job)
    assert refusal(hub, make_conda(tmp_path, name="second-use"), job) == "replayed"


def test_token_for_another_audience(hub: LiveHub, gitlab: FakeIssuer, tmp_path: Path) -> None:
    assert refusal(hub, make_conda(tmp_path), gitlab_job(gitlab.token("prefix.dev"))) == "wrong_audience"
    answer = mint(hub, gitlab.token("prefix.dev"))
    assert (answer.status, answer.headers["X-Error-Code"]) == (422, "wrong_audience")
    assert answer.text.startswith("The token's audience is 'prefix.dev'; request the token with the one audience 127.")


def test_audience_is_never_taken_from_the_request(hub: LiveHub, gitlab: FakeIssuer) -> None:
    body = json.dumps({"token": gitlab.token("localhost")}).encode()
    answer = ask(hub, "/api/oidc/mint_token", method="POST", body=body, headers={"Host": "localhost"})
    assert (answer.status, answer.headers["X-Error-Code"]) == (422, "wrong_audience")


def test_channel_that_trusts_another_ci(hub: LiveHub, gitlab: FakeIssuer, tmp_path: Path) -> None:
    with pytest.raises(UploadError, match="GitLab CI/CD: group/sample has no upload access to 'reads'"):
        upload_in_ci(hub, "reads", make_conda(tmp_path), gitlab_job(gitlab.token()))


def test_publisher_removed_after_the_exchange(hub: LiveHub, github: FakeIssuer, tmp_path: Path) -> None:
    key = mint(hub, github.token()).text
    upload_package_to_prefix([str(make_conda(tmp_path, name="before"))], hub.url, "leaving", api_key=key)
    hub.shell(
        "from channels_app.access.permissions import Actor\nfrom publishing.trusted import publishers\n"
        "from publishing.models import TrustedPublisher\n"
        "publisher = TrustedPublisher.objects.get(channel__name='leaving')\n"
        "publishers.remove(actor=Actor(user=User.objects.get(username='olga')), publisher=publisher)"
    )
    with pytest.raises(RattlerBuildError, match="GitHub Actions: octo-org/sample has no upload access to 'leaving'"):
        upload_package_to_prefix([str(make_conda(tmp_path, name="after"))], hub.url, "leaving", api_key=key)


def test_package_names_are_limited(hub: LiveHub, github: FakeIssuer, tmp_path: Path) -> None:
    upload_in_ci(hub, "named", make_conda(tmp_path, name="good-one"), github_job(github))
    with pytest.raises(UploadError, match="may not upload the package 'bad-one' to 'named': it is limited to other"):
        upload_in_ci(hub, "named", make_conda(tmp_path, name="bad-one"), github_job(github))


def test_channel_for_trusted_publishers_only(hub: LiveHub, github: FakeIssuer, olgas_key: str, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="trusted")
    with pytest.raises(RattlerBuildError, match="Only trusted publishers may upload to 'strict'; an API key or"):
        upload_package_to_prefix([str(package)], hub.url, "strict", api_key=olgas_key)
    upload_in_ci(hub, "strict", package, github_job(github))


def test_short_lived_token_may_not_overwrite(hub: LiveHub, github: FakeIssuer, tmp_path: Path) -> None:
    package, key = make_conda(tmp_path, name="forced"), mint(hub, github.token()).text
    with pytest.raises(RattlerBuildError, match="A trusted publisher may not overwrite files; an API key of a member"):
        upload_package_to_prefix([str(package)], hub.url, "uploads", api_key=key, force=True)


def test_job_reads_a_private_channel(hub: LiveHub, github: FakeIssuer, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="readable", files={"share/read.txt": b"read\n"})
    upload_in_ci(hub, "reads", package, github_job(github))
    key = mint(hub, github.token()).text
    seconds_until_indexed(hub, "reads", "noarch", [package.name], key)
    reader = Reader(f"{hub.url}/reads", {"BearerToken": key})
    assert reader.solve("readable") == [package.name]
    assert reader.install("readable")["share/read.txt"] == "read\n"


def test_job_with_upload_permission_alone_may_not_read(hub: LiveHub, github: FakeIssuer) -> None:
    key = mint(hub, github.token()).text
    with pytest.raises(ReadError, match="403 Forbidden"):
        Reader(f"{hub.url}/uploads", {"BearerToken": key}).solve("from-github")


def test_job_with_read_permission_alone_may_not_upload(hub: LiveHub, github: FakeIssuer, tmp_path: Path) -> None:
    said = "GitHub Actions: octo-org/sample may read 'only-reads' but not upload there: its trusted publisher may not."
    with pytest.raises(UploadError, match=re.escape(said)):
        upload_in_ci(hub, "only-reads", make_conda(tmp_path), github_job(github))


TWO_USERS = """
from publishing.trusted import publishers
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer
from hub.errors import HubError

sam, issuer = User.objects.create_user("sam"), Issuer.objects.get(url="{github}")
fields = PROVIDERS["github"].clean({{"repository": "octo-org/sample", "workflow": "release.yml"}})
refusals = []
for user, name in ((User.objects.get(username="olga"), "next-lab"), (sam, "next-lab"), (sam, "sams-lab")):
    try:
        publishers.add_pending(user=user, channel_name=name, issuer=issuer, fields=fields)
    except HubError as error:
        refusals.append(error.code)
answer = refusals
"""


def test_publisher_of_another_user_does_not_affect_the_job(
    hub: LiveHub, github: FakeIssuer, olgas_key: str, tmp_path: Path
) -> None:
    assert hub.shell(TWO_USERS.format(github=github.url)) == ["name_pending"]
    hub.manage("createchannel", "sams-lab", "--owner", "olga")
    package = make_conda(tmp_path, name="mine")
    upload_in_ci(hub, "next-lab", package, github_job(github))
    seconds_until_indexed(hub, "next-lab", "noarch", [package.name], olgas_key)
    sams = hub.manage("createapikey", "sam", "--name", "test", "--scope", "read")
    with pytest.raises(ReadError):
        Reader(f"{hub.url}/next-lab", {"BearerToken": sams}).install("mine")


def test_one_of_fifty_simultaneous_exchanges_of_a_token_succeeds(hub: LiveHub, github: FakeIssuer) -> None:
    token, together = github.token(), Barrier(CONCURRENT)

    def mint_together(_: int) -> Answer:
        together.wait()
        return mint(hub, token)

    with ThreadPoolExecutor(CONCURRENT) as pool:
        answers = list(pool.map(mint_together, range(CONCURRENT)))
    outcomes = Counter((answer.status, answer.headers["X-Error-Code"]) for answer in answers)
    assert outcomes == {(200, None): 1, (422, "replayed"): CONCURRENT - 1}
