"""What happened, in order: events, deliveries to Temporal, and the log of decisions."""
