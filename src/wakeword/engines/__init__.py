"""Speech synthesizers behind one small interface, `speaker.Speaker`; which there are stands in `registry`."""
