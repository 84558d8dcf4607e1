"""Who may do what: policies, access control lists, and the one decision. Pure.

The modules named here are what the layers above ask; docs/protocol/authorization.md is the page
to them.
"""

from objstore.access import (
    acl_headers,
    decide,
    operation_actions,
    ownership,
    public_access,
    request_context,
    stored_policy,
)

__all__ = [
    "acl_headers",
    "decide",
    "operation_actions",
    "ownership",
    "public_access",
    "request_context",
    "stored_policy",
]
