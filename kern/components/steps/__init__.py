"""What workflows are made of: steps, containers, reviews, and how they are compiled."""
