"""`/api/v1/search`: packages and channels by their names and descriptions, the best matches first."""

from typing import Any

from ninja import Field, Query, Router, Schema

from channels_app.channels.api import ChannelState
from channels_app.models import Package
from channels_app.packages.api import PackageState
from channels_app.rest.pagination import PAGE_MAX, url_with
from channels_app.rest.service import Request
from channels_app.search.queries import find_channels, find_packages
from channels_app.search.views import CHANNELS_ABOVE_PACKAGES

router = Router(tags=["Search"])
# A later page costs as much as all pages before it.
PAGES_MAX = 100


class Search(Schema):
    q: str = Field(max_length=200, description="Words that all occur in the name or the description.")
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
        description=f"The {CHANNELS_ABOVE_PACKAGES} best matches; `channels?search=` lists all."
    )
    packages: list[FoundPackage]
    next: str | None = Field(description=f"URL of the next page of packages, up to page {PAGES_MAX}.")


@router.get("/search", response=SearchResult, url_name="search")
def search(request: Request, query: Query[Search]) -> dict[str, Any]:
    """Search for packages and channels. Only the first page has channels."""
    start = (query.page - 1) * query.limit
    found = list(find_packages(request.auth, query.q)[start : start + query.limit + 1])
    has_more = len(found) > query.limit and query.page < PAGES_MAX
    channels = find_channels(request.auth, query.q)
    return {
        "channels": channels[:CHANNELS_ABOVE_PACKAGES] if query.page == 1 else [],
        "packages": found[: query.limit],
        "next": url_with(request, page=str(query.page + 1)) if has_more else None,
    }
