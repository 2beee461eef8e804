"""The pages for people. A channel's page is `/channels/<channel>`; its files lie at `/<channel>/…`."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from channels_app import browse, docs, search, settings_pages, views

urlpatterns = [
    path("", views.home, name="home"),
    path(
        "accounts/login", LoginView.as_view(template_name="login.html", redirect_authenticated_user=True), name="login"
    ),
    path("accounts/logout", LogoutView.as_view(), name="logout"),
    path("search", search.results, name="search"),
    path("docs", docs.page, name="docs"),
    path("docs/<slug:name>", docs.page, name="doc"),
    path("channels/<str:channel>", browse.channel, name="channel"),
    path("channels/<str:channel>/logo", browse.logo, name="channel-logo"),
    path("channels/<str:channel>/feed", browse.channel_feed, name="channel-feed"),
    path("channels/<str:channel>/packages/<str:name>", browse.package, name="package"),
    path("channels/<str:channel>/packages/<str:name>/feed", browse.package_feed, name="package-feed"),
    path("channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>", browse.artifact, name="artifact"),
    path("channels/<str:channel>/settings", settings_pages.general, name="channel-settings"),
    path("channels/<str:channel>/settings/members", settings_pages.members, name="channel-members"),
    path("channels/<str:channel>/settings/policies", settings_pages.policies, name="channel-policies"),
    path("channels/<str:channel>/settings/activity", settings_pages.activity, name="channel-activity"),
    path("channels/<str:channel>/settings/danger", settings_pages.danger, name="channel-danger"),
]
