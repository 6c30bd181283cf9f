"""What events are worth beyond themselves: the replica of the registries, synthetics. Detection itself runs in the kernel."""
