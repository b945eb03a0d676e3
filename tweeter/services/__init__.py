"""What people can do, and what follows from it in the background."""
