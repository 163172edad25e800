"""The search: Hypothesis drives sequences of lifecycle steps, judges what came of them, and shrinks what departs."""
