"""Which of the tweets of one millisecond comes first: most archives tell seconds, and many begin with the newest."""

from tweeter.cli.load.database import BulkDatabase
from tweeter.cli.load.stage import Stage


def prepare_order(database: BulkDatabase, stage: Stage) -> tuple[str, list[str]]:
    """The order of the tweets of a millisecond in load_tweets, as `t`: what to join, and by what to order.

    Within a millisecond their ids decide, if all are numbers; these grow with time unless the file shows otherwise.
    Else their lines decide; later ones are newer unless the file shows otherwise. A reply that would come before its
    parent is moved to behind it.
    """
    line = "-{}.line" if stage.dates_rise < 0 else "{}.line"
    rank = "-{}.rank" if stage.ids_rise < 0 else "{}.rank"
    with database.staging():
        numbers, tweets = database.execute("SELECT count(rank), count(*) FROM load_tweets").one()
        if not numbers:
            rank = line
        elif numbers < tweets:
            # Where not all of a millisecond are numbers, lines are the only order they have in common.
            database.execute(
                "UPDATE load_tweets SET rank = NULL "
                "WHERE ms IN (SELECT ms FROM load_tweets GROUP BY ms HAVING count(rank) < count(*))"
            )
            rank = f"COALESCE({rank}, {line})".replace("{}", "{0}")
        own = rank.format("t")
        if not stage.any_parent or not _arrange_threads(database, rank):
            return "", [own, "t.line"] if numbers else [own]
    join = "LEFT JOIN load_threads AS h ON h.line = t.line"
    return join, [f"COALESCE(h.top, {own})", "COALESCE(h.depth, 0)", own, "t.line"]


def _arrange_threads(database: BulkDatabase, rank: str) -> bool:
    """Makes load_threads, of the replies of the same millisecond as their parents; False where all are in order.

    `top` is the greatest rank of the tweet and of those above it, `depth` is how many these are: in the order of both,
    every reply comes after its parent, and nothing else moves.
    """
    database.execute("CREATE INDEX load_tweets_source ON load_tweets (source)")
    child, parent = rank.format("t"), rank.format("p")
    pairs = "FROM load_tweets AS t JOIN load_tweets AS p ON p.source = t.parent AND p.ms = t.ms AND p.line <> t.line"
    # Of equal ranks (the ids 7 and 07) the lines decide.
    if database.execute(f"SELECT 1 {pairs} WHERE {parent} >= {child} LIMIT 1").first() is None:
        return False
    database.create("load_threads", "line INTEGER PRIMARY KEY, above INTEGER, top INTEGER, depth INTEGER")
    count = database.execute(
        f"""
        INSERT INTO load_threads (line, above, top, depth)
        SELECT t.line, p.line, CASE WHEN {parent} > {child} THEN {parent} ELSE {child} END, 1 {pairs}
        """
    ).rowcount
    # Each step looks twice as far up as the one before. The tweets of a circle never come to its end.
    for _ in range(count.bit_length()):
        database.execute(
            """
            UPDATE load_threads SET above = a.above, depth = load_threads.depth + a.depth,
                top = CASE WHEN a.top > load_threads.top THEN a.top ELSE load_threads.top END
            FROM load_threads AS a WHERE a.line = load_threads.above
            """
        )
    return True
