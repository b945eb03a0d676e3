"""Writes tweets and reposts, mentions and hashtags from the temporary tables.

They are written in the order of time. So an interrupted load has written a prefix, and a repeated one continues from
there with the same ids. Within a millisecond (most archives have a resolution of seconds) tweets are ordered by their
ids if these are numbers that increase with time, else by line, which is backwards in a file with the newest tweets
first. In either case a reply follows its parent, and a repost its tweet.
"""

# ruff: noqa: S608 (nothing but our own words and numbers is put into the SQL)

from collections.abc import Sequence
from functools import partial

from tweeter import ids
from tweeter.bulk.database import BulkDatabase, Conflict
from tweeter.bulk.load.acts import Given, count_acts, find_originals, find_reposts
from tweeter.bulk.load.links import arrange_links
from tweeter.bulk.load.order import prepare_order
from tweeter.bulk.load.stage import Stage
from tweeter.console.progress import Progress
from tweeter.errors import TweeterError

IDS_OF_MS = 1 << ids.SEQUENCE_BITS
# If a millisecond has more tweets than ids, the others get ids of the next milliseconds, of so many at most.
LONGEST_SPILL = 60_000


def arrange(database: BulkDatabase, stage: Stage) -> None:
    """Creates load_order: `n` by time, and `occurrence`, the number of the line among lines with the same content.

    Author, time, message and occurrence identify a tweet: that is how a repeated load finds it on the site. Of several
    reposts or likes of one tweet by one user it contains the first.
    """
    with database.staging():
        # Two lines with the same id are the same tweet.
        database.execute(
            """
            DELETE FROM load_tweets WHERE source IS NOT NULL
            AND line NOT IN (SELECT min(line) FROM load_tweets WHERE source IS NOT NULL GROUP BY source)
            """
        )
        if stage.any_target:
            database.execute("CREATE INDEX load_tweets_source ON load_tweets (source)")
            find_originals(database)
        database.create(
            "load_order",
            "n INTEGER PRIMARY KEY, line INTEGER, kind TEXT, user_id INTEGER, ms INTEGER, occurrence INTEGER",
        )
        database.create("load_given", "n INTEGER PRIMARY KEY, id INTEGER, fresh BOOLEAN, about INTEGER")
        database.create("load_counts", "tweet_id INTEGER PRIMARY KEY, acts INTEGER")
        database.create("load_there", "user_id INTEGER, ms INTEGER, message TEXT, id INTEGER, occurrence INTEGER")
        if not database.postgresql:  # PostgreSQL uses a hash join, and cannot index the longest messages
            database.execute("CREATE INDEX load_there_same ON load_there (user_id, ms, message, occurrence)")
    database.analyze("load_tweets")
    join, order = prepare_order(database, stage)
    with database.staging():
        database.execute(
            f"""
            INSERT INTO load_order (n, line, kind, user_id, ms, occurrence)
            SELECT row_number() OVER (ORDER BY ms, {order}) AS n, t.line, kind, users.id, ms, row_number() OVER (
                PARTITION BY users.id, kind, CASE kind WHEN 'tweet' THEN ms END,
                    CASE kind WHEN 'tweet' THEN message ELSE target END
                ORDER BY ms, {order}
            )
            FROM load_tweets AS t JOIN users ON username_key = author {join}
            ORDER BY n
            """
        )
        database.execute("DELETE FROM load_order WHERE kind <> 'tweet' AND occurrence > 1")
        database.execute("CREATE INDEX load_order_line ON load_order (line)")
        database.execute("CREATE INDEX load_mentions_line ON load_mentions (line)")
        database.execute("CREATE INDEX load_hashtags_line ON load_hashtags (line)")
    database.analyze("load_order", "load_mentions", "load_hashtags")
    if stage.any_target:
        arrange_links(database)


def count_lines(database: BulkDatabase) -> Sequence[tuple[str, int, int, int]]:
    """For each kind: the lines of load_order, those that are on the site now, and those that this load wrote."""
    with database.staging():
        counts: Sequence[tuple[str, int, int, int]] = database.execute(
            """
            SELECT kind, count(*), count(g.n), sum(CASE WHEN g.fresh THEN 1 ELSE 0 END)
            FROM load_order AS o LEFT JOIN load_given AS g ON g.n = o.n GROUP BY kind ORDER BY kind DESC
            """
        ).all()
    return counts


def write_tweets(database: BulkDatabase, progress: Progress, stage: Stage) -> None:
    """Adds new tweets and reposts with their mentions, hashtags and counters."""
    progress.phase("Writing tweets", stage.lines.total())
    has_links = stage.any_target
    add = f"""
        INSERT INTO tweets (id, user_id, message, folded, date, parent_id, repost_of_id)
        SELECT g.id, o.user_id, t.message, t.folded, {database.date("o.ms")},
            {"COALESCE(p.id, i.tweet_id)" if has_links else "NULL"}, g.about
        {_FRESH} JOIN load_tweets AS t ON t.line = o.line JOIN users ON users.id = o.user_id
        {_PARENTS if has_links else ""}
        WHERE {_OF_BATCH} ORDER BY g.n
        """
    steps = [_ADD_TAGS, _ADD_HASHTAGS, _COUNT, *([_COUNT_REPLIES] if has_links else [])]
    for after, last, count in database.batches("load_order"):
        database.commit(partial(_write_batch, database, add, steps, stage, after, last))
        progress.advance(count)


def _write_batch(
    database: BulkDatabase, add: str, steps: list[str], stage: Stage, after: int, last: int, again: bool
) -> int:
    given = _give_ids(database, stage, after, last, again)
    new = sum(row.fresh for row in given)
    database.insert_rows("load_given", Given._fields, given)
    hold_users = database.hold("users")
    if database.execute(f"{add} {hold_users}", after=after, last=last).rowcount < new:
        raise Conflict  # an account was deleted
    for step in [f"{_ADD_MENTIONS} {hold_users}", *steps] if new else ():
        database.execute(step, after=after, last=last)
    if stage.any_source:
        database.execute(_KEEP_SOURCES.format(database.hold("tweets")), after=after, last=last)
    count_acts(database, "reposts_count", given)
    return new


def _give_ids(database: BulkDatabase, stage: Stage, after: int, last: int, again: bool) -> list[Given]:
    """The ids of the tweets and reposts of a batch, without those tweets that load_given has now: existing ones.

    In a millisecond new ids continue after the greatest existing one.
    """
    # By primary key: SQLite would scan a whole index if the table was small when it was analyzed.
    tweets = "tweets" if database.postgresql else "tweets NOT INDEXED"
    # In a repeated transaction, without users whose accounts were closed since.
    still_open = "AND EXISTS (SELECT 1 FROM users WHERE id = o.user_id AND NOT closed)" if again else ""
    execute = database.execute
    rows = execute(
        f"""
        SELECT n, kind, ms, CASE WHEN COALESCE(lag(ms) OVER (ORDER BY n), 0) <> ms THEN (
            SELECT max(id) FROM {tweets} WHERE id >= {_FIRST_ID} AND id < {_FIRST_ID} + {IDS_OF_MS}
        ) END AS greatest
        FROM load_order AS o WHERE n > :after AND n <= :last AND kind <> 'like' {still_open} ORDER BY n
        """,
        after=after,
        last=last,
    ).all()
    after_greatest = f"SELECT max(id) + 1 FROM {tweets} WHERE id >= :id AND id < :id + {IDS_OF_MS}"
    taken = [(ms, greatest) for _, _, ms, greatest in rows if greatest is not None]
    there = _existing(database, after, last, taken) if taken else {}
    database.insert_rows("load_given", Given._fields, ((n, id_, False, None) for n, id_ in there.items()))
    acts = find_reposts(database, after, last) if stage.lines["repost"] else {}
    reposts = {(act.user_id, act.tweet_id): act.id for act in acts.values() if act.id is not None}
    given: dict[int, Given] = {}
    id_ = 0
    for n, kind, ms, greatest in rows:
        id_ = max(id_, greatest or 0)
        if n in there:
            continue
        next_id = max(id_ + 1, first := ids.first_id_of_ms(ms))
        while next_id > first and next_id % IDS_OF_MS == 0 and (free := execute(after_greatest, id=next_id).scalar()):
            next_id = free  # in the next millisecond, after its tweets
        if next_id > ids.MAX_ID:
            raise TweeterError("There are more tweets at the last possible date than ids.")
        about = None
        if kind == "repost":
            if (act := acts.get(n)) is None:
                continue
            # A tweet of this batch has just been given its id.
            about = given[act.target_n].id if act.target_n in given else act.tweet_id
            if about is None or about >= next_id:
                continue
            if (repost_id := reposts.setdefault((act.user_id, about), next_id)) != next_id:
                given[n] = Given(n, repost_id, False, about)
                continue
        id_ = next_id
        given[n] = Given(n, id_, True, about)
    return list(given.values())


def _existing(database: BulkDatabase, after: int, last: int, taken: list[tuple[int, int]]) -> dict[int, int]:
    """The ids of lines that are tweets of the site already, in a batch whose `taken` milliseconds have tweets."""
    spill = LONGEST_SPILL if any((greatest + 1) % IDS_OF_MS == 0 for _, greatest in taken) else 1
    of_batch = "o.n > :after AND o.n <= :last AND o.ms >= :first_ms AND o.ms <= :last_ms AND o.kind = 'tweet'"
    same_moment = f"""
        tweets.user_id = o.user_id AND tweets.repost_of_id IS NULL AND tweets.date = {database.date("o.ms")}
        AND tweets.id >= {_FIRST_ID} AND tweets.id < {_FIRST_ID} + {spill * IDS_OF_MS}
        """
    if database.postgresql:
        # OFFSET 0 forces a look-up by author and time, whatever the planner estimates.
        found = f"JOIN LATERAL (SELECT id, message FROM tweets WHERE {same_moment} OFFSET 0) AS tweets ON true"
    else:
        found = f"JOIN tweets ON {same_moment}"
    batch = {"after": after, "last": last, "first_ms": taken[0][0], "last_ms": taken[-1][0]}
    database.empty("load_there")
    database.execute(
        f"""
        INSERT INTO load_there (user_id, ms, message, id, occurrence)
        SELECT o.user_id, o.ms, tweets.message, tweets.id,
            row_number() OVER (PARTITION BY o.user_id, o.ms, tweets.message ORDER BY tweets.id)
        FROM (SELECT DISTINCT o.user_id, o.ms FROM load_order AS o WHERE {of_batch}) AS o {found}
        """,
        **batch,
    )
    rows = database.execute(
        # MATERIALIZED and CROSS JOIN fix the plan: one look-up by all columns for each line.
        f"""
        WITH lines AS MATERIALIZED (
            SELECT o.n, o.user_id, o.ms, o.occurrence, t.message
            FROM load_order AS o JOIN load_tweets AS t ON t.line = o.line WHERE {of_batch}
        )
        SELECT lines.n, there.id
        FROM lines CROSS JOIN load_there AS there
        WHERE there.user_id = lines.user_id AND there.ms = lines.ms AND there.message = lines.message
            AND there.occurrence = lines.occurrence
        """,
        **batch,
    )
    return {n: id_ for n, id_ in rows}  # noqa: C416 (a result has keys(), so dict() misunderstands it)


_FIRST_ID = f"((o.ms - {ids.EPOCH_MS}) << {ids.SEQUENCE_BITS})"
_FRESH = "FROM load_given AS g JOIN load_order AS o ON o.n = g.n"
_OF_BATCH = "g.n > :after AND g.n <= :last AND g.fresh"

# The parent of a line: an earlier line (by time) of the same file, else a tweet of an earlier load with that id.
# Later lines have no id yet; `write_links` adds them at the end.
_PARENTS = """
    LEFT JOIN load_links AS l ON l.n = g.n
    LEFT JOIN load_given AS p ON p.n = l.target_n AND l.target_n < l.n
    LEFT JOIN imported AS i ON i.source_id = l.target AND l.target_n IS NULL
    """

# Of mentioned users, those that exist, without blocks between them and the author.
_ADD_MENTIONS = f"""
    INSERT INTO mentions (user_id, tweet_id)
    SELECT users.id, g.id
    {_FRESH} JOIN load_mentions AS m ON m.line = o.line JOIN users ON users.username_key = m.name
    WHERE {_OF_BATCH} AND NOT users.closed
    AND NOT EXISTS (SELECT 1 FROM blocks AS b WHERE b.from_user_id = users.id AND b.to_user_id = o.user_id)
    AND NOT EXISTS (SELECT 1 FROM blocks AS b WHERE b.from_user_id = o.user_id AND b.to_user_id = users.id)
    """

# Ordered: two transactions that add the same tags wait, not deadlock.
_ADD_TAGS = f"""
    INSERT INTO tags (tag)
    SELECT DISTINCT h.tag {_FRESH} JOIN load_hashtags AS h ON h.line = o.line
    WHERE {_OF_BATCH} AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.tag = h.tag) ORDER BY h.tag
    ON CONFLICT DO NOTHING
    """
_ADD_HASHTAGS = f"""
    INSERT INTO hashtags (tag, tweet_id)
    SELECT h.tag, g.id {_FRESH} JOIN load_hashtags AS h ON h.line = o.line WHERE {_OF_BATCH}
    """

_COUNT = f"""
    UPDATE users SET tweets_count = tweets_count + steps.tweets
    FROM (
        SELECT o.user_id, count(*) AS tweets {_FRESH} WHERE {_OF_BATCH} AND g.about IS NULL GROUP BY o.user_id
    ) AS steps
    WHERE users.id = steps.user_id
    """

_COUNT_REPLIES = """
    UPDATE tweets SET replies_count = replies_count + steps.replies
    FROM (
        SELECT r.parent_id AS id, count(*) AS replies
        FROM load_given AS g JOIN tweets AS r ON r.id = g.id
        WHERE g.n > :after AND g.n <= :last AND g.fresh AND r.parent_id IS NOT NULL
        GROUP BY r.parent_id
    ) AS steps
    WHERE tweets.id = steps.id
    """

_KEEP_SOURCES = """
    INSERT INTO imported (source_id, tweet_id)
    SELECT t.source, g.id
    FROM load_given AS g
    JOIN load_order AS o ON o.n = g.n
    JOIN load_tweets AS t ON t.line = o.line
    JOIN tweets ON tweets.id = g.id
    WHERE g.n > :after AND g.n <= :last AND t.source IS NOT NULL AND g.about IS NULL
    {}
    ON CONFLICT (source_id) DO UPDATE SET tweet_id = excluded.tweet_id
    WHERE imported.tweet_id <> excluded.tweet_id
    """
