"""What an attack knows of what it is judged against, and so what its accuracy says of a defence."""

from __future__ import annotations

from assay.study.attacks import Attack
from assay.study.purifiers import AnyPurifier, PythonPurifier


def counts(attack: Attack) -> bool:
    """Whether an attack is among those of which the strongest is taken.

    A control is not, since it does not search; nor is an attack that is judged on noise that it knows, since that
    answers another question. An attack that searches for one wrong class is: wherever an image is misclassified, it is.
    """
    return not attack.control and attack.threat.judged_draws is None


def is_direct(attack: Attack, defended: bool, carried: bool) -> bool:
    """Whether an attack follows gradients through just what it is judged against, and meets fresh noise.

    One that was `carried` over from another classifier does not, nor, where there is a defence, one that does not know
    of it. An attack without gradients is not enough either: by queries alone it finds less than a gradient does.
    """
    threat = attack.threat
    knows = not defended or (not threat.shared and threat.fresh)
    return counts(attack) and not carried and knows and attack.follows == "gradients"


def claims_the_slope(attack: Attack, purifier: AnyPurifier | None) -> bool:
    """Whether the gradient that an attack follows claims to be the slope of its loss, so that finite differences of the
    loss may judge it.

    It does not where the threat replaces the gradient by design, nor where the author of the purifier that is attacked
    through (None without one) declares it a stand-in.
    """
    declared = isinstance(purifier, PythonPurifier) and not purifier.backward
    return attack.threat.backward and not declared
