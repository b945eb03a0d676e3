"""An invalid backend: its includeme registers nothing."""


def includeme(config):
    pass
