"""Many rows at once: the connection of bulk writers (`database`); the writer of people, follows and tweets (`rows`)."""
