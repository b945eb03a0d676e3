"""A model of Tweeter: fitted on some points of a report, it predicts the others, and what large sites need.

    tweeter bench model docs/results/bench.json
    tweeter bench model bench/bench.json --users 1000000,100000000 --pages 50

`fits` has the parameters, `simulation` the queues, `predictions` the points that the model was not fitted on, `needs`
the sites that no machine here can run, and `published` the figures of others.
"""

from tweeter.bench.model.command import add_options, show

__all__ = ["add_options", "show"]
