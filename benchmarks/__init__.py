"""Measurements, one piece of work a file; see README.md."""
