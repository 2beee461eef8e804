"""Names of browsers and systems, from the User-Agent header."""

from ipaddress import ip_network

from django.http import HttpRequest

AGENT_CHARACTERS = 100

# The first match counts: for compatibility, most User-Agents name other browsers, too.
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
    """Return the browser's name without a version, and the network of its address (/24, IPv6: /48)."""
    address = request.META["REMOTE_ADDR"]
    network = ip_network(f"{address}/{48 if ':' in address else 24}", strict=False)
    return in_words(request.headers.get("User-Agent", ""))[:AGENT_CHARACTERS], str(network)


def in_words(user_agent: str) -> str:
    """Return a name such as `Firefox on Linux`. An unknown User-Agent is returned unchanged."""
    browser, system = _first_match(BROWSERS, user_agent), _first_match(SYSTEMS, user_agent)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent or "An unknown browser"


def _first_match(names: dict[str, str], user_agent: str) -> str:
    return next((name for part, name in names.items() if part in user_agent), "")
