"""Recordings, tables and splits."""
