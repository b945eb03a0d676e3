"""The steps of people who keep lists in the property test of law 1."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tweeter.testing.choosing import Chooser, refused, somebody, whom

MOST = 3  # lists
some_list = precondition(lambda self: bool(self.site.model.shown_lists()))


class ListKeepers(Chooser):
    """Acts on the lists of `site` and of its model."""

    @precondition(lambda self: len(self.site.model.lists) < MOST)
    @somebody
    @rule(process=whom, user=whom, private=st.booleans())
    def make_list(self, process: int, user: int, private: bool) -> None:
        owner = self._user(user)
        with self._process(process).acting() as actions:
            id_ = actions.make_list(owner, "friends", private).id
        self.site.model.lists[id_] = owner, set()

    @some_list
    @rule(process=whom, number=whom, user=whom, deliver=st.sampled_from([True, True, False]))
    def add_member(self, process: int, number: int, user: int, deliver: bool) -> None:
        model, list_id, member = self.site.model, self._list(number), self._user(user)
        owner, members = model.lists[list_id]
        blocked = model.blocked(owner, member)
        with refused(blocked), self._process(process).acting(deliver) as actions:
            actions.add_member(owner, list_id, model.usernames[member])
        if not blocked:
            members.add(member)

    add_another_member = add_member

    @some_list
    @rule(process=whom, number=whom, user=whom)
    def remove_member(self, process: int, number: int, user: int) -> None:
        model, list_id, member = self.site.model, self._list(number), self._user(user)
        owner, members = model.lists[list_id]
        with self._process(process).acting() as actions:
            actions.remove_member(owner, list_id, model.usernames[member])
        members.discard(member)

    @some_list
    @rule(process=whom, number=whom)
    def delete_list(self, process: int, number: int) -> None:
        list_id = self._list(number)
        owner, _ = self.site.model.lists.pop(list_id)
        with self._process(process).acting() as actions:
            actions.delete_list(owner, list_id)

    def _list(self, number: int) -> int:
        lists = sorted(self.site.model.shown_lists())
        return lists[number % len(lists)]
