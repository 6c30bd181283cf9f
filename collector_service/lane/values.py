"""Values of tokens: exact numbers, times, and words that are looked up. What is not plain is below 0, and left to the ordinary path."""

from __future__ import annotations

from typing import Any

from collector_service.lane.codes import (
    A_MAGNITUDE,
    A_NONE,
    A_SCALED,
    A_SCALED_BY,
    FRACTION,
    HASH_FACTOR,
    HASH_MASK,
    HASH_SEED,
    MISSING,
    NULL,
    STRING,
    T_END,
    T_KIND,
    T_START,
    TIME_ISO,
    TIME_NONE,
    UNKNOWN_WORD,
    W_AT,
    W_FIELD,
    W_HASH,
    W_SIZE,
    W_VALUE,
    WHOLE,
    X_FIELD,
    X_FROM,
    X_HASH,
    X_SCALES,
    X_STATUS,
    X_TO,
)
from collector_service.lane.jit import compiled, inlined

_FAST_DIGITS = 18
_FINEST = -36
_LATEST = 9_000_000_000 * 10**9
_MAX = 2**63 - 1
BAD = -1
"""A number that is not plain, or is none."""


@inlined
def power(exponent: int) -> int:
    """10**exponent, from 0 to 18."""
    found = 1
    for _ in range(exponent):
        found *= 10
    return found


@compiled
def decimal(data: Any, at: int, end: int, limit: int) -> tuple[int, int]:
    """(mantissa, exponent) of digits with a point between and a power of ten behind, perhaps; BAD for anything else, a sign too, and for exponents
    beyond those of a price."""
    mantissa, digits, exponent, fraction = 0, 0, 0, 0
    if at >= end or end - at > limit + 5 or data[at] == 46:
        return BAD, 0
    if end - at <= limit:
        # What is usual: digits, and a point between them.
        point, place = -1, at
        while place < end:
            digit = int(data[place]) - 48
            if 0 <= digit <= 9:
                mantissa = mantissa * 10 + digit
            elif digit == -2 and point < 0 and place + 1 < end:
                point = place
            else:
                break
            place += 1
        if place == end:
            return mantissa, 0 if point < 0 else point + 1 - end
        mantissa = 0
    place = at
    while place < end:
        digit = int(data[place]) - 48
        if 0 <= digit <= 9:
            if digits >= limit:
                return BAD, 0
            mantissa = mantissa * 10 + digit
            digits += 1
            exponent -= fraction
        elif digit == -2 and not fraction and place + 1 < end:
            fraction = 1
        elif (digit == 53 or digit == 21) and digits and data[place - 1] != 46:
            break
        else:
            return BAD, 0
        place += 1
    if place < end:
        sign = 1
        place += 1
        if place < end and (data[place] == 45 or data[place] == 43):
            sign = 44 - int(data[place])
            place += 1
        if place >= end or end - place > 2:
            return BAD, 0
        further = 0
        while place < end:
            digit = int(data[place]) - 48
            if digit < 0 or digit > 9:
                return BAD, 0
            further = further * 10 + digit
            place += 1
        exponent += sign * further
        if exponent < _FINEST or exponent > 0:
            return BAD, 0
    return mantissa, exponent


@inlined
def digits_of(program: Any, at: int, state: Any) -> int:
    """Of an amount that is given as a whole number, how many of its digits stand behind the point; below 0 where that is not known."""
    digits = program[at + 2]
    return int(state[X_SCALES + digits] - 1 if program[at + 1] == A_SCALED_BY else digits)


@compiled
def amount(data: Any, tape: Any, token: int, form: int, digits: int) -> tuple[int, int]:
    """(mantissa, exponent) of a price or size."""
    if form == A_NONE:
        return 0, 0
    if token < 0:
        return BAD, 0
    kind = tape[token, T_KIND]
    start, end = tape[token, T_START], tape[token, T_END]
    if kind != STRING and kind != WHOLE and kind != FRACTION:
        return BAD, 0
    if form == A_MAGNITUDE and start < end and data[start] == 45:
        start += 1
    mantissa, exponent = decimal(data, start, end, _FAST_DIGITS)
    if form == A_SCALED or form == A_SCALED_BY:
        exponent -= digits
        if digits < 0 or exponent < _FINEST:
            return BAD, 0
    return mantissa, exponent


@compiled
def digits(data: Any, at: int, end: int) -> int:
    """A whole number of digits alone, in 63 bits; BAD for anything else."""
    if at >= end or end - at > 19:
        return BAD
    found = 0
    for place in range(at, end):
        digit = int(data[place]) - 48
        if digit < 0 or digit > 9 or found > (_MAX - digit) // 10:
            return BAD
        found = found * 10 + digit
    return found


@compiled
def whole(data: Any, tape: Any, token: int) -> int:
    """A number of the venue's, 0 where it gave none."""
    if token < 0 or tape[token, T_KIND] == NULL:
        return 0
    if tape[token, T_KIND] != STRING and tape[token, T_KIND] != WHOLE:
        return BAD
    return int(digits(data, tape[token, T_START], tape[token, T_END]))


@compiled
def identity(data: Any, tape: Any, token: int) -> int:
    """The number of a trade; 0 where the venue's is a text that is no number."""
    if token < 0 or tape[token, T_KIND] == NULL:
        return 0
    start, end = tape[token, T_START], tape[token, T_END]
    if tape[token, T_KIND] == STRING:
        for place in range(start, end):
            if data[place] < 48 or data[place] > 57:
                return 0
        if start == end:
            return 0
    return int(whole(data, tape, token))


@compiled
def checksum(data: Any, tape: Any, token: int) -> int:
    """An unsigned number of 32 bits, given signed or not; -2 where there is none."""
    if token < 0 or tape[token, T_KIND] == NULL:
        return -2
    if tape[token, T_KIND] != STRING and tape[token, T_KIND] != WHOLE:
        return BAD
    start, end = tape[token, T_START], tape[token, T_END]
    if end - start > 11:
        return BAD
    negative = start < end and data[start] == 45
    mantissa = digits(data, start + 1 if negative else start, end)
    if mantissa == BAD:
        return BAD
    if negative:
        return BAD if mantissa > 2**31 else (2**32 - mantissa) % 2**32
    return BAD if mantissa >= 2**32 else mantissa


@compiled
def _pair(data: Any, at: int) -> int:
    tens, ones = int(data[at]) - 48, int(data[at + 1]) - 48
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else -10_000


@compiled
def _iso(data: Any, at: int, end: int) -> int:
    """Nanoseconds of YYYY-MM-DDTHH:MM:SS.fZ; BAD for any other form."""
    size = end - at
    if size < 20 or size > 30 or size == 21 or data[end - 1] != 90:
        return BAD
    if data[at + 4] != 45 or data[at + 7] != 45 or data[at + 10] != 84 or data[at + 13] != 58 or data[at + 16] != 58:
        return BAD
    year = _pair(data, at) * 100 + _pair(data, at + 2)
    month, day = _pair(data, at + 5), _pair(data, at + 8)
    hour, minute, second = _pair(data, at + 11), _pair(data, at + 14), _pair(data, at + 17)
    if year < 1971 or year > 2200 or month < 1 or month > 12 or day < 1 or (day > 28 and day > _days(year, month)):
        return BAD
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return BAD
    fraction = 0
    if size > 20:
        if data[at + 19] != 46:
            return BAD
        for place in range(at + 20, at + 29):
            digit = 0
            if place < end - 1:
                digit = int(data[place]) - 48
                if digit < 0 or digit > 9:
                    return BAD
            fraction = fraction * 10 + digit
    # Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
    shifted = year - 1 if month <= 2 else year
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return int((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000_000 + fraction)


@compiled
def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@compiled
def moment(data: Any, tape: Any, token: int, kind: int) -> int:
    """Nanoseconds since the Unix epoch; 0 where there is none. `kind` is the power of ten a second counts, or TIME_ISO."""
    if kind == TIME_NONE or token < 0:
        return 0
    got = tape[token, T_KIND]
    start, end = tape[token, T_START], tape[token, T_END]
    if got == NULL or (got == STRING and start == end):
        return 0
    if kind == TIME_ISO:
        return int(_iso(data, start, end)) if got == STRING else BAD
    if got == WHOLE:
        mantissa, exponent = int(whole(data, tape, token)), 0
    elif got == STRING or got == FRACTION:
        mantissa, exponent = decimal(data, start, end, _FAST_DIGITS)
    else:
        return BAD
    if mantissa == BAD:
        return BAD
    places = exponent + 9 - kind
    if places < -18:
        return BAD
    if places < 0:
        mantissa //= power(-places)
    else:
        factor = power(places)
        if mantissa > _LATEST // factor:
            return BAD
        mantissa *= factor
    return BAD if mantissa > _LATEST else mantissa


@compiled
def look_up(data: Any, start: int, end: int, field: int, words: Any, texts: Any, state: Any) -> int:
    """What a word of a field means, its bytes as they stand in the frame, quotes and all; MISSING where that has to be asked first."""
    found = HASH_SEED + field
    for place in range(start, end):
        found = ((found ^ int(data[place])) * HASH_FACTOR) & HASH_MASK
    mask = words.shape[0] - 1
    at = (found ^ (found >> 29)) & mask
    while words[at, W_FIELD]:
        if words[at, W_HASH] == found and words[at, W_FIELD] == field + 1 and words[at, W_SIZE] == end - start:
            text, same = words[at, W_AT], True
            for k in range(end - start):
                if texts[text + k] != data[start + k]:
                    same = False
                    break
            if same:
                return int(words[at, W_VALUE])
        at = (at + 1) & mask
    state[X_STATUS] = UNKNOWN_WORD
    state[X_HASH] = found
    state[X_FIELD] = field
    state[X_FROM] = start
    state[X_TO] = end
    return MISSING


@compiled
def meaning(data: Any, tape: Any, token: int, field: int, words: Any, texts: Any, state: Any) -> int:
    """What the word at a token means."""
    quote = 1 if tape[token, T_KIND] == STRING else 0
    return int(look_up(data, tape[token, T_START] - quote, tape[token, T_END] + quote, field, words, texts, state))
