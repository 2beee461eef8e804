"""Secrets out of what is logged: by their shape, by the addresses that carry them, by the name that they have there."""

import re

HIDDEN = "[hidden]"
SLASH = r"(?:/|%(?:25)*2f)"
LETTER_T = r"(?:t|%(?:25)*[57]4)"
KEY_PREFIX = "".join(rf"(?:{letter}|%(?:25)*{number})" for letter, number in (
    ("c", "[46]3"), ("h", "[46]8"), ("u", "[57]5"), ("b", "[46]2"), ("-", "2d"),
))  # fmt: skip
# Each keeps its groups and hides what is between them.
PATTERNS = [
    re.compile(pattern)
    for pattern in (
        # Keys of the hub, and identity tokens.
        r"()(?<![\w-])chub-[0-9A-Za-z]{8,}()",
        r"()(?<![\w.-])eyJ[\w-]{10,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?()",
        # Keys that are glued to other text, in other capitals, or with characters as numbers.
        rf"(?i)(){KEY_PREFIX}(?:[0-9a-z]|%(?:25)*[3-7][0-9a-f]){{20,}}()",
        # Applications' tokens, wherever they stand: 86 letters, digits, dashes and underscores, capitals among them.
        r"()(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{86,}()",
        r"(?i)(\b(?:bearer|basic) +)[\w.~+/=-]{8,}()",
        # In every spelling of /t/: capitals, letters and slashes as numbers, once or twice, or doubled.
        rf"(?i)({SLASH}+{LETTER_T}{SLASH}+)(?:(?!{SLASH})[^\s\"'?])+()",
        r"(://)[^/\s\"'@]+(@)",
        rf"(?i)({SLASH}invitations{SLASH}+)[^/\s\"'?&]+()",
        r"(/password/reset/key/)[^/\s\"'?&]+()",
        r"(/confirm-email/)[^/\s\"'?&]+()",
        r"(?i)((?:^|[?&\s\"'])(?:code|user_code|device_code|state|\w*token\w*|client_secret|key|password)=)[^&\s\"']+()",
        r"(?i)((?:sessionid|csrftoken)=)[^;\s\"',]+()",
    )
]


def redacted(text: str) -> str:
    """The text with every secret in it hidden."""
    for pattern in PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}\2", text)
    return text
