"""`/api/v1/search`: packages and channels by their names and descriptions, the best matches first."""

from typing import Any

from ninja import Field, Query, Router, Schema

from channels_app.channels.api import ChannelState
from channels_app.models import Package
from channels_app.packages.api import PackageState, Text
from channels_app.rest.pagination import PAGE_MAX, url_with
from channels_app.rest.service import Request
from channels_app.search.queries import Order, find_channels, find_packages, similar_names
from channels_app.search.views import CHANNELS_ABOVE_PACKAGES

router = Router(tags=["Search"])
# A later page costs as much as all pages before it.
PAGES_MAX = 100


class Search(Schema):
    q: str = Field(max_length=200, description="Words that all occur in the name or the description.")
    channel: Text = Field("", description="Only packages of this channel.")
    subdir: Text = Field("", description="Only packages with a file in this subdir.")
    order: Order = Field("relevance", description="Of the packages.")
    limit: int = Field(25, ge=1, le=PAGE_MAX, description="Packages per page.")
    page: int = Field(1, ge=1, le=PAGES_MAX)


class FoundPackage(PackageState):
    """A package with its channel."""

    channel: str

    @staticmethod
    def resolve_channel(package: Package) -> str:
        return package.channel.name


class SearchResult(Schema):
    """The matches that the credential can see."""

    channels: list[ChannelState] = Field(
        description=f"The {CHANNELS_ABOVE_PACKAGES} best matches; `channels?search=` lists all. None with a filter."
    )
    packages: list[FoundPackage]
    similar_names: list[str] = Field(description="Names of packages that the text may mean, if nothing matches.")
    next: str | None = Field(description=f"URL of the next page of packages, up to page {PAGES_MAX}.")


@router.get("/search", response=SearchResult, url_name="search")
def search(request: Request, query: Query[Search]) -> dict[str, Any]:
    """Search for packages and channels. Only the first page has channels."""
    start = (query.page - 1) * query.limit
    matches = find_packages(request.auth, query.q, channel=query.channel, subdir=query.subdir, order=query.order)
    found = list(matches[start : start + query.limit + 1])
    has_more = len(found) > query.limit and query.page < PAGES_MAX
    is_first = query.page == 1 and not query.channel and not query.subdir
    channels = list(find_channels(request.auth, query.q)[:CHANNELS_ABOVE_PACKAGES]) if is_first else []
    is_nothing = is_first and not found and not channels
    return {
        "channels": channels,
        "packages": found[: query.limit],
        "similar_names": similar_names(request.auth, query.q) if is_nothing else [],
        "next": url_with(request, page=str(query.page + 1)) if has_more else None,
    }
