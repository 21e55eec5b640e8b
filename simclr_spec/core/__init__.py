"""What every room uses: errors, words, fields, files, states."""
