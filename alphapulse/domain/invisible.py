"""Characters that nobody sees: with them two names can look alike and differ, or one can be shown in another order than it is.

Refused in names, symbols and the texts beside them. What a script or a sign cannot be written without is allowed where it stands for that:
joiners and non-joiners after letters of scripts that join or stack (Arabic, Syriac, the Indic ones, Khmer, Mongolian, ...), variation selectors
after the Han, Mongolian or pictured characters they vary, joiners between pictured characters. Marks and controls of direction (U+200E,
U+202A-202E, U+2066-2069, ...) never are: the direction of a text follows from its letters.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Default_Ignorable_Code_Point of Unicode, separators of lines and paragraphs, annotations, and a blank that is a letter in name alone.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINED: Final = "[\u0600-\u06ff\u0700-\u07ff\u0840-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua8e0-\ua8ff]"
_PICTURED: Final = "[\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff]"
_HAN: Final = "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_NEEDED: Final = re.compile(
    f"(?<={_JOINED})[\u200c\u200d]"
    f"|(?<=[\u1820-\u18aa])[\u180b-\u180d\u180f]"
    f"|(?<={_HAN})[\ufe00-\ufe02\U000e0100-\U000e01ef]"
    f"|(?<={_PICTURED})[\ufe0e\ufe0f]"
    f"|(?<=[\ufe0f\U0001f3fb-\U0001f3ff])\u200d(?={_PICTURED})"
    f"|(?<={_PICTURED})\u200d(?={_PICTURED})"
)


def broken_sight(text: str) -> str | None:
    """What is wrong with a text that holds a character nobody sees, in words that name the first; None for one that can be read as it is."""
    if text.isascii():
        return None
    for found in _INVISIBLE.finditer(text):
        if _NEEDED.match(text, found.start()) is None:
            char = found.group()
            name = unicodedata.name(char, "")
            shown = f"U+{ord(char):04X}{' ' + name if name else ''}"
            return f"it holds an invisible character ({shown}): another name could look the same"
    return None
