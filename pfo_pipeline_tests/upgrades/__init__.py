"""What earlier releases wrote is kept here, and every later release is held to it."""
