"""Random specs, valid or with a mistake: `python -m tests.specs.generator COUNT SEED` prints JSON lines."""

import json
import random
import sys
from collections.abc import Iterator

NAMES = (
    "foo", "foo", "foo", "Foo", "foo-bar", "foo_bar", "_foo", "__foo", "foo.bar", "f", "foo-", "a__b", "_-a", "foo*",
    "",
)  # fmt: skip
CHANNELS = ("", "", "", "", "", "", "c::", "c/linux-64::", "c/label/x::", "c:n:", ":", "::", "n:", "https://h.org/c::")
SEPARATORS = (" ", " ", " ", " ", "", "", "  ", "=", "\t")
VERSIONS = (
    "1", "1.0", "1.2.3", "1.2.3.4", "2", "3.9", "0.1", "10.0", "1.0a0", "2.0rc1", "9e", "2024a", "1.0.dev1",
    "1.0.post1", "1!2.0", "1.0+cu11", "1.0_", "1.0_1", "1.0-1", "1.0_1-2", "1.0RC1", "1..0", "1.", ".1", "1._0",
    "v1.0", "R15B01", "1.0+", "1.0++a", "+1", "!1", "1!", "a!1", "1.0a*", "1.*.2", "1.*.*", "*1", "99999999999",
    "1.0@", "1.0$", "^1.0$", "^1\\.0.*$", "",
)  # fmt: skip
PLAIN_VERSIONS = ("1", "1.0", "1.2.3", "2", "3.9", "0.1", "10.0", "1.0a0", "9e", "2024a", "1.0.post1")
OPERATORS = ("", "", "", "", ">=", ">=", ">=", "<", "<", ">", "<=", "==", "==", "=", "=", "!=", "!=", "~=", "~=")
ODD_OPERATORS = ("===", "<>", "=>", "=<", "!", "~", "~>", ">= ", "< ", "!~=", "^")
GLOBS = ("", "", "", "", "", "", ".*", ".*", ".*", "*", "*", ".*.*", "**", "*.*", ".")
JOINTS = (",", ",", ",", "|", "|", ", ", " ,", " , ", " | ", "", " ", ",,", "|,", ";", "||", "&")
BUILDS = (
    "0", "py39_0", "*_cp39", "py*", "*", "h1_0", "main", "a.b+c", "*py*_0", "^py.*$", "^py", "py$", "py-1", "a b",
    "=0", "py39_0=", "**", "py?", "p[yz]*", "(a)", "A_0", "if", "a.tar.bz2", "a.conda", "0,1", "a|b", "!a", "_*",
)  # fmt: skip
VALUES = {
    "build": BUILDS,
    "build_number": ("0", ">=1", "1", "x", "<2", "=0", ">=0"),
    "subdir": ("linux-64", "noarch", "*"),
    "md5": ("0" * 32, "f" * 32, "x"),
}
KEYS = ("version", "version", "build", "license", "name", "nope", "channel", "fn", *VALUES)
GOOD_ENDS = ("",) * 13
ENDS = (
    *GOOD_ENDS, " ", " # why", "#why", " if x", "; if x", ";", "@", ".conda", "\n", "=", "é", ")", "()", "(a)", "[",
    "]", "[]",
)  # fmt: skip


def specs(count: int, seed: int) -> Iterator[str]:
    """Yield `count` distinct specs."""
    pick = random.Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        spec = _spec(pick)
        if spec and spec not in seen:
            seen.add(spec)
            yield spec


def _spec(pick: random.Random) -> str:
    spec = pick.choice(CHANNELS) + pick.choice(NAMES[: pick.choice((3, len(NAMES)))])
    if pick.random() < 0.8:
        spec += pick.choice(SEPARATORS) + _versions(pick)
        if pick.random() < 0.3:
            spec += pick.choice((" ", " ", "=", "  ", "")) + pick.choice(BUILDS)
    if pick.random() < 0.2:
        spec += _brackets(pick)
    return spec + pick.choice(pick.choice((GOOD_ENDS, GOOD_ENDS, ENDS)))


def _versions(pick: random.Random) -> str:
    text = _constraint(pick)
    while pick.random() < 0.4:
        text += pick.choice(JOINTS[: pick.choice((5, 9, len(JOINTS)))]) + _constraint(pick)
    return f"({text})" if pick.random() < 0.05 else text


def _constraint(pick: random.Random) -> str:
    if pick.random() < 0.1:
        return "*"
    operator = pick.choice(OPERATORS if pick.random() < 0.93 else ODD_OPERATORS)
    blank = " " if pick.random() < 0.1 else ""
    version = pick.choice(PLAIN_VERSIONS if pick.random() < 0.7 else VERSIONS)
    return operator + blank + version + pick.choice(GLOBS)


def _brackets(pick: random.Random) -> str:
    pairs = [_pair(pick) for _ in range(pick.choice((0, 1, 1, 1, 2)))]
    return pick.choice(("", "", " ")) + "[" + pick.choice((",", ", ", " ")).join(pairs) + "]"


def _pair(pick: random.Random) -> str:
    key = pick.choice(KEYS)
    value = _versions(pick) if key == "version" else pick.choice(VALUES.get(key, ("x", "foo", "*")))
    quote = pick.choice(("", "'", "'", '"', '"'))
    return f"{key}{pick.choice(('=', '=', '=', ' = ', '=='))}{quote}{value}{quote}"


if __name__ == "__main__":
    for random_spec in specs(int(sys.argv[1]), int(sys.argv[2])):
        sys.stdout.write(f"{json.dumps(random_spec)}\n")
