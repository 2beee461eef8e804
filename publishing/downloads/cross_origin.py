"""CORS (Fetch Standard): pages of other sites read the files of public channels, without credentials.

Browsers send cookies along only where Access-Control-Allow-Credentials says so, which no answer here has. Files of
private channels have none of these headers. Content-Encoding is not exposed: rattler's build for browsers would decode
what the browser has decoded already.
"""

from channels_app.models import Channel

ORIGIN = "Access-Control-Allow-Origin"
EXPOSED = "Access-Control-Expose-Headers"
HEADERS = {ORIGIN: "*", EXPOSED: "ETag, Content-Range, Content-Length, Accept-Ranges"}
METHODS = "GET, HEAD, OPTIONS"
PREFLIGHT = {
    ORIGIN: "*",
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, If-Modified-Since",
    # Two hours: no browser keeps the answer for longer.
    "Access-Control-Max-Age": "7200",
}


def headers(channel: Channel) -> dict[str, str]:
    """The headers of every answer about a file of `channel`."""
    return {} if channel.is_private else HEADERS


def preflight_headers(channel: Channel) -> dict[str, str]:
    """The headers of the answer to OPTIONS."""
    return {"Allow": METHODS} | ({} if channel.is_private else PREFLIGHT)
