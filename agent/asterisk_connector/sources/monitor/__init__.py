"""Where Asterisk leaves recordings: trees of directories, file by file, and what an audio file tells of itself."""
