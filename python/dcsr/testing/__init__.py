"""Test helpers that several folders use."""
