"""Redaction of secrets in log texts: by their shape, by URLs that contain them, and by parameter names."""

import re

HIDDEN = "[hidden]"
SLASH = r"(?:/|%(?:25)*2f)"
LETTER_T = r"(?:t|%(?:25)*[57]4)"
KEY_PREFIX = "".join(rf"(?:{letter}|%(?:25)*{number})" for letter, number in (
    ("c", "[46]3"), ("h", "[46]8"), ("u", "[57]5"), ("b", "[46]2"), ("-", "2d"),
))  # fmt: skip
# Each match keeps its groups; the text between them is hidden.
PATTERNS = [
    re.compile(pattern)
    for pattern in (
        # Keys of the hub, and identity tokens.
        r"()(?<![\w-])chub-[0-9A-Za-z]{8,}()",
        r"()(?<![\w.-])eyJ[\w-]{10,}\.eyJ[\w-]{4,}(?:\.[\w-]*)?()",
        # Keys joined to other text, in other capitals, or percent-encoded.
        rf"(?i)(){KEY_PREFIX}(?:[0-9a-z]|%(?:25)*[3-7][0-9a-f]){{20,}}()",
        # OAuth tokens anywhere: 86 letters, digits, dashes and underscores, in mixed case.
        r"()(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{86,}()",
        r"(?i)(\b(?:bearer|basic) +)[\w.~+/=-]{8,}()",
        r"(?i)((?<![a-z])x[-_](?:api[-_]key|jfrog[-_]art[-_]api)['\"]?[ :=]+['\"]?)[^\s'\",]{8,}()",
        # Keys after /t/ in every spelling: capitals, percent-encoded (once or twice), doubled slashes.
        rf"(?i)({SLASH}+{LETTER_T}{SLASH}+)(?:(?!{SLASH})[^\s\"'?])+()",
        r"(://)[^/\s\"'@]+(@)",
        rf"(?i)({SLASH}invitations{SLASH}+)[^/\s\"'?&]+()",
        r"(/password/reset/key/)[^/\s\"'?&]+()",
        r"(/confirm-email/)[^/\s\"'?&]+()",
        r"(?i)((?:^|[?&\s\"'])(?:code|user_code|device_code|state|grant|\w*token\w*|client_secret|key|password)=)[^&\s\"']+()",
        r"(?i)((?:sessionid|csrftoken)=)[^;\s\"',]+()",
    )
]


def redacted(text: str) -> str:
    """Return the text with its secrets hidden."""
    for pattern in PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}\2", text)
    return text
