"""Clips in and out through PyAV: timestamps, sound, colour and names stay faithful."""
