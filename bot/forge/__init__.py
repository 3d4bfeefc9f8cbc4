"""Speaking with the places where repositories live. Knows nothing of Docker.

``webhook`` receives a delivery and stores it with what ``events`` decides; ``reports`` sends what the outbox holds.
``local`` is the built-in forge: bare repositories, served by ``git_http``, whose pushes reach ``webhook`` through
``hook``, exactly as GitHub's do.

Of GitHub, ``github_app`` keeps who we are there (``setup`` and ``manifest`` make it), ``github`` speaks its API,
``permissions`` asks who may do what, ``github_forge`` takes deliveries, ``github_reports`` reports, ``recovery`` and
``inventory`` find what was missed. ``source`` fetches commits from either.
"""
