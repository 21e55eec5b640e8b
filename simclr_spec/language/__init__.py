"""What a declared file may say."""
