"""All URLs of the hub. The patterns for channels come last and match all other paths."""

import re

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path

from channels_app.channels.channels import routed_words
from channels_app.rest import service as rest
from hub import health, protocols
from publishing.downloads import addresses

# The REST API: the endpoints of each room.
ROUTERS = (
    "channels_app.activity.api.router",
    "channels_app.channels.api.router",
    "channels_app.keys.api.router",
    "channels_app.packages.api.router",
    "channels_app.packages.version_api.router",
    "channels_app.people.invitation_api.router",
    "channels_app.people.member_api.router",
    "channels_app.people.team_api.router",
    "channels_app.search.api.router",
    "publishing.index.api.router",
    "channels_app.webhooks.api.router",
    "publishing.imports.api.router",
    "publishing.labels.api.router",
    "publishing.notices.api.router",
    "publishing.promotion.api.router",
    "publishing.promotion.rule_api.router",
    "publishing.patches.api.router",
    "publishing.relations.api.router",
    "publishing.removal.api.router",
    "publishing.retention.api.router",
    "publishing.trusted.pending_api.router",
    "publishing.uploads.api.router",
    "publishing.virtual.api.router",
    "publishing.upstreams.api.router",
    "publishing.watches.api.router",
)

handler400 = "channels_app.site.error_pages.misdirected"
handler403 = "channels_app.site.error_pages.denied"
handler404 = "channels_app.site.error_pages.not_found"
handler500 = "channels_app.site.error_pages.failed"

# Django's own login form would ask for no second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# Unknown paths below /admin/ are 404 like others; the names of models are not secret.
admin.site.final_catch_all_view = False

words = "|".join(re.escape(word) for word in sorted(routed_words()))

for router in ROUTERS:
    rest.add_router(router)

urlpatterns = [
    path("", include("channels_app.urls")),
    path("", include("publishing.urls")),
    path("api/v1/", include((rest.urls(), "rest"))),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    re_path(rf"^(?P<word>{words})(?:/(?P<path>.*))?\Z", addresses.reserved_word, name="reserved-word"),
    *protocols.url_patterns(begin_with_channel=True),
    re_path(r"^(?P<channel>[^/]+)/?\Z", addresses.channel_address, name="channel-address"),
    path("<str:channel>/<path:path>", addresses.below_channel, name="channel-file"),
]
