"""What a bucket's policy says about one request. It neither reads nor knows anything else."""

from enum import Enum, auto

from objstore.access.facts import Context, Facts
from objstore.access.policy_document import Effect, Policy, Statement
from objstore.access.principals import Principal
from objstore.access.three_valued import all_of


class Verdict(Enum):
    """What a policy says."""

    DENIED = auto()  # "an explicit deny in any policy overrides any allows"
    ALLOWED = auto()
    SILENT = auto()


def evaluate(
    policy: Policy, principal: Principal, action: str, path: str, context: Context
) -> Verdict:
    """Ask a policy about `action`, AWS's name for it, on `path`: `bucket`, or `bucket/key`.

    A statement that can not be known to apply denies and does not allow: both fail closed.
    """
    facts = Facts(context)
    verdict = Verdict.SILENT
    for statement in policy.statements:
        applies = _applies(statement, principal, action, path, facts)
        if statement.effect is Effect.DENY:
            if applies is not False:
                return Verdict.DENIED
        elif applies:
            verdict = Verdict.ALLOWED
    return verdict


def _applies(
    statement: Statement, principal: Principal, action: str, path: str, facts: Facts
) -> bool | None:
    if action not in statement.actions or not statement.principals.include(principal):
        return False
    within = statement.resources.include(path, facts)
    if within is False:
        return False
    return all_of((within, *(condition.holds(facts) for condition in statement.conditions)))
