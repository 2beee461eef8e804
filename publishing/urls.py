"""URLs of client protocols, removal, trusted publishing, provenance, status and metrics."""

from django.urls import path

from hub import protocols
from publishing.removal import views as removal_views
from publishing.status import metrics_view
from publishing.status import views as status_views
from publishing.trusted import api
from publishing.trusted import views as trusted_views
from publishing.uploads import views

urlpatterns = [
    path("status", status_views.page, name="status"),
    path("metrics", metrics_view.page, name="metrics"),
    *protocols.url_patterns(begin_with_channel=False),
    path("api/v1/channels/<str:channel>/publishers", api.collection, name="publishers"),
    path("api/v1/channels/<str:channel>/publishers/<int:publisher_id>", api.one, name="publisher"),
    path("channels/new/publisher", trusted_views.pending_publishers, name="publisher-new"),
    path("channels/<str:channel>/settings/publishers", trusted_views.channel_publishers, name="channel-publishers"),
    path("channels/<str:channel>/settings/upload/status", views.status, name="channel-upload-status"),
    path(
        "channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>/remove",
        removal_views.remove,
        name="artifact-remove",
    ),
]
