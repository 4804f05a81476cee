"""The core: floors 1 to 3. It never waits, and reads no clock, no random source and no file."""
