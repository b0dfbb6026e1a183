"""What a user calls, a function for each verb of the command line: it puts the rooms' work together."""
