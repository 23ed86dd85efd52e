"""`python -m asterisk_connector`: the command, without its script."""

import sys

from asterisk_connector.cli.main import main

sys.exit(main())
