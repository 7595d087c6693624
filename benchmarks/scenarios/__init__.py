"""What is measured, a module each: `measure` returns the raw figures of its runs, `table` makes them Markdown, and `targets`
yields rows of tables.target. IN_ROUNDS (None: the table says how long) and WITH_PEERS say what a table's caption must
name."""
from scenarios import creates, idle, lookups, overload, pages, retention, scale, soak

SCENARIOS = {
    "creates": creates, "lookups": lookups, "scale": scale, "retention": retention, "idle": idle, "overload": overload, "pages": pages,
    "soak": soak}

# What takes minutes; a soak takes an hour and a half, and is measured where it is asked for.
USUAL = set(SCENARIOS) - {"soak"}
