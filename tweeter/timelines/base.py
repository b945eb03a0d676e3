"""The three timelines as one."""

from tweeter.values import Cursor, Page, Timeline


class Timelines:
    """What every ITimelines has in common: public, home and profile are each a Timeline of `page`."""

    def page(self, timeline: Timeline, cursor: Cursor, written: int = 0) -> Page:
        raise TypeError("a kind of timelines has to say how it answers a page")

    def public(self, cursor: Cursor, written: int = 0) -> Page:
        return self.page(Timeline.public(), cursor, written)

    def home(self, user_id: int, cursor: Cursor, written: int = 0) -> Page:
        return self.page(Timeline.home(user_id), cursor, written)

    def profile(self, user_id: int, cursor: Cursor, written: int = 0) -> Page:
        return self.page(Timeline.profile(user_id), cursor, written)
