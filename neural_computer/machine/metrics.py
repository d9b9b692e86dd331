"""What a live machine counts, for Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from neural_computer.machine.live import Live

PREFIX = "neural_computer"


class LiveCollector(Collector):
    """The numbers of a machine, read when they are asked for."""

    def __init__(self, live: Live | None):
        self.live = live

    def collect(self) -> Iterator[Metric]:
        live = self.live
        yield GaugeMetricFamily(f"{PREFIX}_ready", "1 once the machine runs", float(live is not None))
        if live is None:
            return
        counts = live.ticker.counts
        waiting = sum(len(seat.session.queue) for seat in list(live.seats.values()))
        for name, text, value in (
            ("sessions", "sessions that somebody is connected to", len(live.seats)),
            ("places", "sessions that fit", live.host.engine.rows),
            ("events_waiting", "events in the queues of all sessions", waiting),
            ("tick_seconds", "time that the newest tick took", counts.work),
        ):
            yield GaugeMetricFamily(f"{PREFIX}_{name}", text, float(value))
        for name, text, value in (
            ("ticks", "ticks in which a session advanced", counts.ticks),
            ("late_ticks", "ticks that were left out because the one before began too late", counts.late),
            ("failed_ticks", "ticks that failed and advanced nothing", counts.failed),
            ("events_applied", "events that a frame shows", live.applied),
            ("frames_dropped", "frames that a newer one overtook before they were sent", live.dropped),
        ):
            yield CounterMetricFamily(f"{PREFIX}_{name}", text, float(value))


def text(live: Live | None) -> tuple[bytes, str]:
    """(the metrics as text, its content type)."""
    registry = CollectorRegistry()
    registry.register(LiveCollector(live))
    return generate_latest(registry), CONTENT_TYPE_LATEST
