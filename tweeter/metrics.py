"""The metrics of the site, for Prometheus; `GET /metrics` shows them to the networks of `tweeter.metrics`.

Every name begins with `tweeter_`. The label `backend` is the last part of a backend's dotted name.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

from tweeter.values import Event

Metric = TypeVar("Metric", Counter, Histogram)

log = logging.getLogger("tweeter.delivery")
stores_log = logging.getLogger("tweeter.stores")

REPORT_EVERY = 60.0  # seconds between log lines about damaged values of one backend
_reported: dict[str, tuple[float, int]] = {}  # by backend: time of the last line, and damaged values since
_reporting = Lock()

REQUESTS = Histogram(
    "tweeter_request_seconds",
    "Requests, and the seconds that they took",
    ["route", "method", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
READS = Counter(
    "tweeter_timeline_reads",
    "Pages of timelines: warm (from the store), cold (backfilled from SQL) or sql (SQL served the page)",
    ["backend", "answer"],
)
IDS = Counter(
    "tweeter_timeline_ids", "Ids that a page took from the store (hit) or from SQL (miss)", ["backend", "found"]
)
TWEETS = Counter(
    "tweeter_hydrated_tweets", "Tweets that were in the cache (hit) or came from SQL (miss)", ["backend", "found"]
)
ROUND_TRIPS = Counter("tweeter_store_round_trips", "Exchanges with the store within requests", ["backend"])
DELIVERIES = Counter("tweeter_deliveries", "Events applied to materialized timelines", ["backend", "event"])
DELAY = Histogram(
    "tweeter_delivery_delay_seconds",
    "Seconds from the commit of an event to the end of its delivery",
    ["backend"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
CIRCUIT_CLOSED = Gauge("tweeter_circuit_closed", "1 while pages read the store, 0 while SQL serves them", ["backend"])
CIRCUIT_OPENED = Counter("tweeter_circuit_opened", "How often the circuit opened: SQL took over", ["backend"])
FALLBACKS = Counter(
    "tweeter_timeline_fallbacks",
    "Fallbacks to SQL, by reason: circuit (open), failed, stale, own write, backfill, cold, kind, no checkpoint",
    ["backend", "reason"],
)
SQL_READS = Counter(
    "tweeter_sql_reads",
    "With replicas: reads of requests, for a page or to fill a store, by server; from the primary by reason: none "
    "(no replica serves), behind (none has replayed enough), timeline (another one than the reader's last write)",
    ["kind", "server", "reason"],
)
REPLICA_SERVES = Gauge("tweeter_replica_serves", "1 while a replica serves reads, 0 while it is left out", ["replica"])
REPLICA_LAG = Gauge("tweeter_replica_lag_seconds", "Seconds that a replica lags behind the primary's log", ["replica"])
REPLICA_BEHIND = Gauge(
    "tweeter_replica_behind_bytes", "Bytes of the primary's log that a replica has not replayed", ["replica"]
)
POISONED = Counter("tweeter_poison_events", "Events that could not be applied; the store started cold", ["backend"])
PENDING = Gauge("tweeter_outbox_pending", "Events that are not delivered to a store yet", ["backend"])
DAMAGED = Counter(
    "tweeter_store_damaged_values", "Unreadable values in the store; dropped, and backfilled from SQL", ["backend"]
)
AGE = Gauge(
    "tweeter_outbox_age_seconds", "Seconds since the oldest event that is not delivered yet, 0 without one", ["backend"]
)
LAG = Gauge("tweeter_store_lag_seconds", "Seconds that a page from the store may lag behind the commits", ["backend"])
HOLDS = Gauge("tweeter_relay_holds_lease", "1 while this process delivers to the store", ["backend"])
IN_FLIGHT = Gauge("tweeter_events_in_flight", "Long events that are being applied to the store", ["backend"])
CHUNKS = Counter(
    "tweeter_fan_out_chunks",
    "Chunks of large fan-outs: given to workers, done, sent again, given again, taken back, or cold after 3 attempts",
    ["backend", "what"],
)
OUTSTANDING = Gauge("tweeter_fan_out_chunks_outstanding", "Chunks that workers have not done yet", ["backend"])
BROKER_UP = Gauge(
    "tweeter_broker_up", "1 while this process can send chunks to the broker, 0 while it cannot", ["queue"]
)
STREAMED = Gauge(
    "tweeter_stream_channels", "Timelines with streams, counted for each viewer, in the publishing process"
)
STREAM_EVENTS = Counter("tweeter_stream_events", "Events sent to the streams of one timeline and viewer", ["event"])
STREAM_DELAY = Histogram(
    "tweeter_stream_delay_seconds",
    "Seconds from the commit of an event until it was sent to the last of its streams",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
OUTBOX_EVENTS = Gauge("tweeter_outbox_events", "Rows in the outbox; beyond 10,000 the span of their ids")
OUTBOX_SECONDS = Gauge("tweeter_outbox_oldest_seconds", "Seconds since the oldest row in the outbox, 0 without one")


@lru_cache(maxsize=1000)
def child(metric: Metric, *labels: str) -> Metric:
    """Like `metric.labels`, but cached for every page: the library checks the labels and takes a lock each time."""
    return metric.labels(*labels)


def count_delivery(backend: str, event: Event, date: datetime, request_id: str | None) -> None:
    """Counts an event, committed at `date`, that has just been applied."""
    delay = max(0.0, (datetime.now(UTC) - date).total_seconds())
    DELIVERIES.labels(backend, type(event).__name__).inc()
    DELAY.labels(backend).observe(delay)
    log.info("%s delivered to %s", event, backend, extra={"request_id": request_id, "delay_ms": round(delay * 1000, 1)})


def fallbacks(backend: str) -> dict[str, float]:
    """The number of a backend's pages that fell back to SQL in this process, by reason."""
    [family] = FALLBACKS.collect()
    return {
        sample.labels["reason"]: sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["backend"] == backend
    }


def show_pending(backend: str, events: int, seconds: float) -> None:
    """Shows the number of pending events, and the age of the oldest in seconds."""
    PENDING.labels(backend).set(events)
    AGE.labels(backend).set(seconds)


def count_damaged(backend: str, damaged: Mapping[str, str]) -> None:
    """Counts damaged values that a store dropped; `damaged` has the reason by key. Logs at most one line a minute."""
    if not damaged:
        return
    DAMAGED.labels(backend).inc(len(damaged))
    with _reporting:
        last, since = _reported.get(backend, (-REPORT_EVERY, 0))
        since += len(damaged)
        due = monotonic() - last >= REPORT_EVERY
        _reported[backend] = (monotonic(), 0) if due else (last, since)
    if due:
        key, why = next(iter(damaged.items()))
        stores_log.warning(
            "%s: damaged values were dropped, and will be filled again from SQL: %d, the latest %s (%s)",
            backend, since, key, why,
        )  # fmt: skip
