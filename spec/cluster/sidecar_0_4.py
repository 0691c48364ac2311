#!/usr/bin/env python3
"""The test sidecar as releases 0.2 to 0.4 are: it demands ASYA_NAMESPACE, and queues have it in their names.

    sidecar_0_4.py [COUNT]
"""
import sys

import sidecar

if not sidecar.ENV.get("ASYA_NAMESPACE"):
    sys.exit("ASYA_NAMESPACE is required")
sidecar.queue = lambda actor: f"asya-{sidecar.ENV['ASYA_NAMESPACE']}-{actor}"

if __name__ == "__main__":
    sidecar.main()
