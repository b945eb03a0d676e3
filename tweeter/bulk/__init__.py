"""Many rows at once, with COPY on PostgreSQL.

`database` is the connection of bulk writers, `rows` writes people, follows and tweets to sites without other writers, and
`load` loads files into running sites.
"""
