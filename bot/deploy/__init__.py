"""The life of a deployment: from a decision to instances that answer."""
