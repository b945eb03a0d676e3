"""Bulk loading of users, follows, tweets, reposts and likes from files.

It has three steps, each with at most a batch in memory: files are read into temporary tables (`stage`), ordered there
(`tweets.arrange`), and written in short transactions, each of which leaves a consistent site (`people`, `tweets`,
`likes`, `links`). Existing rows are not changed. Loading is idempotent, and a repeated load continues where it was
interrupted.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tweeter.bulk.database import BulkDatabase
from tweeter.bulk.load.acts import report_refused
from tweeter.bulk.load.likes import write_likes
from tweeter.bulk.load.links import link_earlier_replies, write_links
from tweeter.bulk.load.people import write_follows, write_users
from tweeter.bulk.load.stage import Complaints, Stage
from tweeter.bulk.load.tweets import arrange, count_lines, write_tweets
from tweeter.console.commands import Site
from tweeter.console.progress import Progress
from tweeter.db.sessions import SessionFactory
from tweeter.outbox.site import end_load, site_id


@contextmanager
def _loading(sessions: SessionFactory) -> Iterator[list[bool]]:
    """At the end of the block, even if it is interrupted, makes all timelines of running sites cold, once.

    Until then they show the old pages. An error that ends the block gets a note on what is loaded. The list is
    non-empty once writing has begun.
    """
    writing: list[bool] = []
    try:
        site_id(sessions)  # creates the row in which changes are noted
        yield writing
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SQLAlchemyError | OSError):
            kept = "Rows loaded so far are kept. Run the same command again to complete the load."
            error.add_note(kept if writing else "Nothing was loaded.")
        with suppress(SQLAlchemyError):
            end_load(sessions)
        raise
    end_load(sessions)


def load(
    site: Site,
    bar: Progress,
    follows: Path | None,
    tweets: Path | None,
    password_hash: str = "",
    strict: bool = False,
    user: str | None = None,
) -> list[str]:
    """Loads the files. Returns the lines of the summary.

    With `user`, the name of an account, `follows` is a list from Mastodon and `tweets` belongs to a Twitter archive.
    Raises CommandError for an unreadable file, for an unknown user and, if strict, for a bad line.
    """
    with _loading(site.sessions) as writing, closing(BulkDatabase(site.engine)) as database:
        stage = Stage(database, bar, strict, site.settings["tweeter.message_limit"])
        if follows:
            stage.read_follows(follows) if user is None else stage.read_accounts(follows, user)
        if tweets:
            stage.read_tweets(tweets) if user is None else stage.read_archive(tweets, user)
        stage.check_names()
        writing.append(True)
        users = write_users(database, bar, password_hash)
        pairs, new_follows, blocked = write_follows(database, bar) if stage.follows else (0, 0, 0)
        new = {"users": users, "follows": new_follows, "tweets": 0}
        there, repeated = {"follows": pairs - new_follows - blocked}, {"follows": stage.follows - pairs}
        orphans, refused = Complaints(bar), Complaints(bar)
        if tweets and stage.lines:
            bar.phase("Sorting tweets", None)
            arrange(database, stage)
            write_tweets(database, bar, stage)
            if stage.lines["like"]:
                write_likes(database, bar)
            if stage.any_target:
                write_links(database, tweets, orphans)
                report_refused(database, tweets, refused)
            if stage.any_source:
                link_earlier_replies(database)
            for kind, lines, written, fresh in count_lines(database):
                new[f"{kind}s"], there[f"{kind}s"] = fresh, written - fresh
                repeated[f"{kind}s"] = stage.lines[kind] - lines
        bar.phase("Analyzing", None)
        database.analyze("users", "relationships", "tweets", "mentions", "hashtags", "likes")
    summary = [f"Loaded {', '.join(f'{count:,} {name}' for name, count in new.items())}."]
    for what, counts in (
        ("Already there", there),
        ("More than once in the files", repeated),
        ("Bad lines, skipped", {"": stage.bad_lines.count}),
        ("Accounts that were not followed", {"": stage.strangers.count}),
        ("Follows prevented by a block", {"": blocked}),
        ("Retweets loaded as tweets", {"": stage.retweets if user is not None else 0}),
        ("Reposts and likes that were skipped", {"": refused.count}),
        ("Replies loaded without a parent", {"": orphans.count}),
    ):
        if found := [f"{count:,} {name}".strip() for name, count in counts.items() if count]:
            summary.append(f"{what}: {', '.join(found)}.")
    return summary
