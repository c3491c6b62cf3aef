"""Reading Powens: numbers and dates, states, pages, one call, one tenant's session."""
