"""The actions of users, their business rules, and background work."""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    config.include(".housekeeping")
    config.include(".actions")
