"""What holds for every test: how long something takes is measured in `bench/`, never asserted."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("headway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headway")
