"""Berth: push a branch, get a running URL, and the truth about it in your pull request."""

__version__ = "0.1.0"
