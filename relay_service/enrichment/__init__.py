"""What events are worth beyond themselves: the replica of the registries, groups of listings, synthetics. Detection runs in the kernel; this feeds it."""
