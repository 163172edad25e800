"""R2: a container that is to appear while everybody watches, and does not."""
