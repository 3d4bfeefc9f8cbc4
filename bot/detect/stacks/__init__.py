"""One module for each stack: ``find(scan)`` gives a claim with evidence, or None."""
