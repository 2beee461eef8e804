"""Dashboard, alerts and their documentation: every metric that they name exists, and every metric is named."""

import json
import re
from typing import Any

import pytest
import yaml
from django.conf import settings

from channels_app.docs import views
from hub.observability import metrics
from publishing.status import metrics_view

pytestmark = pytest.mark.django_db
FOLDER = settings.BASE_DIR / "deploy"
NAMED = re.compile(r"\bchannelhub_\w+")
LABELS = re.compile(r"(channelhub_\w+)\{([^}]*)\}")
OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
# Labels that Prometheus adds to every series.
ADDED = {"job", "instance", "le"}


def known() -> dict[str, set[str]]:
    """Return series → labels, for every series that `/metrics` may have."""
    found: dict[str, set[str]] = {}
    of_files = (metrics.UPLOADS, metrics.UPLOAD_BYTES, metrics.DOWNLOADS)
    of_sources = (metrics.UPSTREAM_REQUESTS, metrics.UPSTREAM_BYTES, metrics.WATCHED_FILES)
    for metric in (metrics.REQUESTS, *of_files, *of_sources, metrics.TOKEN_EXCHANGES):
        found[f"{metric._name}_total"] = set(metric._labelnames)
    for histogram in (metrics.REQUEST_SECONDS, metrics.STORE, metrics.JOBS, metrics.BUILDS):
        found |= {histogram._name + suffix: set(histogram._labelnames) for suffix in OF_HISTOGRAMS}
    for gauge in metrics_view.StateCollector().collect():
        found[gauge.name] = {label for sample in gauge.samples for label in sample.labels}
    # Metrics that this machine lacks: PostgreSQL, and a fetched trust root.
    return found | {"channelhub_database_connections": {"state"}, "channelhub_trust_root_age_seconds": set()}


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((FOLDER / "grafana" / "dashboard.json").read_text())
    found: list[dict[str, Any]] = dashboard["panels"]
    return found


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((FOLDER / "prometheus" / "alerts.yml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def queries() -> list[str]:
    of_panels = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    return of_panels + [alert["expr"] for alert in alerts()]


def page() -> str:
    return (views.FOLDER / "monitoring.md").read_text()


def test_every_query_uses_metrics_and_labels_that_exist() -> None:
    series = known()

    for query in queries():
        assert set(NAMED.findall(query)) <= set(series), query
        for name, selectors in LABELS.findall(query):
            used = set(re.findall(r"(\w+)=", selectors)) - ADDED
            assert used <= series[name], query
        assert query.count("(") == query.count(")"), query


def test_every_metric_is_on_the_dashboard() -> None:
    shown = "\n".join(queries())
    for name in {re.sub("_(bucket|sum|count)$", "", name) for name in known()}:
        assert name in shown, name


def test_panels_have_room_titles_and_units() -> None:
    shown = [panel for panel in panels() if panel["type"] != "row"]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    for panel in shown:
        place = panel["gridPos"]
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert place["x"] + place["w"] <= 24
        assert not [other["title"] for other in shown if other is not panel and overlap(place, other["gridPos"])]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def test_every_alert_has_a_summary_and_a_description() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in ("page", "ticket"), alert["alert"]
        assert alert["for"]
        assert alert["annotations"].keys() == {"summary", "reason"}
        assert all(text.endswith(".") for text in alert["annotations"].values()), alert["alert"]


def test_every_alert_is_documented_with_a_remedy() -> None:
    assert re.findall(r"^\| `(Channelhub\w+)` \|", page(), re.MULTILINE) == [alert["alert"] for alert in alerts()]


def test_every_metric_is_documented() -> None:
    documented = set(re.findall(r"^\| `(channelhub_\w+)` \|", page(), re.MULTILINE))
    assert documented == {re.sub("_(bucket|sum|count)$", "", name) for name in known()}
