"""Files of earlier releases, which every later release must support."""
