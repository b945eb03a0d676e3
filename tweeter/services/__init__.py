"""The actions of users, their business rules, and background work."""
