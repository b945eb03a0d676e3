"""Benchmarks of Tweeter's parts: `tweeter bench WHAT development.ini`.

A benchmark is a module in this package, named in `tweeter.cli.bench`, with two functions. The first line of its
docstring is its line in the help.

    add_options(parser)         its own arguments, besides those of all benchmarks
    run(scratch, args)          measures on a scratch site (`scratch`), and returns a Report (`figures`)

Every claim is a ratio: contenders take turns within one run, because rates drift from minute to minute.
"""
