"""Tests of requests to other servers: only https, only public addresses, and the limits of time and size."""

import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from pytest_django import Settings

from hub import fetching
from hub.fetching import Answer, FetchError, get, look_up, post
from tests.id_tokens.builders import private_key
from tests.serving import answering, dripping, ok, over_tls, serving

TIMEOUT_S = 0.3
PUBLIC = "93.184.216.34"
PRIVATE = (
    "0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1 192.0.2.1 192.168.1.1 198.18.0.1 "
    "224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 "
    "64:ff9b:1::a00:1 2001:db8::1 2002:7f00:1:: fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1"
)


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Replace the resolver's answers, one after the other. Return the looked-up names."""
    left, asked = list(answers), []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in left.pop(0)]

    monkeypatch.setattr(fetching, "look_up", look_up)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def failure(url: str, **limits: Any) -> str:
    """Return the message of the failed request."""
    with pytest.raises(FetchError) as caught:
        get(url, **limits)
    return str(caught.value)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Record the addresses of connections, and refuse them."""
    found: list[Any] = []

    def create_connection(address: Any, timeout_s: float) -> None:
        found.append(address)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return found


def test_get_returns_the_body(settings: Settings) -> None:
    with serving(settings, answering(ok(b'{"keys": []}', b"Content-Length: 12"))) as host:
        assert get(f"http://{host}/keys?v=1") == b'{"keys": []}'


def test_request_is_a_plain_get_of_path_and_query(settings: Settings) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(ok(b"", b"Content-Length: 0"))

    with serving(settings, serve) as host:
        get(f"http://{host}/keys?v=1")
    line, *headers = heard[0].decode().strip().split("\r\n")
    assert line == "GET /keys?v=1 HTTP/1.1"
    assert set(headers) == {
        f"Host: {host}",
        "Accept-Encoding: identity",
        "Accept: application/json",
        "User-Agent: channelhub",
    }


def test_get_of_a_chunked_body_returns_it(settings: Settings) -> None:
    body = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with serving(settings, answering(ok(body, b"Transfer-Encoding: chunked"))) as host:
        assert get(f"http://{host}/") == b"abcde"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/keys",
        "file:///etc/passwd",
        "//example.org/keys",
        "https:///keys",
        "example.org",
        "",
    ],
)
def test_get_of_a_url_without_https_is_refused(url: str, connected: list[Any]) -> None:
    assert failure(url) == f"{url} is not an https URL."
    assert connected == []


@pytest.mark.parametrize(
    "url", ["https://[", "https://[::1/", "https://example.org:port/", "https://example.org:99999/"]
)
def test_get_of_a_bad_url_fails(url: str, connected: list[Any]) -> None:
    assert "does not answer: " in failure(url)
    assert connected == []


def test_get_by_http_is_refused_with_the_setting_that_allows_it(connected: list[Any]) -> None:
    assert failure("http://Example.org:8080/keys") == (
        "http://Example.org:8080/keys is not an https URL. "
        "For a server of your own network, the operator adds example.org:8080 to HUB_INTERNAL_HOSTS."
    )
    assert connected == []


@pytest.mark.parametrize("address", PRIVATE.split())
def test_private_addresses_are_not_asked(address: str, monkeypatch: pytest.MonkeyPatch, connected: list[Any]) -> None:
    names(monkeypatch, [address])
    assert failure("https://keys.example/") == (
        f"keys.example has the private address {address}. "
        "For a server of your own network, the operator adds keys.example to HUB_INTERNAL_HOSTS."
    )
    assert connected == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "127.1"])
def test_this_machine_by_any_name(host: str, monkeypatch: pytest.MonkeyPatch, connected: list[Any]) -> None:
    monkeypatch.setattr(fetching, "look_up", look_up)
    with pytest.raises(FetchError, match=r" has the private address (127\.0\.0\.1|::1)\. "):
        get(f"https://{host}/")
    assert connected == []


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_asked(address: str, monkeypatch: pytest.MonkeyPatch, connected: list[Any]) -> None:
    names(monkeypatch, [address])
    assert "https://keys.example/ does not answer: refused." in failure("https://keys.example/")
    assert connected == [(address, 443)]


def test_one_private_address_among_public_ones(monkeypatch: pytest.MonkeyPatch, connected: list[Any]) -> None:
    names(monkeypatch, [PUBLIC, "10.0.0.1"])
    assert "has the private address 10.0.0.1" in failure("https://keys.example/")
    assert connected == []


def test_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch, connected: list[Any]) -> None:
    asked = names(monkeypatch, [PUBLIC], ["127.0.0.1"])
    assert "refused" in failure("https://rebinding.example:8443/")
    assert asked == ["rebinding.example"]
    assert connected == [(PUBLIC, 8443)]


def test_get_of_an_unknown_host_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(fetching, "look_up", look_up)
    assert "Name or service not known" in failure("https://keys.example/")


def test_internal_host_is_internal_at_its_own_port_alone(settings: Settings, connected: list[Any]) -> None:
    settings.HUB_INTERNAL_HOSTS = ["127.0.0.1", "localhost:8443"]
    for refused in ("https://127.0.0.1:6379/", "https://localhost/"):
        assert "has the private address 127.0.0.1" in failure(refused)
    assert connected == []
    for asked in ("https://127.0.0.1/", "http://127.0.0.1/", "https://LOCALHOST:8443/"):
        assert "refused" in failure(asked)
    assert connected == [("127.0.0.1", 443), ("127.0.0.1", 80), ("127.0.0.1", 8443)]


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 404, 500])
def test_no_answer_but_200_and_no_redirect_is_followed(settings: Settings, status: int) -> None:
    answer = b"HTTP/1.1 %d X\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n" % status
    with serving(settings, answering(answer)) as host:
        assert failure(f"http://{host}/keys") == f"http://{host}/keys answers {status}; expected 200."


@pytest.mark.parametrize("headers", [[], [b"Content-Length: 1001"], [b"Content-Length: 99999999"]])
def test_get_of_a_too_large_body_fails(settings: Settings, headers: list[bytes]) -> None:
    with serving(settings, answering(ok(bytes(1001), *headers))) as host:
        assert failure(f"http://{host}/", max_bytes=1000) == f"http://{host}/ answers more than 1000 B."


def test_exactly_the_limit_is_allowed(settings: Settings) -> None:
    with serving(settings, answering(ok(bytes(1000)))) as host:
        assert get(f"http://{host}/", max_bytes=1000) == bytes(1000)


def test_get_of_a_truncated_body_fails(settings: Settings) -> None:
    with serving(settings, answering(ok(b"{}", b"Content-Length: 10"))) as host:
        assert failure(f"http://{host}/") == f"http://{host}/ ended the response early, after 2 bytes."


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000]
)
def test_answer_that_is_no_http(settings: Settings, answer: bytes) -> None:
    with serving(settings, answering(answer)) as host:
        assert "does not answer: " in failure(f"http://{host}/")


def test_control_characters_of_the_answer_are_escaped_in_the_error(settings: Settings) -> None:
    with serving(settings, answering(b"SSH\x00\x1b[2J\r\n")) as host:
        assert failure(f"http://{host}/").isprintable()


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"", b""),
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["silence", "status line", "header", "endless 100 Continue", "body", "body with its length", "chunks"],
)
def test_time_is_limited_however_the_answer_drips(settings: Settings, start: bytes, drop: bytes) -> None:
    begun = time.monotonic()
    with serving(settings, dripping(start, drop)) as host:
        assert failure(f"http://{host}/", timeout_s=TIMEOUT_S) == f"http://{host}/ takes too long to answer."
    assert time.monotonic() - begun < fetching.TIMEOUT_S


def test_proxies_of_the_environment_are_not_used(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(settings, answering(ok(b"here"))) as host:
        assert get(f"http://{host}/") == b"here"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the certificate of keys.example, from an authority that this process trusts."""
    file = certificate_for("keys.example", tmp_path / "keys.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setattr(fetching, "look_up", lambda host, port: ["127.0.0.1"])
    return file


def test_get_over_https_returns_the_body(settings: Settings, authority: Path) -> None:
    with serving(settings, over_tls(authority, ok(b"safe")), host="keys.example") as host:
        assert get(f"https://{host}/") == b"safe"


def test_get_with_a_wrong_certificate_fails(settings: Settings, authority: Path) -> None:
    with serving(settings, over_tls(authority, ok(b"safe")), host="other.example") as host:
        assert "Hostname mismatch, certificate is not valid for 'other.example'" in failure(f"https://{host}/")


def test_certificate_of_an_unknown_authority(settings: Settings, authority: Path, tmp_path: Path) -> None:
    own = certificate_for("keys.example", tmp_path / "own.pem")
    with serving(settings, over_tls(own, ok(b"safe")), host="keys.example") as host:
        assert "certificate verify failed" in failure(f"https://{host}/")


def test_time_is_limited_over_tls(settings: Settings, authority: Path) -> None:
    begun = time.monotonic()
    with serving(settings, over_tls(authority, b"HTTP/1.1 200 OK\r\nX: ", drop=b"x"), host="keys.example") as host:
        assert "takes too long to answer" in failure(f"https://{host}/", timeout_s=TIMEOUT_S)
    assert time.monotonic() - begun < fetching.TIMEOUT_S


def test_get_with_an_endless_handshake_times_out(settings: Settings, authority: Path) -> None:
    with serving(settings, dripping(b"\x16\x03\x03\x40\x00", b"x"), host="keys.example") as host:
        assert "takes too long to answer" in failure(f"https://{host}/", timeout_s=TIMEOUT_S)


def certificate_for(host: str, file: Path) -> Path:
    """Write a self-signed certificate for `host` and its key to one file."""
    key, now = private_key(str(file)), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + certificate.public_bytes(pem))
    return file


def test_post_sends_the_body_and_headers_and_returns_any_status(settings: Settings) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while b"payload" not in b"".join(heard):
            heard.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\n0123456789")

    with serving(settings, serve) as host:
        assert post(f"http://{host}/a?b=c", b"payload", {"webhook-id": "1"}, max_bytes=4) == Answer(500, b"0123")
    head, _, body = b"".join(heard).decode().partition("\r\n\r\n")
    assert body == "payload"
    line, *headers = head.split("\r\n")
    assert line == "POST /a?b=c HTTP/1.1"
    assert {"webhook-id: 1", "Content-Length: 7", "User-Agent: channelhub", f"Host: {host}"} <= set(headers)


def test_post_follows_no_redirect(settings: Settings) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with serving(settings, answering(moved)) as host:
        assert post(f"http://{host}/", b"", {}, max_bytes=10).status == 302


def test_post_ends_at_the_deadline(settings: Settings) -> None:
    began = time.monotonic()
    with serving(settings, dripping(ok(b""), b"x")) as host, pytest.raises(FetchError, match="too long"):
        post(f"http://{host}/", b"", {}, max_bytes=10**6, timeout_s=TIMEOUT_S)
    assert time.monotonic() - began < 10 * TIMEOUT_S


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1"])
def test_post_to_a_private_address_is_refused(
    monkeypatch: pytest.MonkeyPatch, connected: list[Any], address: str
) -> None:
    names(monkeypatch, [address])
    with pytest.raises(FetchError, match="private address"):
        post("https://hook.example/", b"", {}, max_bytes=10)
    assert connected == []
