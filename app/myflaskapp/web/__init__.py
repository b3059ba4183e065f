"""HTTP concerns of every request: security, rate limits, errors, health and logs."""
