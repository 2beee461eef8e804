"""What every page of one's account has around it: templates/account/frame.html."""

from django.http import HttpRequest


def context(request: HttpRequest, section: str) -> dict[str, str]:
    """For a template that extends the frame; `section` is the sidebar's entry that stands for this page."""
    return {"section": section}
