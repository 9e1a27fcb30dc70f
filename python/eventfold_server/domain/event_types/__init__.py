"""What is known of event types: schemas, mappings, and what was said of them."""
