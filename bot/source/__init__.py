"""git: names that may be trusted, one commit fetched safely, a folder made into a commit."""
