"""Who may do what: policies, access control lists, and the one decision. Pure.

What the layers above use is named here; docs/protocol/authorization.md is the page to it.
"""

from objstore.access.acl import Acl, Grant, Group, Permission, decode_acl, encode_acl
from objstore.access.acl_headers import Directory, grant_to, requested_acl
from objstore.access.decide import Decision, Resource, decide, may_know_absence
from objstore.access.operation_actions import action_of
from objstore.access.policy_document import Policy, parse_policy
from objstore.access.principals import ANONYMOUS, Principal
from objstore.access.public_access import PublicAccessBlock, is_public_policy
from objstore.access.request_context import SignatureFacts, request_context
from objstore.access.stored_policy import stored_policy

__all__ = [
    "ANONYMOUS",
    "Acl",
    "Decision",
    "Directory",
    "Grant",
    "Group",
    "Permission",
    "Policy",
    "Principal",
    "PublicAccessBlock",
    "Resource",
    "SignatureFacts",
    "action_of",
    "decide",
    "decode_acl",
    "encode_acl",
    "grant_to",
    "is_public_policy",
    "may_know_absence",
    "parse_policy",
    "request_context",
    "requested_acl",
    "stored_policy",
]
