"""``make demo``: Berth from nothing to a running application, with what every user has (``berth`` and git)."""
