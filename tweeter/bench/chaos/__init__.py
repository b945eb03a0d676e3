"""A mixed load on a whole cluster, while its parts are killed in turn; every page and every write is checked.

    tweeter bench chaos production.ini --seconds 600

Two site processes (`pserve`), `tweeter relay` and two Celery workers run on a private PostgreSQL with a streaming
replica, Redis, and a broker. Users with browsers post, delete, follow, and read pages. In turn Redis, the broker, a
worker, the relay, a site process, the replica, the primary, the process that delivers and both workers are killed with
SIGKILL and started again a second later. No acknowledged write may be lost. Pages must show the reader's own writes at
once and those of others within a second, and nothing that they must not. Only while the primary is down may responses
be 5xx. At the end `tweeter verify` must find no difference within ten seconds.
"""

from tweeter.bench.chaos.command import add_options, run

__all__ = ["add_options", "run"]
