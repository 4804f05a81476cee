"""The limits of a session.

Floor 3, a part of the session. Values only.
"""

from __future__ import annotations

__all__ = ["JOIN_TIMEOUT_S", "MAX_REJECTED", "STEADY_S"]

JOIN_TIMEOUT_S = 30.0
"""How long opening and joining may make no progress before the connection is given up."""

STEADY_S = 2.0
"""A connection that was live for so long was a good one: the next attempt after it is quick.
One that breaks sooner may have been broken by what we send, and is tried ever more slowly."""

MAX_REJECTED = 16
"""Refused replicas kept for the person; the oldest goes first."""
