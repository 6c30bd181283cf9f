"""What happens to instruments and listings, on both time axes: renames, mergers, delistings, and the history they make."""
