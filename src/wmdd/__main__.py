"""`python -m wmdd` is `wmdd`."""

import sys

from wmdd.cli.main import main

sys.exit(main())
