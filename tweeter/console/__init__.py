"""What commands and benchmarks share at the terminal: arguments, errors, sites of ini files, progress."""
