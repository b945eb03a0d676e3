"""The backends: one module each. `tweeter.timelines` names one.

A backend may also be a module elsewhere, with a dotted name; nothing else is edited. Its `includeme` passes an
ITimelineStore and an ITweetCache to `config.add_timeline_store(__name__, store=…, cache=…)`. `tweeter.testing` has the
tests that it must pass. docs/extending.md has the steps.
"""
