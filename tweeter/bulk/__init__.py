"""Many rows at once, with COPY on PostgreSQL.

`database` is the connection of bulk writers. `rows` writes people, follows and tweets to a site without other writers.
`load` loads files into a running site.
"""
