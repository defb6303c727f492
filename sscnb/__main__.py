import sys

from sscnb.commands import main

sys.exit(main())
