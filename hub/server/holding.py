"""Requests that wait for an event, held by the worker without a thread.

A view that can't answer yet puts a Hold into the WSGI environment and returns a response that asks the client to come
back. The hub's gunicorn worker keeps that response back and holds the connection. It asks the view again when the event
is there, at the end of the time, or when the worker stops. Other servers send the response at once.

The request is a GET without a body: the view runs twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# The key of the Hold in the WSGI environment. When the view is asked again, it has the Hold of the last time.
HOLD = "channelhub.hold"

Wanted = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Hold:
    """The event of a request. `are_ready` tells for many at once whether their events are there.

    `ends_at`: by the monotonic clock.
    """

    wanted: Wanted
    are_ready: Callable[[Sequence[Wanted]], Sequence[bool]]
    ends_at: float
