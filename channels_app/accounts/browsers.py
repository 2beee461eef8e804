"""Which browser a session is in, in words that people know theirs by."""

from ipaddress import ip_network

from django.http import HttpRequest

AGENT_CHARACTERS = 100

# The first that a User-Agent holds: most name others, too, for old reasons.
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox": "Firefox",
    "FxiOS": "Firefox",
    "CriOS": "Chrome",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def device(request: HttpRequest) -> tuple[str, str]:
    """The browser in words, which know no versions, and the network that it is in."""
    address = request.META["REMOTE_ADDR"]
    network = ip_network(f"{address}/{48 if ':' in address else 24}", strict=False)
    return in_words(request.headers.get("User-Agent", ""))[:AGENT_CHARACTERS], str(network)


def in_words(user_agent: str) -> str:
    """`Firefox on Linux`; what is unknown stays as it was sent."""
    browser, system = _first(BROWSERS, user_agent), _first(SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent or "An unknown browser"


def _first(names: dict[str, str], user_agent: str) -> str:
    return next((name for sign, name in names.items() if sign in user_agent), "")
