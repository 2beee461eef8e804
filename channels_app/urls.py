"""The pages for people. A channel's page is `/channels/<channel>`; its files lie at `/<channel>/…`."""

from django.urls import include, path

from channels_app import (
    browse,
    channel_pages,
    docs,
    feeds,
    graphql_api,
    key_api,
    key_pages,
    raw_documents,
    search,
    settings_pages,
    styleguide,
    views,
    well_known,
)
from channels_app.accounts import activity_page, same_work
from channels_app.accounts import pages as accounts
from channels_app.doctor import page as doctor
from channels_app.people import invitation_pages, member_pages, team_pages

urlpatterns = [
    path("", views.home, name="home"),
    path("accounts/confirm-email/", same_work.verify, name="account_email_verification_sent"),
    path("accounts/", include("allauth.urls")),
    path("", include("channels_app.accounts.oauth.urls")),
    path("robots.txt", well_known.robots, name="robots"),
    path("favicon.ico", well_known.favicon, name="favicon"),
    path(".well-known/security.txt", well_known.security, name="security-contact"),
    path(".well-known/change-password", well_known.change_password, name="change-password"),
    path("search", search.results, name="search"),
    path("docs", docs.page, name="docs"),
    path("docs/<slug:name>", docs.page, name="doc"),
    path("styleguide", styleguide.page, name="styleguide"),
    path("account", accounts.profile, name="account"),
    path("account/activity", activity_page.account_activity, name="account-activity"),
    path("account/invitations", invitation_pages.mine, name="account-invitations"),
    path("account/keys", key_pages.personal, name="account-keys"),
    path("doctor", doctor.page, name="doctor"),
    path("api/v1/whoami", key_api.whoami, name="whoami"),
    path("api/v1/keys/current", key_api.current, name="key-current"),
    path("api/graphql", graphql_api.endpoint, name="graphql"),
    path("channels", channel_pages.listing, name="channels"),
    path("channels/new", channel_pages.new, name="channel-new"),
    path("invitations", invitation_pages.invitation_page, name="invitation"),
    path("teams", team_pages.listing, name="account-teams"),
    path("teams/<str:name>", team_pages.team_page, name="team"),
    path("channels/<str:channel>", browse.channel, name="channel"),
    path("channels/<str:channel>/logo", browse.logo, name="channel-logo"),
    path("channels/<str:channel>/feed", feeds.channel_feed, name="channel-feed"),
    path("channels/<str:channel>/packages/<str:name>", browse.package, name="package"),
    path("channels/<str:channel>/packages/<str:name>/feed", feeds.package_feed, name="package-feed"),
    path("channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>", browse.artifact, name="artifact"),
    path(
        "channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>/documents/<str:document>",
        raw_documents.document,
        name="artifact-document",
    ),
    path("channels/<str:channel>/settings", settings_pages.general, name="channel-settings"),
    path("channels/<str:channel>/settings/members", member_pages.members_page, name="channel-members"),
    path("channels/<str:channel>/settings/robots", key_pages.robots, name="channel-robots"),
    path("channels/<str:channel>/settings/policies", settings_pages.policies, name="channel-policies"),
    path("channels/<str:channel>/settings/activity", settings_pages.activity, name="channel-activity"),
    path("channels/<str:channel>/settings/danger", settings_pages.danger, name="channel-danger"),
    path("channels/<str:channel>/leave", settings_pages.leave, name="channel-leave"),
    path("channels/<str:channel>/restore", settings_pages.restore, name="channel-restore"),
]
