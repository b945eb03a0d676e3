"""A recorded fan-out to watch: a post, the relay's chunks, each follower's arrival, a kill, the takeover.

    tweeter bench animation development.ini --output fan-out.html

Two relays run as processes of their own. The one that delivers is killed with SIGKILL in the middle of the fan-out.
Meanwhile the command asks Redis for the newest id of some 2,000 followers, evenly spread, and for the relay's
checkpoint, every few milliseconds. At the end it compares the timelines of all followers with SQL. The page is
self-contained: it plays offline in a browser, and prints as a still.
"""

from tweeter.bench.animation.command import add_options, run

__all__ = ["add_options", "run"]
