"""Routes of the pages. A channel's page is `/channels/<channel>`; its files are at `/<channel>/…`."""

from django.urls import include, path

from channels_app.accounts import activity_views, equal_work
from channels_app.accounts import views as accounts
from channels_app.activity import views as activity
from channels_app.channels import settings_views
from channels_app.channels import views as channels_views
from channels_app.docs import views as docs_views
from channels_app.doctor import views as doctor
from channels_app.keys import api, graphql
from channels_app.keys import views as keys_views
from channels_app.packages import feeds, package_views, raw_documents
from channels_app.packages import views as packages_views
from channels_app.people import invitation_views, member_views, team_views
from channels_app.rest import document, explorer
from channels_app.search import views as search_views
from channels_app.site import views, well_known
from channels_app.ui import styleguide
from channels_app.webhooks import views as webhook_views

urlpatterns = [
    path("", views.home, name="home"),
    path("accounts/confirm-email/", equal_work.verification_page, name="account_email_verification_sent"),
    path("accounts/", include("allauth.urls")),
    path("", include("channels_app.accounts.oauth.urls")),
    path("robots.txt", well_known.robots, name="robots"),
    path("favicon.ico", well_known.favicon, name="favicon"),
    path(".well-known/security.txt", well_known.security, name="security-contact"),
    path(".well-known/change-password", well_known.change_password, name="change-password"),
    path("search", search_views.results, name="search"),
    path("search/suggestions", search_views.suggestions, name="search-suggestions"),
    path("docs", docs_views.page, name="docs"),
    path("docs/<slug:name>", docs_views.page, name="doc"),
    path("styleguide", styleguide.page, name="styleguide"),
    path("account", accounts.profile, name="account"),
    path("account/activity", activity_views.account_activity, name="account-activity"),
    path("account/invitations", invitation_views.mine, name="account-invitations"),
    path("account/keys", keys_views.personal, name="account-keys"),
    path("status/activity", activity.hub_activity, name="hub-activity"),
    path("doctor", doctor.page, name="doctor"),
    path("api/docs", explorer.page, name="api-docs"),
    path("api/v1/openapi.json", document.view, name="openapi"),
    path("api/v1/whoami", api.whoami, name="whoami"),
    path("api/v1/keys/current", api.current, name="key-current"),
    path("api/graphql", graphql.endpoint, name="graphql"),
    path("channels", channels_views.listing, name="channels"),
    path("channels/new", channels_views.new, name="channel-new"),
    path("invitations", invitation_views.invitation_page, name="invitation"),
    path("teams", team_views.listing, name="account-teams"),
    path("teams/<str:name>", team_views.team_page, name="team"),
    path("channels/<str:channel>", packages_views.channel, name="channel"),
    path("channels/<str:channel>/logo", packages_views.logo, name="channel-logo"),
    path("channels/<str:channel>/feed", feeds.channel_feed, name="channel-feed"),
    path("channels/<str:channel>/packages/<str:name>", package_views.package, name="package"),
    path("channels/<str:channel>/packages/<str:name>/feed", feeds.package_feed, name="package-feed"),
    path("channels/<str:channel>/packages/<str:name>/<str:version>", package_views.version, name="version"),
    path("channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>", package_views.artifact, name="artifact"),
    path(
        "channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>/documents/<str:document>",
        raw_documents.document,
        name="artifact-document",
    ),
    path("channels/<str:channel>/settings", settings_views.general, name="channel-settings"),
    path("channels/<str:channel>/settings/members", member_views.members_page, name="channel-members"),
    path("channels/<str:channel>/settings/robots", keys_views.robots, name="channel-robots"),
    path("channels/<str:channel>/settings/webhooks", webhook_views.listing, name="channel-webhooks"),
    path("channels/<str:channel>/settings/webhooks/<int:webhook_id>", webhook_views.one, name="channel-webhook"),
    path("channels/<str:channel>/settings/policies", settings_views.policies, name="channel-policies"),
    path("channels/<str:channel>/settings/activity", settings_views.activity, name="channel-activity"),
    path("channels/<str:channel>/settings/danger", settings_views.danger, name="channel-danger"),
    path("channels/<str:channel>/leave", member_views.leave, name="channel-leave"),
    path("channels/<str:channel>/restore", settings_views.restore, name="channel-restore"),
]
