"""Pages of lists, by cursors of django-ninja."""

from typing import Any

from django.core.exceptions import ValidationError as InvalidPosition
from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Schema
from ninja.errors import ValidationError
from ninja.pagination import CursorPagination

from hub.errors import bad_request

PAGE_MAX = 100


class Pages(CursorPagination):
    """Pages of at most 100 entries, in a unique order. Entries that are added or removed meanwhile shift nothing."""

    class Input(Schema):
        limit: int = Field(PAGE_MAX, ge=1, le=PAGE_MAX, description="Entries per page.")
        cursor: str = Field("", max_length=500, description="A position, from `next` or `previous`.")

    class Output(Schema):
        items: list[Any]
        next: str | None = Field(description="URL of the next page.")
        previous: str | None = Field(description="URL of the previous page.")

    items_attribute = "items"

    def paginate_queryset(
        self, queryset: QuerySet[Any], pagination: Any, request: HttpRequest, **params: Any
    ) -> dict[str, Any]:
        """Return the page. Raise HubError 400 for a cursor that no response had."""
        asked = CursorPagination.Input(page_size=pagination.limit, cursor=pagination.cursor or None)
        try:
            _check_position(self.Cursor.from_encoded_param(asked.cursor).p)
            page: dict[str, Any] = super().paginate_queryset(queryset, asked, request, **params)
        except (ValidationError, InvalidPosition, ValueError, OverflowError):
            raise bad_request("bad_cursor", "The cursor is not one of this list; expected that of `next`.") from None
        return page


def url_with(request: HttpRequest, **changes: str) -> str:
    """Return the URL of the request with other values in its query."""
    query = request.GET.copy()
    for name, value in changes.items():
        query[name] = value
    return f"{request.build_absolute_uri(request.path)}?{query.urlencode()}"


def _check_position(position: str | None) -> None:
    """Raise ValueError for a NUL character, which SQLite takes and PostgreSQL does not."""
    if position and "\0" in position:
        raise ValueError("NUL")
