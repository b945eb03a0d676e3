"""The order of tweets of one millisecond: most archives have a resolution of seconds, many begin with the newest."""

from tweeter.bulk.database import BulkDatabase
from tweeter.bulk.load.stage import Stage


def prepare_order(database: BulkDatabase, stage: Stage) -> tuple[str, str]:
    """The order of the tweets of a millisecond in load_tweets (`t`): a JOIN clause, and the ORDER BY terms.

    Within a millisecond they are ordered by their ids, if all are numbers; these increase with time unless the file
    shows otherwise. Else they are ordered by line; later lines are newer unless the file shows otherwise. A reply,
    repost or like that would precede its tweet is moved behind it.
    """
    line = "-{}.line" if stage.dates_rise < 0 else "{}.line"
    rank = "-{}.rank" if stage.ids_rise < 0 else "{}.rank"
    with database.staging():
        numbers, tweets = database.execute("SELECT count(rank), count(*) FROM load_tweets").one()
        if not numbers:
            rank = line
        elif numbers < tweets:
            # If not all ids of a millisecond are numbers, the line is their only common order.
            database.execute(
                "UPDATE load_tweets SET rank = NULL "
                "WHERE ms IN (SELECT ms FROM load_tweets GROUP BY ms HAVING count(rank) < count(*))"
            )
            rank = f"COALESCE({rank}, {line})".replace("{}", "{0}")
        own = rank.format("t")
        if not stage.any_target or not _arrange_threads(database, rank):
            return "", f"{own}, t.line"
    join = "LEFT JOIN load_threads AS h ON h.line = t.line"
    return join, f"COALESCE(h.top, {own}), COALESCE(h.depth, 0), {own}, t.line"


def _arrange_threads(database: BulkDatabase, rank: str) -> bool:
    """Creates load_threads for lines in the same millisecond as their targets. Returns False if all are in order.

    `top` is the greatest rank of the line and its ancestors, `depth` is the number of these ancestors: ordered by
    both, every line follows its target, and nothing else moves.
    """
    child, parent = rank.format("t"), rank.format("p")
    pairs = "FROM load_tweets AS t JOIN load_tweets AS p ON p.source = t.target AND p.ms = t.ms AND p.line <> t.line"
    # Equal ranks (the ids 7 and 07) are ordered by line.
    if database.execute(f"SELECT 1 {pairs} WHERE {parent} >= {child} LIMIT 1").first() is None:
        return False
    database.create("load_threads", "line INTEGER PRIMARY KEY, above INTEGER, top INTEGER, depth INTEGER")
    count = database.execute(
        f"""
        INSERT INTO load_threads (line, above, top, depth)
        SELECT t.line, p.line, CASE WHEN {parent} > {child} THEN {parent} ELSE {child} END, 1 {pairs}
        """
    ).rowcount
    # Pointer doubling: each step looks twice as far up as the last. It is bounded, so it terminates for cycles, too.
    for _ in range(count.bit_length()):
        database.execute(
            """
            UPDATE load_threads SET above = a.above, depth = load_threads.depth + a.depth,
                top = CASE WHEN a.top > load_threads.top THEN a.top ELSE load_threads.top END
            FROM load_threads AS a WHERE a.line = load_threads.above
            """
        )
    return True
