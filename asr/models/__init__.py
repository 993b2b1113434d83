"""Checkpoints: where they come from, how they are loaded and saved, and Whisper over short windows."""
