"""The specification as data: revisions, the requirement catalogue, excused rows and frozen profiles."""
