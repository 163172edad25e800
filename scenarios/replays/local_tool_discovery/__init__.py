"""R1: tools that never appear through a gateway."""
