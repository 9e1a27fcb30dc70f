"""What the store does: appending, reading, folding. Knows neither gRPC nor SQL."""
