"""URLs of client protocols, promotion, removal, trusted publishing, provenance, status and metrics."""

from django.urls import path

from hub import protocols
from publishing.imports import views as imports_views
from publishing.labels import views as labels_views
from publishing.notices import views as notices_views
from publishing.patches import views as patches_views
from publishing.promotion import rule_views as promotion_rule_views
from publishing.promotion import views as promotion_views
from publishing.relations import views as relations_views
from publishing.removal import views as removal_views
from publishing.retention import views as retention_views
from publishing.selections import views as selections_views
from publishing.status import metrics_view
from publishing.status import views as status_views
from publishing.trusted import api
from publishing.trusted import views as trusted_views
from publishing.uploads import views
from publishing.upstreams import views as upstreams_views
from publishing.virtual import views as virtual_views
from publishing.watches import views as watches_views

urlpatterns = [
    path("status", status_views.page, name="status"),
    path("status/notices", notices_views.of_hub, name="hub-notices"),
    path("metrics", metrics_view.page, name="metrics"),
    *protocols.url_patterns(begin_with_channel=False),
    path("api/v1/channels/<str:channel>/publishers", api.collection, name="publishers"),
    path("api/v1/channels/<str:channel>/publishers/<int:publisher_id>", api.one, name="publisher"),
    path("channels/new/publisher", trusted_views.pending_publishers, name="publisher-new"),
    path("channels/new/upstream", upstreams_views.new, name="channel-new-upstream"),
    path("channels/<str:channel>/settings/upstream", upstreams_views.one, name="channel-upstream"),
    path("channels/<str:channel>/settings/upstream/filters", upstreams_views.filters, name="channel-upstream-filters"),
    path("channels/<str:channel>/settings/publishers", trusted_views.channel_publishers, name="channel-publishers"),
    path("channels/<str:channel>/settings/notices", notices_views.listing, name="channel-notices"),
    path("channels/<str:channel>/settings/virtual", virtual_views.settings, name="channel-virtual"),
    path("channels/<str:channel>/settings/relations", relations_views.settings, name="channel-relations"),
    path("channels/<str:channel>/promote", promotion_views.promote, name="channel-promote"),
    path(
        "channels/<str:channel>/settings/promotion-rules", promotion_rule_views.listing, name="channel-promotion-rules"
    ),
    path("channels/<str:channel>/settings/promotions", promotion_views.listing, name="channel-promotions"),
    path(
        "channels/<str:channel>/settings/promotions/<int:promotion_id>", promotion_views.one, name="channel-promotion"
    ),
    path("channels/<str:channel>/settings/imports", imports_views.listing, name="channel-imports"),
    path("channels/<str:channel>/settings/imports/<int:import_id>", imports_views.one, name="channel-import"),
    path("channels/<str:channel>/settings/watch", watches_views.one, name="channel-watch"),
    path("channels/<str:channel>/settings/patches", patches_views.listing, name="channel-patches"),
    path("channels/<str:channel>/settings/retention", retention_views.listing, name="channel-retention"),
    path("channels/<str:channel>/settings/upload/status", views.status, name="channel-upload-status"),
    path("channels/<str:channel>/labels", labels_views.listing, name="channel-labels"),
    path("channels/<str:channel>/labels/<str:label>", labels_views.one, name="channel-label"),
    path("channels/<str:channel>/select", selections_views.select, name="channel-select"),
    path(
        "channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>/remove",
        removal_views.remove,
        name="artifact-remove",
    ),
]
