"""Uploads by rattler-build, as with `rattler-build upload prefix` and `pixi upload prefix`, and by plain HTTP."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rattler_build import RattlerBuildError, upload_package_to_prefix

from tests.archives import make_conda
from tests.clients.conftest import Figure, Keys, seconds_to_upload
from tests.clients.plain import ask, fetched, records, seconds_until_indexed, upload
from tests.live import LiveHub

LARGE_BYTES = 30_000_000


@pytest.fixture(scope="package")
def channel(hub: LiveHub) -> str:
    """Create a private channel for a few small packages."""
    hub.manage("createchannel", "small", "--owner", "olga")
    return "small"


def test_every_real_package_is_published(
    hub: LiveHub, filled: dict[str, float], keys: Keys, packages: list[Path], figure: Figure
) -> None:
    by_subdir: dict[str, set[str]] = {}
    for package in packages:
        by_subdir.setdefault(package.parent.name, set()).add(package.name)
    for channel, seconds in filled.items():
        figure(f"seconds to upload {len(packages)} packages to the {channel} channel", round(seconds, 1))
        for subdir, names in by_subdir.items():
            seconds_until_indexed(hub, channel, subdir, names, keys.olga)
            assert set(records(hub, channel, subdir, keys.olga)) == names
    assert len(packages) == 184


@pytest.mark.usefixtures("filled")
def test_published_files_equal_the_uploaded_bytes(hub: LiveHub, keys: Keys, packages: list[Path]) -> None:
    for package in packages:
        path = f"/private/{package.parent.name}/{package.name}"
        assert fetched(hub, path, keys.olga) == package.read_bytes()


def test_package_is_visible_soon_after_its_upload(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path, figure: Figure
) -> None:
    for number in range(5):
        package = make_conda(tmp_path, name="soon", version=f"{number}")
        seconds_to_upload(hub, channel, [package], keys.olga)
        seconds = seconds_until_indexed(hub, channel, "noarch", [package.name], keys.olga)
        figure(f"seconds from the 2xx to repodata.json, .zst and shards, upload {number}", round(seconds, 2))


@pytest.mark.usefixtures("filled")
def test_same_bytes_again_are_welcome(hub: LiveHub, keys: Keys, packages: list[Path]) -> None:
    seconds_to_upload(hub, "private", packages[:20], keys.olga)


@pytest.mark.usefixtures("filled")
def test_second_run_that_skips_existing_succeeds(hub: LiveHub, keys: Keys, packages: list[Path]) -> None:
    names = [str(path) for path in packages]
    upload_package_to_prefix(names, hub.url, "private", api_key=keys.olga, skip_existing=True)


def test_other_bytes_under_a_name_conflict(hub: LiveHub, channel: str, keys: Keys, tmp_path: Path) -> None:
    first, second = two_of_one_name(tmp_path)
    seconds_to_upload(hub, channel, [first], keys.olga)
    with refused(
        "package already exists (HTTP 409)",
        f"small/noarch/twin-1.0-0.conda exists with other bytes: SHA-256 {sha256(first)[:16]}…, "
        f"uploaded {sha256(second)[:16]}…. Raise the build number, or skip existing files.",
    ):
        seconds_to_upload(hub, channel, [second], keys.olga)
    upload_package_to_prefix([str(second)], hub.url, channel, api_key=keys.olga, skip_existing=True)
    assert fetched(hub, f"/{channel}/noarch/{first.name}", keys.olga) == first.read_bytes()


def test_force_needs_the_channels_leave(hub: LiveHub, channel: str, keys: Keys, packages: list[Path]) -> None:
    with refused("HTTP 403", "The channel 'small' does not allow force=true: its files never change."):
        upload_package_to_prefix([str(packages[0])], hub.url, channel, api_key=keys.olga, force=True)


def test_force_replaces_where_the_channel_allows_it(hub: LiveHub, keys: Keys, tmp_path: Path) -> None:
    hub.manage("createchannel", "nightly", "--owner", "olga")
    hub.shell("Channel.objects.filter(name='nightly').update(allow_overwrite=True)")
    for package in two_of_one_name(tmp_path):
        upload_package_to_prefix([str(package)], hub.url, "nightly", api_key=keys.olga, force=True)
    assert fetched(hub, f"/nightly/noarch/{package.name}", keys.olga) == package.read_bytes()


def test_upload_of_deleted_bytes_restores_them_with_permission(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path
) -> None:
    """The client shows the reason. With skip_existing it continues, so a CI that builds everything doesn't fail."""
    package = make_conda(tmp_path, name="back")
    seconds_to_upload(hub, channel, [package], keys.olga)
    deletes = hub.manage("createapikey", "olga", "--name", "test", "--scope", "upload", "--scope", "delete")
    assert ask(hub, f"/api/v1/delete/{channel}/noarch/{package.name}", deletes, method="DELETE").status == 200
    with refused("HTTP 409", f"small/noarch/{package.name} was deleted. This upload would restore it"):
        seconds_to_upload(hub, channel, [package], keys.olga)
    upload_package_to_prefix([str(package)], hub.url, channel, api_key=keys.olga, skip_existing=True)
    assert ask(hub, f"/{channel}/noarch/{package.name}", keys.olga).status == 404
    seconds_to_upload(hub, channel, [package], deletes)
    assert fetched(hub, f"/{channel}/noarch/{package.name}", keys.olga) == package.read_bytes()


def test_upload_with_a_wrong_key_gets_401(hub: LiveHub, channel: str, packages: list[Path]) -> None:
    with refused("HTTP 401", "This is not a key of this hub: its keys begin with 'chub-'."):
        seconds_to_upload(hub, channel, packages[:1], "wrong")


def test_upload_with_a_damaged_key_gets_401(hub: LiveHub, channel: str, keys: Keys, packages: list[Path]) -> None:
    with refused("HTTP 401", "The key is damaged: its checksum does not fit. Was it cut off when it was copied?"):
        seconds_to_upload(hub, channel, packages[:1], keys.olga[:-1])


@pytest.mark.usefixtures("channels")
def test_upload_with_a_viewers_key_gets_403(hub: LiveHub, keys: Keys, packages: list[Path]) -> None:
    with refused("HTTP 403", "vera may read 'private' but not upload there. Ask an owner of the channel for a role"):
        seconds_to_upload(hub, "private", packages[:1], keys.vera)


def test_upload_with_a_strangers_key_gets_403(hub: LiveHub, channel: str, keys: Keys, packages: list[Path]) -> None:
    with refused("HTTP 403", "sam has no upload access to 'small' with this credential, or there is no such channel"):
        seconds_to_upload(hub, channel, packages[:1], keys.sam)


def test_upload_without_the_scope_gets_403(hub: LiveHub, channel: str, keys: Keys, packages: list[Path]) -> None:
    with refused("HTTP 403", "The key 'test' is for read; this needs a key with 'upload'."):
        seconds_to_upload(hub, channel, packages[:1], keys.olga_read_only)


def test_upload_to_an_unknown_channel_gets_403(hub: LiveHub, keys: Keys, packages: list[Path]) -> None:
    with refused(
        "HTTP 403", "olga has no upload access to 'nowhere' with this credential, or there is no such channel"
    ):
        seconds_to_upload(hub, "nowhere", packages[:1], keys.olga)


def test_upload_of_a_truncated_file_gets_422(hub: LiveHub, channel: str, keys: Keys, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="cut")
    package.write_bytes(package.read_bytes()[:-100])
    with refused("HTTP 422", "cut-1.0-0.conda was refused: "):
        seconds_to_upload(hub, channel, [package], keys.olga)


def test_upload_of_a_renamed_file_gets_422(hub: LiveHub, channel: str, keys: Keys, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="before").rename(tmp_path / "after-1.0-0.conda")
    with refused("HTTP 422", "after-1.0-0.conda was refused: "):
        seconds_to_upload(hub, channel, [package], keys.olga)


def test_early_refusal_of_a_large_body_reaches_the_client(
    hub: LiveHub, channel: str, tmp_path: Path, figure: Figure
) -> None:
    package = make_conda(tmp_path, name="large", files={"junk": bytes(LARGE_BYTES)}, compress=lambda tar: tar)
    assert package.stat().st_size > LARGE_BYTES
    with refused("HTTP 401", "its keys begin with 'chub-'"):
        seconds_to_upload(hub, channel, [package], "wrong")
    answer = upload(hub, channel, package, "wrong")
    assert (answer.status, answer.headers["X-Error-Code"]) == (401, "invalid_key")


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with Content-Length", "chunked"])
def test_file_as_the_body(hub: LiveHub, channel: str, keys: Keys, tmp_path: Path, *, is_chunked: bool) -> None:
    package = make_conda(tmp_path, name=f"raw{is_chunked:d}", files={"junk": bytes(range(256)) * 4000})
    content = package.read_bytes()
    headers = {"X-File-Name": package.name, "X-File-SHA256": sha256(package)}
    path = f"/api/v1/upload/{channel}"
    body = in_pieces(content) if is_chunked else content
    answer = ask(hub, path, keys.olga, method="POST", body=body, headers=headers)
    assert (answer.status, answer.text) == (201, f"small/noarch/{package.name} published.\n")
    answer = ask(hub, path, keys.olga, method="POST", body=content, headers=headers)
    assert (answer.status, answer.text) == (200, f"small/noarch/{package.name} exists already.\n")
    assert fetched(hub, f"/{channel}/noarch/{package.name}", keys.olga) == content


def test_file_as_the_body_with_another_checksum(hub: LiveHub, channel: str, keys: Keys, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="flipped")
    answer = ask(
        hub,
        f"/api/v1/upload/{channel}",
        keys.olga,
        method="POST",
        body=package.read_bytes(),
        headers={"X-File-Name": package.name, "X-File-SHA256": "0" * 64},
    )
    assert answer.status == 422
    assert answer.text == (
        f"The bytes that arrived have the SHA-256 {sha256(package)}, the client announced {'0' * 64}. "
        "Something changed them on the way; send the file again.\n"
    )


def test_upload_without_a_channel(hub: LiveHub, keys: Keys) -> None:
    answer = ask(hub, "/api/v1/upload/", keys.olga, method="POST", body=b"")
    assert answer.status == 400
    assert answer.text == "The URL names no channel; expected /api/v1/upload/<channel>.\n"


@contextmanager
def refused(*parts: str) -> Iterator[None]:
    """Expect the client's exception with all of `parts` in its text."""
    with pytest.raises(RattlerBuildError) as caught:
        yield
    for part in parts:
        assert part in str(caught.value)


def two_of_one_name(folder: Path) -> Iterator[Path]:
    for text in (b"one", b"two"):
        (folder / text.decode()).mkdir()
        yield make_conda(folder / text.decode(), name="twin", files={"share/twin.txt": text})


def in_pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 10_000):
        yield content[start : start + 10_000]


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
