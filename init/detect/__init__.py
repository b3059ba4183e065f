"""What each kind of setting is found by; every module adds findings and notes to the report."""
