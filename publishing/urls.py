"""URLs of uploads, removal, trusted publishing, provenance, status and metrics."""

from django.urls import path, re_path

from publishing.protocols import minting, prefix, provenance, upload_check
from publishing.removal import views as removal_views
from publishing.status import metrics_view
from publishing.status import views as status_views
from publishing.trusted import api
from publishing.trusted import views as trusted_views
from publishing.uploads import views

urlpatterns = [
    path("status", status_views.page, name="status"),
    path("metrics", metrics_view.page, name="metrics"),
    re_path(r"^api/v1/upload/(?P<channel>[^/]*)\Z", prefix.upload, name="upload"),
    path("api/v1/upload/<str:channel>/may", upload_check.by_key, name="upload-check"),
    path("api/oidc/mint_token", minting.mint_token, name="mint-token"),
    path("api/v1/delete/<str:channel>/<str:subdir>/<str:file_name>", prefix.delete, name="delete"),
    path("api/v1/channels/<str:channel>/publishers", api.collection, name="publishers"),
    path("api/v1/channels/<str:channel>/publishers/<int:publisher_id>", api.one, name="publisher"),
    path("channels/new/publisher", trusted_views.pending_publishers, name="publisher-new"),
    path("channels/<str:channel>/settings/publishers", trusted_views.channel_publishers, name="channel-publishers"),
    path(
        "api/v1/channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>/provenance",
        provenance.artifact,
        name="artifact-provenance",
    ),
    path("channels/<str:channel>/settings/upload", views.upload, name="channel-upload"),
    path("channels/<str:channel>/settings/upload/may", upload_check.by_session, name="channel-upload-check"),
    path("channels/<str:channel>/settings/upload/status", views.status, name="channel-upload-status"),
    path(
        "channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>/remove",
        removal_views.remove,
        name="artifact-remove",
    ),
]
