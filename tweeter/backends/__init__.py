"""The backends: a module each, chosen by its name in `tweeter.timelines`.

A fifth one is one module here (or anywhere: then by its dotted name), that edits nothing else. Its `includeme` hands
an ITimelineStore and an ITweetCache to `config.add_timeline_store(__name__, store=…, cache=…)`; `tweeter.testing` has
the tests that it must pass. docs/architecture.md walks through one.
"""
