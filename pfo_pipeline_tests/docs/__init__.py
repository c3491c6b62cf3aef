"""The documentation: that it builds into a site, leads somewhere, and says what is true."""
