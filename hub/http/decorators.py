"""Decorators of views that programs call."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from hub.errors import HubError

View = Callable[..., HttpResponseBase]
AnyView = TypeVar("AnyView", bound=View)


def allow(*methods: str, hint: str = "") -> Callable[[View], View]:
    """Answer every other method with 405 `wrong_method`, which names `methods` and gives the `hint`."""
    detail = f"Method not allowed; use {' or '.join(method for method in methods if method != 'HEAD')}. {hint}".strip()

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods:
                raise HubError(405, "wrong_method", detail, {"Allow": ", ".join(methods)})
            return view(request, *args, **kwargs)

        return checked

    return decorate


def bounds_own_body(view: AnyView) -> AnyView:
    """Mark a view that limits its body itself, or does not read it."""
    view.bounds_own_body = True  # type: ignore[attr-defined]
    return view
