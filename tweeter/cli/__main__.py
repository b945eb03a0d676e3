"""`python -m tweeter.cli` is `tweeter`."""

import sys

from tweeter.cli import main

sys.exit(main())
