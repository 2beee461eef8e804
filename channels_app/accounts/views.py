"""The account's own page; its other sections are allauth's, the keys', the teams' and the applications'."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
@login_required
def profile(request: HttpRequest) -> HttpResponse:
    return render(request, "account/profile.html")
