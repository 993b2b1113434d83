"""The library that stages and pipelines share: a corpus -> features -> a better Whisper -> a word error rate."""
