"""The entities of Mastodon's client API, as documented. What Tweeter does not have is empty, zero or null."""

from typing import Annotated, Any

import msgspec

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Day = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date"})]
Html = Annotated[str, msgspec.Meta(description="HTML")]
Url = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uri"})]
Nothing = Annotated[list[Any], msgspec.Meta(max_length=0, description="Always empty: Tweeter has none.")]
Zero = Annotated[int, msgspec.Meta(ge=0, le=0, description="Always 0: Tweeter has none.")]


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON object of the API."""


class Empty(Entity, frozen=True, kw_only=True):
    """An object without fields."""


class Source(Entity, frozen=True, kw_only=True):
    """An account's texts as its owner wrote them."""

    privacy: str = "public"
    sensitive: bool = False
    language: str | None = None
    note: str
    fields: Nothing = []
    follow_requests_count: Zero = 0


class Account(Entity, frozen=True, kw_only=True):
    """A user of the site."""

    id: str
    username: str
    acct: str
    display_name: str
    locked: bool = False
    bot: bool = False
    discoverable: bool = True
    indexable: bool = True
    group: bool = False
    created_at: Time
    note: Html
    url: Url
    uri: Url
    avatar: Url
    avatar_static: Url
    header: Url
    header_static: Url
    followers_count: int
    following_count: int
    statuses_count: int
    last_status_at: Day | None
    hide_collections: bool = False
    emojis: Nothing = []
    roles: Nothing = []
    fields: Nothing = []


class Role(Entity, frozen=True, kw_only=True):
    """What everyone may do on the site: nothing of what only moderators may."""

    id: str = "-99"
    name: str = ""
    color: str = ""
    permissions: str = "0"
    highlighted: bool = False


class Me(Account, frozen=True, kw_only=True):
    """The account of the token's user."""

    source: Source
    role: Role = Role()


class Mention(Entity, frozen=True, kw_only=True):
    """A user whose name is in a status."""

    id: str
    username: str
    url: Url
    acct: str


class StatusTag(Entity, frozen=True, kw_only=True):
    """A hashtag in a status."""

    name: str
    url: Url


class Tag(StatusTag, frozen=True, kw_only=True):
    """A hashtag."""

    id: str
    history: Nothing = []
    following: bool = False
    featuring: bool = False


class Status(Entity, frozen=True, kw_only=True):
    """A tweet; or a repost, with the tweet in `reblog` and its content."""

    id: str
    created_at: Time
    in_reply_to_id: str | None
    in_reply_to_account_id: str | None
    sensitive: bool = False
    spoiler_text: str = ""
    visibility: str = "public"
    language: str | None = None
    uri: Url
    url: Url
    content: Html
    reblogs_count: int
    favourites_count: int
    favourited: bool
    reblogged: bool
    muted: bool = False
    bookmarked: bool = False
    pinned: bool = False
    edited_at: Time | None = None
    reblog: "Status | None"
    application: None = None
    media_attachments: Nothing = []
    mentions: list[Mention]
    tags: list[StatusTag]
    emojis: Nothing = []
    card: None = None
    poll: None = None
    filtered: Nothing = []
    replies_count: int
    account: Account


class DeletedStatus(Status, frozen=True, kw_only=True):
    """A deleted tweet, with its text for a new draft."""

    text: str


class StatusEdit(Entity, frozen=True, kw_only=True):
    """A version of a status."""

    content: Html
    spoiler_text: str
    sensitive: bool
    created_at: Time
    account: Account
    media_attachments: Nothing = []
    emojis: Nothing = []


class StatusSource(Entity, frozen=True, kw_only=True):
    """The text of a tweet as its author wrote it."""

    id: str
    text: str
    spoiler_text: str = ""


class Notification(Entity, frozen=True, kw_only=True):
    """What an account did that concerns the token's user."""

    id: str
    type: str
    created_at: Time
    account: Account
    status: Status | None


class Context(Entity, frozen=True, kw_only=True):
    """The tweets above and below a tweet."""

    ancestors: list[Status]
    descendants: list[Status]


class ListOfAccounts(Entity, frozen=True, kw_only=True):
    """A list of people."""

    id: str
    title: str
    replies_policy: str = "list"
    exclusive: bool = False


class Relationship(Entity, frozen=True, kw_only=True):
    """How the token's user and an account are related."""

    id: str
    following: bool
    showing_reblogs: bool
    notifying: bool = False
    languages: Nothing = []
    followed_by: bool
    blocking: bool = False
    blocked_by: bool = False
    muting: bool = False
    muting_notifications: bool = False
    requested: bool = False
    requested_by: bool = False
    domain_blocking: bool = False
    endorsed: bool = False
    note: str = ""


class Suggestion(Entity, frozen=True, kw_only=True):
    """An account that the user may want to follow."""

    source: str = "global"
    sources: tuple[str, ...] = ("most_interactions",)
    account: Account


class Search(Entity, frozen=True, kw_only=True):
    """What a search found."""

    accounts: list[Account]
    statuses: list[Status]
    hashtags: list[Tag]


class Application(Entity, frozen=True, kw_only=True):
    """An application that uses the API."""

    id: str
    name: str
    website: str | None
    scopes: list[str]
    redirect_uri: str
    redirect_uris: list[str]
    vapid_key: str = ""


class NewApplication(Application, frozen=True, kw_only=True):
    """A registered application, with its secret, which is shown only once."""

    client_id: str
    client_secret: str
    client_secret_expires_at: Zero = 0


class Token(Entity, frozen=True, kw_only=True):
    """An access token."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 (a kind)
    scope: str
    created_at: int


class Marker(Entity, frozen=True, kw_only=True):
    """How far a timeline was read."""

    last_read_id: str
    version: int
    updated_at: Time
