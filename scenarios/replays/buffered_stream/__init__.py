"""R5: a proxy that holds the stream back."""
