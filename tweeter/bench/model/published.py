"""Twitter's published figures beside the model, and the gap as a product of factors.

In 2014 one data centre held about 40 TB of timelines in more than 6,000 Redis instances, which served 30 million
queries a second (Yao Yue, Scaling Redis at Twitter, 2014). In 2012 and 2013 there were 30 billion deliveries a day to
three replicas, 300,000 timeline reads a second, and timelines of 800 entries for users who had been there within 30
days; an entry has the ids of tweet and author and 4 bytes of flags (Raffi Krikorian, Timelines at Scale).
"""

from typing import NamedTuple

from tweeter.bench.model.needs import DAY, Design

MEMORY = 40e12  # bytes
QUERIES = 30e6  # per second
INSTANCES = 6_000
DELIVERIES = 30e9 / DAY  # per second
REPLICAS = 3
READS = 300e3  # timelines per second
ENTRY = 20  # bytes: two ids of 8 and flags of 4
IDS = 800
USERS = 271e6  # who came within a month, by Twitter's report for the second quarter of 2014


class Compared(NamedTuple):
    what: str
    twitter: float
    model: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.twitter / self.model


def compare(redis: Design, bytes_of_800: float) -> list[Compared]:
    """Twitter's figures, and what the same work would take with Tweeter's timelines in Redis."""
    own = USERS * bytes_of_800
    writes = DELIVERIES * REPLICAS
    return [
        Compared("memory of timelines", MEMORY / 1e12, own / 1e12, "TB"),
        Compared("instances of 6.7 GB for this memory", INSTANCES, own / (MEMORY / INSTANCES), "instances"),
        Compared("queries: of timeline reads and deliveries", QUERIES / 1e6, (READS + writes) / 1e6, "million/s"),
        Compared("busy CPUs for these", INSTANCES, READS * redis.store.page + writes * redis.delivery, "instances"),
        Compared("busy CPUs if all queries were pages", INSTANCES, QUERIES * redis.store.page, "instances"),
    ]


def factors(bytes_of_800: float) -> dict[str, float]:
    """What the gap in memory consists of; their product is the gap."""
    known = {
        "three replicas instead of one copy": float(REPLICAS),
        f"{ENTRY} bytes an entry instead of {bytes_of_800 / IDS:.1f}": ENTRY * IDS / bytes_of_800,
    }
    gap = MEMORY / (USERS * bytes_of_800)
    rest = gap
    for factor in known.values():
        rest /= factor
    return known | {"the rest: headroom, fragmentation, overhead of lists, other timelines": rest}
