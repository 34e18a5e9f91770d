"""Where clips come from: folders of recordings, and a synthesizer that speaks a typed phrase."""
