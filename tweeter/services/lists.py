"""Lists of people: making, changing and deleting them, and their members."""

from typing import Any

from sqlalchemy import delete, func, select

from tweeter import outbox
from tweeter.db.sessions import insert_new, write
from tweeter.errors import Missing, NotYours, Refused
from tweeter.models import List, ListMember, User
from tweeter.services.acting import Acting
from tweeter.services.checks import check_list_name
from tweeter.values import ListChanged

MOST_LISTS, MOST_MEMBERS = 100, 5000  # of a user; of a list


class Lists(Acting):
    """The actions on one's own lists. A change of the members is idempotent.

    The owner's row is locked, so nobody else changes the list meanwhile.
    """

    def make_list(self, user_id: int, name: str, private: bool = False) -> List:
        """Makes an empty list. Only the user sees a private one."""
        name = check_list_name(name)
        self._lock(user_id)
        if self._count_all(List.id, List.user_id == user_id) >= MOST_LISTS:
            raise Refused(f"You have {MOST_LISTS} lists already. Delete one first.", "name")
        made = List(user_id=user_id, name=name, private=private)
        self._session.add(made)
        self._session.flush()
        return made

    def change_list(self, user_id: int, list_id: int, name: str, private: bool | None = None) -> List:
        """Renames a list, and changes who sees it if `private` is given."""
        name = check_list_name(name)
        self._lock(user_id)
        changed = self._own_list(user_id, list_id)
        changed.name = name
        if private is not None:
            changed.private = private
        self._session.flush()
        return changed

    def delete_list(self, user_id: int, list_id: int) -> None:
        """Deletes a list."""
        self._lock(user_id)
        self._own_list(user_id, list_id)
        write(self._session, delete(ListMember).where(ListMember.list_id == list_id))
        write(self._session, delete(List).where(List.id == list_id))
        self._list_changed(user_id, list_id)

    def add_member(self, user_id: int, list_id: int, username: str) -> User:
        """Adds a user to a list and returns them. Refused if one of the two blocks the other."""
        list_, member = self._own_list(user_id, list_id), self.find(username)
        self._lock(*{user_id, member.id})
        self._refuse_blocked(user_id, member.id, f"You can't add @{member.username} to a list")
        if self._count_all(ListMember.user_id, ListMember.list_id == list_id) >= MOST_MEMBERS:
            raise Refused(f"“{list_.name}” has {MOST_MEMBERS:,} members already.", "username")
        if insert_new(self._session, ListMember, list_id=list_id, user_id=member.id):
            self._list_changed(user_id, list_id)
        return member

    def remove_member(self, user_id: int, list_id: int, username: str) -> User:
        """Removes a user, also a suspended one, from a list, and returns them."""
        self._own_list(user_id, list_id)
        member = self.find(username, suspended=True)
        self._lock(*{user_id, member.id}, even=member.id)
        self._remove_from(user_id, list_id, member.id)
        return member

    def _leave_lists(self, user_id: int, other_id: int) -> None:
        """Removes a user from all lists of another. Both are locked."""
        theirs = select(List.id).where(List.user_id == other_id)
        left = select(ListMember.list_id).where(ListMember.user_id == user_id, ListMember.list_id.in_(theirs))
        for list_id in self._session.scalars(left).all():
            self._remove_from(other_id, list_id, user_id)

    def _remove_from(self, user_id: int, list_id: int, member_id: int) -> None:
        is_member = (ListMember.list_id == list_id, ListMember.user_id == member_id)
        if write(self._session, delete(ListMember).where(*is_member)):
            self._list_changed(user_id, list_id)

    def _list_changed(self, user_id: int, list_id: int) -> None:
        self._wrote(user_id)
        outbox.record(self._session, ListChanged(list_id))
        self._session.flush()

    def _own_list(self, user_id: int, list_id: int) -> List:
        """The list. Raises Missing, or NotYours if it is another user's."""
        found = self._session.get(List, list_id, populate_existing=True)
        if found is None or (found.private and found.user_id != user_id):
            raise Missing("There is no such list.")
        if found.user_id != user_id:
            raise NotYours("This list belongs to another user.")
        return found

    def _count_all(self, column: Any, where: Any) -> int:
        return self._session.scalar(select(func.count(column)).where(where)) or 0
