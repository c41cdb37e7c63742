"""Write numbers as people do: few digits, powers of ten, minutes, and shares in percent."""

import math

from smallport.records import Result, singular_or_plural

SPACE = "\N{NO-BREAK SPACE}"
"""The space between a number and its unit, at which no line breaks."""

MINUS = "\N{MINUS SIGN}"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SMALLEST, LARGEST = 1e-3, 1e6
"""Numbers beyond these are written with a power of ten."""

DIGITS = 3
DECIMALS = {"MB": 3, "nats": 4}
"""Units whose numbers are compared with others of the same size: the decimals that this takes."""

PURE_DIGITS = 4
"""The digits of a number without a unit, which is often a ratio close to one."""

MINUTE, HOUR = 60, 3600
HARDLY = 0.95
"""A file that is larger than this share of another is not called smaller."""


def format_number(value: float, digits: int = DIGITS, decimals: int | None = None) -> str:
    """Write a number with so many significant digits, two with a power of ten, or decimals.

    Examples
    --------
    >>> [format_number(number) for number in (3.71457, -0.00107, 160_000, 1e-5)]
    ['3.71', '−0.00107', '160,000', '10⁻⁵']
    >>> format_number(9.53674e-07).replace(SPACE, " ")
    '9.5 × 10⁻⁷'
    """
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size == 0:
        return "0"
    sign = MINUS if value < 0 else ""
    if not SMALLEST <= size < LARGEST:
        mantissa, exponent = f"{size:.1e}".split("e")
        power = f"10{str(int(exponent)).translate(RAISED)}"
        mantissa = mantissa.removesuffix(".0")
        return sign + (power if mantissa == "1" else f"{mantissa}{SPACE}×{SPACE}{power}")
    if decimals is None:
        decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
    text = f"{size:,.{decimals}f}"
    return sign + (text.rstrip("0").rstrip(".") if "." in text else text)


def duration(seconds: float) -> str:
    """Write a time.

    Examples
    --------
    >>> [duration(number).replace(SPACE, " ") for number in (0.0421, 8.04, 31.43, 92, 3700)]
    ['42.1 ms', '8.04 s', '31.4 s', '1 min 32 s', '1 h 1 min']
    """
    whole = round(seconds)
    if SMALLEST <= abs(seconds) < 1:
        return f"{format_number(1000 * seconds)}{SPACE}ms"
    if whole < MINUTE:
        return f"{format_number(seconds)}{SPACE}s"
    large, small, names = (HOUR, MINUTE, "h min") if whole >= HOUR else (MINUTE, 1, "min s")
    first, second = names.split()
    rest = whole % large // small
    return SPACE.join([str(whole // large), first, *([str(rest), second] if rest else [])])


def quantity(value: float, unit: str) -> str:
    """Write a number with its unit.

    Examples
    --------
    >>> [quantity(*one).replace(SPACE, " ") for one in ((113.945412, "MB"), (3.71457, "×"))]
    ['113.945 MB', '3.71 ×']
    >>> [quantity(*one).replace(SPACE, " ") for one in ((1, "nats"), (98.171, "%"))]
    ['1 nat', '98.2%']
    """
    if unit == "s":
        return duration(value)
    number = format_number(value, DIGITS if unit else PURE_DIGITS, DECIMALS.get(unit))
    if unit == "%":
        return f"{number}%"
    return f"{number}{SPACE}{singular_or_plural(number, unit)}".rstrip()


def counted(number: int, noun: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "run"), counted(2000, "run")
    ('1 run', '2,000 runs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def describe_value(result: Result) -> str:
    """Write what was measured.

    A size without a unit is a fraction of another and is written as what was saved, a share as a
    percentage.

    Examples
    --------
    >>> describe_value(Result("int8 size, to float32", 0.699808, "")).replace(SPACE, " ")
    '30% smaller'
    >>> describe_value(Result("integers' share of the file", 0.98171, "")).replace(SPACE, " ")
    '98.2%'
    """
    return _in_words(result, result.value)


def claimed(result: Result) -> str:
    """Write the claimed bounds; empty where nothing is claimed.

    Examples
    --------
    >>> claimed(Result("int8 size, to float32", 0.699808, "", at_most=0.71)).replace(SPACE, " ")
    'at least 29% smaller'
    >>> claimed(Result("gap", -1e-3, "nats", at_least=-0.01, at_most=0.01)).replace(SPACE, " ")
    'between −0.01 nats and 0.01 nats'
    """
    least, most = result.at_least, result.at_most
    if _is_saving(result):
        least, most = most, least  # what is at most so large is at least so much smaller
    bounds = [None if bound is None else _in_words(result, bound) for bound in (least, most)]
    match bounds:
        case [None, None]:
            return ""
        case [low, None]:
            return f"at least {low}"
        case [None, high]:
            return f"at most {high}"
    return f"between {bounds[0]} and {bounds[1]}"


def _in_words(result: Result, value: float) -> str:
    if _is_saving(result):
        return f"{100 * (1 - value):.0f}%{SPACE}smaller"
    if _is_share(result):
        return quantity(100 * value, "%")
    return quantity(value, result.unit)


def _is_saving(result: Result) -> bool:
    fraction = not result.unit and " size, to " in f" {result.name}"
    return fraction and 0 < result.value < HARDLY


def _is_share(result: Result) -> bool:
    return not result.unit and "share" in result.name
