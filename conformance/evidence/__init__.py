"""Evidence: the only thing that crosses from the driving half to the judging half, and it is a file."""
