"""Everything: home pages, posts, workloads and memory on all backends, as a report with plots.

    tweeter bench development.ini --quick
    tweeter bench development.ini --follows follows.txt.gz --tweets tweets.jsonl.gz --output results
    tweeter bench --compare before/bench.json after/bench.json

The report is a self-contained HTML file, with the numbers beside it as JSON (`schema`) and CSV.
"""

from tweeter.bench.report.command import add_options, run

__all__ = ["add_options", "run"]
