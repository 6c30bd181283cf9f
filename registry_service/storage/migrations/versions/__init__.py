"""The migrations in order. One that is released is never edited; the next one mends it."""
