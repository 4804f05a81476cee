"""What holds for every test: how long something takes is measured in `bench/`, never asserted."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("headway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headway")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a script runs in the background ignores Ctrl-C, and so would the programs that the tests
    # start in order to interrupt them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
