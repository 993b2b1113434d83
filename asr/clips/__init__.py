"""A manifest's references -> the rows of shards: audio and text of one clip at a time, without torch."""
