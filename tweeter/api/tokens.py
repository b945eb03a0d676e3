"""Access tokens: the table has their hashes, keyed as those of sessions are."""

import hashlib
import secrets
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Engine, and_, bindparam, or_, select

from tweeter.db.positions import WRITTEN, Written, written_of
from tweeter.db.prepared import Prepared
from tweeter.models import AccessToken, User
from tweeter.web.cookies import derive
from tweeter.web.security import IDENTITY_COLUMNS, Identity

SCOPES = {
    "read": "accounts blocks bookmarks favourites filters follows lists me mutes notifications search statuses",
    "write": "accounts blocks bookmarks conversations favourites filters follows lists media mutes notifications "
    "reports statuses",
}
# The scopes that an application may ask for. Tweeter has nothing that `push` would allow, but clients ask for it.
KNOWN = {"read", "write", "follow", "push", "profile"} | {
    f"{kind}:{part}" for kind, parts in SCOPES.items() for part in parts.split()
}
FOLLOW = {f"{kind}:{part}" for kind in SCOPES for part in ("blocks", "follows", "mutes")}


class Access(NamedTuple):
    """What a token allows: the user is None if the application acts for itself."""

    application_id: int
    scopes: frozenset[str]
    user: Identity | None
    written: Written | None = None  # what the user's pages must contain if a replica serves them

    def allows(self, scope: str) -> bool:
        """Whether one of the scopes includes this one: `read` includes `read:accounts`."""
        kind, _, part = scope.partition(":")
        return (
            scope in self.scopes
            or kind in self.scopes
            or ("follow" in self.scopes and scope in FOLLOW)
            or ("profile" in self.scopes and part == "me")
            or (part == "me" and f"{kind}:accounts" in self.scopes)
        )


_ACCESS = (
    select(
        AccessToken.application_id,
        AccessToken.scopes,
        AccessToken.user_id,
        *IDENTITY_COLUMNS,
    )
    .outerjoin(User, and_(User.id == AccessToken.user_id, User.auth_version == AccessToken.auth_version))
    .where(AccessToken.token_hash == bindparam("token_hash"))
)
_VALID = (
    select(AccessToken.token_hash)
    .outerjoin(User, and_(User.id == AccessToken.user_id, User.auth_version == AccessToken.auth_version))
    .where(
        AccessToken.token_hash.in_(bindparam("hashes", expanding=True)),
        or_(AccessToken.user_id.is_(None), User.id.is_not(None)),
    )
)


class Tokens:
    """Makes and hashes secrets of applications, and finds what a token allows."""

    def __init__(self, secret: str, statements: Engine, replicated: bool = False) -> None:
        self._key = derive(secret, "api").encode()
        self._statements = statements
        self._statement = Prepared(statements, _ACCESS.add_columns(*(WRITTEN if replicated else ())))

    def new(self) -> str:
        return secrets.token_urlsafe(32)

    def hash(self, token: str) -> bytes:
        return hashlib.blake2b(token.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).digest()

    def valid(self, hashes: Collection[bytes]) -> set[bytes]:
        """Those of these hashes whose tokens allow something."""
        with self._statements.connect() as connection:
            return set(connection.scalars(_VALID, {"hashes": list(hashes)}))

    def access(self, token: str) -> Access | None:
        """What the token allows; None if it is unknown, or the user has ended it."""
        row = self._statement.one_or_none(token_hash=self.hash(token))
        if row is None:
            return None
        application_id, scopes, user_id, *values = row
        if user_id is not None and values[0] is None:
            return None
        if user_id is None:
            return Access(application_id, frozenset(scopes.split()), None)
        user, where = Identity(*values[: len(Identity._fields)]), values[len(Identity._fields) :]
        return Access(application_id, frozenset(scopes.split()), user, written_of(user.id, *where) if where else None)
