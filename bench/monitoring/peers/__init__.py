"""What ours is compared with; each runs in the peers' environment, as its documents show it and with its defaults.

Whatever they would report to their makers is turned off.
"""

import os

os.environ |= {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1", "WHYLOGS_NO_ANALYTICS": "True"}
