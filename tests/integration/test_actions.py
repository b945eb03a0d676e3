"""Actions: their rules."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tests.support.acting import (  # noqa: F401
    PASSWORD,
    Act,
    Acting,
    Sessions,
    act,
    all_events,
    check_everything,
    counters,
    last_event,
    people,
    remove,
    user,
)
from tweeter import ids
from tweeter.errors import Missing, NotYours, Refused
from tweeter.models import Mention, Relationship, Tweet, User
from tweeter.services.checks import BIO_LENGTH, NAME_LENGTH
from tweeter.services.passwords import Passwords
from tweeter.values import (
    AccountClosed,
    Followed,
    ProfileChanged,
    TweetCreated,
    TweetsDeleted,
    Unfollowed,
)

# the rules: accounts


def test_a_new_account(acting: Acting, sessions: Sessions) -> None:
    with acting() as actions:
        actions.sign_up("Ada_1", PASSWORD, "  Ada\nLovelace ", "I compute.\r\nSlowly.")
    ada = user(sessions, "ada_1")
    assert (ada.username, ada.display_name, ada.bio) == ("Ada_1", "Ada Lovelace", "I compute.\nSlowly.")
    assert PASSWORD not in ada.password_hash
    assert Passwords(1, 8).check(ada.password_hash, PASSWORD)
    assert counters(sessions, "ada_1") == (0, 0, 0)


def test_display_name_defaults_to_the_username(people: dict[str, int], sessions: Sessions) -> None:
    assert user(sessions, "ada").display_name == "ada"


@pytest.mark.parametrize("name", ["", "x" * 21, "a b", "a-b", "é", "a@b", "ada\n", " ada", "аda", "１"])
def test_invalid_names_are_refused(acting: Acting, name: str) -> None:
    with pytest.raises(Refused, match="letters, digits or underscores") as caught, acting() as actions:
        actions.sign_up(name, PASSWORD)
    assert caught.value.field == "username"


@pytest.mark.parametrize("name", ["ada", "ADA", "aDa"])
def test_usernames_are_unique_case_insensitively(
    acting: Acting, people: dict[str, int], sessions: Sessions, name: str
) -> None:
    with acting() as actions:
        with pytest.raises(Refused, match="taken"):
            actions.sign_up(name, PASSWORD)
        actions.sign_up("zoe", PASSWORD)  # the transaction can go on
    assert user(sessions, "zoe")


@pytest.mark.parametrize("password", ["", "1234567", "x" * 201])
def test_invalid_passwords_are_refused(acting: Acting, password: str) -> None:
    with pytest.raises(Refused) as caught, acting() as actions:
        actions.sign_up("ada", password)
    assert caught.value.field == "password"


@pytest.mark.parametrize(("display_name", "bio", "field"), [
    ("x" * (NAME_LENGTH + 1), "", "display_name"),
    ("e" + "\u0301\u0302" * 200, "", "display_name"),
    ("", "x" * (BIO_LENGTH + 1), "bio"),
    ("", "e" + "\u0301" * 10_000, "bio"),
])  # fmt: skip
def test_too_long_names_and_bios_are_refused(
    acting: Acting, people: dict[str, int], display_name: str, bio: str, field: str
) -> None:
    with pytest.raises(Refused) as caught, acting() as actions:
        actions.change_profile(people["ada"], display_name, bio)
    assert caught.value.field == field


def test_emoji_in_names_count_as_seen(act: Act, sessions: Sessions) -> None:
    act("change_profile", "ada", "👨‍👩‍👧" * 20, "🇩🇪" * BIO_LENGTH)
    assert user(sessions, "ada").display_name == "👨‍👩‍👧" * 20


def test_longest_allowed_name_can_be_kept(act: Act, sessions: Sessions) -> None:
    name = "👨‍👩‍👧‍👦" * 28
    act("change_profile", "ada", name, "")
    assert user(sessions, "ada").display_name == name


def test_new_name_records_an_event_and_new_bio_does_not(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    act("change_profile", "ada", "Countess", "")
    assert all_events(sessions) == [ProfileChanged(people["ada"])]
    act("change_profile", "ada", "Countess", "A new bio")
    assert all_events(sessions) == [ProfileChanged(people["ada"])]
    assert user(sessions, "ada").bio == "A new bio"


def test_a_new_password_ends_the_sessions_of_the_old_one(act: Act, sessions: Sessions) -> None:
    before = user(sessions, "ada")
    act("set_password", "ada", "another one")
    after = user(sessions, "ada")
    assert after.auth_version != before.auth_version
    assert Passwords(1, 8).check(after.password_hash, "another one")
    with pytest.raises(Refused):
        act("set_password", "ada", "short")


def test_closing_an_account_removes_all_of_it(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    kept = act("post", "bob", "hello @ada")
    gone = [act("post", "ada", f"tweet {number} @bob") for number in range(3)]
    answer = act("post", "eve", "answer", gone[0])
    act("follow", "ada", "bob")
    act("follow", "eve", "ada")
    act("follow", "eve", "bob")
    act("close_account", "ada")
    assert all_events(sessions)[-1] == AccountClosed(people["ada"])
    remove(sessions)
    with sessions() as session:
        assert set(session.scalars(select(Tweet.id))) == {kept, answer}
        assert session.scalars(select(Mention.user_id)).all() == []
        assert session.execute(select(Relationship.from_user_id, Relationship.to_user_id)).all() == [
            (people["eve"], people["bob"])
        ]
        assert session.get(User, people["ada"]) is None
    assert counters(sessions, "bob") == (1, 1, 0)
    assert counters(sessions, "eve") == (1, 0, 1)
    assert all_events(sessions)[-1] == TweetsDeleted(tuple(gone[::-1]), people["ada"])
    check_everything(sessions)
    for name, arguments in [
        ("post", ("hi",)), ("follow", ("bob",)), ("change_profile", ("x", "")), ("set_password", (PASSWORD,)),
        ("close_account", ()), ("delete", (gone[0],)),
    ]:  # fmt: skip
        with pytest.raises(Missing):
            act(name, "ada", *arguments)
    check_everything(sessions)


def test_name_of_a_closed_account_can_be_reused(act: Act, acting: Acting, people: dict[str, int]) -> None:
    act("close_account", "ada")
    with acting() as actions:
        assert actions.sign_up("ADA", PASSWORD).id not in people.values()


def test_closing_announces_many_tweets_in_chunks(
    act: Act, acting: Acting, sessions: Sessions, people: dict[str, int]
) -> None:
    limit = 20
    number = limit * 2 + 1
    with acting() as actions:
        for _ in range(number):
            actions.post(people["ada"], "again")
    act("close_account", "ada")
    remove(sessions, limit)
    chunks = [event.tweet_ids for event in all_events(sessions) if isinstance(event, TweetsDeleted)]
    assert sum(map(len, chunks)) == number
    assert max(map(len, chunks)) == limit
    check_everything(sessions)


# the rules: tweets


def test_a_tweet(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    id_ = act("post", "ada", "  hello\r\n@bob @nobody and @BOB  ")
    with sessions() as session:
        tweet = session.get_one(Tweet, id_)
        assert tweet.message == "hello\n@bob @nobody and @BOB"
        assert tweet.date == ids.date_of(id_)
        assert session.execute(select(Mention.user_id, Mention.tweet_id)).all() == [(people["bob"], id_)]
    assert all_events(sessions) == [TweetCreated(id_, people["ada"])]
    assert counters(sessions, "ada") == (1, 0, 0)


@pytest.mark.parametrize("message", ["", "  \n ", "\u200b", "\u202e", "x" * 141, "a" + "\u0301" * 5000, "x " * 50_000])
def test_invalid_messages_are_refused(act: Act, sessions: Sessions, message: str) -> None:
    with pytest.raises(Refused) as caught:
        act("post", "ada", message)
    assert caught.value.field == "message"
    assert counters(sessions, "ada") == (0, 0, 0)
    assert all_events(sessions) == []


@pytest.mark.parametrize("character", ["x", "é", "e\u0301", "🇩🇪", "👨‍👩‍👧‍👦", "日"])
def test_message_limit_is_140_visible_characters(act: Act, character: str) -> None:
    assert act("post", "ada", character * 140)
    with pytest.raises(Refused, match="1 characters? too long"):
        act("post", "ada", character * 141)


def test_reply_to_a_deleted_tweet_is_refused(act: Act, sessions: Sessions) -> None:
    parent = act("post", "ada", "question")
    answer = act("post", "bob", "answer", parent)
    with sessions() as session:
        assert session.get_one(Tweet, answer).parent_id == parent
    act("delete", "ada", parent)
    with sessions() as session:
        assert session.get_one(Tweet, answer).parent_id == parent
    with pytest.raises(Missing, match="was deleted"):
        act("post", "bob", "too late", parent)


def test_users_can_delete_only_their_own_tweets(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    id_ = act("post", "ada", "hello @bob")
    with pytest.raises(NotYours):
        act("delete", "bob", id_)
    act("delete", "ada", id_)
    assert last_event(sessions) == TweetsDeleted((id_,), people["ada"])
    assert counters(sessions, "ada") == (0, 0, 0)
    with pytest.raises(Missing):
        act("delete", "ada", id_)
    with pytest.raises(Missing):
        act("delete", "ada", ids.MAX_ID)
    with sessions() as session:
        assert session.scalars(select(Mention)).all() == []
    check_everything(sessions)


def test_id_taken_by_another_process_is_skipped(act: Act, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    first = act("post", "ada", "first")
    given = iter([first, first, first, first + 1])
    monkeypatch.setattr("tweeter.ids.generate_id", lambda after=0: next(given))
    assert act("post", "bob", "second") == first + 1
    assert counters(sessions, "bob") == (1, 0, 0)
    check_everything(sessions)


def test_permanently_taken_ids_raise_an_error(act: Act, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    first = act("post", "ada", "first")
    monkeypatch.setattr("tweeter.ids.generate_id", lambda after=0: first)
    with pytest.raises(IntegrityError):
        act("post", "bob", "second")
    check_everything(sessions)


# the rules: relationships


def test_following_and_unfollowing(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    act("follow", "ada", "BOB")
    act("follow", "ada", "bob")
    assert all_events(sessions) == [Followed(people["ada"], people["bob"])]
    assert counters(sessions, "ada") == (0, 0, 1)
    assert counters(sessions, "bob") == (0, 1, 0)
    act("unfollow", "ada", "Bob")
    act("unfollow", "ada", "bob")
    assert all_events(sessions)[1:] == [Unfollowed(people["ada"], people["bob"])]
    assert counters(sessions, "ada") == counters(sessions, "bob") == (0, 0, 0)


def test_invalid_follows_are_refused(act: Act, sessions: Sessions) -> None:
    with pytest.raises(Refused, match="yourself"):
        act("follow", "ada", "Ada")
    for name in ("nobody", "", "x" * 5000, "a\x00b", "'"):
        with pytest.raises(Missing):
            act("follow", "ada", name)
        with pytest.raises(Missing):
            act("unfollow", "ada", name)
    assert all_events(sessions) == []
