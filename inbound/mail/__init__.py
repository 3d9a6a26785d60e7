"""What a mail holds: its parts, its texts, its attachments."""
