"""CORS headers (Fetch Standard): pages of other sites may read files of public channels without credentials.

No response has Access-Control-Allow-Credentials, so scripts of other sites can't read responses to requests with
cookies. Files of private channels have none of these headers. Content-Encoding is not exposed, because rattler's
browser build would decode again the content that the browser has decoded.
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
    # Two hours, the longest time for which any browser caches a preflight response.
    "Access-Control-Max-Age": "7200",
}


def headers(channel: Channel) -> dict[str, str]:
    """Return the CORS headers for responses about files of `channel`."""
    return HEADERS if channel.is_for_all else {}


def preflight_headers(channel: Channel) -> dict[str, str]:
    """Return the headers of the response to OPTIONS."""
    return {"Allow": METHODS} | (PREFLIGHT if channel.is_for_all else {})
