"""python -m doors: see doors/doors.py."""

import sys

from doors.doors import main

sys.exit(main())
