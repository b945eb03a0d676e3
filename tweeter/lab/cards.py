"""Cards for parts of the talk that a site may configure, such as a Redis Cluster.

A card appears when its part is configured. Other modules add cards with `config.add_lab_card`.
"""

import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import redis
from prometheus_client import REGISTRY
from pyramid.registry import Registry
from sqlalchemy import func, select

from tweeter.models import Celebrity

Figures = Callable[[Registry], Iterator[tuple[str, str]]]
TIMEOUT = 0.5  # seconds


class Card(NamedTuple):
    """`configured(settings)` decides whether it appears; `figures(registry)` are names and values for now."""

    name: str
    title: str
    slides: str
    text: str
    configured: Callable[[Any], bool]
    figures: Figures


def samples(*metrics: str) -> Figures:
    """The samples of these metrics of this process."""

    def figures(registry: Registry) -> Iterator[tuple[str, str]]:
        for metric in REGISTRY.collect():
            for sample in metric.samples:
                if sample.name in metrics and sample.value:
                    labels = ", ".join(sample.labels.values())
                    yield f"{metric.documentation.rstrip('.')}{f' ({labels})' if labels else ''}", f"{sample.value:,g}"

    return figures


def masters(registry: Registry) -> Iterator[tuple[str, str]]:
    """The masters of the cluster, and the keys that each holds."""
    address = urlsplit(registry.settings["tweeter.redis.url"])
    scheme = address.scheme.partition("+")[0]
    login, _, hosts = address.netloc.rpartition("@")
    first = f"{scheme}://{login}{'@' if login else ''}{hosts.split(',')[0]}"
    try:
        with closing(redis.RedisCluster.from_url(first, socket_timeout=TIMEOUT)) as client:
            for node in client.get_primaries():
                yield f"Master {node.name}", f"{client.dbsize(target_nodes=node):,} keys"
    except (redis.RedisError, redis.exceptions.RedisClusterException) as error:
        yield "No master responds", str(error)


def celebrities(registry: Registry) -> Iterator[tuple[str, str]]:
    """The authors that are or were celebrities, and the threshold."""
    yield "Followers from which an author is merged", f"{registry.settings['tweeter.celebrity_followers']:,}"
    with registry.database.sessions() as session:
        yield "Authors that are or were merged", f"{session.scalar(select(func.count()).select_from(Celebrity)):,}"


def talk() -> list[Card]:
    """The cards of the talk. Their texts are in talk.toml."""
    parts: dict[str, tuple[Callable[[Any], bool], Figures]] = {
        "queue": (
            lambda settings: settings["tweeter.delivery"] == "celery",
            samples("tweeter_broker_up", "tweeter_fan_out_chunks_outstanding", "tweeter_fan_out_chunks_total"),
        ),
        "cluster": (lambda settings: "+cluster://" in settings.get("tweeter.redis.url", ""), masters),
        "replica": (
            lambda settings: bool(settings["sqlalchemy.replica_urls"]),
            samples("tweeter_replica_serves", "tweeter_replica_lag_seconds", "tweeter_sql_reads_total"),
        ),
        "celebrity": (
            lambda settings: bool(settings.get("tweeter.celebrity_followers")),
            celebrities,
        ),
    }
    texts = tomllib.loads(Path(__file__).with_name("talk.toml").read_text(encoding="utf-8"))["card"]
    return [Card(**text, configured=parts[text["name"]][0], figures=parts[text["name"]][1]) for text in texts]
