"""MatchSpecs that conda and rattler read with one meaning: the intersection of their two grammars.

Each client accepts texts that the other refuses or understands differently. The grammar here is the part that both
understand alike, within the texts that py-rattler accepts. tests/specs compares it with both clients.
"""

import re
from dataclasses import dataclass

import rattler
from rattler.exceptions import InvalidMatchSpecError

from channels_app import identifiers
from publishing.archive.limits import Budget
from publishing.wording import quote

ERROR_CHARACTERS = 100
# rattler compiles a build that is a regular expression. One with 480 classes such as \w takes 80 ms.
REGEX_CHARACTERS = 64
SLOW_REGEX = re.compile(r"\\[^\Wd]|\{")
# conda and mamba match a build by trying way after way, of which each repetition has up to 64 and each alternative two:
# globs of seven "*" took conda 1.8 s for one record, "^((a*)*)*b$" more than any solve can wait.
REPETITION, REPETITION_OF_REGEX = re.compile(r"\*"), re.compile(r"[*+?]")
REPEATED_GROUP = re.compile(r"\)[*+]")
WAYS_OF_REPETITION, WAYS_OF_ALTERNATIVE, WAYS_MAX = 5, 1, 17  # as powers of two

# conda drops the text after "#" and after " if ".
COMMENT = "#"
CONDITION = " if "

# conda reads "pkgs/…" as a part of its "defaults", and drops a token from a URL.
CHANNEL = r"(?!pkgs/)(?:https?://(?!.*/t/)[A-Za-z0-9_.-]+(?::[0-9]+)?|[A-Za-z0-9_.-]+)(?:/[A-Za-z0-9_.-]+)*/?"
NAMESPACE = rf"(?:(?:{CHANNEL})?:)?[A-Za-z0-9_.-]*:"
# conda's grammar of the names of packages and virtual packages, without regard to case.
NAME = r"(?i:(?:_?[a-z0-9]|_(?![a-z0-9_])|__[a-z0-9])[._-]?(?:[a-z0-9]+[._-])*[a-z0-9]*)"
HEAD = re.compile(rf"(?:{NAMESPACE})?{NAME}(?P<rest>[ =<>!~](?s:.*))?\Z")

# A second blank, or a blank before "=", begins the build for conda, unless one of these characters follows.
NO_BUILD = "(?=.*[-=,|<>~])"
GAP = rf"(?:  +{NO_BUILD}| ?)"
# An atomic group: a second way to match a term would double the time with each term.
TERM = rf"(?>(?:(?!=)|(?<! )|(?==.*[-=,|<>~]))(?:[=!<>~]+{GAP})?[0-9A-Za-z_.+!*-]+)"
JOINT = rf" *[,|]{GAP}"
BUILD = r"[A-Za-z0-9_.+*]+|\^[A-Za-z0-9_.+*?]*\$"
VERSION_AND_BUILD = re.compile(rf"(?P<version>{TERM}(?:{JOINT}{TERM})*)(?:(?: +|= *)(?P<build>{BUILD}))?\Z")

WORDS = r"[0-9A-Za-z]+(?:[._][0-9A-Za-z]+)*"
VERSION = rf"(?:[0-9]+!)?{WORDS}_?(?:\+{WORDS})?|[0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*"
CONSTRAINT = re.compile(
    rf"(?P<operator>==?|!=|[<>]=?|) ?(?:{VERSION})(?P<glob>\.?\*)?\Z|~= ?(?:[0-9]+!)?[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)+\Z"
)
ANY_VERSION = re.compile(r"(?:>= ?)?\*\Z")
# The globs allowed after each operator. One client ignores other globs, or reads "*" as a letter of the version.
# The operator None stands for "~=".
GLOBS = {"": (None, ".*", "*"), ">": (None,), None: (None,)} | dict.fromkeys(
    ("=", "==", "!=", ">=", "<=", "<"), (None, ".*")
)

BRACKETS = re.compile(r"(?P<head>[^\[\]]*)\[(?P<pairs>.*)\] *\Z")
PAIR = re.compile(r"""(?P<key>[a-z0-9_]+)=(?P<quote>["']?)(?P<value>[^"'\[\]]+?)(?P=quote)(?:, ?|\Z)""")
GROUPS = re.compile(r"""(?:extras|flags)=(?:\[[^\[\]]*\]|(["']?)[^"',\[\]]+\1)(?:, ?|\Z)""")
WHEN = re.compile(r"""when=(?:"([^"]*)"|'([^']*)'|([^"',\[\]]+))(?:, ?|\Z)""")
VALUES = {
    "version": re.compile(r".+\Z"),
    "build": re.compile(rf"(?:{BUILD}|\^[A-Za-z0-9_.+*?()|\\]*\$)\Z"),
    "build_number": re.compile(r"(?:[<>]=?|[!=]=|)[0-9]+\Z"),
    "channel": re.compile(rf"{CHANNEL}\Z"),
    "subdir": re.compile(r"[a-z0-9-]+\Z"),
    "md5": re.compile(r"[0-9a-f]{32}\Z"),
    "sha256": re.compile(r"[0-9a-f]{64}\Z"),
}


class NotAlikeError(ValueError):
    """conda and rattler read the spec differently, or rattler not at all. The message says why and how to write it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A spec as both clients read it: whether it needs repodata's v3, or the `problem` on which they differ."""

    needs_v3: bool = False
    problem: str = ""


class SpecReader:
    """The specs of one package. Each distinct spec is read once, and all of them within `budget`."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._readings: dict[str, Reading] = {}

    def read(self, spec: str) -> Reading:
        """Return the reading of `spec`. Raise BadPackage if the time is over."""
        self._budget.check_time()
        if spec not in self._readings:
            self._readings[spec] = _reading(spec)
        return self._readings[spec]


def _reading(spec: str) -> Reading:
    try:
        check(spec)
    except NotAlikeError as error:
        return Reading(problem=str(error))
    return Reading(_needs_v3(spec))


def _needs_v3(spec: str) -> bool:
    """Tell whether a valid spec needs `when`, `extras` or `flags`, which stand in brackets."""
    if "[" not in spec:
        return False
    try:
        rattler.MatchSpec(spec, extras=False, conditionals=False, flags=False)
    except InvalidMatchSpecError:
        return True
    return False


def check(spec: str) -> None:
    """Raise NotAlikeError unless conda and rattler give `spec` the same meaning."""
    _check_cost(spec)
    try:
        rattler.MatchSpec(spec)
    except Exception as error:
        raise NotAlikeError(f"rattler does not read it: {str(error)[:ERROR_CHARACTERS]}") from error
    _check(spec)


def _check_cost(spec: str) -> None:
    """Refuse a regular expression that takes long to compile, before a client's code compiles it."""
    begin, end = spec.find("^"), spec.rfind("$")
    if 0 <= begin < end and (end - begin >= REGEX_CHARACTERS or SLOW_REGEX.search(spec, begin, end)):
        raise NotAlikeError(
            f"its build is a regular expression that clients compile slowly; write one like '^py.*_0$', of at most "
            f"{REGEX_CHARACTERS} characters, without '{{' and classes such as '\\w'"
        )


def _check(spec: str) -> None:
    if CONDITION in spec and not WHEN.search(spec):
        raise NotAlikeError("conda drops what follows ' if '; write the condition as [when=…] (CEP 43)")
    text = spec.partition(COMMENT)[0]
    if text.endswith(identifiers.EXTENSIONS):
        raise NotAlikeError("conda takes it for the name of a file; write name, version and build with blanks between")
    if brackets := BRACKETS.match(text):
        _check_pairs(brackets["pairs"].strip(" "))
        text = brackets["head"]
    if "(" in text or ")" in text:
        raise NotAlikeError(
            "conda drops parentheses; write it without them, since ',' binds closer than '|', or as name[version='…']"
        )
    head = HEAD.match(text)
    if not head:
        raise NotAlikeError("conda finds no package name at its beginning; write it like 'numpy >=1.21,<3'")
    if rest := (head["rest"] or "").strip():
        _check_version_and_build(rest)


def _check_version_and_build(text: str) -> None:
    found = VERSION_AND_BUILD.match(text)
    if not found:
        raise NotAlikeError(
            f"conda reads {quote(text)} otherwise; put ',' or '|' between constraints, and the build last"
        )
    version, build = found["version"], found["build"]
    is_single = not re.search(JOINT, version)
    if version.startswith("==") and (is_single or not build):
        if build and version.endswith("*"):
            raise NotAlikeError(f"rattler drops the '*' of {quote(version)}; write it without '=='")
        # Both read "==1.0.*" as "1.0.*" in this position, and as "==1.0" elsewhere.
        version = version.removeprefix("==").removeprefix(" ")
    _check_version(version)
    _check_build(build or "")


def _check_version(text: str) -> None:
    terms = re.split(JOINT, text)
    if len(terms) == 1 and text.startswith("=") and not text.startswith("=="):
        terms = [text.removeprefix("=").removeprefix(" ")]
    for term in terms:
        constraint = CONSTRAINT.match(term)
        if ANY_VERSION.match(term) or (constraint and constraint["glob"] in GLOBS[constraint["operator"]]):
            continue
        if "*" in term:
            raise NotAlikeError(f"conda and rattler read the '*' of {quote(term)} differently; write it like '1.2.*'")
        raise NotAlikeError(f"conda reads {quote(term)} otherwise, or not at all; write it like '>=1.2' or '1.2.*'")


def _check_pairs(text: str) -> None:
    """Check the `key=value` pairs between brackets. There must be one at least, and no key may repeat."""
    keys: list[str] = []
    position = 0
    while position < len(text) or not keys:
        when = WHEN.match(text, position)
        pair = GROUPS.match(text, position) or when or _checked_pair(text, position)
        if when:
            _check_condition(next(filter(None, when.groups()), ""))
        keys.append(pair[0].partition("=")[0])
        if keys[-1] in keys[:-1]:
            raise NotAlikeError(f"it states the {keys[-1]} twice; state it once")
        position = pair.end()


def _checked_pair(text: str, position: int) -> re.Match[str]:
    pair = PAIR.match(text, position)
    if not pair or pair["key"] not in VALUES or not VALUES[pair["key"]].match(pair["value"]):
        found = quote(text[position : position + 40])
        raise NotAlikeError(
            f"conda and rattler differ on {found} in brackets; both read version, build, "
            "build_number, channel, subdir, md5 and sha256 as key='value' with ',' between"
        )
    if pair["key"] == "version":
        _check_bracketed_version(pair["value"])
    if pair["key"] == "build":
        _check_build(pair["value"])
    return pair


def _check_bracketed_version(text: str) -> None:
    if re.match(rf"==(?:(?!{JOINT}).)*\*", text):
        raise NotAlikeError(f"rattler drops the '*' of {quote(text)}; write it without '=='")
    # Both clients read parentheses within brackets, and rattler has checked that they are balanced.
    _check_version(re.sub("[()]", "", text))


def _check_condition(text: str) -> None:
    """Check the specs of a condition (CEP 43), which are joined by ' and ', ' or ' and parentheses."""
    for spec in re.split(" and | or ", text):
        _check(spec.strip(" ()"))


def _check_build(build: str) -> None:
    """Refuse a build that is no regular expression, or that takes clients long to match."""
    is_regex = build.startswith("^")
    repetitions = (REPETITION_OF_REGEX if is_regex else REPETITION).findall(build)
    ways = WAYS_OF_REPETITION * len(repetitions) + WAYS_OF_ALTERNATIVE * build.count("|")
    if ways > WAYS_MAX or REPEATED_GROUP.search(build):
        raise NotAlikeError(
            f"clients match its build {quote(build)} slowly; write at most three of '*', '+' and '?', fewer beside "
            "'|', and none behind ')'"
        )
    try:
        re.compile(build if is_regex else "")
    except re.error as error:
        raise NotAlikeError(f"its build {quote(build)} is no regular expression: {error}") from None
