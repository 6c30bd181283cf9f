"""Numbers that the kernel and what feeds it share: places in tables, kinds of tokens, nodes, records and machines."""

from __future__ import annotations

from typing import Final

# Tokens of a frame: a row of the tape each.
T_KIND: Final = 0
T_START: Final = 1
"""The first byte; of a text the first one behind its quote."""
T_END: Final = 2
T_NEXT: Final = 3
"""The place of the token behind this one and all that is in it."""
T_KEY: Final = 4
T_KEY_END: Final = 5
TAPE_WIDTH: Final = 6

STRING: Final = 1
WHOLE: Final = 2
FRACTION: Final = 3
TRUE: Final = 4
FALSE: Final = 5
NULL: Final = 6
OBJECT: Final = 7
ARRAY: Final = 8

MAX_DEPTH: Final = 32
MAX_NUMBER: Final = 40
"""Characters of a number that a frame of the plain kind has at most."""

# Nodes: what a message has to look like, as the types of msgspec say it.
N_KIND: Final = 0
N_OPTIONAL: Final = 1
N_CHILD: Final = 2
N_COUNT: Final = 3
N_NAME: Final = 4
N_NAME_SIZE: Final = 5
N_PLACE: Final = 6
N_REQUIRED: Final = 7
N_ITEM: Final = 8
N_ITEM_END: Final = 9
NODE_WIDTH: Final = 10

LEAF: Final = 0
FIELDS: Final = 1
PLACES: Final = 2
LIST: Final = 3

# A program begins with these.
P_BY_NAME: Final = 0
P_BY_NAME_END: Final = 1
P_BY_PLACE: Final = 2
P_BY_PLACE_END: Final = 3
P_KINDS: Final = 4
P_KIND_COUNT: Final = 5
P_MANY: Final = 6
P_ROUTES: Final = 7
P_NODES: Final = 8
P_COMBINED: Final = 9
"""The field under which words of a kind are looked up together."""
P_NODE_COUNT: Final = 10
"""Behind so many places of what was found stands which lists were read."""
PROGRAM_HEAD: Final = 16

# An alternative of a kind: begins with an array or not, count of parts, then the parts: form, node, field.
K_BY_PLACE: Final = 0
K_COUNT: Final = 1
K_PARTS: Final = 2
MAX_PARTS: Final = 4
KIND_WIDTH: Final = 2 + 3 * MAX_PARTS

K_WORD: Final = 0
K_HAS: Final = 1
K_NESTED: Final = 2
K_LISTED: Final = 3

# A route: the nodes of its message, its records.
ROUTE_WIDTH: Final = 6
ROUTE_FIRST: Final = 0
ROUTE_END: Final = 1
ROUTE_RECORDS: Final = 2
ROUTE_COUNT: Final = 3
ROUTE_LISTS: Final = 4
ROUTE_LIST_COUNT: Final = 5

SILENT: Final = 1_000_000
"""In the place of a route: a message of a kind that carries no event."""

ORDINARY: Final = 1_000_001
"""A message of a kind that is for the ordinary path."""

# A record.
R_TYPE: Final = 0
R_EACH: Final = 1
R_EACH_BACKWARDS: Final = 2
R_GUARDS: Final = 3
R_GUARD_COUNT: Final = 4
R_SYMBOL: Final = 5
R_SYMBOL_FIELD: Final = 6
R_TIME: Final = 7
R_TIME_KIND: Final = 8
R_PRICE: Final = 9
R_SIZE: Final = 12
R_SIDE: Final = 15
R_ID: Final = 18
R_ID_FIELD: Final = 19
R_BID: Final = 20
R_BID_SIZE: Final = 23
R_ASK: Final = 26
R_ASK_SIZE: Final = 29
R_LEVELS: Final = 32
R_LEVEL_COUNT: Final = 33
R_FIRST: Final = 34
R_LAST: Final = 35
R_PREVIOUS: Final = 36
R_CHECKSUM: Final = 37
R_DEPTH: Final = 38
R_DEPTH_NODE: Final = 39
R_DEPTH_FIELD: Final = 40
R_LATEST: Final = 41
R_LISTS: Final = 42
R_LIST_COUNT: Final = 43
RECORD_WIDTH: Final = 44

TRADE_RECORD: Final = 1
QUOTE_RECORD: Final = 2
SNAPSHOT_RECORD: Final = 3
UPDATE_RECORD: Final = 4

# Levels of a record.
L_LIST: Final = 0
L_SIDE: Final = 1
L_PRICE: Final = 4
L_SIZE: Final = 7
L_TIME: Final = 10
L_TIME_KIND: Final = 11
L_GUARDS: Final = 12
L_GUARD_COUNT: Final = 13
L_GONE: Final = 14
L_GONE_COUNT: Final = 15
L_OFFSET: Final = 16
L_PAIRS: Final = 17
"""1: they are arrays whose first two values are price and size, and that is all there is to them."""
LEVELS_WIDTH: Final = 18
JOINED: Final = -2
"""In the place of the node of a symbol: it has several parts. In the place of its field stands where they begin: their count, the field of the first,
then their nodes. What a word of one part means is the field under which the next is looked up."""
ITSELF: Final = -2
"""In the place of a list: the record is one level."""
NOWHERE: Final = -1

# A guard: kind, node, where its words begin, how many. A word: kind of token, where its bytes begin, how many.
GUARD_WIDTH: Final = 4
G_WHERE: Final = 1
G_UNLESS: Final = 2
G_HAVING: Final = 3
G_LACKING: Final = 4

# An amount: node, form, digits.
A_PLAIN: Final = 0
A_SCALED: Final = 1
A_MAGNITUDE: Final = 2
A_NONE: Final = 3
A_SCALED_BY: Final = 4
"""In the place of its digits: which of the scales of its listing."""

# A side: form, node, field or the side itself.
S_CONSTANT: Final = 0
S_WORD: Final = 1
S_SIGN: Final = 2

# Times.
TIME_NONE: Final = -1
TIME_ISO: Final = 100

D_NONE: Final = 0
D_CONSTANT: Final = 1
D_FIELD: Final = 2

# Books: a row each.
B_OWNER: Final = 0
B_SEQUENCE: Final = 1
B_FRESH: Final = 2
B_DEPTH: Final = 3
B_GRID: Final = 4
B_SIDES: Final = 5
"""Of the bids, then of the asks: offset in the arena, first level, levels, room."""
B_KEY: Final = 13
B_MACHINE: Final = 14
B_DIRTY: Final = 15
B_DELIVERED: Final = 16
B_IGNORED: Final = 17
B_TRADE: Final = 18
"""The highest number of a trade, plus 1; 0: none."""
B_HEARD: Final = 19
B_STEPS: Final = 20
"""Messages that were delivered: one that ends the waiting of others delivers more than once."""
B_SCALES: Final = 21
"""Decimals of the whole numbers of the listing, one more; 0: not known."""
MAX_SCALES: Final = 2
B_TAG: Final = 23
"""Under which the numbers of its levels stand."""
B_TEXTS: Final = 24
"""Of the asks, then of the bids: one more than the bytes of the text that its checksum is taken of, 0 where they are not known; their checksum."""
BOOK_WIDTH: Final = 28
SIDE_WIDTH: Final = 4

AWAY: Final = 0
"""The book is kept by its machine in Python."""
IN_STEP: Final = 1
EMPTY: Final = 2
"""The kernel may load a snapshot into it."""

NO_GRID: Final = 1
NO_ROOM_ON_GRID: Final = 2
"""In the place of a grid: prices do not fit 64 bits."""

M_RANGE: Final = 1
M_RANGE_WITH_HOLES: Final = 2
M_PREVIOUS: Final = 3
M_PER_CHANNEL: Final = 4
M_SNAPSHOT_UPDATES: Final = 5
M_SNAPSHOT_ONLY: Final = 6
M_OFFSET: Final = 7
M_DIGITS_OF_TOP: Final = 8
M_LEVELS_IN_TURN: Final = 9
M_CHECKSUM: Final = 8
"""From here on a checksum is taken."""

# What a frame changes in books, before it is done: a row each.
O_SLOT: Final = 0
O_TYPE: Final = 1
O_FIRST: Final = 2
O_LAST: Final = 3
O_PREVIOUS: Final = 4
O_CHECKSUM: Final = 5
O_TIME: Final = 6
O_BEGIN: Final = 7
O_END: Final = 8
O_DEPTH: Final = 9
O_GRID: Final = 10
OP_WIDTH: Final = 11
OPS_OF_FRAME: Final = 32
"""Changes of books in one frame, at most."""
MAX_HELD: Final = 256

V_SIDE: Final = 0
V_PRICE: Final = 1
V_PRICE_EXPONENT: Final = 2
V_SIZE: Final = 3
V_SIZE_EXPONENT: Final = 4
V_KEY: Final = 5
"""The price on the book's grid, negated of asks: filled in when the grid is known."""
V_NUMBER: Final = 6
"""The number of the level; 0: that of its message."""
LEVEL_WIDTH: Final = 7

# Numbers of levels: a row each, the last one being of the table itself.
G_TAG: Final = 0
"""Twice that of the book, one more of asks; 0: free."""
G_PRICE: Final = 1
G_EXPONENT: Final = 2
"""Of a price without zeros at its end."""
G_NUMBER: Final = 3
NUMBER_WIDTH: Final = 4
G_COUNT: Final = 0
"""In the last row: how many there are, and the last tag."""
G_LAST_TAG: Final = 1

# Frames, which follow each other: what each of these is of all of them is a row.
F_SIZE: Final = 0
F_TIME: Final = 1
FRAME_WIDTH: Final = 2

# The state of a run.
X_STATUS: Final = 0
X_FIELD: Final = 1
X_FROM: Final = 2
X_TO: Final = 3
X_TRADES: Final = 4
X_QUOTES: Final = 5
X_LEVELS: Final = 6
X_DIRTY: Final = 7
X_SOURCE: Final = 8
X_PROVENANCE: Final = 9
X_TOUCHED: Final = 10
X_OPS: Final = 11
X_CHANGES: Final = 12
X_TIME: Final = 13
X_SLOT: Final = 14
X_ASKED: Final = 15
"""The frame is the answer of a request: whose book; below 0: it came over a connection."""
X_ROUTE: Final = 16
"""The route of such an answer."""
X_HELD: Final = 17
"""Updates that its book holds: their rows are those from OPS_OF_FRAME on."""
X_HELD_CHANGES: Final = 18
"""Their levels stand at the end of all."""
X_KEPT: Final = 19
"""The first of them that is not older than the answer."""
X_RESUMES: Final = 20
"""The first frame has been read already; what it wanted to change in books is done from where it was checked."""
X_HAD_TRADES: Final = 21
X_HAD_QUOTES: Final = 22
"""Rows before the frame that the run stopped at."""
X_SCALES: Final = 23
"""Those of the listing of the record that is read."""
X_HASH: Final = 25
"""That of the word which has to be looked up."""
STATE_WIDTH: Final = 26

DONE: Final = 0
NOT_PLAIN: Final = 1
"""The frame is for the ordinary path."""
UNKNOWN_WORD: Final = 2
"""A word has to be looked up: X_FIELD, and its bytes from X_FROM to X_TO."""
BOOK_WANTED: Final = 3
"""The book of X_SLOT is with its machine."""
ROOM_WANTED: Final = 4
"""Rows have to be taken first, or there have to be more of them: X_FIELD says of which type."""
LEVELS_WANTED: Final = 5
"""The book of X_SLOT needs room for so many levels a side: X_FIELD."""
NUMBERS_WANTED: Final = 6
"""There has to be room for so many more numbers of levels: X_FIELD."""

MISSING: Final = -(1 << 62)

# Words: a row each: field + 1 (0: free), hash, value, offset and size of its bytes.
W_FIELD: Final = 0
W_HASH: Final = 1
W_VALUE: Final = 2
W_AT: Final = 3
W_SIZE: Final = 4
WORD_WIDTH: Final = 5
HASH_SEED: Final = 0x2545F4914F6CDD1D
HASH_FACTOR: Final = 1_099_511_628_211
HASH_MASK: Final = (1 << 62) - 1
