"""Options of the clients' command lines, as far as pages and documentation use them.

The clients are not on PyPI, so the tests can't run them: the options come from the named sources. An option that is
missing here is wrong, or has to be looked up and added.
"""

import shlex
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Command:
    """A subcommand: its options with and without a value, its number of arguments, and the source."""

    source: str
    valued: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    arguments: range = range(1)


def _command(source: str, valued: str = "", flags: str = "", arguments: range = range(1)) -> Command:
    return Command(source, frozenset(valued.split()), frozenset(flags.split()), arguments)


ONE, SOME = range(1, 2), range(1, 100)
UPLOAD = _command(
    "conda/rattler crates/rattler_upload/src/upload/opt.rs, PrefixOpts",
    "--url --channel --api-key --attestation",
    "--skip-existing --force --generate-attestation --store-github-attestation",
    SOME,
)
LOGIN = _command(
    "conda/rattler crates/rattler/src/cli/auth.rs, LoginArgs",
    "--token --username --password --conda-token --s3-access-key-id --s3-secret-access-key --s3-session-token",
    "--oauth",
    ONE,
)
CONDA_INSTALL = "conda/conda conda/cli/helpers.py, add_parser_channels"
ANACONDA = "anaconda/anaconda-client binstar_client/commands"
MAMBA = "mamba-org/mamba micromamba/src"
PIXI = "prefix-dev/pixi crates/pixi_cli/src"

COMMANDS: dict[tuple[str, ...], Command] = {
    ("pixi", "auth", "login"): LOGIN,
    ("rattler-build", "auth", "login"): LOGIN,
    ("pixi", "upload", "prefix"): UPLOAD,
    ("rattler-build", "upload", "prefix"): UPLOAD,
    ("rattler-build", "upload", "anaconda"): _command(
        "conda/rattler crates/rattler_upload/src/upload/opt.rs, AnacondaOpts",
        "--url --owner --channel --api-key",
        "--force",
        SOME,
    ),
    ("rattler-build", "upload", "quetz"): _command(
        "conda/rattler crates/rattler_upload/src/upload/opt.rs, QuetzOpts", "--url --channel --api-key", "", SOME
    ),
    ("rattler-build", "upload", "artifactory"): _command(
        "conda/rattler crates/rattler_upload/src/upload/opt.rs, ArtifactoryOpts",
        "--url --channel --token --username --password",
        "",
        SOME,
    ),
    # The command of quetz-client follows its options, so it counts as an argument here.
    ("quetz-client",): _command(
        "mamba-org/quetz-client src/quetz_client/cli.py", "--url --token", "--insecure --retry", range(1, 4)
    ),
    ("rattler-build", "build"): _command(
        "prefix-dev/rattler-build docs/reference/cli/rattler-build/build.md", "--recipe --channel --output-dir"
    ),
    ("pixi", "publish"): _command(f"{PIXI}/publish/mod.rs", "--to --target-channel --target-dir --path", "--force"),
    ("pixi", "init"): _command(f"{PIXI}/init.rs", "--channel", arguments=ONE),
    ("pixi", "install"): _command(f"{PIXI}/install.rs"),
    ("pixi", "add"): _command(f"{PIXI}/add.rs", arguments=SOME),
    ("pixi", "run"): _command(f"{PIXI}/run.rs", arguments=SOME),
    ("pixi", "workspace", "channel", "add"): _command(f"{PIXI}/workspace/channel.rs", "--priority", "--prepend", SOME),
    ("conda", "install"): _command(CONDA_INSTALL, "--channel", "--override-channels", SOME),
    # `--add KEY VALUE`: the value counts as an argument here.
    ("conda", "config"): _command("conda/conda conda/cli/main_config.py", "--add", arguments=ONE),
    ("mamba", "install"): _command(f"{MAMBA}/common_options.cpp", "--channel", "--override-channels", SOME),
    ("mamba", "auth", "login"): _command(f"{MAMBA}/login.cpp", "--bearer --token --username --password", "", ONE),
    ("mamba", "config", "prepend"): _command(f"{MAMBA}/config.cpp", arguments=range(2, 3)),
    ("anaconda", "config"): _command(f"{ANACONDA}/config.py", "--set", arguments=ONE),
    ("anaconda", "-s", "hub"): _command(
        f"{ANACONDA}/upload.py, show.py, move.py, copy.py, remove.py",
        "-u --to-owner --label --from-label --to-label",
        "--skip-existing --force --replace --update",
        SOME,
    ),
}
PROGRAMS = {name for name, *_ in COMMANDS}


@dataclass(frozen=True)
class Parsed:
    name: tuple[str, ...]
    options: dict[str, str]
    arguments: list[str]


def parse(line: str) -> Parsed:
    """Parse the command line. Raise AssertionError if its client does not accept it."""
    words = shlex.split(line)
    name = max((name for name in COMMANDS if tuple(words[: len(name)]) == name), key=len, default=None)
    assert name, f"{line!r} is no known command: look it up in the client's source, then add it to COMMANDS."
    command, rest = COMMANDS[name], words[len(name) :]
    options: dict[str, str] = {}
    arguments: list[str] = []
    while rest:
        word = rest.pop(0)
        if word in command.valued:
            assert rest, f"{word} of {line!r} has no value."
            options[word] = rest.pop(0)
        elif word.startswith("-"):
            assert word in command.flags, f"{line!r}: {word} is not known to {command.source}."
            options[word] = ""
        else:
            arguments.append(word)
    assert len(arguments) in command.arguments, f"{line!r} has {len(arguments)} arguments."
    return Parsed(name, options, arguments)


def stored_host(address: str) -> str:
    """Return the host that rattler's `auth login --token` stores: get_url() of conda/rattler, cli/auth.rs."""
    host = (urlsplit(address).hostname or "") if "://" in address else address
    return f"*.{host}" if host.count(".") == 1 else host


def looked_up_host(address: str) -> str:
    """Return the first host that rattler looks up: get_by_url_with_host(), authentication_storage/storage.rs."""
    return urlsplit(address).hostname or ""
