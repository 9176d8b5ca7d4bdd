"""Exports the histograms of calls, which `metrics` keeps, beside what the SDK has collected."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)

from lath.telemetry.metrics import BOUNDS_MS, DURATION, Durations, call_durations


class WithDurations(MetricExporter):
    """Another exporter, which gets the durations of calls too.

    The SDK has no instrument for a histogram that is kept elsewhere, as it has for sums. What is sent is
    cumulative.

    Args:
        inner: Sends.
    """

    def __init__(self, inner: MetricExporter) -> None:
        super().__init__(inner._preferred_temporality, inner._preferred_aggregation)
        self._inner = inner
        self._since_ns = time.time_ns()

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        return self._inner.export(self._with_durations(metrics_data), timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._inner.shutdown(timeout_millis, **kwargs)

    def _with_durations(self, data: MetricsData) -> MetricsData:
        now_ns = time.time_ns()
        points = [self._point(attributes, each, now_ns) for attributes, each in call_durations()]
        if not points or not data.resource_metrics:
            return data
        metric = Metric(
            DURATION, "Duration of calls", "ms", Histogram(points, AggregationTemporality.CUMULATIVE)
        )
        ours, *others = data.resource_metrics
        scope, *scopes = ours.scope_metrics
        scope = ScopeMetrics(scope.scope, [*scope.metrics, metric], scope.schema_url)
        return MetricsData([ResourceMetrics(ours.resource, [scope, *scopes], ours.schema_url), *others])

    def _point(
        self, attributes: dict[str, str | bool], durations: Durations, now_ns: int
    ) -> HistogramDataPoint:
        # the loop goes on counting meanwhile: the count is that of the buckets as they are copied here
        buckets = list(durations.buckets)
        return HistogramDataPoint(
            attributes, self._since_ns, now_ns, sum(buckets), durations.sum_ms, buckets, list(BOUNDS_MS),
            durations.min_ms, durations.max_ms,
        )  # fmt: skip
