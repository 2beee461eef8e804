"""Tests of the documentation: every page renders, every link has a target, every command works as described."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from django.conf import LazySettings, settings
from django.test import Client
from django.utils.html import strip_tags
from rattler_build import upload_package_to_prefix

from channels_app.docs import rendering, views
from channels_app.management.commands.settings import tables
from publishing.id_tokens.claims import Code
from tests.archives import make_conda
from tests.builders import picture
from tests.client_commands import PROGRAMS, Parsed, parse
from tests.live import LiveHub, live_hub

SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IN_YAML = re.compile(rf"- (?:run: )?((?:{'|'.join(PROGRAMS)}) \w.*)")
# The inputs of prefix-dev/setup-pixi's action.yml that are used.
SETUP_PIXI = {"auth-host", "auth-token", "run-install"}
VARIABLES = {"PREFIX_API_KEY", views.id_token_variable(views.EXAMPLE_HOST), "READ_TOKEN"}
HUB = f"https://{views.EXAMPLE_HOST}"
FILE = "demo-1.0-0"

REHEARSED = "tests/clients/test_rehearsals.py does it"
# Commands that are not run here, with the reason. run() runs all others.
NOT_RUN = {
    "make run": "tests/clients/test_runhub.py runs what it starts; make would install everything first",
    "make stack": "tests/clients/test_stack.py runs what it starts",
    ".venv/bin/python manage.py createsuperuser": "it asks for a password; that it exists is tested",
    ".venv/bin/python manage.py restore FOLDER": REHEARSED,
    ".venv/bin/python manage.py movestore --to s3": REHEARSED,
    ".venv/bin/python manage.py movedatabase --from sqlite:////srv/hub/data/hub.sqlite3": REHEARSED,
    "pixi, conda, mamba, rattler-build": "no packages of PyPI: checked against their source (client_commands.py); "
    "uploads run by py-rattler-build, which is the same code, and each channel's address is asked for its index",
}
CHANNELS = ("demo", "other")


@dataclass(frozen=True)
class Place:
    """A live hub with a package in a private channel, and the values of the examples' placeholders."""

    hub: LiveHub
    key: str
    folder: Path

    def fill(self, line: str) -> str:
        """Return the line with this hub's URL and names."""
        blanks = {"KEY": self.key, "CHANNEL": "demo", "PACKAGE": "demo", "FILE": FILE, "SUBDIR": "noarch"}
        blanks |= {"USER": "admin", "NAME": "another", "OTHER": "other", "FOLDER": str(self.folder / "backup")}
        if "LEAKED" in line:
            blanks["LEAKED"] = self.hub.manage("createapikey", "admin", "--name", "leaked")
        for example in (HUB, "http://127.0.0.1:8000"):
            line = line.replace(example, self.hub.url)
        return rendering.BLANK.sub(lambda found: blanks.get(found[0], found[0]), line)


def pages() -> dict[str, str]:
    folder = Path(settings.BASE_DIR)
    return {"README": (folder / "README.md").read_text()} | {
        name: (views.FOLDER / f"{name}.md").read_text() for name in views.ORDER
    }


BLOCKS = [
    pytest.param(block, id=f"{name}-{n}")
    for name, text in pages().items()
    for n, block in enumerate(SHELL.findall(text))
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "dist").mkdir()
    package = make_conda(folder)
    (folder / "logo.png").write_bytes(picture())
    shutil.copy(package, folder / "dist")
    with live_hub(folder, HUB_ADMIN_PASSWORD="not-a-secret-here") as hub:
        for channel in CHANNELS:
            hub.manage("createchannel", channel, "--owner", "admin")
        scopes = [word for scope in ("read", "upload", "delete", "manage") for word in ("--scope", scope)]
        yield Place(hub, hub.manage("createapikey", "admin", "--name", "docs", *scopes), folder)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_documented_command_works(place: Place, block: str) -> None:
    publish(place)
    environment: dict[str, str] = {}
    for line in block.splitlines():
        if line not in NOT_RUN:
            run(place, place.fill(line), environment)


@pytest.mark.parametrize("block", BLOCKS)
def test_documented_command_has_quotes_where_zsh_expands(block: str) -> None:
    """zsh, the shell of macOS, refuses a URL with `?` outside of quotes: no matches found."""
    unquoted = re.sub(r""" "[^"]*" | '[^']*' """, "", block, flags=re.VERBOSE)
    assert not re.findall(r"[?*&]", unquoted)


def run(place: Place, line: str, environment: dict[str, str]) -> None:
    program, *words = shlex.split(line)
    if program == "export":
        environment |= dict(word.split("=", 1) for word in words)
    elif program == ".venv/bin/python":
        manage(place, words)
    elif program in PROGRAMS:
        check_client(place, with_environment(parse(line), environment))
    else:
        assert program == "curl", f"{line!r}: say in run() or NOT_RUN what is to become of it."
        done = subprocess.run([program, *words], cwd=place.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def manage(place: Place, words: list[str]) -> None:
    script, *arguments = words
    assert script == "manage.py"
    if arguments[:2] == ["createchannel", "demo"]:
        with pytest.raises(RuntimeError, match="There is a channel 'demo' already"):
            place.hub.manage(*arguments)
    else:
        place.hub.manage(*arguments)


def with_environment(parsed: Parsed, environment: dict[str, str]) -> Parsed:
    """Add the options that an upload reads from the environment (opt.rs, PrefixOpts)."""
    if parsed.name[1:] != ("upload", "prefix"):
        return parsed
    variables = {"--url": "PREFIX_SERVER_URL", "--channel": "PREFIX_CHANNEL", "--api-key": "PREFIX_API_KEY"}
    known = {option: environment[name] for option, name in variables.items() if name in environment}
    return Parsed(parsed.name, known | parsed.options, parsed.arguments)


def check_client(place: Place, command: Parsed) -> None:
    if "anaconda" in command.name:
        return  # tests/clients/test_anaconda.py runs these clients
    if command.name[1:] == ("upload", "prefix"):
        files = [str(place.folder / file) for file in command.arguments]
        # Without --api-key, it uses the key that was stored at the login.
        key = command.options.get("--api-key", place.key)
        upload_package_to_prefix(files, command.options["--url"], command.options["--channel"], api_key=key)
    for word in [*command.options.values(), *command.arguments]:
        if word.startswith(f"{place.hub.url}/"):
            request = Request(f"{word}/noarch/repodata.json")
            if "/t/" not in word:
                request.add_header("Authorization", f"Bearer {place.key}")
            assert urlopen(request).status == 200


def publish(place: Place) -> None:
    """Upload the package, whether or not the previous block did, and give it the label `dev`."""
    package = place.folder / f"{FILE}.conda"
    for channel in CHANNELS:
        upload_package_to_prefix([str(package)], place.hub.url, channel, api_key=place.key)
    url, key = f"{place.hub.url}/demo/noarch/{package.name}?label=dev", {"Authorization": f"Bearer {place.key}"}
    assert urlopen(Request(url, package.read_bytes(), key, method="PUT")).status == 200


def test_commands_in_files_of_ci_are_accepted_too() -> None:
    text = "\n".join(YAML.findall(pages()["ci"]))

    found = [parse(command).name for command in IN_YAML.findall(text)]

    assert len(found) >= 6
    assert set(re.findall(r"^    ([\w-]+):", text, re.MULTILINE)) - VARIABLES == SETUP_PIXI


def test_commands_that_are_not_run_are_still_documented(place: Place) -> None:
    assert "--username" in place.hub.manage("help", "createsuperuser")
    text = "\n".join(pages().values())
    assert all(command in text for command in NOT_RUN if "," not in command)


@pytest.mark.django_db
@pytest.mark.parametrize("name", views.ORDER)
def test_every_page_shows_with_this_hubs_address_and_a_way_on(
    client: Client, settings: LazySettings, name: str
) -> None:
    settings.HUB_PUBLIC_URL = "https://packages.example.com:8443"

    response = client.get(f"/docs/{name}")
    page = response.content.decode()

    assert response.status_code == 200
    assert views.EXAMPLE_HOST not in page
    assert page.count("<h1") == 1
    assert 'aria-current="page"' in page
    assert 'rel="prev"' in page or name == views.ORDER[0]
    assert 'rel="next"' in page or name == views.ORDER[-1]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)


@pytest.mark.django_db
@pytest.mark.parametrize("name", views.ORDER)
def test_every_link_within_the_documentation_leads_somewhere(client: Client, name: str) -> None:
    page = client.get(f"/docs/{name}").content.decode()

    for address in set(re.findall(r'href="([^"]+)"', page)):
        url = urlsplit(unescape(address))
        if url.path.startswith("/docs") or (not url.path and url.fragment):
            target = client.get(url.path or f"/docs/{name}")
            assert target.status_code == 200, address
            assert not url.fragment or f'id="{url.fragment}"' in target.content.decode(), address
        assert not address.endswith(".md"), address


@pytest.mark.django_db
def test_addresses_are_replaced_each_in_its_form(client: Client, settings: LazySettings) -> None:
    settings.HUB_PUBLIC_URL = "https://packages.example.com:8443"

    page = unescape(strip_tags(client.get("/docs/ci").content.decode()))

    assert "pixi auth login https://packages.example.com:8443 --token" in page
    assert "pixi publish --to prefix://packages.example.com:8443/CHANNEL" in page
    assert "auth-host: packages.example.com\n" in page


@pytest.mark.django_db
def test_the_index_lists_every_page_in_groups(client: Client) -> None:
    page = client.get("/docs").content.decode()

    positions = [page.index(f'<h2><a href="/docs/{name}">') for name in views.ORDER]
    assert positions == sorted(positions)


@pytest.mark.django_db
def test_unknown_page_is_404_and_post_gets_405(client: Client) -> None:
    assert client.get("/docs/nothing").status_code == 404
    assert client.get("/docs/settings").status_code == 404
    assert client.post("/docs").status_code == 405
    assert client.post("/docs/api").status_code == 405


def test_every_file_of_the_documentation_has_its_place() -> None:
    assert {path.stem for path in views.FOLDER.glob("*.md")} == set(views.ORDER)


def test_the_diagram_has_every_label_of_its_mermaid_source() -> None:
    [source] = re.findall(r"```mermaid\n(.*?)```", (views.FOLDER / "architecture.md").read_text(), re.DOTALL)
    html = views.read("architecture").html

    assert '<svg class="diagram"' in html
    assert "flowchart" not in html
    labels = {*re.findall(r'"([^"]+)"', source), "nginx", "browser"}
    assert {label for label in labels if f">{label}</text>" not in unescape(html)} == set()


def test_commands_stand_each_by_itself_with_its_blanks() -> None:
    html = views.read("first-steps").html

    assert "<code>pixi add <var>PACKAGE</var></code>" in html
    assert "<span>--bearer <var>KEY</var></span>" in html
    assert html.count("<copy-button>") == html.count('<div class="code">')


def test_every_error_code_is_documented_under_its_status() -> None:
    publishing = ["protocols/*", "attestations/*", "trusted/*", "uploads/upload", "uploads/policies"]
    publishing += ["uploads/existing_artifacts", "downloads/views", "downloads/delivery", "downloads/conditions"]
    publishing += ["downloads/addresses", "index/api", "index/waiting", "labels/*"]
    people = ["access/permissions", "authentication/actors", "authentication/delegation"]
    people += ["authentication/upload_grants", "keys/api", "keys/graphql"]
    people += ["quotas/quotas", "quotas/channel_quotas", "site/misplaced", "site/well_known"]
    sources = ["hub/http/*", *(f"publishing/{name}" for name in publishing)]
    sources += [f"channels_app/{name}" for name in people]
    files = [path for source in sources for path in Path(settings.BASE_DIR).glob(f"{source}.py")]
    raised = re.compile(r'\b(?:HubError\(\s*\d+[^,"]*,\s*|BadAttestation\(\s*|(?<![.\w])[a-z_]+\(\s*)"([a-z_]+)",')
    in_code = {
        code
        for path in files
        for code in raised.findall(path.read_text())
        if "_" in code or code in ("exists", "deleted", "purged", "replaced")
    }
    table = pages()["api"].split("## Errors")[1]
    documented = set(re.findall(r"`([a-z_]+)`", table))

    # Codes of pages only; and codes that are raised elsewhere: removal by hand, rate limits, api_keys.py,
    # hub/errors.py.
    only_on_pages = {"key_on_page", "signed_out", "not_from_here", "channel_exists", "owner_gone", "bytes_limit"}
    only_on_pages |= {"packages_a_day"}  # the name of a limit, not a code
    assert in_code - only_on_pages == documented - {"purged", "too_many", "bad_globs", "disk_full"}


def test_every_error_code_of_upstreams_is_documented() -> None:
    sources = Path(settings.BASE_DIR).glob("publishing/upstreams/*.py")
    raised = re.compile(r'raise (?:HubError\(\d+, |[a-z_]+\()"([a-z_]+)"|return not_found\("([a-z_]+)"')
    codes = {code or other for path in sources for code, other in raised.findall(path.read_text())}
    section = pages()["api"].split("## Upstream channels")[1].split("\n## ")[0]

    assert {"cache_full", "cache_too_small", "held_back"} <= codes
    assert codes - set(re.findall(r"`([a-z_]+)`", section + pages()["upstreams"])) == set()


def test_every_refusal_of_an_identity_token_is_documented() -> None:
    table = pages()["trusted-publishing"].split("## What is refused, and why")[1].split("\n## ")[0]
    documented = re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))

    assert documented == [code.value for code in Code]


def test_every_setting_is_documented() -> None:
    """Compare with the output of `manage.py settings`; `--write` updates the page."""
    assert tables() in pages()["operating"]


def test_every_variable_of_a_store_is_read() -> None:
    """Compare the names, except `AWS_PROFILE`, which boto3 reads."""
    named = set(re.findall(r"\b((?:HUB|AWS)_[A-Z0-9_]+)\b", pages()["storage"])) - {"AWS_PROFILE"}

    assert named <= set(re.findall(r"^\| `(\w+)` \|", tables(), re.MULTILINE))
