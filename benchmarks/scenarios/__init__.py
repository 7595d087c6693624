"""What is measured, a module each: `measure` returns the raw figures of its runs, `table` makes them Markdown, and `targets`
yields rows of tables.target. IN_ROUNDS and WITH_PEERS say what a table's caption must name."""
from scenarios import creates, idle, lookups, overload, pages, retention, scale

SCENARIOS = {
    "creates": creates, "lookups": lookups, "scale": scale, "retention": retention, "idle": idle, "overload": overload, "pages": pages}
