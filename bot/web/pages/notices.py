"""What a page says at its top after a form: an address carries only the key, so that no link can put words there."""

from __future__ import annotations

NOTICES = {
    "stop": "It is being stopped.",
    "start": "It is being started.",
    "restart": "It is being restarted.",
    "remove": "The environment is being removed.",
    "deploy": "A deployment is queued.",
    "cancel": "The deployment is being cancelled.",
    "saved": "Saved. It takes effect with the next deployment.",
    "saved-at-once": "Saved.",
    "saved-redeployed": "Saved, and the chosen environments are being deployed again.",
    "unchanged": "Nothing was changed.",
    "variable-set": "The variable is set. Deployments from now on see it.",
    "variable-removed": "The variable is removed. Deployments from now on do not see it.",
    "replayed": "The delivery was decided on again.",
    "reserved": "The port is reserved: no application gets it.",
    "unreserved": "The port is free again.",
    "revoked": "The token is revoked.",
    "session-ended": "The session has ended.",
    "sessions-ended": "All your other sessions have ended.",
}
