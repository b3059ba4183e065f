"""`bin/init`: reads an app's repository and writes an environment's settings, with the reason for each."""
