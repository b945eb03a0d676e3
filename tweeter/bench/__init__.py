"""What Tweeter's parts can do, in figures: `tweeter bench WHAT development.ini`.

A benchmark is a module here with two functions, named in `tweeter.cli.bench`. The first line of its docstring is its
line in the help.

    add_options(parser)         its own arguments; those of all benchmarks are there already
    run(scratch, args)          measures on a scratch site (`scratch`), and returns a Report (`figures`)

Every claim is a ratio: contenders take turns within one run, because rates drift from one minute to the next.
"""
