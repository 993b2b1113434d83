"""Recordings of any length -> what is said in them, and when: speech is found, heard in windows, and put together."""
