"""Where events come in: the Unix-socket server and the body of Publish. Frames are checked here and handed to the core; nothing is enriched here."""
