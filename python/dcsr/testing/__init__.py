"""Test helpers that several folders share."""
