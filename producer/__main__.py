"""``python -m producer``, as images run it."""

import sys

from producer.cli import main

sys.exit(main())
