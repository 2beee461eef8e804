"""The connections to PostgreSQL, which the threads of a process share: held while something is asked."""

from collections.abc import Callable

from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase


def give_back() -> None:
    """Before something that may take long: another thread may use this one's connection; the next query takes one."""
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()


def given_back(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """The same before a stream goes out, at the pace of whoever reads it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.streaming:
            give_back()
        return response

    return middleware
