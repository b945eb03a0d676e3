"""`tweeter demo`: a small lively site, with an account to sign in with."""

import argparse
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from tweeter import ids, outbox, text
from tweeter.cli.demo.notifications import write_notifications
from tweeter.cli.demo.texts import read_texts
from tweeter.cli.demo.world import DAYS, World, make_world
from tweeter.console.commands import CommandError, Site, add_ini, open_site
from tweeter.db.sessions import begin_immediate, write
from tweeter.models import Hashtag, Like, List, ListMember, Mention, Relationship, Tweet, User
from tweeter.models.base import now
from tweeter.services.checks import check_password
from tweeter.services.tags import name_tags
from tweeter.values import Reloaded

DEFAULT_ACCOUNT = "demo demodemo"
LISTED = 12  # members of each list


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        "demo",
        help="add sample users and tweets",
        description="""Adds a few hundred users with tweets of the last days, and the account of tweeter.demo_account
        to sign in with. Idempotent; existing accounts are not changed.""",
    )
    add_ini(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    with open_site(args.ini) as site:
        print(make_demo(site, now()))
    return 0


def make_demo(site: Site, moment: datetime) -> str:
    """Adds the demo as of that moment, in one transaction. Returns the lines to print."""
    username, password = demo_account(site.settings["tweeter.demo_account"])
    password_hash = site.passwords.hash(password)
    with site.sessions.begin() as session:
        begin_immediate(session)
        if _is_there(session):
            return "The demo exists already; nothing was changed."
        account_taken = bool(_taken(session, {username.lower()}))
        world = _make_world(session, username, account_taken)
        tweets = _write(session, world, moment, password_hash)
        outbox.record(session, Reloaded())
    lines = [f"Added {len(world.people):,} people, {len(world.follows):,} follows, {tweets:,} tweets."]
    if account_taken:
        lines.append(f"The account {username} existed already and was not changed.")
    elif site.settings["tweeter.production"]:
        lines.append(f"The password of {username} is public. Change it: tweeter user password {site.ini} {username}")
    else:
        lines.append(f"Sign in as {username} with the password {password}.")
    return "\n".join(lines)


def demo_account(value: str) -> tuple[str, str]:
    """The username and the password of the setting. Raises CommandError or Refused."""
    words = (value or DEFAULT_ACCOUNT).split()
    if len(words) != 2 or not text.USERNAME.fullmatch(words[0]):
        raise CommandError("tweeter.demo_account must be a username and a password, with a space between them.")
    check_password(words[1])
    return words[0], words[1]


def _is_there(session: Session) -> bool:
    """Whether the demo was loaded: searches for its notable people by their profiles."""
    texts = read_texts()
    people = [(star.username, star.name, star.bio) for star in texts.stars]
    people += [(username, name, language.bio) for language in texts.languages for username, name in language.people]
    keys = {f"{username.lower()}{end}" for username, _, _ in people for end in ("", "_2", "_3")}
    rows = session.execute(
        select(User.display_name, User.bio).where(User.username_key.in_(keys), User.password_hash == "")
    )
    profiles = {(name, bio) for _, name, bio in people}
    return any((name, bio) in profiles for name, bio in rows)


def _make_world(session: Session, username: str, account_taken: bool) -> World:
    """The demo's world, with people renamed until all usernames are unused."""
    taken = {username.lower()} if account_taken else set()
    while True:
        world = make_world(taken, None if account_taken else username)
        more = _taken(session, {person.username.lower() for person in world.people}) - taken
        if not more:
            return world
        taken |= more


def _taken(session: Session, keys: set[str]) -> set[str]:
    return set(session.scalars(select(User.username_key).where(User.username_key.in_(keys))))


def _write(session: Session, world: World, moment: datetime, password_hash: str) -> int:
    """Inserts the world up to the moment, counters included. Returns the number of tweets."""
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - timedelta(days=DAYS - 1)
    start_ms = round(start.timestamp() * 1000)
    posts = [post for post in world.posts if start_ms + post.time <= moment.timestamp() * 1000]
    tweets_count = Counter(post.author for post in posts)
    following_count = Counter(follower for follower, _ in world.follows)
    followers_count = Counter(followee for _, followee in world.follows)
    user_ids = session.scalars(
        insert(User).returning(User.id, sort_by_parameter_order=True),
        [
            {
                "username": person.username,
                "username_key": person.username.lower(),
                "display_name": person.display_name,
                "bio": person.bio,
                "password_hash": password_hash if i == world.demo else "",
                "tweets_count": tweets_count[i],
                "following_count": following_count[i],
                "followers_count": followers_count[i],
                "date": start - timedelta(days=1 + i * 37 % 900),
            }
            for i, person in enumerate(world.people)
        ],
    ).all()
    id_of = {person.username.lower(): user_id for person, user_id in zip(world.people, user_ids, strict=True)}
    session.execute(
        insert(Relationship),
        [{"from_user_id": user_ids[i], "to_user_id": user_ids[j]} for i, j in sorted(world.follows)],
    )
    tweet_ids = _give_ids(session, [ids.first_id_of_ms(start_ms + post.time) for post in posts])
    id_of_post = dict(zip(map(id, posts), tweet_ids, strict=True))
    replies_count = Counter(id(post.parent) for post in posts if post.parent)
    session.execute(
        insert(Tweet),
        [
            {
                "id": tweet_id,
                "user_id": user_ids[post.author],
                "message": post.text,
                "date": ids.date_of(tweet_id),
                "parent_id": id_of_post[id(post.parent)] if post.parent else None,
                "replies_count": replies_count[id(post)],
            }
            for tweet_id, post in zip(tweet_ids, posts, strict=True)
        ],
    )
    end_ms = round(moment.timestamp() * 1000)
    _write_acts(session, world, start_ms, end_ms, user_ids, id_of_post)
    entities = [(tweet_id, text.entities(post.text)) for tweet_id, post in zip(tweet_ids, posts, strict=True)]
    session.execute(
        insert(Mention),
        [
            {"user_id": id_of[name], "tweet_id": tweet_id}
            for tweet_id, found in entities
            for name in sorted(found.mentions)
            if name in id_of
        ],
    )
    name_tags(session, {tag for _, found in entities for tag in found.hashtags})
    session.execute(
        insert(Hashtag),
        [{"tag": tag, "tweet_id": tweet_id} for tweet_id, found in entities for tag in sorted(found.hashtags)],
    )
    _write_lists(session, world, user_ids, followers_count)
    if world.demo is not None:
        write_notifications(session, user_ids[world.demo], start_ms, end_ms)
    return len(posts)


def _write_lists(session: Session, world: World, user_ids: Sequence[int], followers: Counter[int]) -> None:
    """Inserts a public list of the most followed people, and a private one of the least followed."""
    by_followers = sorted((i for i in range(len(user_ids)) if i != world.demo), key=lambda i: (-followers[i], i))
    owner = user_ids[by_followers[0] if world.demo is None else world.demo]
    for name, private, people in (
        ("Everybody reads them", False, by_followers[:LISTED]),
        ("Hidden gems", True, by_followers[-LISTED:]),
    ):
        made = List(user_id=owner, name=name, private=private)
        session.add(made)
        session.flush()
        session.execute(insert(ListMember), [{"list_id": made.id, "user_id": user_ids[i]} for i in people])


def _write_acts(
    session: Session, world: World, start_ms: int, end_ms: int, user_ids: Sequence[int], id_of_post: dict[int, int]
) -> None:
    """Inserts the reposts and likes up to the moment, and counts them."""
    acts = [act for act in world.acts if start_ms + act.time <= end_ms]
    act_ids = _give_ids(session, [ids.first_id_of_ms(start_ms + act.time) for act in acts])
    reposts, likes, counts = [], [], dict[int, Counter[str]]()
    for id_, act in zip(act_ids, acts, strict=True):
        user_id, tweet_id = user_ids[act.user], id_of_post[id(act.post)]
        counts.setdefault(tweet_id, Counter())["reposts_count" if act.is_repost else "likes_count"] += 1
        if act.is_repost:
            date = ids.date_of(id_)
            reposts.append({"id": id_, "user_id": user_id, "message": "", "date": date, "repost_of_id": tweet_id})
        else:
            likes.append({"id": id_, "user_id": user_id, "tweet_id": tweet_id})
    if reposts:
        session.execute(insert(Tweet), reposts)
    if likes:
        session.execute(insert(Like), likes)
    for tweet_id, counted in counts.items():
        write(session, update(Tweet).where(Tweet.id == tweet_id).values(dict(counted)))


def _give_ids(session: Session, wanted: list[int]) -> list[int]:
    """These ids, in order; if an id is taken, the next free one."""
    taken = set(session.scalars(select(Tweet.id).where(Tweet.id.in_(wanted))))
    given = [0]
    for first in wanted:
        id_ = max(first, given[-1] + 1)
        # Only shifted ids need a query of their own, which is rare.
        while id_ in taken or (id_ != first and session.get(Tweet, id_) is not None):
            id_ += 1
        given.append(id_)
    return given[1:]
