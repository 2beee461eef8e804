"""The pages for people. A channel's page is `/channels/<channel>`; its files lie at `/<channel>/…`."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from channels_app import browse, channel_pages, docs, feeds, member_pages, search, settings_pages, styleguide, views

urlpatterns = [
    path("", views.home, name="home"),
    path(
        "accounts/login", LoginView.as_view(template_name="login.html", redirect_authenticated_user=True), name="login"
    ),
    path("accounts/logout", LogoutView.as_view(), name="logout"),
    path("search", search.results, name="search"),
    path("docs", docs.page, name="docs"),
    path("docs/<slug:name>", docs.page, name="doc"),
    path("styleguide", styleguide.page, name="styleguide"),
    path("channels", channel_pages.listing, name="channels"),
    path("channels/new", channel_pages.new, name="channel-new"),
    path("channels/<str:channel>", browse.channel, name="channel"),
    path("channels/<str:channel>/logo", browse.logo, name="channel-logo"),
    path("channels/<str:channel>/feed", feeds.channel_feed, name="channel-feed"),
    path("channels/<str:channel>/packages/<str:name>", browse.package, name="package"),
    path("channels/<str:channel>/packages/<str:name>/feed", feeds.package_feed, name="package-feed"),
    path("channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>", browse.artifact, name="artifact"),
    path("channels/<str:channel>/settings", settings_pages.general, name="channel-settings"),
    path("channels/<str:channel>/settings/members", member_pages.members_page, name="channel-members"),
    path("channels/<str:channel>/settings/policies", settings_pages.policies, name="channel-policies"),
    path("channels/<str:channel>/settings/activity", settings_pages.activity, name="channel-activity"),
    path("channels/<str:channel>/settings/danger", settings_pages.danger, name="channel-danger"),
    path("channels/<str:channel>/leave", settings_pages.leave, name="channel-leave"),
    path("channels/<str:channel>/restore", settings_pages.restore, name="channel-restore"),
]
