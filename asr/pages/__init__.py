"""Scores and predictions -> the pages and pictures that people look at."""
