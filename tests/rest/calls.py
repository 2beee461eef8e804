"""Calls of the REST API in tests."""

import json
from typing import Any

from django.test import Client

from channels_app.models import User
from tests.builders import make_key
from tests.pages import Response, signed_in


class Caller:
    """A caller of `/api/v1` with one credential: paths are relative to it, bodies and answers are JSON."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        data: dict[str, Any] = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        return self.client.generic(method, f"/api/v1/{path}", headers=headers, **data)

    def get(self, path: str, **headers: str) -> Response:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Response:
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: Any, **headers: str) -> Response:
        return self.call("PUT", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Response:
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Response:
        return self.call("DELETE", path, **headers)


def by_session(user: User, *, is_fresh: bool = True) -> Caller:
    return Caller(signed_in(user, is_fresh=is_fresh))


def by_key(user: User, *scopes: str) -> Caller:
    return Caller(Client(headers={"Authorization": f"Bearer {make_key(user, scopes=scopes)}"}))


def code(response: Response) -> tuple[int, str]:
    """Return the status and the code of a problem (RFC 9457)."""
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["code"] == response.headers["X-Error-Code"]
    assert problem["detail"]
    return response.status_code, problem["code"]
