"""Accounts: opening, changing and closing them."""

from sqlalchemy.exc import IntegrityError

from tweeter import outbox, text
from tweeter.errors import Refused
from tweeter.models import Notifies, User
from tweeter.services.acting import Acting
from tweeter.services.checks import check_bio, check_display_name, check_password
from tweeter.values import AccountClosed, ProfileChanged


class Accounts(Acting):
    """The actions on one's own account."""

    def sign_up(self, username: str, password: str, display_name: str = "", bio: str = "") -> User:
        """Opens an account."""
        if not text.USERNAME.fullmatch(username):
            raise Refused("A username has 1 to 20 letters, digits or underscores.", "username")
        check_password(password)
        user = User(
            username=username,
            username_key=username.lower(),
            display_name=check_display_name(display_name) or username,
            bio=check_bio(bio),
            password_hash=self._passwords.hash(password),  # slow, so before anything is locked
        )
        try:
            with self._session.begin_nested():
                self._session.add(user)
        except IntegrityError:
            raise Refused("This username is taken.", "username") from None
        return user

    def change_profile(self, user_id: int, display_name: str, bio: str) -> None:
        """Changes name and bio. An empty name becomes the username."""
        user = self._user(user_id, lock=True)
        name = check_display_name(display_name) or user.username
        user.bio = check_bio(bio)
        if user.display_name != name:
            user.display_name, user.folded_name = name, text.fold(name)
            self._wrote(user_id)
            outbox.record(self._session, ProfileChanged(user_id))
        self._session.flush()

    def change_notifies(self, user_id: int, notifies: Notifies) -> None:
        """Changes what notifies the user. Pages then leave out other notifications, also earlier ones."""
        self._count(User.id == user_id, {"notifies": int(notifies)})

    def set_password(self, user_id: int, password: str) -> User:
        """Sets a new password, and ends every session that began with the old one."""
        check_password(password)
        password_hash = self._passwords.hash(password)  # slow, so before anything is locked
        user = self._user(user_id, lock=True)
        user.password_hash = password_hash
        user.auth_version = user.auth_version + 1
        self._session.flush()
        return user

    def sign_out_everywhere(self, user_id: int) -> None:
        """Ends every session of the account."""
        self._count(User.id == user_id, auth_version=1)

    def close_account(self, user_id: int) -> None:
        """Closes the account: no page shows it, its tweets or its follows from now on, and its username is free again.

        `tweeter.services.closing` removes the rows later: there may be millions, which would lock others too long.
        """
        user = self._user(user_id, lock=True)
        user.closed, user.suspended = True, False
        user.username_key = f"!{user_id}"  # not a valid username
        user.display_name = user.bio = user.password_hash = ""
        user.auth_version = user.auth_version + 1
        outbox.record(self._session, AccountClosed(user_id))
        self._session.flush()
