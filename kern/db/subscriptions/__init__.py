"""Who is notified outside: subscriptions to the feed, and what is on its way to them."""
