"""Pages of several replicas become one that Prometheus' own parser takes."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from service.cluster.metrics_page import together
from service.metrics import Metrics


def test_every_sample_of_every_replica_is_there_under_its_name() -> None:
    one, two = Metrics(), Metrics()
    one.counter("mkd_images_total", outcome="ok").inc(3)
    two.counter("mkd_images_total", outcome="ok").inc(4)
    two.gauge("mkd_artifact_info", product="a", version='1 "{,} 2', method="mkd", hash="x y").set(1)
    page = together({"r1": one.render().decode(), "r2": two.render().decode()})
    families = list(text_string_to_metric_families(page))
    assert len(families) == len({family.name for family in families})
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}
    for name, metrics in (("r1", one), ("r2", two)):
        for family in metrics.registry.collect():
            for sample in family.samples:
                labels = tuple(sorted({**sample.labels, "replica": name}.items()))
                assert samples.pop((sample.name, labels)) == sample.value
    assert samples == {}
